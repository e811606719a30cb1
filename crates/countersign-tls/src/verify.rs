//! Judges a certificate: first the chain, then its use, then the name, then who may connect.

use std::sync::Arc;

use countersign_core::{ClientCertificates, HandshakeError, Timestamp};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;

use crate::chain::{ChainDigest, KnownChains, Usage, VerifiedChain};
use crate::credential::TrustAnchors;
use crate::error::{to_rustls, words};
use crate::provider::provider;
use crate::scope::{self, Answer, Question};

/// Verifies peers of either role for rustls; the question comes from the [`scope`].
#[derive(Debug)]
pub(crate) struct Verifier {
    anchors: TrustAnchors,
    known: KnownChains,
}

impl Verifier {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        Self { anchors, known: KnownChains::new() }
    }

    /// Judges a chain for a question. What the chain itself comes to may be known from before;
    /// the question is asked each time.
    ///
    /// # Errors
    ///
    /// [`HandshakeError`], a bad chain before a wrong name.
    pub(crate) fn ask(
        &self,
        question: &Question,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Answer, HandshakeError> {
        let digest = ChainDigest::of(Usage::of(question), leaf, intermediates);
        self.ask_of(&digest, question, leaf, intermediates, now)
    }

    /// Judges as [`Self::ask`] does; `digest` is that of the chain, for the role that is asked for.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_of(
        &self,
        digest: &ChainDigest,
        question: &Question,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<Answer, HandshakeError> {
        let chain = match self.known(digest, now) {
            Some(chain) => chain,
            None => {
                let usage = Usage::of(question);
                let fresh = VerifiedChain::verify(&self.anchors, usage, leaf, intermediates, now)?;
                let fresh = Arc::new(fresh);
                self.known.remember(&fresh);
                fresh
            }
        };
        chain.answer(question)
    }

    /// Returns a chain that has been verified before and is still good; of one that is not, or not
    /// yet, nothing is known.
    pub(crate) fn known(&self, digest: &ChainDigest, now: Timestamp) -> Option<Arc<VerifiedChain>> {
        self.known.find(digest).filter(|chain| chain.is_good_at(now))
    }

    /// Forgets which chains it has found good.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.known.forget();
    }

    /// Judges a chain for the question of the connection under way, and leaves the finding.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let found = match (scope::question(), scope::now()) {
            (Some(question), Some(now)) => match self.ask(&question, leaf, intermediates, now) {
                Err(verdict) if question.defers() => {
                    scope::defer(verdict);
                    return Ok(());
                }
                found => found,
            },
            _ => Err(HandshakeError::OurSide { what: "no question was asked".to_owned() }),
        };
        let result = found.as_ref().map(|_| ()).map_err(to_rustls);
        scope::report(found);
        result
    }
}

/// Judges a chain, end-entity certificate first, as the engine of this crate does: for engines
/// of other protocols, so that all of them believe the same peers.
///
/// # Errors
///
/// [`HandshakeError`], a bad chain before a wrong name.
pub fn verify_peer(
    anchors: &TrustAnchors,
    chain: &[CertificateDer<'_>],
    question: &Question,
    now: Timestamp,
) -> Result<Answer, HandshakeError> {
    let (leaf, intermediates) = chain.split_first().ok_or(HandshakeError::NoCertificate)?;
    let usage = Usage::of(question);
    let verified = VerifiedChain::verify(anchors, usage, leaf, intermediates, now)?;
    Arc::new(verified).answer(question)
}

/// Says why webpki refuses a chain.
pub(crate) fn refusal(
    error: webpki::Error,
    leaf: &X509Certificate<'_>,
    now: Timestamp,
) -> HandshakeError {
    let time = |time: UnixTime| Timestamp::from_secs(time.as_secs());
    match error {
        webpki::Error::CertExpired { not_after, .. } => {
            HandshakeError::Expired { not_after: time(not_after), now }
        }
        webpki::Error::CertNotValidYet { not_before, .. } => {
            HandshakeError::NotYetValid { not_before: time(not_before), now }
        }
        // A stranger who uses the name of an authority that we trust has another key.
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            HandshakeError::UntrustedIssuer { issuer: printable(&leaf.issuer().to_string()) }
        }
        webpki::Error::RequiredEkuNotFoundContext(_) => HandshakeError::WrongUsage {
            why: "its extended key usage does not have the role that the peer plays".to_owned(),
        },
        webpki::Error::CaUsedAsEndEntity => HandshakeError::BadCertificate {
            why: "it is an authority's certificate and no end entity's".to_owned(),
        },
        webpki::Error::NameConstraintViolation => HandshakeError::BadCertificate {
            why: "it states a name that its issuer may not give".to_owned(),
        },
        webpki::Error::EndEntityUsedAsCa => HandshakeError::BadCertificate {
            why: "an issuer in its chain is no authority".to_owned(),
        },
        webpki::Error::PathLenConstraintViolated => HandshakeError::BadCertificate {
            why: "its chain is longer than an authority in it permits".to_owned(),
        },
        webpki::Error::ExtensionValueInvalid => HandshakeError::BadCertificate {
            why: "an extension of it is there twice or cannot be read".to_owned(),
        },
        other => HandshakeError::BadCertificate { why: words(&other) },
    }
}

/// What webpki does not look at: if a certificate says what its key is for, signing handshakes
/// must be among it (RFC 8446 section 4.4.2.2), and signing certificates must not: that is for
/// authorities only (RFC 5280 section 4.2.1.3; SPIFFE X509-SVID section 4.3).
pub(crate) fn check_key_usage(leaf: &X509Certificate<'_>) -> Result<(), HandshakeError> {
    let usage = leaf.key_usage().map_err(|_| HandshakeError::BadCertificate {
        why: "its key usage is there twice or cannot be read".to_owned(),
    })?;
    let Some(usage) = usage else { return Ok(()) };
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        let why = "its key usage is that of an authority (keyCertSign, cRLSign)".to_owned();
        return Err(HandshakeError::WrongUsage { why });
    }
    if !usage.value.digital_signature() {
        let why = "its key usage lacks digitalSignature".to_owned();
        return Err(HandshakeError::WrongUsage { why });
    }
    Ok(())
}

/// A peer's text as we show it: bounded, and without characters that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    const SHOWN: usize = 120;
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let safe = |c: char| if obeyed(c) { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(SHOWN).map(safe).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // There are no proofs inside TLS 1.2 that could stand in for a certificate.
        if let Some(verdict) = scope::deferred() {
            let error = to_rustls(&verdict);
            scope::report(Err(verdict));
            return Err(error);
        }
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        demand() != ClientCertificates::None
    }

    fn client_auth_mandatory(&self) -> bool {
        demand() == ClientCertificates::Require
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No list: it would tell strangers whom we believe, and clients need none to choose.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}

/// Returns what the connection under way asks of its client; without a question, a certificate.
fn demand() -> ClientCertificates {
    match scope::question().as_deref() {
        Some(Question::MayConnect(admission, _)) => admission.demand(),
        Some(Question::WhoElse(admission, _)) => admission.demand_beside_ticket(),
        _ => ClientCertificates::Require,
    }
}
