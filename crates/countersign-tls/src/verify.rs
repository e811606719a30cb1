//! Judges a certificate: first the chain, then its use, then the name, then who may connect.

use countersign_core::{Asked, ClientCertificates, HandshakeError, PeerName, Timestamp};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::credential::TrustAnchors;
use crate::error::{to_rustls, words};
use crate::names::StatedNames;
use crate::provider::provider;
use crate::scope::{self, Answer, Question};

/// Verifies peers of either role for rustls; the question comes from the [`scope`].
#[derive(Debug)]
pub(crate) struct Verifier {
    anchors: TrustAnchors,
}

impl Verifier {
    pub(crate) fn new(anchors: TrustAnchors) -> Self {
        Self { anchors }
    }

    /// Judges a chain for the question of the connection under way, and leaves the finding.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let found = match (scope::question(), scope::now()) {
            (Some(question), Some(now)) => {
                match judge(&self.anchors, leaf, intermediates, &question, now) {
                    Err(verdict) if question.defers() => {
                        scope::defer(verdict);
                        return Ok(());
                    }
                    found => found,
                }
            }
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
    judge(anchors, leaf, intermediates, question, now)
}

fn judge(
    anchors: &TrustAnchors,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    question: &Question,
    now: Timestamp,
) -> Result<Answer, HandshakeError> {
    let usage = match question {
        Question::IsServer(_) | Question::MayBeServer(_) => KeyUsage::server_auth(),
        Question::MayConnect(..) | Question::WhoElse(..) => KeyUsage::client_auth(),
    };
    let bad = |why: String| HandshakeError::BadCertificate { why };
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|error| bad(format!("it is not X.509: {error}")))?;
    let certificate =
        EndEntityCert::try_from(leaf).map_err(|error| refusal(error, &parsed, now))?;

    let algorithms = provider().signature_verification_algorithms.all;
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs()));
    let path = certificate
        .verify_for_usage(algorithms, &anchors.anchors, intermediates, time, usage, None, None)
        .map_err(|error| refusal(error, &parsed, now))?;
    check_key_usage(&parsed)?;

    let constrained = anchors.is_public(path.anchor())
        || path.anchor().name_constraints.is_some()
        || path.intermediate_certificates().any(|issuer| has_name_constraints(&issuer.der()));
    let stated = StatedNames::read(&parsed, constrained).map_err(bad)?;
    let mut names = stated.proved();
    match question {
        Question::IsServer(Asked::Name { name, .. })
        | Question::MayBeServer(Asked::Name { name, .. }) => {
            let proved =
                stated.prove(name, &certificate).map_err(|why| HandshakeError::WrongPeer {
                    asked: Box::new(name.clone()),
                    proved: stated.describe(),
                    why,
                })?;
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
            let plain: Vec<PeerName> = names.iter().map(|proved| proved.name().clone()).collect();
            admission
                .admit(*address, &plain)
                .map_err(|why| HandshakeError::NotAllowed { peer: stated.describe(), why })?;
        }
    }
    let expires = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok(Answer { names, expires: Timestamp::from_secs(expires) })
}

/// Says why webpki refuses a chain.
fn refusal(error: webpki::Error, leaf: &X509Certificate<'_>, now: Timestamp) -> HandshakeError {
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
fn check_key_usage(leaf: &X509Certificate<'_>) -> Result<(), HandshakeError> {
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

/// Returns whether an issuer carries name constraints; one that cannot be read counts as one that
/// does.
fn has_name_constraints(issuer: &CertificateDer<'_>) -> bool {
    let Ok((_, issuer)) = X509Certificate::from_der(issuer) else { return true };
    issuer.extensions().iter().any(|extension| {
        extension.oid == x509_parser::oid_registry::OID_X509_EXT_NAME_CONSTRAINTS
            || matches!(extension.parsed_extension(), ParsedExtension::NameConstraints(_))
    })
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
