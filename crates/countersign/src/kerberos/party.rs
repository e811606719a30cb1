//! Our side of one proof: what it starts with, and how it goes on inside what carries it.

use std::time::Duration;

use countersign_kerberos::{
    AcceptorCredential, Channel, DelegatedCredential, Delegation, Done, Exchange,
    InitiatorCredential, Proved, Realms, Terms, Work,
};
use countersign_tls::{Engine, ProofBinding, Proven};

use crate::clock;
use crate::core::{
    HandshakeError, KerberosRule, PeerName, Proof, ProvedPeer, ServiceName, Sid, Timestamp,
};

/// What one side of a connection brings to a proof.
#[derive(Clone, Debug)]
pub(crate) enum Party {
    /// The client, with what it has to get a ticket for the service that it asks for.
    Client { asked: ServiceName, credential: InitiatorCredential, terms: Terms },
    /// The server, with its keys.
    Server { credential: AcceptorCredential, terms: Terms },
}

/// Returns what a policy demands of a proof.
pub(crate) fn terms(rule: &KerberosRule) -> Terms {
    let mut terms = Terms::default().with_encryption(rule.encryption.clone());
    if let Some(realms) = &rule.realms {
        terms.realms = Realms::Listed(realms.clone());
    }
    if rule.delegate.unwrap_or_default() {
        terms.delegation = Delegation::IfTrusted;
    }
    terms
}

impl Party {
    fn begin(self, binding: &ProofBinding) -> Exchange {
        let channel = Channel::new(binding.exported());
        match self {
            Self::Client { asked, credential, terms } => {
                Exchange::initiate(&asked, credential, channel, terms)
            }
            Self::Server { credential, terms } => Exchange::accept(credential, channel, terms),
        }
    }
}

/// What a proof runs inside: it carries the bytes of the proof, protected, and judges what it
/// proves. Each method is as that of [`Engine`].
pub(crate) trait Bearer {
    fn proof_input(&mut self) -> Result<&[u8], HandshakeError>;
    fn consume_proof(&mut self, count: usize);
    fn seal_proof(&mut self, bytes: &[u8]) -> usize;
    fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError>;
    fn conclude(&mut self, proven: Proven, now: Timestamp) -> Result<(), HandshakeError>;
    fn refuse(&mut self, error: HandshakeError) -> HandshakeError;
}

impl Bearer for Engine {
    fn proof_input(&mut self) -> Result<&[u8], HandshakeError> {
        self.proof_input()
    }

    fn consume_proof(&mut self, count: usize) {
        self.consume_proof(count);
    }

    fn seal_proof(&mut self, bytes: &[u8]) -> usize {
        self.seal_proof(bytes)
    }

    fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        self.would_admit(name, groups)
    }

    fn conclude(&mut self, proven: Proven, now: Timestamp) -> Result<(), HandshakeError> {
        self.conclude(proven, now)
    }

    fn refuse(&mut self, error: HandshakeError) -> HandshakeError {
        self.refuse(error)
    }
}

/// A proof under way.
#[derive(Debug)]
pub(crate) struct ProofUnderWay {
    exchange: Exchange,
    /// Frames that its bearer has not taken yet.
    outbound: Vec<u8>,
    /// What was proved, while the last frames wait to go out.
    proved: Option<Proved>,
    delegated: Option<DelegatedCredential>,
    is_working: bool,
}

/// How far a proof has come.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is concluded, and its bearer knows.
    Concluded,
    /// The bearer has to transmit before it takes more.
    Send,
    /// It needs more from the peer.
    Wait,
    /// It needs this to be done, on a thread that may block.
    Work(Work),
}

impl ProofUnderWay {
    pub(crate) fn begin(party: Party, binding: &ProofBinding) -> Self {
        Self {
            exchange: party.begin(binding),
            outbound: Vec::new(),
            proved: None,
            delegated: None,
            is_working: false,
        }
    }

    /// Returns whether it waits for work of ours and not for the peer.
    pub(crate) fn is_working(&self) -> bool {
        self.is_working
    }

