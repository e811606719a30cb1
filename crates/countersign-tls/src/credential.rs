//! Who we are, and whom we believe, as TLS needs it.

use std::fmt;
use std::sync::Arc;

use countersign_core::{ProvedPeer, Timestamp};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use x509_parser::prelude::{FromDer, X509Certificate};
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
    /// [`CredentialError::BadCertificate`] if one cannot be read.
    pub fn new<'a>(
        certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Self, CredentialError> {
        let anchors = certificates.into_iter().map(|certificate| {
            webpki::anchor_from_trusted_cert(certificate).map(|anchor| anchor.to_owned()).map_err(
                |error| CredentialError::BadCertificate {
                    what: format!("it cannot be a trust anchor: {error}"),
                },
            )
        });
        let anchors: Arc<[_]> = anchors.collect::<Result<_, _>>()?;
        Ok(Self { own: anchors.len(), anchors })
    }

    /// Takes certificates of our own authorities, and of public ones, and passes over those that
    /// cannot be used: a bundle of a host's distributor may hold some, and passing over one
    /// believes nobody more.
    ///
    /// Public authorities vouch for hosts on the web. What they say of services is heard only
    /// where the same certificate names the host, and of users and workloads not at all.
    pub fn lenient(own: &[CertificateDer<'_>], public: &[CertificateDer<'_>]) -> Self {
        let usable = |certificates: &[CertificateDer<'_>]| -> Vec<TrustAnchor<'static>> {
            let anchors = certificates.iter().map(webpki::anchor_from_trusted_cert);
            anchors.filter_map(|anchor| anchor.ok().map(|anchor| anchor.to_owned())).collect()
        };
        let mut anchors = usable(own);
        let own = anchors.len();
        anchors.extend(usable(public));
        Self { anchors: anchors.into(), own }
    }

    /// Returns whether an anchor is none of our own. webpki takes the first that fits, so that an
    /// authority that is both is our own.
    pub(crate) fn is_public(&self, anchor: &TrustAnchor<'_>) -> bool {
        let own = self.anchors.get(..self.own).unwrap_or_default();
        !own.iter().any(|ours| {
            ours.subject == anchor.subject
                && ours.subject_public_key_info == anchor.subject_public_key_info
        })
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
