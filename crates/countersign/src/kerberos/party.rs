//! Our side of one proof: what it starts with, and how it goes on inside an engine.

use std::time::Duration;

use countersign_kerberos::{
    AcceptorCredential, Channel, DelegatedCredential, Delegation, Done, Exchange,
    InitiatorCredential, Proved, Realms, Terms, Work,
};
use countersign_tls::{Engine, ProofBinding, Proven};

use crate::clock;
use crate::core::{HandshakeError, KerberosRule, Proof, ProvedPeer, ServiceName, Timestamp};

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
    let mut terms = Terms::default();
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

/// A proof under way inside an engine.
#[derive(Debug)]
pub(crate) struct ProofUnderWay {
    exchange: Exchange,
    /// Frames that the engine has not taken yet.
    outbound: Vec<u8>,
    /// What was proved, while the last frames wait to go out.
    proved: Option<Proved>,
    delegated: Option<DelegatedCredential>,
    is_working: bool,
}

/// How far a proof has come.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is concluded, and the engine knows.
    Concluded,
    /// The engine has to transmit before it takes more.
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
    /// Why there is no proof. The engine has been told, and has what the peer may know of it.
    pub(crate) fn step(&mut self, engine: &mut Engine) -> Result<Step, HandshakeError> {
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
            self.screen(engine)?;
            self.exchange.transmit(&mut self.outbound);
            self.seal(engine);
            match self.exchange.poll() {
                Ok(proved) => self.proved = proved.or_else(|| self.proved.take()),
                Err(failure) => return Err(engine.refuse(failure.into())),
            }
            if !self.outbound.is_empty() {
                return Ok(Step::Send);
            }
            if let Some(proved) = self.proved.take() {
                self.delegated = proved.delegated().cloned();
                let proven = proven(&proved).map_err(|error| engine.refuse(error))?;
                engine.conclude(proven, clock::now())?;
                return Ok(Step::Concluded);
            }
            let used = match engine.proof_input()? {
                [] => 0,
                input => self.exchange.handle_input(input),
            };
            // What cannot be a message ends it without being taken.
            if used == 0 && !self.exchange.is_concluded() {
                return Ok(Step::Wait);
            }
            engine.consume_proof(used);
        }
    }

    /// Turns a client away as soon as its ticket has been judged, if no rule would let it in: later
    /// it could not be told any more.
    fn screen(&mut self, engine: &mut Engine) -> Result<(), HandshakeError> {
        let Some(proved) = self.exchange.unconfirmed() else { return Ok(()) };
        let verdict = proven(proved);
        let verdict = verdict.and_then(|proven| engine.would_admit(&proven, clock::now()));
        verdict.map_err(|error| {
            self.exchange.turn_away();
            self.exchange.transmit(&mut self.outbound);
            self.seal(engine);
            engine.refuse(error)
        })
    }

    /// Gives the engine what it takes.
    fn seal(&mut self, engine: &mut Engine) {
        loop {
            match engine.seal_proof(&self.outbound) {
                0 => return,
                taken => drop(self.outbound.drain(..taken)),
            }
        }
    }
}

/// States what a ticket and its confirmation have proved: the one place that vouches for peers by
/// Kerberos.
fn proven(proved: &Proved) -> Result<Proven, HandshakeError> {
    let Some(name) = proved.peer() else {
        let peer = proved.principal().to_owned();
        let why = "its principal is none that a rule could name".to_owned();
        return Err(HandshakeError::NotAllowed { peer, why });
    };
    let until = |left: Duration| Timestamp::from_secs(clock::now().as_secs() + left.as_secs());
    let name = ProvedPeer::vouch(name.clone(), Proof::KerberosTicket);
    let mut proven = Proven::new(name, proved.remaining().map(until));
    proven.groups = proved.groups().to_vec();
    Ok(proven)
}
