//! What a handshake comes to: what protects the association, and what follows on it.

use countersign_core::{Asked, Evidence, HandshakeError, KerberosUse, Mechanism, SessionId};
use countersign_tls::ProofBinding;
use openssl::ssl::{SslRef, SslVersion};
use openssl::x509::X509Ref;
use rustls_pki_types::CertificateDer;

use super::framed::Framed;
use super::{Asks, Association, Phase};
use crate::engine::{Moment, Output};
use crate::error::our_side;
use crate::{libssl, verdict};

impl Association {
    /// Refuses clients that do not offer what is required, before they see our certificate.
    pub(super) fn check_offer(&self) -> Result<(), HandshakeError> {
        let is_server = matches!(self.asks, Asks::Server(_));
        let is_agreed = verdict::has_agreed_on_proof(self.stream.ssl());
        if is_server && self.offer == KerberosUse::Require && !is_agreed {
            return Err(HandshakeError::KerberosRequired);
        }
        Ok(())
    }

    /// Says what follows on the handshake: a proof inside the connection if that was agreed on, else
    /// the verdict on the certificate.
    pub(super) fn leave_handshake(&mut self, now: Moment) -> Result<(), HandshakeError> {
        let protection = self.protection(now)?;
        let was_offered = self.verdict.question().is_some_and(|question| question.defers());
        match (was_offered, verdict::has_agreed_on_proof(self.stream.ssl())) {
            (true, true) => {
                let binding = self.binding()?;
                self.framed = Some(Box::new(Framed::new(protection, self.max_datagram_size)));
                self.max_datagram_size = self.max_datagram_size.saturating_sub(1);
                self.phase = Phase::Proving;
                self.outputs.push_back(Output::Prove(binding));
                Ok(())
            }
            (false, true) => {
                Err(HandshakeError::Protocol { what: "a proof was chosen unasked".to_owned() })
            }
            (_, false) if self.offer == KerberosUse::Require => {
                Err(HandshakeError::KerberosRequired)
            }
            (_, false) => {
                let evidence = self.evidence(protection)?;
                self.phase = Phase::Secured;
                self.outputs.push_back(Output::Secured(Box::new(evidence)));
                Ok(())
            }
        }
    }

    /// Returns what a proof is bound to. That the master secret is of this session alone has been
    /// checked, and there is no second handshake that could change it (RFC 9266 section 4.2).
    pub(super) fn binding(&self) -> Result<ProofBinding, HandshakeError> {
        let mut exported = [0; 32];
        let label = std::str::from_utf8(ProofBinding::EXPORTER_LABEL).unwrap_or_default();
        self.stream
            .ssl()
            .export_keying_material(&mut exported, label, Some(&[]))
            .map_err(|errors| our_side(&errors))?;
        Ok(ProofBinding::new(exported))
    }

    /// Describes the protection, with no name proved yet, and holds it to every condition once more.
    pub(super) fn protection(&self, now: Moment) -> Result<Evidence, HandshakeError> {
        let ssl = self.stream.ssl();
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        if ssl.version2() != Some(SslVersion::DTLS1_2) || ssl.session_reused() {
            return Err(missing("new session of DTLS 1.2"));
        }
        if ssl.extms_support() != Some(true) {
            let what = "the peer has no extended master secret (RFC 7627)".to_owned();
            return Err(HandshakeError::NothingShared { what });
        }
        let suite = ssl.current_cipher().and_then(|cipher| cipher.standard_name());
        let suite = suite.ok_or_else(|| missing("cipher suite"))?.to_owned();
        let group = libssl::negotiated_group(&self.stream).map_or("ECDHE", group_name).to_owned();
        let mut session = [0; 16];
        let label = std::str::from_utf8(SessionId::EXPORTER_LABEL).unwrap_or_default();
        ssl.export_keying_material(&mut session, label, None)
            .map_err(|errors| our_side(&errors))?;
        let session = SessionId::from_exported(session);
        Ok(Evidence::new(Mechanism::Dtls12, suite, group, session, now.time))
    }

    /// Puts together what holds now, by the peer's certificate alone.
    pub(super) fn evidence(&self, protection: Evidence) -> Result<Evidence, HandshakeError> {
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        match (&self.asks, self.verdict.found()) {
            (_, Some(Err(refusal))) => Err(refusal),
            (Asks::Client(asked), Some(Ok(answer))) => {
                let asked = match asked {
                    Asked::Name { name, .. } => Some(name.clone()),
                    _ => None,
                };
                Ok(protection.with_peer(asked, answer.names, Some(answer.expires)))
            }
            (Asks::Client(_), None) => Err(missing("verified server")),
            (Asks::Server(_), Some(Ok(answer))) => {
                Ok(protection.with_peer(None, answer.names, Some(answer.expires)))
            }
            (Asks::Server(admission), None) if admission.admits_anonymous() => {
                // A certificate that nobody looked at is no certificate.
                match self.stream.ssl().peer_certificate() {
                    None => Ok(protection),
                    Some(_) => Err(missing("verified client")),
                }
            }
            (Asks::Server(_), None) => Err(HandshakeError::NoCertificate),
        }
    }
}

/// Returns the chain that the peer showed, its own certificate first; empty if it showed none.
pub(super) fn chain(ssl: &SslRef) -> Result<Vec<CertificateDer<'static>>, HandshakeError> {
    let der = |one: &X509Ref| {
        let der = one.to_der().map(CertificateDer::from);
        der.map_err(|errors| our_side(&errors))
    };
    let Some(leaf) = ssl.peer_certificate() else { return Ok(Vec::new()) };
    let mut chain = vec![der(&leaf)?];
    // A client's view of the chain begins with the leaf, a server's does not.
    for issuer in ssl.peer_cert_chain().into_iter().flatten().map(der) {
        let issuer = issuer?;
        if Some(&issuer) != chain.first() {
            chain.push(issuer);
        }
    }
    Ok(chain)
}

/// Returns a group by its registered name, from its number in libssl.
fn group_name(number: i32) -> &'static str {
    match number {
        415 => "secp256r1",
        715 => "secp384r1",
        1034 => "X25519",
        _ => "ECDHE",
    }
}
