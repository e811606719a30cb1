//! What an association has beside its records once it has agreed on a proof.

use std::fmt;

use countersign_core::{Evidence, HandshakeError};
use countersign_tls::Proven;

use crate::delivery::{Inbound, Outbound};
use crate::frame::PART_HEAD;

/// The proof of one association, and what waits for its end.
#[derive(Debug)]
pub(super) struct Framed {
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) early: Early,
    /// What protects the association, with no name proved.
    pub(super) protection: Evidence,
    /// What the proof has proved, once it has.
    pub(super) proven: Option<Box<Proven>>,
    /// The peer has to be told of our refusal, once it has all parts.
    pub(super) owes_refusal: bool,
}

impl Framed {
    /// Begins, on a path that lets records of `fits` bytes pass.
    pub(super) fn new(protection: Evidence, fits: usize) -> Self {
        Self {
            outbound: Outbound::new(fits.saturating_sub(PART_HEAD)),
            inbound: Inbound::default(),
            early: Early::default(),
            protection,
            proven: None,
            owes_refusal: false,
        }
    }

    /// Says what is wrong with concluding now, if anything is: a proof ends with its last byte.
    pub(super) fn check_end(&self) -> Result<(), HandshakeError> {
        if self.inbound.is_empty() {
            return Ok(());
        }
        Err(HandshakeError::Protocol { what: "it sent more than its proof".to_owned() })
    }

    /// Stops listening to the proof and forgets what waited for its end.
    pub(super) fn stop(&mut self) {
        self.inbound.stop();
        self.early = Early::default();
    }
}

/// Datagrams of a peer whose part of the proof is done, for all that it knows, while ours is not: its
/// last bytes may have been lost or come late. They are handed out when it is proved who sent them,
/// or never.
#[derive(Default)]
pub(super) struct Early {
    datagrams: Vec<Vec<u8>>,
    bytes: usize,
}

impl Early {
    /// How many bytes are kept. More is lost, as what comes to a full socket is.
    const ROOM: usize = 16 * 1024;
    /// What a datagram costs beside its bytes, about.
    const EACH: usize = 64;

    pub(super) fn keep(&mut self, datagram: &[u8]) {
        let cost = datagram.len() + Self::EACH;
        if self.bytes + cost <= Self::ROOM {
            self.bytes += cost;
            self.datagrams.push(datagram.to_vec());
        }
    }

    pub(super) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(self).datagrams
    }
}

impl fmt::Debug for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Early({} datagrams)", self.datagrams.len())
    }
}
