//! The side of a connection that writes.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

use countersign_sys::{Interest, Wire, wait};
use countersign_tls::Engine;

use super::{Channel, Protection, lock};
use crate::clock;
use crate::stream::handshake;

/// How many slices one write takes at most.
const SLICES: usize = 16;

/// Why a write does not go on.
enum Stuck {
    /// The socket refuses.
    Wire(io::Error),
    /// The conversation is over.
    Engine(io::Error),
}

impl Channel {
    /// Sends what waits, as far as it goes without waiting; returns whether all went.
    pub(super) fn push(&self, engine: &mut Engine) -> io::Result<bool> {
        let pushed = handshake::flush(engine, &self.socket);
        self.set_unsent(!matches!(pushed, Ok(true)));
        pushed
    }

    /// Notes, before the lock of the engine is given back, whether anything waits.
    pub(super) fn note_unsent(&self, engine: &Engine) {
        self.set_unsent(engine.wants_transmit());
    }

    fn set_unsent(&self, has_unsent: bool) {
        if self.has_unsent.load(Ordering::Relaxed) != has_unsent {
            self.has_unsent.store(has_unsent, Ordering::Release);
        }
    }

    pub(crate) fn write(&self, plain: &[u8]) -> io::Result<usize> {
        self.send(plain, !self.is_nonblocking())
    }

