//! Authorities: roots and intermediates, with name constraints if a test wants them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use countersign_tls::TrustAnchors;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use crate::clock::{DAY, now};
use crate::{Issued, Leaf};

/// What an authority is called, and what it may do. A text is the charter of an unbounded one.
#[derive(Clone, Debug)]
pub struct Charter {
    name: String,
    permitted: Vec<String>,
    excluded: Vec<String>,
    authority: IsCa,
    from: u64,
    to: u64,
}

impl Charter {
    /// Starts with an authority of this common name, good for ten years, that may issue anything.
    pub fn new(name: &str) -> Self {
        let now = now().as_secs();
        Self {
            name: name.to_owned(),
            permitted: Vec::new(),
            excluded: Vec::new(),
            authority: IsCa::Ca(BasicConstraints::Unconstrained),
            from: now - DAY.as_secs(),
            to: now + 3650 * DAY.as_secs(),
        }
    }

    /// Lets it issue DNS names in this domain only (or in another that is permitted).
    #[must_use]
    pub fn permitting_dns(mut self, domain: &str) -> Self {
        self.permitted.push(domain.to_owned());
        self
    }

    /// Lets it issue no DNS name in this domain.
    #[must_use]
    pub fn excluding_dns(mut self, domain: &str) -> Self {
        self.excluded.push(domain.to_owned());
        self
    }

    /// Lets at most this many authorities stand below it.
    #[must_use]
    pub fn at_most_above(mut self, authorities: u8) -> Self {
        self.authority = IsCa::Ca(BasicConstraints::Constrained(authorities));
        self
    }

    /// Leaves out that it is an authority: an end entity that issues certificates nevertheless.
    #[must_use]
    pub fn end_entity(mut self) -> Self {
        self.authority = IsCa::ExplicitNoCa;
        self
    }

    /// Bounds its life, in seconds since 1970.
    #[must_use]
    pub fn valid(mut self, from: u64, to: u64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    fn into_params(self) -> CertificateParams {
        let subtrees = |domains: Vec<String>| domains.into_iter().map(GeneralSubtree::DnsName);
        let constraints = NameConstraints {
            permitted_subtrees: subtrees(self.permitted).collect(),
            excluded_subtrees: subtrees(self.excluded).collect(),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&self.name);
        params.is_ca = self.authority;
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(constraints);
        params.not_before = date(self.from);
        params.not_after = date(self.to);
        params
    }
}

impl From<&str> for Charter {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// An authority with a P-256 key.
#[derive(Debug)]
pub struct Authority {
    name: String,
    issuer: Issuer<'static, KeyPair>,
    root: Certificate,
    /// From this authority up to the root, which is not among them.
    intermediates: Vec<Certificate>,
}

impl Authority {
    /// Makes a root that signs itself. Two of the same name are strangers to each other.
    ///
    /// # Panics
    ///
    /// If the charter cannot be written as a certificate.
    pub fn new(charter: impl Into<Charter>) -> Self {
        let charter = charter.into();
        let name = charter.name.clone();
        let params = charter.into_params();
        let key = new_key();
        let root = params.self_signed(&key).expect("the charter is a certificate");
        Self { name, issuer: Issuer::new(params, key), root, intermediates: Vec::new() }
    }

    /// Makes an authority below this one.
    ///
    /// # Panics
    ///
    /// If the charter cannot be written as a certificate.
    #[must_use]
    pub fn intermediate(&self, charter: impl Into<Charter>) -> Self {
        let charter = charter.into();
        let name = charter.name.clone();
        let mut params = charter.into_params();
        params.use_authority_key_identifier_extension = true;
        let key = new_key();
        let own = params.signed_by(&key, &self.issuer).expect("the charter is a certificate");
        let intermediates = std::iter::once(own).chain(self.intermediates.iter().cloned());
        Self {
            name,
            issuer: Issuer::new(params, key),
            root: self.root.clone(),
            intermediates: intermediates.collect(),
        }
    }

    /// Issues whatever it is asked for.
    ///
    /// # Panics
    ///
    /// If the leaf cannot be written as a certificate.
    #[must_use]
    pub fn issue(&self, leaf: Leaf) -> Issued {
        let key = new_key();
        let params = leaf.into_params();
        let own = params.signed_by(&key, &self.issuer).expect("the leaf is a certificate");
        let chain: Vec<_> =
            std::iter::once(own).chain(self.intermediates.iter().cloned()).collect();
        Issued::new(&chain, &key)
    }

    /// Returns the belief in the root of this authority.
    ///
    /// # Panics
    ///
    /// Never: a root that was made here can be believed.
    pub fn anchors(&self) -> TrustAnchors {
        TrustAnchors::new([self.certificate()]).expect("the root is a certificate")
    }

    /// Returns the root's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.root.der()
    }

    /// Returns the root's certificate as PEM.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// Writes the root's certificate into a directory, as NAME.pem.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(format!("{}.pem", self.name));
        fs::write(&path, self.pem())?;
        Ok(path)
    }
}

/// A distinguished name that is a common name alone.
pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A point in time as certificates write it.
pub(crate) fn date(secs: u64) -> OffsetDateTime {
    let secs = i64::try_from(secs).expect("certificates live in this age of the universe");
    OffsetDateTime::from_unix_timestamp(secs).expect("certificates live before the year 10000")
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("P-256 is available")
}

#[cfg(test)]
mod tests {
    use crate::{Authority, Leaf};

    #[test]
    fn an_intermediate_hands_its_own_certificate_on_and_the_root_stays_the_anchor() {
        let root = Authority::new("root");
        let inner = root.intermediate("outer").intermediate("inner");
        let issued = inner.issue(Leaf::new().dns("a.test"));
        assert_eq!(issued.chain.len(), 3);
        assert_eq!(inner.certificate(), root.certificate());
    }

    #[test]
    fn written_root_is_its_pem() {
        let directory = tempfile::tempdir().unwrap();
        let root = Authority::new("root");
        let path = root.write(directory.path()).unwrap();
        assert_eq!(path, directory.path().join("root.pem"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), root.pem());
    }
}
