//! The parts that arrive.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::WINDOW;
use crate::frame::Ack;

/// What has arrived and has not been used.
#[derive(Default)]
pub(crate) struct Inbound {
    /// In order, without a gap.
    ready: Vec<u8>,
    /// The number of the part that comes after that.
    next: u32,
    /// Parts that came before it.
    early: BTreeMap<u32, Vec<u8>>,
    early_bytes: usize,
    /// Nobody listens any more: parts are acknowledged, and not kept.
    is_deaf: bool,
}

/// How many bytes are kept: twice what a peer has on the way. More is not acknowledged, so it comes
/// again.
const ROOM: usize = 64 * 1024;

impl Inbound {
    /// Takes a part, unless it has come before or there is no room for it; returns whether there is
    /// more to read now.
    pub(crate) fn take(&mut self, number: u32, bytes: &[u8]) -> bool {
        if self.is_deaf {
            if number == self.next {
                self.next = self.next.saturating_add(1);
            }
            return false;
        }
        let Some(ahead) = number.checked_sub(self.next) else { return false };
        let is_in_window = usize::try_from(ahead).is_ok_and(|ahead| ahead < WINDOW);
        let would_hold = self.ready.len() + self.early_bytes + bytes.len();
        if !is_in_window || would_hold > ROOM || number == u32::MAX {
            return false;
        }
        if ahead > 0 {
            if let Entry::Vacant(place) = self.early.entry(number) {
                place.insert(bytes.to_vec());
                self.early_bytes += bytes.len();
            }
            return false;
        }
        self.ready.extend_from_slice(bytes);
        self.next += 1;
        while let Some(bytes) = self.early.remove(&self.next) {
            self.early_bytes -= bytes.len();
            self.ready.extend(bytes);
            self.next += 1;
        }
        true
    }

    /// Takes away bytes that were used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.ready.drain(..count.min(self.ready.len()));
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
    }

    /// Keeps nothing any more.
    pub(crate) fn stop(&mut self) {
        *self = Self { next: self.next, is_deaf: true, ..Self::default() };
    }

    /// Returns the bytes that come next.
    pub(crate) fn ready(&self) -> &[u8] {
        &self.ready
    }

    /// Returns whether there is nothing that was not used.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.early.is_empty()
    }

    /// Says what has arrived.
    pub(crate) fn ack(&self) -> Ack {
        let bit = |number: &u32| number.checked_sub(self.next)?.checked_sub(1);
        let beyond = self
            .early
            .keys()
            .filter_map(bit)
            .fold(0, |beyond: u16, bit| beyond | 1_u16.checked_shl(bit).unwrap_or(0));
        Ack { next: self.next, beyond }
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ready, next, early) = (self.ready.len(), self.next, self.early_bytes);
        write!(f, "Inbound({ready} bytes, then part {next}; {early} bytes early)")
    }
}
