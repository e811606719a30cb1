//! Chains that have been verified, and what they prove whoever asks.
//!
//! Verifying a chain costs a signature check for each of its certificates. What comes of it
//! depends on the chain itself, the anchors, the use and the time, and on nothing that one
//! connection asks. So a good chain is remembered with the time in which it is good, and a
//! connection whose peer shows the same one, byte by byte, asks its own question of that: which
//! name, who may connect. That the peer holds the key is proved by its signature each time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use countersign_core::{Asked, HandshakeError, PeerName, ProvedPeer, Timestamp};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::credential::TrustAnchors;
use crate::names::StatedNames;
use crate::provider::provider;
use crate::recent::Recent;
use crate::scope::{Answer, Question};
use crate::verify::{check_key_usage, refusal};

/// How many chains are remembered by one verifier. With [`HEAVIEST`] they take 16 MiB at the very
/// most; usual ones weigh 2 to 4 KiB.
const MOST: usize = 1024;

/// How much a chain may weigh that is remembered: its bytes, and [`NAME`] for each name in it.
const HEAVIEST: usize = 16 * 1024;

/// What a name in memory may weigh.
const NAME: usize = 256;

/// The role that a chain is verified for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Client,
    Server,
}

impl Usage {
    /// Returns what the peer must be, to be asked this.
    pub(crate) fn of(question: &Question) -> Self {
        match question {
            Question::IsServer(_) | Question::MayBeServer(_) => Self::Server,
            Question::MayConnect(..) | Question::WhoElse(..) => Self::Client,
        }
    }
}

/// Which chain it is, and for which role.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainDigest([u8; SHA256_OUTPUT_LEN]);

impl ChainDigest {
    /// How many bytes it has.
    pub(crate) const LEN: usize = SHA256_OUTPUT_LEN;

    /// Returns the SHA-256 of the role and of every certificate, end-entity first, each after its
    /// length: no other list of certificates has the same input.
    pub(crate) fn of<'a>(
        usage: Usage,
        leaf: &CertificateDer<'a>,
        intermediates: &[CertificateDer<'a>],
    ) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&[match usage {
            Usage::Client => 1,
            Usage::Server => 2,
        }]);
        for certificate in std::iter::once(leaf).chain(intermediates) {
            hash.update(&(certificate.len() as u64).to_be_bytes());
            hash.update(certificate);
        }
        let mut digest = [0; SHA256_OUTPUT_LEN];
        digest.copy_from_slice(hash.finish().as_ref());
        Self(digest)
    }

    /// Returns its bytes.
    pub(crate) fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Takes it from its bytes.
    pub(crate) fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A chain that is good for a role and some time, with the names that it proves.
#[derive(Debug)]
pub(crate) struct VerifiedChain {
    certificates: Arc<[CertificateDer<'static>]>,
    digest: ChainDigest,
    stated: StatedNames,
    /// The names that it proves by itself, whatever is asked.
    proved: Vec<ProvedPeer>,
    /// From when every certificate of the path is good, and until when. None if one cannot be read.
    window: Option<(Timestamp, Timestamp)>,
    /// Until when the end-entity certificate is.
    expires: Timestamp,
}

impl VerifiedChain {
    /// Verifies a chain at a time: the path to an anchor, then the use.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`] that says what is bad.
    pub(crate) fn verify(
        anchors: &TrustAnchors,
        usage: Usage,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        let bad = |why: String| HandshakeError::BadCertificate { why };
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|error| bad(format!("it is not X.509: {error}")))?;
        let certificate =
            EndEntityCert::try_from(leaf).map_err(|error| refusal(error, &parsed, now))?;

