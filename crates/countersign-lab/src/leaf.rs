//! End-entity certificates as a test asks for them: every name kind, every use, every fault.

use std::net::IpAddr;

use countersign_tls::{AlternativeName, KerberosName, encode};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName,
    ExtendedKeyUsagePurpose, IsCa,
};

use crate::authority::{common_name, date};
use crate::clock::{DAY, now};

/// A use that a key is for.
pub use rcgen::KeyUsagePurpose as KeyUsage;

/// subjectAltName, 2.5.29.17 (RFC 5280 section 4.2.1.6).
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];

/// What an end-entity certificate shall say.
///
/// If nothing else is asked for it states no name, is good from yesterday for a month, and is for
/// servers and clients who sign handshakes.
#[derive(Clone, Debug)]
pub struct Leaf {
    names: Vec<AlternativeName>,
    raw_names: Vec<Vec<u8>>,
    common_name: Option<String>,
    extended_usage: Vec<ExtendedKeyUsagePurpose>,
    usage: Vec<KeyUsage>,
    is_authority: bool,
    from: u64,
    to: u64,
}

impl Leaf {
    /// Starts with a certificate that states no name.
    #[expect(clippy::new_without_default, reason = "a certificate has no natural default")]
    pub fn new() -> Self {
        let now = now().as_secs();
        Self {
            names: Vec::new(),
            raw_names: Vec::new(),
            common_name: None,
            extended_usage: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            usage: vec![KeyUsage::DigitalSignature],
            is_authority: false,
            from: now - DAY.as_secs(),
            to: now + 30 * DAY.as_secs(),
        }
    }

    /// Adds a dNSName, as it is.
    #[must_use]
    pub fn dns(self, name: &str) -> Self {
        self.name(AlternativeName::Dns(name.to_owned()))
    }

    /// Adds an iPAddress.
    ///
    /// # Panics
    ///
    /// If the text is no address.
    #[must_use]
    pub fn ip(self, address: &str) -> Self {
        let address: IpAddr = address.parse().expect("the test writes an address");
        self.name(AlternativeName::Ip(address))
    }

    /// Adds a uniformResourceIdentifier, as it is.
    #[must_use]
    pub fn uri(self, uri: &str) -> Self {
        self.name(AlternativeName::Uri(uri.to_owned()))
    }

    /// Adds an SRVName `_class.host`.
    #[must_use]
    pub fn service(self, class: &str, host: &str) -> Self {
        self.name(AlternativeName::Service { class: class.to_owned(), host: host.to_owned() })
    }

    /// Adds a KRB5PrincipalName.
    #[must_use]
    pub fn kerberos(self, realm: &str, components: &[&str]) -> Self {
        let components = components.iter().map(|&component| component.to_owned()).collect();
        self.name(AlternativeName::Kerberos(KerberosName::new(realm.to_owned(), components)))
    }

    /// Adds a user principal name.
    #[must_use]
    pub fn user_principal(self, name: &str) -> Self {
        self.name(AlternativeName::UserPrincipal(name.to_owned()))
    }

    /// Adds a name of any kind.
    #[must_use]
    pub fn name(mut self, name: AlternativeName) -> Self {
        self.names.push(name);
        self
    }

    /// Adds a subjectAltName extension of this content, beside the one for the names that were
    /// added by kind, if any: with those, or called twice, it makes a duplicate.
    #[must_use]
    pub fn san_der(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.raw_names.push(content.into());
        self
    }

    /// Gives it a subject.
    #[must_use]
    pub fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    /// Makes it for clients only.
    #[must_use]
    pub fn client_only(mut self) -> Self {
        self.extended_usage = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self
    }

    /// Makes it for servers only.
    #[must_use]
    pub fn server_only(mut self) -> Self {
        self.extended_usage = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// Makes it for a use that has nothing to do with TLS.
    #[must_use]
    pub fn code_signing_only(mut self) -> Self {
        self.extended_usage = vec![ExtendedKeyUsagePurpose::CodeSigning];
        self
    }

    /// Leaves the extended key usage out.
    #[must_use]
    pub fn no_usage(mut self) -> Self {
        self.extended_usage = Vec::new();
        self
    }

    /// Says what the key is for; an empty list leaves the extension out.
    #[must_use]
    pub fn key_usage(mut self, usage: &[KeyUsage]) -> Self {
        self.usage = usage.to_vec();
        self
    }

    /// Makes it the certificate of an authority (`CA:TRUE`).
    #[must_use]
    pub fn authority(mut self) -> Self {
        self.is_authority = true;
        self
    }

    /// Bounds its life, in seconds since 1970.
    #[must_use]
    pub fn valid(mut self, from: u64, to: u64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    pub(crate) fn into_params(self) -> CertificateParams {
        let own = (!self.names.is_empty()).then(|| encode(&self.names));
        // RFC 5280 section 4.2.1.6: names are critical where there is no subject.
        let critical = self.common_name.is_none();
        let extension = |content| {
            let mut extension = CustomExtension::from_oid_content(ALTERNATIVE_NAMES, content);
            extension.set_criticality(critical);
            extension
        };
        let mut params = CertificateParams::default();
        params.distinguished_name =
            self.common_name.as_deref().map_or_else(DistinguishedName::new, common_name);
        params.custom_extensions = own.into_iter().chain(self.raw_names).map(extension).collect();
        params.extended_key_usages = self.extended_usage;
        params.key_usages = self.usage;
        params.is_ca = if self.is_authority {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        params.use_authority_key_identifier_extension = true;
        params.not_before = date(self.from);
        params.not_after = date(self.to);
        params
    }
}
