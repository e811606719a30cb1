//! How a datagram socket greets a peer that may know Kerberos, and how proofs go on inside its
//! associations.

use std::net::SocketAddr;
use std::time::Instant;

use countersign_dtls::{Event, ProofId, Proving as Inside, Side, Standing};
use countersign_kerberos::InitiatorCredential;
use countersign_tls::{ProofBinding, Proven};

use super::proofs::{Errand, Finding, Proving, offer};
use super::state::Open;
use crate::core::{
    Asked, HandshakeError, KerberosFailure, KerberosUse, PeerName, Sid, Timestamp, fold,
};
use crate::error::Error;
use crate::kerberos::{Bearer, Party, ProofUnderWay, Step, relied_on_as_client};

/// A proof inside an association, until that has ended, or the proof in it.
struct Carried<'a>(Option<Inside<'a>>);

impl Bearer for Carried<'_> {
    fn proof_input(&mut self) -> Result<&[u8], HandshakeError> {
        Ok(self.0.as_ref().map_or(&[], |inside| inside.input()))
    }

    fn consume_proof(&mut self, count: usize) {
        if let Some(inside) = &mut self.0 {
            inside.consume(count);
        }
    }

    fn seal_proof(&mut self, bytes: &[u8]) -> usize {
        self.0.as_mut().map_or(0, |inside| inside.seal(bytes))
    }

    fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        self.0.as_ref().map_or_else(|| Err(gone()), |inside| inside.would_admit(name, groups))
    }

    fn conclude(&mut self, proven: Proven, _now: Timestamp) -> Result<(), HandshakeError> {
        self.0.take().map_or_else(|| Err(gone()), |inside| inside.conclude(proven))
    }

    fn refuse(&mut self, error: HandshakeError) -> HandshakeError {
        match self.0.take() {
            Some(inside) => inside.refuse(error),
            None => error,
        }
    }
}

impl Open {
    /// Begins to find out who is at `address`. Who may show a ticket, but need not, looks for one
    /// first, unless it is at hand: without any the peer is greeted as if there were no Kerberos.
    pub(super) fn begin(
        &mut self,
        address: SocketAddr,
        asked: Asked,
        kerberos: KerberosUse,
    ) -> Result<(), Error> {
        self.forget_failure(address);
        let credential = self.credential();
        let is_at_hand = match &asked {
            Asked::Name { name: PeerName::Service(service), .. } => {
                credential.is_ready_for(service)
            }
            _ => false,
        };
        if kerberos == KerberosUse::Prefer && !is_at_hand {
            let deadline = Instant::now() + self.generation.policy.limits().handshake_timeout;
            let searching = self.proofs.search(fold(address), asked, credential, deadline);
            return searching.map_err(Error::io("start a thread for Kerberos"));
        }
        let begun = self.greet(address, asked, kerberos, None);
        begun.map_err(|source| Error::Handshake { peer: address, source })
    }

    /// Greets a peer, who has until `deadline`, or as long as handshakes have.
    fn greet(
        &mut self,
        peer: SocketAddr,
        asked: Asked,
        offer: KerberosUse,
        deadline: Option<Instant>,
    ) -> Result<(), HandshakeError> {
        let now = self.now();
        let begun = self.endpoint.connect_offering(peer, asked, offer, deadline, now);
        self.absorb();
        begun
    }

    /// Returns how things stand with a peer: a look for tickets is part of the handshake.
    pub(super) fn standing(&self, peer: SocketAddr) -> Standing {
        match self.endpoint.standing(peer) {
            Standing::Stranger if self.proofs.is_searching(fold(peer)) => Standing::Pending,
            standing => standing,
        }
    }

