//! The proof inside the connection: its bytes, and what it came to.

use std::fmt;

use countersign_core::{
    Asked, Evidence, HandshakeError, KerberosUse, PeerName, ProvedPeer, ServiceName, Sid,
    TicketEncryption, Timestamp,
};
use rustls::ProtocolVersion;

use super::{Engine, Link, Opened, Phase, is_first};
use crate::config::PROOF_PROTOCOL;
use crate::scope::{Answer, Question};

/// What a proof inside the connection must be bound to: both ends of this connection compute the
/// same 32 bytes, and nobody who sits in between (RFC 9266).
pub struct ProofBinding([u8; 32]);

impl ProofBinding {
    /// Takes what an engine has exported, with [`Self::EXPORTER_LABEL`] and nothing else.
    pub fn new(exported: [u8; 32]) -> Self {
        Self(exported)
    }

    /// The exporter label, with an empty context (RFC 9266 section 2).
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-Channel-Binding";

    /// Returns the exported bytes.
    pub fn exported(&self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Debug for ProofBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofBinding(not shown)")
    }
}

/// What a proof inside the connection has proved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proven {
    /// Who the peer is; of a server, the name that was asked for.
    pub name: ProvedPeer,
    /// The groups that its KDC says it is in.
    pub groups: Vec<Sid>,
    /// Until when the proof is good, if not for ever.
    pub expires: Option<Timestamp>,
    /// How the ticket is encrypted that proved it, if one did.
    pub encryption: Option<TicketEncryption>,
    /// Whether the peer is of our own realm.
    pub is_of_own_realm: bool,
    /// The service that both confirmed; of a client, which of our own.
    pub service: Option<ServiceName>,
}

impl Proven {
    /// States that the peer proved this name, until then, is in no group, and of no realm of ours.
    pub fn new(name: ProvedPeer, expires: Option<Timestamp>) -> Self {
        Self {
            name,
            groups: Vec::new(),
            expires,
            encryption: None,
            is_of_own_realm: false,
            service: None,
        }
    }
}

/// How much of a proof is opened at once: one record.
const PART: usize = 1 << 14;

/// How often the keys may change while a proof is under way.
const UPDATES: u64 = 8;

impl Engine {
    /// Returns bytes of the proof that have arrived; none before more input. Say with
    /// [`Self::consume_proof`] how many were used: what is left belongs to the application.
    ///
    /// # Errors
    ///
    /// Whatever ended the conversation; [`HandshakeError::Truncated`] if the peer said in the middle
    /// that it will send no more. Outside of the proof there are no such bytes.
    pub fn proof_input(&mut self) -> Result<&[u8], HandshakeError> {
        match &self.phase {
            Phase::Failed(error) => return Err(error.clone()),
            Phase::Proving => {}
            _ => return Ok(&[]),
        }
        if !self.opened.is_empty() {
            return Ok(&self.opened);
        }
        match self.open_proof() {
            Ok(Opened::Closed) => Err(self.fail(HandshakeError::Truncated)),
            Ok(_) => Ok(&self.opened),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Opens what has arrived, a bounded part of it.
    fn open_proof(&mut self) -> Result<Opened, HandshakeError> {
        let mut part = vec![0; PART];
        let found = match &mut self.link {
            Link::Records(records) => {
                let taken = records.open(&mut self.incoming, &mut part)?;
                self.incoming.drain(..taken.wire);
                // Each costs us a derivation, and a proof is short.
                if records.updates() > UPDATES {
                    let what = "it changed its keys again and again in a proof".to_owned();
                    return Err(HandshakeError::Protocol { what });
                }
                taken.found
            }
            Link::Buffered(connection) => {
                match std::io::Read::read(&mut connection.reader(), &mut part) {
                    Ok(0) => Opened::Closed,
                    Ok(count) => Opened::Data(count),
                    Err(_) => Opened::Starved,
                }
            }
            _ => Opened::Starved,
        };
        if let Opened::Data(count) = found {
            part.truncate(count);
            self.opened = part;
        }
        Ok(found)
    }

    /// Takes away bytes of the proof that were used.
    pub fn consume_proof(&mut self, count: usize) {
        if self.phase == Phase::Proving {
            self.opened.drain(..count.min(self.opened.len()));
        }
    }

    /// Takes bytes of the proof to protect, and returns how many were taken: none outside of the
    /// proof, and no more than fits beside what still waits to be transmitted.
    pub fn seal_proof(&mut self, bytes: &[u8]) -> usize {
        if self.phase == Phase::Proving { self.link.seal(bytes) } else { 0 }
    }

    /// Ends the proof with what it has proved, and judges that: a server must be whom the client
    /// asked for, a client must be one whom the rules let in, by the names that the proof and its
    /// certificate prove together. The next [`Self::poll`] hands out the evidence.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::WrongPeer`] and [`HandshakeError::NotAllowed`] for the wrong peer;
    /// [`HandshakeError::OurSide`] if no proof is under way.
    pub fn conclude(&mut self, proven: Proven, now: Timestamp) -> Result<(), HandshakeError> {
        match &self.phase {
            Phase::Failed(error) => Err(error.clone()),
            Phase::Proving => {
                let evidence = self.joined(proven.clone(), now);
                let evidence = evidence.map_err(|error| self.refuse(error))?;
                self.proven = Some(Box::new(proven));
                self.phase = Phase::Proved(Box::new(evidence));
                Ok(())
            }
            _ => {
                let what = "a proof was concluded that was not under way".to_owned();
                Err(self.fail(HandshakeError::OurSide { what }))
            }
        }
    }

    /// Says whether a client that proves to hold this name, and to be in these groups, would be let
    /// in, so that one that would not be can be told why in time. It decides nothing, and nothing
    /// need be proved yet: [`Self::conclude`] decides.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NotAllowed`] if no rule would let it in; [`HandshakeError::OurSide`] if no
    /// proof was asked for.
    pub fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        if self.inner_proof == KerberosUse::Off {
            return Err(none_asked_for());
        }
        would_admit(&self.question, self.certificate_that_does(), name, groups)
    }

    /// Ends the conversation: the proof inside it failed. The peer, which may be done with its part
    /// and read plaintext already, is told by an alert.
    pub fn refuse(&mut self, error: HandshakeError) -> HandshakeError {
        match &self.phase {
            Phase::Failed(earlier) => return earlier.clone(),
            Phase::Proving => self.link.refuse(error.clone()),
            _ => {}
        }
        self.fail(error)
    }

    /// Returns whether the peers have agreed on a proof inside the connection.
    pub(super) fn has_agreed_on_proof(&self) -> bool {
        self.link.common().and_then(|common| common.alpn_protocol()) == Some(PROOF_PROTOCOL)
    }

    /// Returns what the proof is bound to.
    pub(super) fn binding(&self) -> Result<ProofBinding, HandshakeError> {
        let version = self.link.common().and_then(|common| common.protocol_version());
        if version != Some(ProtocolVersion::TLSv1_3) {
            let what = "it chose a proof inside the connection, and TLS 1.2 for that".to_owned();
            return Err(HandshakeError::Protocol { what });
        }
        self.link.export(self.exporter.as_ref(), ProofBinding::EXPORTER_LABEL).map(ProofBinding)
    }

    /// Joins what the proof and the certificate have proved.
    fn joined(&self, proven: Proven, now: Timestamp) -> Result<Evidence, HandshakeError> {
        let answer = self.certificate_that_does();
        if self.inner_proof == KerberosUse::Off {
            return Err(none_asked_for());
        }
        join_proof(&self.question, answer, proven, self.protection()?.held_since(now))
    }

    /// Returns what the peer's certificate proves: nothing, and it need not, if it does not do.
    fn certificate_that_does(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|_| self.deferred.is_none())
    }
}

