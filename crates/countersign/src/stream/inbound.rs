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
    ahead: Ahead,
}

/// What was read ahead of the program, to tell it that it is there.
#[derive(Debug, Default)]
struct Ahead {
    plain: Vec<u8>,
    start: usize,
    /// What comes after it: the end, or an error.
    then: Option<io::Result<()>>,
}

impl Default for Inbound {
    /// One for a peer that has proved nothing yet.
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, largest: STRANGER, ahead: Ahead::default() }
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

    /// Returns the plaintext that was read ahead and not taken yet.
    pub(super) fn ahead(&self) -> &[u8] {
        self.ahead.plain.get(self.ahead.start..).unwrap_or_default()
    }

    /// Returns whether the end or an error comes next.
    pub(super) fn is_over(&self) -> bool {
        self.ahead.then.is_some()
    }

    /// Takes what was read ahead; `None` if nothing was.
    pub(super) fn take_ahead(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        let from = self.ahead();
        if from.is_empty() {
            return self.ahead.then.take().map(|then| then.map(|()| 0));
        }
        let count = from.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        self.ahead.start += count;
        if self.ahead().is_empty() {
            (self.ahead.plain, self.ahead.start) = (Vec::new(), 0);
        }
        Some(Ok(count))
    }

    /// Keeps what was read ahead.
    pub(super) fn keep_ahead(&mut self, plain: &[u8]) {
        if self.ahead.start > 0 {
            self.ahead.plain.drain(..self.ahead.start);
            self.ahead.start = 0;
        }
        self.ahead.plain.extend_from_slice(plain);
    }

    /// Keeps what came in place of more.
    pub(super) fn keep_end(&mut self, then: io::Result<()>) {
        self.ahead.then = Some(then);
    }
}
