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
    /// The kernel had no more than it gave last.
    is_drained: bool,
    /// The engine has more to say of what it has taken from here.
    #[cfg(feature = "tokio")]
    is_opened: bool,
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
        let ahead = Ahead::default();
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            size: SMALL,
            largest: STRANGER,
            is_drained: false,
            #[cfg(feature = "tokio")]
            is_opened: false,
            ahead,
        }
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
            if self.bytes.len() > self.largest {
                // One for bulk: who is lent it keeps it for as long as bytes wait in it.
                let bulk = std::mem::take(&mut self.bytes);
                let _ = SPARE.try_with(|spare| spare.set(bulk));
            }
        }
        if self.bytes.len() < self.size {
            self.bytes.resize(self.size, 0);
        }
        let room = self.bytes.get_mut(self.end..self.size).unwrap_or_default();
        let offered = room.len();
        self.is_drained = false;
        let count = countersign_sys::receive(socket, room, wait)?;
        self.is_drained = (1..offered).contains(&count);
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

    /// Returns whether anything waits here, or with the engine, of which the kernel tells nothing.
    #[cfg(feature = "tokio")]
    pub(super) fn is_waiting(&self) -> bool {
        self.start < self.end || self.is_opened || !self.ahead().is_empty() || self.is_over()
    }

    /// Notes whether the engine has more to say of what it has taken from here.
    #[cfg(feature = "tokio")]
    pub(super) fn note_opened(&mut self, is_opened: bool) {
        self.is_opened = is_opened;
    }

    /// Returns whether the kernel had no more when it was asked since the last call of this, so that
    /// more will be news to whoever waits for news.
    #[cfg(feature = "tokio")]
    pub(super) fn take_drained(&mut self) -> bool {
        std::mem::take(&mut self.is_drained)
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::{BULK, Inbound, SPARE, STRANGER};

    #[test]
    fn a_stranger_is_lent_no_more_than_it_may_hold() {
        let (mut sender, receiver) = UnixStream::pair().unwrap();
        sender.write_all(b"greeting").unwrap();
        // Somebody known has carried bulk on this thread.
        SPARE.set(vec![0; BULK]);
        let mut stranger = Inbound::default();
        stranger.receive(receiver.as_fd(), false).unwrap();
        assert!(stranger.bytes.capacity() <= STRANGER, "{}", stranger.bytes.capacity());
        // And what is too large for it is not lost.
        sender.write_all(b"bulk").unwrap();
        let mut known = Inbound::default();
        known.allow_bulk();
        known.receive(receiver.as_fd(), false).unwrap();
        assert_eq!(known.bytes.len(), BULK);
    }
}
