//! The side of a connection that reads.

use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use countersign_tls::{Engine, Opened};

use super::{Channel, Inbound, Protection, lock, try_lock};
use crate::clock;

/// How much plaintext is read ahead of the program at most.
const AHEAD: usize = 64 * 1024;

/// What a read has left.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    /// Bytes wait in our memory, maybe not enough of them for more plaintext; or the end, or an error.
    pub(crate) here: bool,
    /// The kernel was asked, and had no more than it gave: more will be news.
    pub(crate) none_in_kernel: bool,
}

impl Channel {
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.read_closed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let mut inbound = lock(&self.inbound)?;
        self.receive_or_ahead(&mut inbound, into, !self.is_nonblocking())
    }

    /// As [`Self::read`], into several slices: into those behind the first goes what has arrived with
    /// it.
    pub(crate) fn read_vectored(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut slices = slices.iter_mut().filter(|slice| !slice.is_empty());
        let Some(first) = slices.next() else { return Ok(0) };
        if self.read_closed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let mut inbound = lock(&self.inbound)?;
        let mut count = self.receive_or_ahead(&mut inbound, first, !self.is_nonblocking())?;
        let mut is_full = count == first.len();
        for slice in slices {
            let Protection::Tls { engine, .. } = &self.protection else { break };
            if !is_full || inbound.unused().is_empty() || !inbound.ahead().is_empty() {
                break;
            }
            // An end or an error is said again by the next call.
            let Ok(Opened::Data(more)) = self.open(&mut *lock(engine)?, &mut inbound, slice) else {
                break;
            };
            count += more;
            is_full = more == slice.len();
        }
        inbound.rest();
        Ok(count)
    }

    /// Takes what was read ahead, and what can be had behind it without waiting.
    fn receive_or_ahead(
        &self,
        inbound: &mut Inbound,
        into: &mut [u8],
        wait: bool,
    ) -> io::Result<usize> {
        let Some(ahead) = inbound.take_ahead(into) else {
            return self.receive(inbound, into, wait);
        };
        let count = ahead?;
        let rest = into.get_mut(count..).unwrap_or_default();
        if count == 0 || rest.is_empty() || inbound.is_over() {
            return Ok(count);
        }
        match self.receive(inbound, rest, false) {
            Ok(0) => inbound.keep_end(Ok(())),
            Ok(more) => return Ok(count + more),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => inbound.keep_end(Err(error)),
        }
        Ok(count)
    }

    /// Reads what is there, and says what is left of it.
    #[cfg(feature = "tokio")]
    pub(crate) fn read_noting(&self, into: &mut [u8]) -> (io::Result<usize>, Left) {
        let mut left = Left::default();
        if into.is_empty() || self.read_closed.load(Ordering::Relaxed) {
            return (Ok(0), left);
        }
        let mut inbound = match lock(&self.inbound) {
            Ok(inbound) => inbound,
            Err(error) => return (Err(error), left),
        };
        let _ = inbound.take_drained();
        let read = self.receive_or_ahead(&mut inbound, into, false);
        left.here = inbound.is_waiting();
        left.none_in_kernel = inbound.take_drained();
        (read, left)
    }

    /// Reads what is there, and never waits, neither for the peer nor for another reader.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.read_closed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let Some(mut inbound) = try_lock(&self.inbound)? else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.receive_or_ahead(&mut inbound, into, false)
    }

    /// Reads what can be had without waiting ahead of the program, up to `most` bytes of it, and
    /// returns how many there are and whether the end or an error comes after them.
    pub(crate) fn look_ahead(&self, most: usize) -> io::Result<(usize, bool)> {
        // A reader that waits has found nothing.
        let Some(mut inbound) = try_lock(&self.inbound)? else { return Ok((0, false)) };
        self.fill_ahead(&mut inbound, most.min(AHEAD), false);
        Ok((inbound.ahead().len(), inbound.is_over()))
    }

    /// Reads, and leaves what it read for the next read.
    pub(crate) fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.read_closed.load(Ordering::Relaxed) {
            return Ok(0);
        }
        let mut inbound = lock(&self.inbound)?;
        self.fill_ahead(&mut inbound, into.len().min(AHEAD), !self.is_nonblocking());
        let from = inbound.ahead();
        if from.is_empty() {
            // The end is said as often as it is asked for, and so is what the engine failed of.
            return inbound
                .take_ahead(into)
                .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()));
        }
        let count = from.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), from.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    /// Reads ahead until there are `most` bytes, or no more without waiting; `wait` says whether
    /// to wait for the first ones.
    fn fill_ahead(&self, inbound: &mut Inbound, most: usize, wait: bool) {
        let mut piece = [0; 4096];
        while !inbound.is_over() {
            let room = most.saturating_sub(inbound.ahead().len()).min(piece.len());
            let piece = piece.get_mut(..room).unwrap_or_default();
            if piece.is_empty() {
                return;
            }
            match self.receive(inbound, piece, wait && inbound.ahead().is_empty()) {
                Ok(0) => inbound.keep_end(Ok(())),
                Ok(count) => inbound.keep_ahead(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => inbound.keep_end(Err(error)),
            }
        }
    }

    fn receive(&self, inbound: &mut Inbound, into: &mut [u8], wait: bool) -> io::Result<usize> {
        let Protection::Tls { engine, .. } = &self.protection else {
            return self.read_clear(inbound, into, wait);
        };
        loop {
            self.follow_policy();
            match self.open(&mut *lock(engine)?, inbound, into)? {
                Opened::Data(count) => {
                    inbound.rest();
                    return Ok(count);
                }
                Opened::Closed => return Ok(0),
                _ => {}
            }
            let received = inbound.receive(self.socket.as_fd(), wait);
            if received.is_err() {
                inbound.rest();
            }
            if self.noting_reset(received)? == 0 {
                if self.read_closed.load(Ordering::Relaxed) {
                    return Ok(0);
                }
                lock(engine)?.handle_end_of_input().map_err(|error| self.failure(error))?;
                return Ok(0);
            }
        }
    }

    /// Moves plaintext into `into`, as much as has arrived or fits.
    fn open(
        &self,
        engine: &mut Engine,
        inbound: &mut Inbound,
        into: &mut [u8],
    ) -> io::Result<Opened> {
        let opened = engine.open_from(inbound.unused_mut(), into, clock::now);
        self.note_keys(engine);
        if engine.wants_transmit() {
            // An answer to a key update, or an alert. If the socket is full, a writer is at work and
            // takes it along.
            let _ = self.push(engine);
            self.note_keys(engine);
        }
        #[cfg(feature = "tokio")]
        inbound.note_opened(engine.has_more());
        // What was opened with another key than the program knows of is not for it.
        if let Err(ended) = self.latch.check(&self.socket) {
            into.fill(0);
            return Err(ended);
        }
        match opened {
            Ok((used, found)) => {
                inbound.consume(used);
                Ok(found)
            }
            Err(error) => Err(self.failure(error)),
        }
    }

    fn read_clear(&self, inbound: &mut Inbound, into: &mut [u8], wait: bool) -> io::Result<usize> {
        let early = inbound.unused();
        if early.is_empty() {
            let received = countersign_sys::receive(&self.socket, into, wait);
            return self.noting_reset(received);
        }
        let count = early.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), early.get(..count)) {
            to.copy_from_slice(from);
        }
        inbound.consume(count);
        Ok(count)
    }
}
