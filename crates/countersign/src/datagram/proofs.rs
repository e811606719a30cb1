//! Kerberos on a datagram socket: the look for tickets before a peer is greeted, the proofs inside
//! associations, and the work that other threads do for both.
//!
//! All of it is under the lock of the socket, which nobody holds while he waits; a KDC is asked by
//! the threads of `kerberos/workers.rs`, and what they find is fetched by whoever drives the socket
//! next: a descriptor in its set wakes those who wait.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_dtls::{Planning, ProofId};
use countersign_kerberos::{DelegatedCredential, Done, Holder, InitiatorCredential};
use countersign_sys::ReadySet;

use super::udp::WORK;
use crate::core::{Asked, HandshakeError, KerberosFailure, KerberosUse, SessionId};
use crate::kerberos::{Completions, Place, ProofUnderWay};

/// What is under way for Kerberos.
#[derive(Debug)]
pub(super) struct Proofs {
    under_way: HashMap<ProofId, Proving>,
    searches: HashMap<SocketAddr, Search>,
    /// The searches by the moment that each has to be over.
    deadlines: BTreeSet<(Instant, SocketAddr)>,
    searched: u64,
    /// Made when the first work is begun: most sockets have none.
    pub(super) completions: Option<Completions<Errand, Finding>>,
    ready: Arc<ReadySet>,
    /// What peers have handed on, for as long as their association is the same.
    delegated: HashMap<SocketAddr, (SessionId, DelegatedCredential)>,
}

/// One proof inside an association.
#[derive(Debug)]
pub(super) struct Proving {
    pub(super) peer: SocketAddr,
    pub(super) proof: ProofUnderWay,
    /// Keeps the work at hand in the queue.
    #[expect(dead_code, reason = "it is there to be dropped")]
    place: Option<Place>,
}

impl Proving {
    pub(super) fn new(peer: SocketAddr, proof: ProofUnderWay) -> Self {
        Self { peer, proof, place: None }
    }
}

/// A look for tickets, before a peer is greeted that may know Kerberos or not.
#[derive(Debug)]
pub(super) struct Search {
    /// Tells it from an earlier one for the same peer.
    number: u64,
    /// Whom the peer is asked for and how, by the policy in force; `None` is that it is not to be
    /// greeted any more.
    pub(super) planned: Option<(Asked, KerberosUse)>,
    /// When the handshake has to be over that follows.
    pub(super) deadline: Instant,
    #[expect(dead_code, reason = "it is there to be dropped")]
    place: Place,
}

/// For whom a thread works.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// A proof.
    Proof(ProofId),
    /// The search of this number for a peer.
    Search(SocketAddr, u64),
}

/// What it found.
#[derive(Debug)]
pub(super) enum Finding {
    /// The next step of a proof.
    Done(Done),
    /// Our tickets.
    Tickets(Result<Holder, KerberosFailure>),
}

impl Proofs {
    pub(super) fn new(ready: Arc<ReadySet>) -> Self {
        Self {
            under_way: HashMap::new(),
            searches: HashMap::new(),
            deadlines: BTreeSet::new(),
            searched: 0,
            completions: None,
            ready,
            delegated: HashMap::new(),
        }
    }

    /// Returns what came of work that is done.
    pub(super) fn take_finding(&self) -> Option<(Errand, Option<Finding>)> {
        self.completions.as_ref()?.take()
    }

    /// Returns when the first search has to be over.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Begins to look for tickets, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// If there is no descriptor or no thread left.
    pub(super) fn search(
        &mut self,
        peer: SocketAddr,
        asked: Asked,
        credential: InitiatorCredential,
        deadline: Instant,
    ) -> io::Result<()> {
        self.cancel_search(peer);
        self.searched += 1;
        let (number, place) = (self.searched, Place::default());
        let awaited = credential.awaits();
        let look = move || Finding::Tickets(credential.holder());
        self.completions()?.start(&place, Errand::Search(peer, number), awaited, look)?;
        self.deadlines.insert((deadline, peer));
        let planned = Some((asked, KerberosUse::Prefer));
        self.searches.insert(peer, Search { number, planned, deadline, place });
        Ok(())
    }

    pub(super) fn is_searching(&self, peer: SocketAddr) -> bool {
        self.searches.contains_key(&peer)
    }

    /// Returns the peers for whom tickets are looked for.
    pub(super) fn searching(&self) -> impl Iterator<Item = SocketAddr> {
        self.searches.keys().copied()
    }

    /// Looks no more for tickets for this peer.
    pub(super) fn cancel_search(&mut self, peer: SocketAddr) -> Option<Search> {
        let search = self.searches.remove(&peer)?;
        self.deadlines.remove(&(search.deadline, peer));
        Some(search)
    }

