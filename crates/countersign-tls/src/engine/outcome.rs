//! What the handshake of TLS has come to.

use std::sync::Arc;

use countersign_core::{
    Asked, Evidence, HandshakeError, KerberosUse, Mechanism, PeerName, ProvedPeer, SessionId,
    Timestamp,
};
use rustls::ProtocolVersion;

use super::proof::ProofBinding;
use super::resume::shown;
use super::{Engine, Link};
use crate::scope::Question;

/// What follows on the handshake of TLS.
pub(super) enum After {
    Prove(ProofBinding),
    Judged(Box<Evidence>),
}

impl Engine {
    /// Takes down what rustls knows, and takes over the records.
    pub(super) fn leave_tls(&mut self, now: Timestamp) -> Result<After, HandshakeError> {
        self.protection = Some(Box::new(self.describe_protection(now)?));
        let chain = self.link.common().and_then(|common| common.peer_certificates());
        self.chain = match &self.answer {
            Some(answer) => Arc::clone(answer.chain.certificates()),
            None => shown(chain),
        };
        if let Err(error) = self.settle_resumption(now) {
            // rustls has let the peer in, so it must hear of it.
            self.take_over_records()?;
            self.link.refuse(error.clone());
            return Err(error);
        }
        let after = self.after_tls()?;
        self.exporter = None;
        self.take_over_records()?;
        Ok(after)
    }

    fn take_over_records(&mut self) -> Result<(), HandshakeError> {
        let link = std::mem::replace(&mut self.link, Link::Ended(Vec::new()));
        self.link = match link {
            Link::Handshake(handshake) => {
                let mut records = handshake.into_records()?;
                if self.session.is_some() {
                    records.want_tickets();
                }
                Link::Records(Box::new(records))
            }
            other => other,
        };
        Ok(())
    }

    /// Says what follows on the handshake of TLS: a proof inside the connection if that was agreed
    /// on, else the verdict on the certificate, which may have been deferred until now.
    fn after_tls(&mut self) -> Result<After, HandshakeError> {
        let was_offered = self.question.defers();
        match (was_offered, self.has_agreed_on_proof()) {
            (true, true) => self.binding().map(After::Prove),
            (false, true) => {
                Err(HandshakeError::Protocol { what: "a proof was chosen unasked".to_owned() })
            }
            // A greeting that changed on its way through a second one.
            (true, false) if !self.is_client() => {
                let what =
                    "it offered a proof inside the connection, and took that back".to_owned();
                Err(HandshakeError::Protocol { what })
            }
            (_, false) if self.is_client() && self.inner_proof == KerberosUse::Require => {
                Err(HandshakeError::KerberosRequired)
            }
            (_, false) => match self.deferred.take() {
                Some(verdict) => Err(verdict),
                None => self.evidence().map(|evidence| After::Judged(Box::new(evidence))),
            },
        }
    }

    /// Returns what protects the connection, with no name proved yet.
    pub(super) fn protection(&self) -> Result<Evidence, HandshakeError> {
        let missing = || HandshakeError::OurSide { what: "no handshake that is done".to_owned() };
        self.protection.as_deref().cloned().ok_or_else(missing)
    }

    /// Describes the protection, with no name proved yet.
    fn describe_protection(&self, now: Timestamp) -> Result<Evidence, HandshakeError> {
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        let connection = self.link.common().ok_or_else(|| missing("connection"))?;
        let mechanism = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Mechanism::Tls13,
            Some(ProtocolVersion::TLSv1_2) => Mechanism::Tls12,
            _ => return Err(missing("protocol version")),
        };
        let suite = connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"))
            .ok_or_else(|| missing("cipher suite"))?;
        let group = connection
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name()))
            .ok_or_else(|| missing("key exchange"))?;
        let session = self.link.export(self.exporter.as_ref(), SessionId::EXPORTER_LABEL)?;
        Ok(Evidence::new(mechanism, suite, group, SessionId::from_exported(session), now))
    }

    /// Puts together what holds now, by the peer's certificate alone.
    pub(super) fn evidence(&self) -> Result<Evidence, HandshakeError> {
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        let evidence = self.protection()?;
        match (&*self.question, &self.answer) {
            (Question::IsServer(asked) | Question::MayBeServer(asked), Some(answer)) => {
                let asked = match asked {
                    Asked::Name { name, .. } => Some(name.clone()),
                    _ => None,
                };
                if asked.as_ref().is_some_and(|asked| !is_first(asked, &answer.names)) {
                    return Err(missing("proof of the name that was asked for"));
                }
                Ok(evidence.with_peer(asked, answer.names.clone(), Some(answer.expires)))
            }
            (Question::IsServer(_) | Question::MayBeServer(_), None) => {
                Err(missing("verified server"))
            }
            (Question::MayConnect(..), Some(answer)) => {
                Ok(evidence.with_peer(None, answer.names.clone(), Some(answer.expires)))
            }
            (Question::MayConnect(admission, _), None) if admission.admits_anonymous() => {
                Ok(evidence)
            }
            (Question::MayConnect(..), None) => Err(HandshakeError::NoCertificate),
            // Whether it may come in has not been judged.
            (Question::WhoElse(..), _) => Err(missing("proof inside the connection")),
        }
    }
}

/// Returns whether the first of the proved names is the one that was asked for; it may say more: a
/// Kerberos name adds its realm.
pub(super) fn is_first(asked: &PeerName, proved: &[ProvedPeer]) -> bool {
    match (asked, proved.first().map(ProvedPeer::name)) {
        (PeerName::Service(asked), Some(PeerName::Service(proved))) => proved.satisfies(asked),
        (asked, proved) => Some(asked) == proved,
    }
}
