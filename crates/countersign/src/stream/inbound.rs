//! Wire bytes that have arrived and are not used yet.

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

thread_local! {
    /// A buffer between two uses. A conversation keeps one only while bytes wait in it, so that
    /// ten thousand quiet ones cost nothing, and a busy one allocates nothing.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer that grows with the traffic and is given back when the traffic stops.
#[derive(Debug)]
pub(crate) struct Inbound {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How much of the buffer is offered to the kernel.
    size: usize,
    largest: usize,
}

impl Default for Inbound {
    /// One for a peer that has proved nothing yet.
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, size: SMALL, largest: STRANGER }
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
        } else if self.end == self.size && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.size {
            if self.size == self.largest {
                return Err(io::Error::other("the engine takes no more input"));
            }
            self.size = (self.size * 2).min(self.largest);
        }
        if self.bytes.is_empty() {
            // A thread that is ending has none any more.
            self.bytes = SPARE.try_with(Cell::take).unwrap_or_default();
        }
        if self.bytes.len() < self.size {
            self.bytes.resize(self.size, 0);
        }
        let room = self.bytes.get_mut(self.end..self.size).unwrap_or_default();
        let offered = room.len();
        let count = countersign_sys::receive(socket, room, wait)?;
        self.end += count;
        if count == offered && self.start == 0 && self.size < self.largest {
            self.size = (self.size * 4).min(self.largest);
        } else if self.end < SMALL {
            self.size = SMALL;
        }
        Ok(count)
    }

    /// Gives the buffer back if nothing waits in it.
    pub(crate) fn rest(&mut self) {
        if self.start == self.end && !self.bytes.is_empty() {
            (self.start, self.end) = (0, 0);
            let own = std::mem::take(&mut self.bytes);
            let _ = SPARE.try_with(|spare| {
                let other = spare.take();
                spare.set(if own.len() < other.len() { other } else { own });
            });
        }
    }

    /// Lets it grow to the size for bulk, now that the peer is known.
    pub(crate) fn allow_bulk(&mut self) {
        self.largest = BULK;
    }

    /// Returns what is unused.
    pub(crate) fn unused(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns what is unused, to be opened where it lies.
    pub(crate) fn unused_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Marks bytes as used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }
}