    /// Returns when something is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.endpoint.next_deadline().into_iter().chain(self.proofs.next_deadline()).min()
    }

    /// Goes on with what waited for other threads.
    pub(super) fn fetch_findings(&mut self) {
        while let Some((errand, found)) = self.proofs.take_finding() {
            self.heard += 1;
            match errand {
                Errand::Proof(id) => self.resume(id, found),
                Errand::Search(peer, number) => self.greet_knowing(peer, number, found),
            }
        }
    }

    /// Ends the searches whose time is over.
    pub(super) fn end_late_searches(&mut self, now: Instant) {
        while let Some(peer) = self.proofs.take_late(now) {
            let after = self.generation.policy.limits().handshake_timeout;
            self.remember_refusal(peer, KerberosFailure::TimedOut { after }.into());
        }
    }

    /// Acts on what the endpoint says of a proof.
    pub(super) fn absorb_proof(&mut self, event: Event) {
        match event {
            Event::Prove { proof, peer, began, asked, binding, .. } => {
                self.begin_proof(proof, peer, began, asked.as_ref(), &binding);
            }
            Event::ProofMoves { proof } => {
                if let Some(proving) = self.proofs.take(proof) {
                    self.step(proof, proving);
                }
            }
            Event::ProofOver { proof } => drop(self.proofs.take(proof)),
            _ => {}
        }
    }

    /// Says why a handshake with a peer failed: if our KDC was silent, it was not the peer.
    pub(super) fn explain(&self, peer: SocketAddr, error: HandshakeError) -> HandshakeError {
        match error {
            HandshakeError::TimedOut { after } if self.proofs.is_working_for(peer) => {
                KerberosFailure::TimedOut { after }.into()
            }
            error => error,
        }
    }

    /// Greets a peer, knowing whether we have tickets, or that it does not matter.
    pub(super) fn greet_knowing(&mut self, peer: SocketAddr, number: u64, found: Option<Finding>) {
        // It may have been given up meanwhile.
        let Some(search) = self.proofs.take_search(peer, number) else { return };
        let deadline = Some(search.deadline);
        let offered = match search.planned {
            // They may be looked for no more by now, or must be there.
            Some((asked, KerberosUse::Prefer)) => offer(found).map(|offer| (asked, offer)),
            Some(planned) => Ok(planned),
            None => {
                let what = "policy does not say any more who must be there".to_owned();
                Err(HandshakeError::OurSide { what })
            }
        };
        let greeted = offered.and_then(|(asked, offer)| self.greet(peer, asked, offer, deadline));
        if let Err(error) = greeted {
            self.remember_refusal(peer, error);
        }
    }

    fn begin_proof(
        &mut self,
        id: ProofId,
        peer: SocketAddr,
        began: Side,
        asked: Option<&Asked>,
        binding: &ProofBinding,
    ) {
        let party = match began {
            Side::Ours => self.as_client(asked),
            Side::Theirs => self.as_server(),
        };
        match party {
            Ok(party) => {
                let proof = ProofUnderWay::begin(party, binding);
                self.step(id, Proving::new(peer, proof));
            }
            Err(what) => self.refuse(id, what),
        }
    }

    /// Returns what we bring to a proof of the peer that we asked for, by the policy in force.
    fn as_client(&self, asked: Option<&Asked>) -> Result<Party, String> {
        match asked {
            _ if self.relied_on_as_client() == KerberosUse::Off => {
                Err("policy has turned Kerberos off since".to_owned())
            }
            Some(Asked::Name { name: PeerName::Service(service), .. }) => {
                Ok(self.generation.kerberos.client_with(service, self.credential()))
            }
            _ => Err("a proof was agreed on that nobody prepared".to_owned()),
        }
    }

    /// Returns what part Kerberos has where we greet.
    pub(super) fn relied_on_as_client(&self) -> KerberosUse {
        relied_on_as_client(self.generation.policy.kerberos(), self.given.is_some())
    }

    /// Returns what we bring to a proof as the server, by the policy in force.
    fn as_server(&self) -> Result<Party, String> {
        let rule = self.generation.policy.kerberos().server;
        if rule.unwrap_or_default() == KerberosUse::Off {
            return Err("policy has turned Kerberos off since".to_owned());
        }
        self.generation.kerberos.server().map_err(|error| error.to_string())
    }

    /// Returns the credentials that the program gave, else those of the policy.
    fn credential(&self) -> InitiatorCredential {
        self.given.clone().unwrap_or_else(|| self.generation.kerberos.tickets())
    }

    /// Takes a finding back into the proof that waits for it.
    fn resume(&mut self, id: ProofId, found: Option<Finding>) {
        // It may have been given up meanwhile.
        let Some(mut proving) = self.proofs.take(id) else { return };
        match found {
            Some(Finding::Done(done)) => {
                proving.proof.finish(done);
                self.step(id, proving);
                self.absorb();
            }
            _ => {
                self.refuse(id, "the thread that asked for a ticket panicked".to_owned());
                self.absorb();
            }
        }
    }

    /// Lets a proof go as far as it can.
    fn step(&mut self, id: ProofId, mut proving: Proving) {
        let now = self.now();
        // Work at hand is waited for; what the peer says meanwhile waits too.
        if proving.proof.is_working() {
            return self.proofs.put_back(id, proving);
        }
        let mut carried = Carried(self.endpoint.proof(id, now));
        match proving.proof.step(&mut carried) {
            Ok(Step::Concluded) => self.keep_delegated(&mut proving),
            Ok(Step::Send | Step::Wait) => self.proofs.put_back(id, proving),
            Ok(Step::Work(work)) => {
                if let Err(error) = self.proofs.start(id, proving, work) {
                    self.refuse(id, error.to_string());
                }
            }
            // The association has been told, and tells those who wait.
            Err(_) => {}
        }
    }

    /// Keeps what a peer has handed on, for as long as this association lives.
    fn keep_delegated(&mut self, proving: &mut Proving) {
        let Some(delegated) = proving.proof.take_delegated() else { return };
        if let Some(evidence) = self.endpoint.evidence(proving.peer) {
            self.proofs.keep_delegated(proving.peer, evidence.session(), delegated);
        }
    }

    fn refuse(&mut self, id: ProofId, what: String) {
        let now = self.now();
        if let Some(inside) = self.endpoint.proof(id, now) {
            let _ = inside.refuse(HandshakeError::OurSide { what });
        }
    }
}

fn gone() -> HandshakeError {
    HandshakeError::OurSide { what: "the association is gone".to_owned() }
}