    /// As [`Self::write`], of bytes that lie in several slices.
    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut some = [IoSlice::new(&[]); SLICES];
        let full = slices.iter().filter(|slice| !slice.is_empty());
        let count = some.iter_mut().zip(full).map(|(to, from)| *to = *from).count();
        let some = some.get_mut(..count).unwrap_or_default();
        self.send_slices(some, !self.is_nonblocking())
    }

    /// Writes, and waits for room only if `wait` says so.
    pub(crate) fn send(&self, plain: &[u8], may_wait: bool) -> io::Result<usize> {
        self.send_slices(&mut [IoSlice::new(plain)], may_wait)
    }

    fn send_slices(&self, mut rest: &mut [IoSlice<'_>], may_wait: bool) -> io::Result<usize> {
        if self.write_closed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let engine = match &self.protection {
            Protection::Tls { engine, .. } => engine,
            Protection::Clear => return self.write_clear(rest, may_wait),
        };
        self.follow_policy();
        self.latch.check(&self.socket)?;
        let mut deadline = None;
        let mut done = 0;
        loop {
            let mut guard = lock(engine)?;
            let (count, sent) = self.seal_and_push(&mut guard, rest);
            done += count;
            IoSlice::advance_slices(&mut rest, count);
            match sent {
                Ok(true) if rest.is_empty() => return Ok(done),
                Ok(true) => {}
                // What was sealed is accepted; the rest of it goes with the next call.
                Ok(false) if !may_wait && done > 0 => return Ok(done),
                Ok(false) if !may_wait => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(false) => {
                    drop(guard);
                    if deadline.is_none() {
                        deadline = self.write_deadline()?;
                    }
                    if let Err(error) = wait(self.socket.as_fd(), Interest::Write, deadline) {
                        return if done > 0 { Ok(done) } else { Err(error) };
                    }
                }
                Err(Stuck::Wire(error)) => {
                    drop(guard);
                    let error = self.last_words(engine, error);
                    return if done > 0 { Ok(done) } else { Err(error) };
                }
                Err(Stuck::Engine(error)) => return Err(error),
            }
        }
    }

    /// Sends what waits, then seals one batch and sends that, all without waiting; returns how much
    /// was sealed, and whether all of it went.
    fn seal_and_push(
        &self,
        engine: &mut Engine,
        plain: &[IoSlice<'_>],
    ) -> (usize, Result<bool, Stuck>) {
        if self.wants_write() {
            match self.push(engine) {
                Ok(true) => {}
                Ok(false) => return (0, Ok(false)),
                Err(error) => return (0, Err(Stuck::Wire(error))),
            }
        }
        if plain.iter().all(|slice| slice.is_empty()) {
            return (0, Ok(true));
        }
        let sealed = engine.seal_vectored(plain);
        self.note_keys(engine);
        if let Err(ended) = self.latch.check(&self.socket) {
            return (0, Err(Stuck::Engine(ended)));
        }
        if sealed == 0 {
            return (0, Err(Stuck::Engine(self.sealed_nothing(engine))));
        }
        (sealed, self.push(engine).map_err(Stuck::Wire))
    }

    fn write_clear(&self, plain: &[IoSlice<'_>], may_wait: bool) -> io::Result<usize> {
        let mut deadline = None;
        loop {
            match io::Write::write_vectored(&mut Wire::new(self.socket.as_fd()), plain) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && may_wait => {
                    if deadline.is_none() {
                        deadline = self.write_deadline()?;
                    }
                    wait(self.socket.as_fd(), Interest::Write, deadline)?;
                }
                other => return self.noting_reset(other),
            }
        }
    }

    /// Sends what was accepted and still waits.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self.flush_until(None, false) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_nonblocking() => {
                self.flush_until(self.write_deadline()?, true)
            }
            other => other,
        }
    }

    pub(in crate::stream) fn flush_until(
        &self,
        deadline: Option<Instant>,
        may_wait: bool,
    ) -> io::Result<()> {
        let Protection::Tls { engine, .. } = &self.protection else { return Ok(()) };
        if !self.wants_write() {
            return Ok(());
        }
        loop {
            let flushed = self.push(&mut *lock(engine)?);
            match flushed {
                Ok(true) => return Ok(()),
                Ok(false) if !may_wait => return Err(io::ErrorKind::WouldBlock.into()),
                Ok(false) => wait(self.socket.as_fd(), Interest::Write, deadline)?,
                Err(error) => return Err(self.last_words(engine, error)),
            }
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.read_closed.store(true, Ordering::Relaxed);
            if let Err(error) = self.socket.shutdown(Shutdown::Read)
                && error.kind() != io::ErrorKind::NotConnected
            {
                return Err(error);
            }
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.close_write()?;
            self.flush()?;
            // A peer that has closed both ways needs no word of ours any more.
            if let Err(error) = self.socket.shutdown(Shutdown::Write)
                && error.kind() != io::ErrorKind::NotConnected
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Queues the word that no more will come, once.
    pub(super) fn close_write(&self) -> io::Result<()> {
        if !self.write_closed.swap(true, Ordering::Relaxed)
            && let Protection::Tls { engine, .. } = &self.protection
        {
            let mut engine = lock(engine)?;
            engine.close();
            self.note_unsent(&engine);
        }
        Ok(())
    }

    pub(super) fn write_deadline(&self) -> io::Result<Option<Instant>> {
        if self.is_nonblocking() {
            return Ok(None);
        }
        Ok(self.socket.write_timeout()?.map(|timeout| Instant::now() + timeout))
    }

    /// Why a write found no one: the peer may have said it in an alert before it went, as servers
    /// do that do not accept a client's certificate.
    pub(super) fn last_words(&self, engine: &Mutex<Engine>, error: io::Error) -> io::Error {
        let gone =
            matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        if !gone {
            return error;
        }
        self.was_reset.store(true, Ordering::Relaxed);
        let Ok(mut inbound) = self.inbound.try_lock() else { return error };
        let Ok(mut engine) = lock(engine) else { return error };
        let _ = inbound.receive(self.socket.as_fd(), false);
        // Up to plaintext that a reader may still want.
        match engine.open_from(inbound.unused_mut(), &mut [], clock::now) {
            Ok((used, _)) => {
                inbound.consume(used);
                error
            }
            Err(why) => {
                self.note_unsent(&engine);
                self.failure(why)
            }
        }
    }

    fn sealed_nothing(&self, engine: &mut Engine) -> io::Error {
        match engine.poll(clock::now()) {
            Err(error) => self.failure(error),
            Ok(_) => io::ErrorKind::BrokenPipe.into(),
        }
    }
}
