//! What an endpoint knows about one address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use countersign_core::{Asked, Evidence, KerberosUse, SaFields};

use super::proving::ProofId;
use crate::engine::Engine;

/// One address: an association that holds, one on the way that may take its place, and one that is
/// refused.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) live: Option<Live>,
    pub(super) pending: Option<Pending>,
    pub(super) leaving: Option<Leaving>,
    /// When the endpoint looks at it next.
    pub(super) alarm: Option<Instant>,
}

/// An association with a peer that has proved who it is.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) engine: Box<dyn Engine>,
    pub(super) evidence: Arc<Evidence>,
    /// What the program wants to be the end of it, if it changes.
    pub(super) watched: SaFields,
    /// When something last went either way.
    pub(super) used: Instant,
    /// When something last came from the peer, or we last began to look whether it is there.
    pub(super) quiet: Instant,
    /// The network said that nobody is there, and nothing came from the peer since.
    pub(super) suspected: bool,
    /// Whom we asked for, if we did.
    pub(super) asked: Option<Asked>,
    /// Whom we would ask for now, and what we would offer, to look whether the peer is still there.
    pub(super) look: Option<(Asked, KerberosUse)>,
    /// The address of ours that the peer came to.
    pub(super) local: Option<IpAddr>,
    pub(super) random: [u8; 32],
    /// When the engine wants to be called.
    pub(super) wakes: Option<Instant>,
    /// By when a peer that we greeted has to have all of our part of the proof; until then it may not
    /// know us.
    pub(super) known_by: Option<Instant>,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) engine: Box<dyn Engine>,
    pub(super) role: Role,
    /// The address of ours that the peer came to.
    pub(super) local: Option<IpAddr>,
    pub(super) random: [u8; 32],
    pub(super) deadline: Instant,
    /// When the engine wants to be called.
    pub(super) wakes: Option<Instant>,
    /// The proof inside, once it has begun.
    pub(super) proof: Option<ProofId>,
}

/// A peer whose proof was refused, while it is told.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) engine: Box<dyn Engine>,
    pub(super) local: Option<IpAddr>,
    pub(super) until: Instant,
    pub(super) wakes: Option<Instant>,
    /// Its place among the half-open, if it greeted us.
    pub(super) ticket: Option<u64>,
}

/// Which part we play.
#[derive(Debug)]
pub(super) enum Role {
    /// We greeted the peer, and have so many attempts left.
    Client { asked: Asked, offer: KerberosUse, attempts: u32, heard: Heard },
    /// The peer greeted us, and has this ticket among the half-open.
    Server { ticket: u64 },
}

/// What a peer that we greeted has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// A cookie. Anyone can send one, and libssl takes no second one in the same attempt, so if
    /// nothing follows by then, the attempt begins anew.
    Cookie(Instant),
    /// More than that.
    Answer,
}

impl Peer {
    pub(super) fn is_empty(&self) -> bool {
        self.live.is_none() && self.pending.is_none() && self.leaving.is_none()
    }

    /// Returns whether this attempt of the peer's is one that is known.
    pub(super) fn knows(&self, random: &[u8; 32]) -> bool {
        let pending = self.pending.as_ref().filter(|it| matches!(it.role, Role::Server { .. }));
        pending.is_some_and(|it| it.random == *random)
            || self.live.as_ref().is_some_and(|it| it.random == *random)
    }

    /// Returns whether our own attempt goes on although the peer makes one at the same time.
    ///
    /// One of the two must give way, the same one at both ends: the attempt with the lower random
    /// goes on. But if the peer has not answered ours at all, it may not be able to.
    pub(super) fn prefers_ours(&self, theirs: &[u8; 32]) -> bool {
        match &self.pending {
            Some(Pending { role: Role::Client { heard, .. }, random, .. }) => {
                *heard != Heard::Nothing && random < theirs
            }
            _ => false,
        }
    }
}
