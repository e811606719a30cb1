//! Proofs under way, as those see them who carry them on.

use std::net::SocketAddr;

use countersign_core::{HandshakeError, PeerName, Sid};
use countersign_tls::Proven;

use super::peer::Pending;
use super::{Endpoint, Event, Moment};

/// One proof, and no other: a number that an endpoint gives once. Whoever comes back late, with what
/// took long, finds nobody by it, whoever may be at the peer's address by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofId(pub(super) u64);

/// A proof under way, lent by [`Endpoint::proof`]. What it has to say is told by
/// [`Endpoint::poll`], as ever.
#[derive(Debug)]
pub struct Proving<'a> {
    endpoint: &'a mut Endpoint,
    id: ProofId,
    peer: SocketAddr,
    now: Moment,
}

impl Endpoint {
    /// Lends a proof under way; none if it is over.
    pub fn proof(&mut self, id: ProofId, now: Moment) -> Option<Proving<'_>> {
        let peer = *self.proofs.get(&id)?;
        Some(Proving { endpoint: self, id, peer, now })
    }

    /// Forgets a proof that was not concluded, and tells those who carry it on.
    pub(super) fn drop_proof(&mut self, pending: &Pending) {
        if let Some(proof) = pending.proof
            && self.proofs.remove(&proof).is_some()
        {
            self.events.push_back(Event::ProofOver { proof });
        }
    }
}

impl Proving<'_> {
    /// Takes away bytes that were used.
    pub fn consume(&mut self, count: usize) {
        if let Some(pending) = self.pending_mut() {
            pending.engine.consume_proof(count);
        }
    }

    /// Takes bytes to deliver, and returns how many were taken: no more than there is room for
    /// beside what the peer has not acknowledged. [`Event::ProofMoves`] tells when there is more.
    pub fn seal(&mut self, bytes: &[u8]) -> usize {
        let now = self.now;
        let Some(pending) = self.pending_mut() else { return 0 };
        let taken = pending.engine.seal_proof(bytes, now);
        self.endpoint.settle_pending(self.peer, now);
        taken
    }

    /// Ends the proof with what it has proved, and judges that: a server must be whom we asked for,
    /// a client must be one whom the rules let in, by the names that the proof and its certificate
    /// prove together. The association holds from now on, in the place of one that was there before,
    /// and [`Event::Secured`] says so. All of our part must be sealed before; and the last word of a
    /// proof is the client's, so that nothing of the server's is missing there any more.
    ///
    /// # Errors
    ///
    /// Why the peer is refused, as by [`Self::refuse`]; [`HandshakeError::OurSide`] if the proof is
    /// over, which changes nothing.
    pub fn conclude(mut self, proven: Proven) -> Result<(), HandshakeError> {
        let (id, peer, now) = (self.id, self.peer, self.now);
        let over = || HandshakeError::OurSide { what: "the proof was over already".to_owned() };
        let pending = self.pending_mut().ok_or_else(over)?;
        let judged = pending.engine.conclude(proven, now);
        self.endpoint.proofs.remove(&id);
        match judged {
            Ok(()) => {
                self.endpoint.settle_pending(peer, now);
                Ok(())
            }
            Err(error) => {
                self.endpoint.part_with(peer, error.clone(), now);
                Err(error)
            }
        }
    }

    /// Ends the proof: it failed. What was sealed before is still delivered, for a few seconds, and
    /// the peer told that it is refused; [`Event::Failed`] tells those who wait here.
    pub fn refuse(mut self, error: HandshakeError) -> HandshakeError {
        let (id, peer, now) = (self.id, self.peer, self.now);
        if let Some(pending) = self.pending_mut() {
            pending.engine.refuse(now);
            self.endpoint.proofs.remove(&id);
            self.endpoint.part_with(peer, error.clone(), now);
        }
        error
    }

    /// Returns bytes that have arrived and were not used.
    pub fn input(&self) -> &[u8] {
        self.pending().map_or(&[], |pending| pending.engine.proof_input())
    }

    /// Returns with whom the proof is.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Says whether a client that proves to hold this name, and to be in these groups, would be let
    /// in, so that one that would not be can be told why in time. It decides nothing, and nothing need
    /// be proved yet: [`Self::conclude`] decides.
    ///
    /// # Errors
    ///
    /// As [`Self::conclude`]; [`HandshakeError::OurSide`] for a proof of a server.
    pub fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        let over = || HandshakeError::OurSide { what: "the proof was over already".to_owned() };
        self.pending().ok_or_else(over)?.engine.would_admit(name, groups)
    }

    fn pending(&self) -> Option<&Pending> {
        let pending = self.endpoint.peers.get(&self.peer)?.pending.as_ref();
        pending.filter(|pending| pending.proof == Some(self.id))
    }

    fn pending_mut(&mut self) -> Option<&mut Pending> {
        let pending = self.endpoint.peers.get_mut(&self.peer)?.pending.as_mut();
        pending.filter(|pending| pending.proof == Some(self.id))
    }
}