        let algorithms = provider().signature_verification_algorithms.all;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs()));
        let usages = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let path = certificate
            .verify_for_usage(algorithms, &anchors.anchors, intermediates, time, usages, None, None)
            .map_err(|error| refusal(error, &parsed, now))?;
        check_key_usage(&parsed)?;

        let constrained = anchors.is_public(path.anchor())
            || path.anchor().name_constraints.is_some()
            || path.intermediate_certificates().any(|issuer| has_name_constraints(&issuer.der()));
        let stated = StatedNames::read(&parsed, constrained).map_err(bad)?;
        let shown = std::iter::once(leaf).chain(intermediates);
        Ok(Self {
            certificates: shown.map(|it| it.clone().into_owned()).collect(),
            digest: ChainDigest::of(usage, leaf, intermediates),
            proved: stated.proved(),
            stated,
            window: window(&parsed, &path),
            expires: validity(&parsed).1,
        })
    }

    /// Asks a question of it; its role must have been the one that it was verified for.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::WrongPeer`] and [`HandshakeError::NotAllowed`].
    pub(crate) fn answer(self: &Arc<Self>, question: &Question) -> Result<Answer, HandshakeError> {
        let mut names = self.proved.clone();
        match question {
            Question::IsServer(Asked::Name { name, .. })
            | Question::MayBeServer(Asked::Name { name, .. }) => {
                let proved = self.prove(name)?;
                names.retain(|other| other.name() != proved.name());
                names.insert(0, proved);
            }
            Question::IsServer(Asked::AnyTrusted) => {}
            // Judged once the proof inside the connection is there.
            Question::WhoElse(..) => {}
            Question::IsServer(_) | Question::MayBeServer(_) => {
                return Err(HandshakeError::OurSide { what: "an unknown question".to_owned() });
            }
            Question::MayConnect(admission, address) => {
                let plain: Vec<PeerName> =
                    names.iter().map(|proved| proved.name().clone()).collect();
                admission.admit(*address, &plain).map_err(|why| HandshakeError::NotAllowed {
                    peer: self.stated.describe(),
                    why,
                })?;
            }
        }
        Ok(Answer { names, expires: self.expires, chain: Arc::clone(self) })
    }

    fn prove(&self, asked: &PeerName) -> Result<ProvedPeer, HandshakeError> {
        let leaf = self.certificates.first().ok_or(HandshakeError::NoCertificate)?;
        let unreadable = |error: webpki::Error| HandshakeError::BadCertificate {
            why: format!("it cannot be read again: {error}"),
        };
        let certificate = EndEntityCert::try_from(leaf).map_err(unreadable)?;
        self.stated.prove(asked, &certificate).map_err(|why| HandshakeError::WrongPeer {
            asked: Box::new(asked.clone()),
            proved: self.stated.describe(),
            why,
        })
    }

    /// Returns whether every certificate of the path is good at this time.
    pub(crate) fn is_good_at(&self, now: Timestamp) -> bool {
        self.window.is_some_and(|(from, until)| from <= now && now <= until)
    }

    /// Returns until when every certificate of the path is good.
    pub(crate) fn good_until(&self) -> Timestamp {
        self.window.map(|(_, until)| until).unwrap_or_default()
    }

    /// Returns the certificates as they were shown.
    pub(crate) fn certificates(&self) -> &Arc<[CertificateDer<'static>]> {
        &self.certificates
    }

    /// Returns which chain it is.
    pub(crate) fn digest(&self) -> ChainDigest {
        self.digest
    }

    /// Returns whether it is small enough to be remembered.
    pub(crate) fn is_light(&self) -> bool {
        let bytes: usize = self.certificates.iter().map(|it| it.len()).sum();
        let names = (self.proved.len() + self.stated.len()).saturating_mul(NAME);
        self.window.is_some() && bytes.saturating_add(names) <= HEAVIEST
    }
}

/// The chains that one verifier has found good: of one set of anchors, so of one generation.
#[derive(Debug)]
pub(crate) struct KnownChains(Mutex<Recent<ChainDigest, Arc<VerifiedChain>>>);

impl KnownChains {
    /// Starts with none.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Recent::new(MOST)))
    }

    /// Returns a chain; whether it is good at a time is for the caller to ask.
    pub(crate) fn find(&self, digest: &ChainDigest) -> Option<Arc<VerifiedChain>> {
        // A map that a panic has left is whole: nothing in it is half done between two calls.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_mut(digest).cloned()
    }

    /// Remembers a chain, unless it is too large.
    pub(crate) fn remember(&self, chain: &Arc<VerifiedChain>) {
        if chain.is_light() {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(chain.digest(), Arc::clone(chain));
        }
    }
}

#[cfg(test)]
impl KnownChains {
    /// Forgets all.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap() = Recent::new(MOST);
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Returns from when all certificates of a path are good, and until when, both ends included
/// (RFC 5280 section 4.1.2.5); the anchor's dates count for nothing, as in webpki.
fn window(leaf: &X509Certificate<'_>, path: &VerifiedPath<'_>) -> Option<(Timestamp, Timestamp)> {
    path.intermediate_certificates().try_fold(validity(leaf), |(from, until), issuer| {
        let der = issuer.der();
        let (_, issuer) = X509Certificate::from_der(&der).ok()?;
        let own = validity(&issuer);
        Some((from.max(own.0), until.min(own.1)))
    })
}

fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let time = |secs: i64| Timestamp::from_secs(u64::try_from(secs).unwrap_or(0));
    let validity = certificate.validity();
    (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()))
}

/// Returns whether an issuer carries name constraints; one that cannot be read counts as one that
/// does.
fn has_name_constraints(issuer: &CertificateDer<'_>) -> bool {
    let Ok((_, issuer)) = X509Certificate::from_der(issuer) else { return true };
    issuer.extensions().iter().any(|extension| {
        extension.oid == x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS
            || matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(_))
    })
}

#[cfg(test)]
mod tests;