    /// Has peers for whom tickets are looked for be asked for as `plan` says, and returns those, with the
    /// number of the search, for whom none need be looked for any more.
    pub(super) fn plan_anew(&mut self, plan: &Planning<'_>) -> Vec<(SocketAddr, u64)> {
        let mut settled = Vec::new();
        for (peer, search) in &mut self.searches {
            search.planned = plan(*peer);
            if !matches!(search.planned, Some((_, KerberosUse::Prefer))) {
                settled.push((*peer, search.number));
            }
        }
        settled
    }

    /// Looks no more for tickets for others than this peer.
    pub(super) fn search_only(&mut self, peer: SocketAddr) {
        self.searches.retain(|other, _| *other == peer);
        self.deadlines.retain(|(_, other)| *other == peer);
    }

    /// Ends a search whose time is over.
    pub(super) fn take_late(&mut self, now: Instant) -> Option<SocketAddr> {
        let (deadline, peer) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.cancel_search(peer);
        Some(peer)
    }

    /// Ends the search of this number, if it is still under way.
    pub(super) fn take_search(&mut self, peer: SocketAddr, number: u64) -> Option<Search> {
        if self.searches.get(&peer)?.number != number {
            return None;
        }
        self.cancel_search(peer)
    }

    /// Returns whether a proof with this peer waits for work of ours.
    pub(super) fn is_working_for(&self, peer: SocketAddr) -> bool {
        self.under_way.values().any(|it| it.peer == peer && it.proof.is_working())
    }

    /// Takes a proof out, to work on it or to forget it, with the work that waits for a thread.
    pub(super) fn take(&mut self, id: ProofId) -> Option<Proving> {
        self.under_way.remove(&id)
    }

    /// Keeps a proof that is new, or was taken out.
    pub(super) fn put_back(&mut self, id: ProofId, proving: Proving) {
        self.under_way.insert(id, proving);
    }

    /// Has work done for a proof, and keeps the proof until then.
    ///
    /// # Errors
    ///
    /// If there is no descriptor or no thread left; the proof is forgotten then.
    pub(super) fn start(
        &mut self,
        id: ProofId,
        proving: Proving,
        work: countersign_kerberos::Work,
    ) -> io::Result<()> {
        let place = Place::default();
        self.completions()?.perform(&place, Errand::Proof(id), work, Finding::Done)?;
        self.put_back(id, Proving { place: Some(place), ..proving });
        Ok(())
    }

    /// Keeps what a peer has handed on in this session.
    pub(super) fn keep_delegated(
        &mut self,
        peer: SocketAddr,
        session: SessionId,
        delegated: DelegatedCredential,
    ) {
        self.delegated.insert(peer, (session, delegated));
    }

    /// Forgets what a peer has handed on, unless it was in this session.
    pub(super) fn drop_delegated(&mut self, peer: SocketAddr, session: Option<SessionId>) {
        if self.delegated.get(&peer).is_some_and(|(of, _)| Some(*of) != session) {
            self.delegated.remove(&peer);
        }
    }

    /// Returns what a peer has handed on in this session.
    pub(super) fn delegated(
        &self,
        peer: SocketAddr,
        session: SessionId,
    ) -> Option<&DelegatedCredential> {
        self.delegated.get(&peer).filter(|(of, _)| *of == session).map(|(_, it)| it)
    }

    fn completions(&mut self) -> io::Result<&Completions<Errand, Finding>> {
        match self.completions {
            Some(ref made) => Ok(made),
            None => {
                let made = Completions::new()?;
                self.ready.add(&made, WORK)?;
                Ok(self.completions.insert(made))
            }
        }
    }
}

/// Decides how to greet a peer, knowing what came of the look for tickets: with an offer of Kerberos
/// if we have some, by certificate if we have none.
///
/// # Errors
///
/// If nobody answered in time, or the thread panicked.
pub(super) fn offer(found: Option<Finding>) -> Result<KerberosUse, HandshakeError> {
    match found {
        Some(Finding::Tickets(Ok(holder))) if has_time(&holder) => Ok(KerberosUse::Prefer),
        Some(Finding::Tickets(Err(late @ KerberosFailure::TimedOut { .. }))) => Err(late.into()),
        Some(Finding::Tickets(_)) => Ok(KerberosUse::Off),
        Some(Finding::Done(_)) | None => {
            let what = "the thread that looked for tickets panicked".to_owned();
            Err(HandshakeError::OurSide { what })
        }
    }
}

fn has_time(holder: &Holder) -> bool {
    holder.remaining.is_none_or(|left| left > Duration::ZERO)
}