/// Joins what a proof inside the connection has proved with what the certificate did (`answer`, if
/// it does), and judges both together: a server must be whom the client asked for, a client must be
/// one whom the rules let in. For engines of other protocols too, so that all of them let in the
/// same peers.
///
/// # Errors
///
/// [`HandshakeError::WrongPeer`] and [`HandshakeError::NotAllowed`] for the wrong peer;
/// [`HandshakeError::OurSide`] if the question leaves no room for a proof.
pub fn join_proof(
    question: &Question,
    answer: Option<&Answer>,
    proven: Proven,
    protection: Evidence,
) -> Result<Evidence, HandshakeError> {
    let Proven { name, groups, expires, encryption, is_of_own_realm, service } = proven;
    let protection = protection.with_ticket_encryption(encryption).with_own_realm(is_of_own_realm);
    let mut names = vec![name];
    let mut until = expires;
    if let Some(answer) = answer {
        names.extend(answer.names.iter().cloned());
        until = Some(until.map_or(answer.expires, |until| until.min(answer.expires)));
    }
    match question {
        Question::MayBeServer(Asked::Name { name: asked, .. }) => {
            if !is_first(asked, &names) {
                return Err(HandshakeError::WrongPeer {
                    asked: Box::new(asked.clone()),
                    proved: describe(&names),
                    why: None,
                });
            }
            Ok(protection.with_peer(Some(asked.clone()), names, until))
        }
        _ => {
            let plain: Vec<PeerName> = names.iter().map(|it| it.name().clone()).collect();
            admit(question, &plain, &groups)?;
            Ok(protection.with_peer(None, names, until).with_groups(groups).with_service(service))
        }
    }
}

/// Says whether a client that proves to hold this name, and to be in these groups, would be let in,
/// beside what its certificate did (`answer`, if it does). It decides nothing, and nothing need be
/// proved yet: [`join_proof`] decides.
///
/// # Errors
///
/// [`HandshakeError::NotAllowed`] if no rule would let it in; [`HandshakeError::OurSide`] if the
/// question is not about a client who may prove itself so.
pub fn would_admit(
    question: &Question,
    answer: Option<&Answer>,
    name: &PeerName,
    groups: &[Sid],
) -> Result<(), HandshakeError> {
    let beside = answer.into_iter().flat_map(|answer| &answer.names).map(|it| it.name().clone());
    let names: Vec<PeerName> = [name.clone()].into_iter().chain(beside).collect();
    admit(question, &names, groups)
}

/// Judges a client by all the names that it proves, and its groups.
fn admit(question: &Question, names: &[PeerName], groups: &[Sid]) -> Result<(), HandshakeError> {
    match question {
        Question::WhoElse(admission, address) => {
            let admitted = admission.admit_member(*address, names, groups);
            admitted.map_err(|why| HandshakeError::NotAllowed { peer: listed(names), why })
        }
        _ => Err(none_asked_for()),
    }
}

fn none_asked_for() -> HandshakeError {
    HandshakeError::OurSide { what: "no proof was asked for".to_owned() }
}

/// Returns the names as people read them, a bounded number of them.
pub(super) fn describe(names: &[ProvedPeer]) -> String {
    let plain: Vec<PeerName> = names.iter().map(|it| it.name().clone()).collect();
    listed(&plain)
}

/// The same for names by themselves.
fn listed(names: &[PeerName]) -> String {
    const SHOWN: usize = 6;
    let texts: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => texts.join(", "),
        more => format!("{} and {more} more", texts.join(", ")),
    }
}
