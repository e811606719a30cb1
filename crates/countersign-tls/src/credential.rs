//! Who we are, and whom we believe, as TLS needs it.

use std::fmt;
use std::sync::Arc;

use countersign_core::{PeerName, ProvedPeer, Timestamp};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};
use zeroize::Zeroizing;

use crate::names::StatedNames;
use crate::provider::provider;

/// A certificate chain and its private key, checked as a pair.
#[derive(Clone)]
pub struct Credential {
    pub(crate) key: Arc<CertifiedKey>,
    secret: Arc<Zeroizing<Vec<u8>>>,
    names: Vec<ProvedPeer>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Credential {
    /// Takes a chain, end-entity certificate first, and its key.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] if one of them cannot be read, or they do not belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialError> {
        let leaf = chain.first().ok_or(CredentialError::NoCertificate)?;
        let unreadable = |what: String| CredentialError::BadCertificate { what };
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|error| unreadable(format!("it is not X.509: {error}")))?;
        let names = StatedNames::read(&parsed, false).map_err(unreadable)?.proved();
        let validity = parsed.validity();
        let time = |secs: i64| Timestamp::from_secs(u64::try_from(secs).unwrap_or(0));
        let not_before = time(validity.not_before.timestamp());
        let not_after = time(validity.not_after.timestamp());

        let secret = Arc::new(Zeroizing::new(key.secret_der().to_vec()));
        let signer = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| CredentialError::BadKey { what: error.to_string() })?;
        let pair = CertifiedKey::new(chain, signer);
        // A key whose public half is unknown cannot be checked, so it is not taken on trust.
        pair.keys_match().map_err(|_| CredentialError::Mismatch)?;
        Ok(Self { key: Arc::new(pair), secret, names, not_before, not_after })
    }

    /// Returns the names that the certificate proves.
    pub fn names(&self) -> &[ProvedPeer] {
        &self.names
    }

    /// Returns the chain, end-entity certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// Returns the private key as it came (PKCS #8, PKCS #1 or SEC 1), for an engine of another
    /// protocol. The copy is wiped with the last clone of this credential. Never log it.
    pub fn secret_der(&self) -> &[u8] {
        &self.secret
    }

    /// Returns the proof of `asked` that peers will find in the certificate, if its issuer has no
    /// name constraints. A wildcard proves names that [`Self::names`] cannot list.
    ///
    /// # Errors
    ///
    /// Says what the certificate proves instead, as what follows "it proves".
    pub fn prove(&self, asked: &PeerName) -> Result<ProvedPeer, String> {
        let leaf = self.key.end_entity_cert().map_err(|error| error.to_string())?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
        let stated = StatedNames::read(&parsed, false)?;
        let nothing = |error| format!("nothing that its peers can use: {error}");
        let certificate = EndEntityCert::try_from(leaf).map_err(nothing)?;
        stated.prove(asked, &certificate).map_err(|why| match why {
            Some(why) => format!("{}: {why}", stated.describe()),
            None => stated.describe(),
        })
    }

    /// Returns from when the certificate is good.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Returns until when the certificate is good.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// The authorities that we believe: our own about any name, public ones about hosts only.
#[derive(Clone, Debug, Default)]
pub struct TrustAnchors {
    pub(crate) anchors: Arc<[TrustAnchor<'static>]>,
    /// How many of them are our own; they come first.
    own: usize,
}

impl TrustAnchors {
    /// Takes certificates of authorities.
    ///
    /// # Errors
    ///
    /// [`CredentialError::BadCertificate`] if one cannot be read, or is not an authority's: whoever
    /// is believed as one could issue certificates for every name.
    pub fn new<'a>(
        certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Self, CredentialError> {
        let anchors = certificates.into_iter().map(|certificate| anchor(certificate, List::Own));
        let anchors: Arc<[_]> = anchors.collect::<Result<_, _>>()?;
        Ok(Self { own: anchors.len(), anchors })
    }