    /// Takes back work that was done.
    pub(crate) fn finish(&mut self, done: Done) {
        self.is_working = false;
        self.exchange.finish(done);
    }

    /// Returns the peer's tickets, if it delegated them.
    pub(crate) fn take_delegated(&mut self) -> Option<DelegatedCredential> {
        self.delegated.take()
    }

    /// Goes as far as it can.
    ///
    /// # Errors
    ///
    /// Why there is no proof. The bearer has been told, and has what the peer may know of it.
    pub(crate) fn step(&mut self, bearer: &mut impl Bearer) -> Result<Step, HandshakeError> {
        loop {
            if let Some(work) = self.exchange.take_work() {
                // What turns out to need more than computing is done elsewhere.
                match if work.is_local() { work.step() } else { Err(work) } {
                    Ok(done) => self.exchange.finish(done),
                    Err(work) => {
                        self.is_working = true;
                        return Ok(Step::Work(work));
                    }
                }
            }
            self.screen(bearer)?;
            self.exchange.transmit(&mut self.outbound);
            self.seal(bearer);
            match self.exchange.poll() {
                Ok(proved) => self.proved = proved.or_else(|| self.proved.take()),
                Err(failure) => return Err(bearer.refuse(failure.into())),
            }
            if !self.outbound.is_empty() {
                return Ok(Step::Send);
            }
            if let Some(proved) = self.proved.take() {
                self.delegated = proved.delegated().cloned();
                let proven = proven(&proved).map_err(|error| bearer.refuse(error))?;
                bearer.conclude(proven, clock::now())?;
                return Ok(Step::Concluded);
            }
            let used = match bearer.proof_input()? {
                [] => 0,
                input => self.exchange.handle_input(input),
            };
            // What cannot be a message ends it without being taken.
            if used == 0 && !self.exchange.is_concluded() {
                return Ok(Step::Wait);
            }
            bearer.consume_proof(used);
        }
    }

    /// Turns a client away as soon as its ticket has been judged, if no rule would let it in: later
    /// it could not be told any more.
    fn screen(&mut self, bearer: &mut impl Bearer) -> Result<(), HandshakeError> {
        let Some(ticket) = self.exchange.unconfirmed() else { return Ok(()) };
        let verdict = named(ticket.peer(), ticket.principal());
        let verdict = verdict.and_then(|name| bearer.would_admit(name, ticket.groups()));
        verdict.map_err(|error| {
            self.exchange.turn_away();
            self.exchange.transmit(&mut self.outbound);
            self.seal(bearer);
            bearer.refuse(error)
        })
    }

    /// Gives the bearer what it takes.
    fn seal(&mut self, bearer: &mut impl Bearer) {
        loop {
            match bearer.seal_proof(&self.outbound) {
                0 => return,
                taken => drop(self.outbound.drain(..taken)),
            }
        }
    }
}

/// States what a ticket and its confirmation have proved: the one place that vouches for peers by
/// Kerberos.
fn proven(proved: &Proved) -> Result<Proven, HandshakeError> {
    let name = named(proved.peer(), proved.principal())?;
    let until = |left: Duration| Timestamp::from_secs(clock::now().as_secs() + left.as_secs());
    let name = ProvedPeer::vouch(name.clone(), Proof::KerberosTicket);
    let mut proven = Proven::new(name, proved.remaining().map(until));
    proven.groups = proved.groups().to_vec();
    proven.encryption = Some(proved.encryption());
    proven.is_of_own_realm = proved.is_of_own_realm();
    proven.service = Some(proved.service().clone());
    Ok(proven)
}

/// Returns the name that a principal is, if it is one.
fn named<'a>(name: Option<&'a PeerName>, principal: &str) -> Result<&'a PeerName, HandshakeError> {
    name.ok_or_else(|| HandshakeError::NotAllowed {
        peer: principal.to_owned(),
        why: "its principal is none that a rule could name".to_owned(),
    })
}
