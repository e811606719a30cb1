//! The handshakes that a listener has under way.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::kerberos::Place;
use crate::stream::{Handshake, Waiting};

/// The handshakes that a listener has under way, bounded in number, and each in time.
#[derive(Debug, Default)]
pub(super) struct Table {
    pending: HashMap<u64, Pending>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_key: u64,
    /// When the alarm goes off, if it is set.
    pub(super) alarm: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) peer: SocketAddr,
    pub(super) deadline: Instant,
    pub(super) stage: Stage,
    /// Its descriptor is in the ready set, which says whether it was reported.
    pub(super) is_watched: bool,
}

/// What is waited for.
#[derive(Debug)]
pub(super) enum Stage {
    /// The peer's next flight.
    Handshaking(Box<Handshake>),
    /// Work of ours that another thread does.
    Working(Box<Handshake>, #[expect(dead_code, reason = "it is there to be dropped")] Arc<Place>),
    /// The peer's end, so that it can read our alert.
    Lingering(Waiting),
}

impl Table {
    /// Returns a key that was never used before.
    pub(super) fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(super) fn insert(&mut self, key: u64, pending: Pending) {
        self.deadlines.insert((pending.deadline, key));
        self.pending.insert(key, pending);
    }

    /// Takes one out, to work on it.
    pub(super) fn take(&mut self, key: u64) -> Option<Pending> {
        let pending = self.pending.remove(&key)?;
        self.deadlines.remove(&(pending.deadline, key));
        Some(pending)
    }

    /// Takes out the one whose time is over first: the oldest, since all have the same time.
    pub(super) fn take_oldest(&mut self) -> Option<Pending> {
        let (_, key) = *self.deadlines.first()?;
        self.take(key)
    }

    /// Takes out one whose time is over.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Pending> {
        let (deadline, key) = *self.deadlines.first()?;
        if deadline <= now { self.take(key) } else { None }
    }

    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}