    /// Takes certificates of our own authorities, and of public ones, and passes over those that
    /// cannot be used: a bundle of a host's distributor may hold some, and passing over one
    /// believes nobody more. Of public ones, those that sign themselves need not say that they are
    /// authorities if they are of the first version of X.509, in which none could.
    ///
    /// Public authorities vouch for hosts on the web. What they say of services is heard only
    /// where the same certificate names the host, and of users and workloads not at all.
    pub fn lenient(own: &[CertificateDer<'_>], public: &[CertificateDer<'_>]) -> Self {
        let usable = |certificates: &[CertificateDer<'_>], list| -> Vec<TrustAnchor<'static>> {
            certificates.iter().filter_map(|certificate| anchor(certificate, list).ok()).collect()
        };
        let mut anchors = usable(own, List::Own);
        let own = anchors.len();
        anchors.extend(usable(public, List::Public));
        Self { anchors: anchors.into(), own }
    }

    /// Returns whether an anchor is none of our own. webpki takes the first that fits, so that an
    /// authority that is both is our own; but what we have constrained is not what is public
    /// without constraints.
    pub(crate) fn is_public(&self, anchor: &TrustAnchor<'_>) -> bool {
        let own = self.anchors.get(..self.own).unwrap_or_default();
        !own.contains(anchor)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Returns whether we believe nobody.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}

/// Whose authorities a list holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Own,
    Public,
}

/// Takes the certificate of an authority, and nobody else's: webpki takes all (RFC 5280 section
/// 6.1.1 leaves it to who configures them), but people pin servers with `trust`, and would make
/// each of them an authority.
fn anchor(
    certificate: &CertificateDer<'_>,
    list: List,
) -> Result<TrustAnchor<'static>, CredentialError> {
    let bad = |what: String| CredentialError::BadCertificate { what };
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| bad(format!("it is not X.509: {error}")))?;
    let unreadable = |what: &str| bad(format!("its {what} cannot be read"));
    let constraints = parsed.basic_constraints().map_err(|_| unreadable("basic constraints"))?;
    let usage = parsed.key_usage().map_err(|_| unreadable("key usage"))?;
    let is_root_of_old = list == List::Public
        && parsed.version() == X509Version::V1
        && parsed.subject().as_raw() == parsed.issuer().as_raw();
    if !is_root_of_old && !constraints.is_some_and(|constraints| constraints.value.ca) {
        let what = "it is an end-entity certificate: its basic constraints do not say CA:TRUE";
        return Err(bad(what.to_owned()));
    }
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        let what = "it may not issue certificates: its key usage lacks keyCertSign";
        return Err(bad(what.to_owned()));
    }
    match webpki::anchor_from_trusted_cert(certificate) {
        Ok(anchor) => Ok(anchor.to_owned()),
        Err(error) => Err(bad(format!("it cannot be a trust anchor: {error}"))),
    }
}

/// Why a credential or a trust anchor cannot be used.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A certificate cannot be read.
    #[error("the certificate cannot be used: {what}")]
    BadCertificate {
        /// What is wrong.
        what: String,
    },
    /// The key cannot be read.
    #[error("the private key cannot be used: {what}")]
    BadKey {
        /// What is wrong.
        what: String,
    },
    /// The key is not the certificate's.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// There is no certificate.
    #[error("there is no certificate")]
    NoCertificate,
}

#[cfg(test)]
mod tests {
    use countersign_lab::Authority;
    use rustls_pki_types::{Der, TrustAnchor};

    use super::TrustAnchors;

    #[test]
    fn what_we_have_constrained_lifts_nothing_from_what_is_public() {
        let authority = Authority::new("authority of the web");
        let public = webpki::anchor_from_trusted_cert(authority.certificate()).unwrap().to_owned();
        let constraints = Some(Der::from(vec![0x30, 0]));
        let own = TrustAnchor { name_constraints: constraints, ..public.clone() };
        let anchors = TrustAnchors { anchors: [own.clone(), public.clone()].into(), own: 1 };
        assert!(!anchors.is_public(&own));
        assert!(anchors.is_public(&public));
        let same = TrustAnchors { anchors: [public.clone(), public.clone()].into(), own: 1 };
        assert!(!same.is_public(&public), "what is both is our own");
    }
}
