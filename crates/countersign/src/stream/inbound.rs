//! Wire bytes that have arrived and are not used yet.

use std::io;
use std::os::fd::BorrowedFd;

/// A buffer that grows with the traffic and shrinks when the traffic stops.
#[derive(Debug)]
pub(crate) struct Inbound {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    largest: usize,
}

impl Default for Inbound {
    /// One for a peer that has proved nothing yet.
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, largest: STRANGER }
    }
}

/// The first size: a handshake flight, or a short message.
const SMALL: usize = 4 * 1024;
/// The last size during the handshake: four records.
const STRANGER: usize = 68 * 1024;
/// The last size once the handshake is over, reached in bulk only; a fuller read wakes
/// this side less often.
const BULK: usize = 256 * 1024;

impl Inbound {
    /// Receives what is there, behind what is unused; zero is the end.
    ///
    /// # Errors
    ///
    /// As recv(2); `WouldBlock` if nothing is there and `wait` is false.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>, wait: bool) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let size = (self.bytes.len() * 2).clamp(SMALL, self.largest);
            if size == self.bytes.len() {
                return Err(io::Error::other("the engine takes no more input"));
            }
            self.bytes.resize(size, 0);
        }
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let offered = room.len();
        let count = countersign_sys::receive(socket, room, wait)?;
        self.end += count;
        if count == offered && self.start == 0 && self.bytes.len() < self.largest {
            let size = (self.bytes.len() * 4).min(self.largest);
            self.bytes.resize(size, 0);
        } else if self.end < SMALL && self.bytes.len() > SMALL {
            self.bytes.truncate(SMALL);
            self.bytes.shrink_to(SMALL);
        }
        Ok(count)
    }

    /// Lets it grow to the size for bulk, now that the peer is known.
    pub(crate) fn allow_bulk(&mut self) {
        self.largest = BULK;
    }

    /// Returns what is unused.
    pub(crate) fn unused(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Marks bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}
