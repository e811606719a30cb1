//! Plaintext into records, several of them in one buffer that one system call sends.

use std::cell::Cell;
use std::io;

use countersign_core::HandshakeError;

use super::key::{Key, TAG};
use super::pieces::Pieces;
use super::{PLAIN, content};

/// Plaintext in one batch: three full records. A fourth would pass one loopback segment and the
/// 64 KiB of segmentation offload, which was measured to cost two thirds of the throughput.
const BATCH: usize = 3 * PLAIN;

/// Header, content type and tag of one record.
const OVERHEAD: usize = HEADER + 1 + TAG;
const HEADER: usize = 5;

/// The first bytes of a conversation go in records that fit into one packet of most networks
/// each, so that the peer can use the first of them without waiting for the last: a record is of
/// use only when it is whole.
const EARLY: u64 = 16 * 1024;
const EARLY_RECORD: usize = 1_400 - OVERHEAD;

thread_local! {
    /// A batch's buffer between two uses. A conversation keeps one only while something waits to
    /// be sent, so that ten thousand quiet ones cost nothing. It holds ciphertext, nothing to wipe.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The direction from us to the peer.
pub(super) struct Sealer {
    key: Key,
    limit: u64,
    /// Records that wait to be sent, of which `sent` bytes have gone.
    batch: Vec<u8>,
    sent: usize,
    /// What waits is not worth a packet of its own: it goes with what is sealed next.
    is_held_back: bool,
    /// Plaintext in the batch.
    plain: usize,
    /// Plaintext sealed so far, as long as that matters.
    early: u64,
}

impl Sealer {
    /// Seals with `key` until it has protected `limit` records, and sends `waiting` first.
    pub(super) fn new(key: Key, limit: u64, waiting: &[u8]) -> Self {
        let batch = waiting.to_vec();
        Self { key, limit, batch, sent: 0, is_held_back: false, plain: 0, early: 0 }
    }

    /// Lets what waits go with what is sealed next, and not before.
    pub(super) fn hold_back(&mut self) {
        self.is_held_back = true;
    }

    /// Returns whether nothing waits to be sent, or only what is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty() || self.is_held_back
    }

    /// Forgets what waits, if application data is in it; returns whether there was any. Nothing can
    /// follow then, since the peer counts records.
    pub(super) fn forget_data(&mut self) -> bool {
        if self.plain == 0 {
            return false;
        }
        self.batch = Vec::new();
        (self.sent, self.plain) = (0, 0);
        true
    }

    /// Returns whether more application data fits into the batch.
    pub(super) fn has_room(&self) -> bool {
        self.plain < BATCH
    }

    /// Returns whether the key has protected as much as it may, but for the message that says so.
    pub(super) fn is_key_worn(&self) -> bool {
        self.key.sequence() >= self.limit
    }

    /// Goes on with another key.
    pub(super) fn replace_key(&mut self, key: Key) {
        self.key = key;
    }

    /// Seals one record of application data, and returns how much of `plain` is in it.
    pub(super) fn seal_data(&mut self, plain: &mut Pieces<'_>) -> Result<usize, HandshakeError> {
        let largest = if self.early < EARLY { EARLY_RECORD } else { PLAIN };
        let count = plain.len_up_to(largest.min(BATCH.saturating_sub(self.plain)));
        self.seal_pieces(content::APPLICATION_DATA, plain, count)?;
        self.plain += count;
        if self.early < EARLY {
            self.early += count as u64;
        }
        Ok(count)
    }

    /// Seals one record of this content type.
    pub(super) fn seal(&mut self, kind: u8, plain: &[u8]) -> Result<(), HandshakeError> {
        self.seal_pieces(kind, &mut Pieces::one(plain), plain.len())
    }

    fn seal_pieces(
        &mut self,
        kind: u8,
        plain: &mut Pieces<'_>,
        count: usize,
    ) -> Result<(), HandshakeError> {
        if self.batch.capacity() == 0 {
            // A thread that is ending has none any more.
            self.batch = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        let length = count + 1 + TAG;
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let header = [content::APPLICATION_DATA, 3, 3, high, low];
        let start = self.batch.len();
        self.batch.reserve(count + OVERHEAD);
        self.batch.extend_from_slice(&header);
        plain.move_into(count, &mut self.batch);
        self.batch.push(kind);
        let inner = self.batch.get_mut(start + HEADER..).unwrap_or_default();
        match self.key.seal(&header, inner) {
            Ok(tag) => {
                self.batch.extend_from_slice(tag.as_ref());
                self.is_held_back = false;
                Ok(())
            }
            Err(error) => {
                // Nothing that is not sealed stays where it could be sent.
                self.batch.truncate(start);
                Err(error)
            }
        }
    }

    /// Sends what waits, as much as `wire` takes in one call.
    pub(super) fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        let waiting = self.batch.get(self.sent..).unwrap_or_default();
        if waiting.is_empty() || self.is_held_back {
            return Ok(0);
        }
        let count = wire.write(waiting)?.min(waiting.len());
        self.sent += count;
        if self.sent == self.batch.len() {
            let mut batch = std::mem::take(&mut self.batch);
            batch.clear();
            let _ = SPARE.try_with(|spare| spare.set(batch));
            (self.sent, self.plain) = (0, 0);
        }
        Ok(count)
    }
}

#[cfg(test)]
impl Sealer {
    /// Makes as if the key had protected all that it may.
    pub(super) fn wear_out(&mut self) {
        self.limit = self.key.sequence();
    }

    pub(super) fn held(&self) -> usize {
        self.batch.capacity()
    }
}
