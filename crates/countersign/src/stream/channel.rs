//! An open connection: plaintext on one side, the wire on the other.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr, TcpStream as Tcp};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use countersign_kerberos::DelegatedCredential;
use countersign_sys::{Interest, Wire, wait};
use countersign_tls::{Engine, Opened};

use super::latch::{Latch, still_welcome};
use super::{Inbound, handshake};
use crate::Context;
use crate::clock;
use crate::core::{Evidence, HandshakeError, QueryAnswer, QueryTemplate, WsaError};
use crate::error::Error;

/// An open connection, shared by all handles to it.
///
/// Two locks, taken in this order: `inbound` by whoever reads, for as long as it waits for bytes;
/// `engine` by anyone, never across a wait. A reader and a writer therefore never wait for each
/// other, and a writer that the peer does not listen to never keeps a reader from reading.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: Tcp,
    inbound: Mutex<Inbound>,
    protection: Protection,
    nonblocking: AtomicBool,
    write_closed: AtomicBool,
    read_closed: AtomicBool,
    was_reset: AtomicBool,
    /// Sealed bytes wait for the socket to take them; changes under the lock of the engine only.
    has_unsent: AtomicBool,
    latch: Latch,
}

#[derive(Debug)]
enum Protection {
    Clear,
    Tls {
        engine: Box<Mutex<Engine>>,
        evidence: Arc<Evidence>,
        delegated: Option<DelegatedCredential>,
    },
}

/// What a read has left.
#[cfg(feature = "tokio")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Left {
    /// Bytes wait in our memory; maybe not enough of them for more plaintext.
    pub(crate) here: bool,
    /// The kernel was asked, and had no more than it gave: more will be news.
    pub(crate) none_in_kernel: bool,
}

/// Why a write does not go on.
enum Stuck {
    /// The socket refuses.
    Wire(io::Error),
    /// The conversation is over.
    Engine(io::Error),
}

/// How long the last handle to a blocking stream waits at most for bytes that were accepted before
/// a time-out and have not gone out (SPEC 4.11).
const LINGER: Duration = Duration::from_secs(2);

/// How many slices one write takes at most.
const SLICES: usize = 16;

/// How much plaintext is read ahead of the program at most.
const AHEAD: usize = 64 * 1024;

impl Channel {
    pub(super) fn secured(
        socket: Tcp,
        engine: Engine,
        mut inbound: Inbound,
        evidence: Evidence,
        delegated: Option<DelegatedCredential>,
    ) -> Self {
        inbound.allow_bulk();
        let has_unsent = engine.wants_transmit();
        let engine = Box::new(Mutex::new(engine));
        let evidence = Arc::new(evidence);
        let protection = Protection::Tls { engine, evidence, delegated };
        let channel = Self::new(socket, inbound, protection);
        channel.has_unsent.store(has_unsent, Ordering::Release);
        channel
    }

    pub(crate) fn clear(socket: Tcp, inbound: Inbound) -> Self {
        Self::new(socket, inbound, Protection::Clear)
    }

    fn new(socket: Tcp, inbound: Inbound, protection: Protection) -> Self {
        Self {
            socket,
            inbound: Mutex::new(inbound),
            protection,
            nonblocking: AtomicBool::new(false),
            write_closed: AtomicBool::new(false),
            read_closed: AtomicBool::new(false),
            was_reset: AtomicBool::new(false),
            has_unsent: AtomicBool::new(false),
            latch: Latch::default(),
        }
    }

    /// Says whose policy a program may want the connection to follow.
    pub(crate) fn under(self, context: &Context) -> Self {
        self.latch.set_context(context);
        self
    }

    pub(crate) fn socket(&self) -> &Tcp {
        &self.socket
    }

    /// Returns what holds; `None` is cleartext.
    pub(crate) fn evidence(&self) -> Option<&Arc<Evidence>> {
        match &self.protection {
            Protection::Clear => None,
            Protection::Tls { evidence, .. } => Some(evidence),
        }
    }

    /// Returns the tickets that the peer delegated to us.
    pub(crate) fn delegated(&self) -> Option<&DelegatedCredential> {
        match &self.protection {
            Protection::Clear => None,
            Protection::Tls { delegated, .. } => delegated.as_ref(),
        }
    }

    pub(crate) fn was_reset(&self) -> bool {
        self.was_reset.load(Ordering::Relaxed)
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    pub(crate) fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Returns whether sealed bytes wait for the socket to take them.
    pub(crate) fn wants_write(&self) -> bool {
        self.has_unsent.load(Ordering::Acquire)
    }

    /// Sends what waits, as far as it goes without waiting; returns whether all went.
    fn push(&self, engine: &mut Engine) -> io::Result<bool> {
        let pushed = handshake::flush(engine, &self.socket);
        self.note_unsent(engine);
        pushed
    }

    /// Notes, before the lock of the engine is given back, whether anything waits.
    fn note_unsent(&self, engine: &Engine) {
        let has_unsent = engine.wants_transmit();
        if self.has_unsent.load(Ordering::Relaxed) != has_unsent {
            self.has_unsent.store(has_unsent, Ordering::Release);
        }
    }

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
        match self.push(engine).map_err(Stuck::Wire) {
            Ok(true) if plain.iter().any(|slice| !slice.is_empty()) => {}
            other => return (0, other),
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

    pub(super) fn flush_until(&self, deadline: Option<Instant>, may_wait: bool) -> io::Result<()> {
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
    fn close_write(&self) -> io::Result<()> {
        if !self.write_closed.swap(true, Ordering::Relaxed)
            && let Protection::Tls { engine, .. } = &self.protection
        {
            let mut engine = lock(engine)?;
            engine.close();
            self.note_unsent(&engine);
        }
        Ok(())
    }

    /// Answers a query. It waits for nobody, and looks at nothing but flags unless the template
    /// asks for a latch.
    ///
    /// # Errors
    ///
    /// As [`super::TcpStream::query_with`].
    pub(crate) fn query(&self, template: &QueryTemplate) -> Result<QueryAnswer, Error> {
        // A change of what is answered here ends the connection, and is not lost.
        let rekeys = self.latch.set(template.abort_on());
        self.follow_policy();
        self.check_alive()?;
        Ok(template.answer(self.evidence(), rekeys))
    }

    /// Says whether there is still a connection.
    pub(crate) fn check_alive(&self) -> Result<(), Error> {
        if let Some(source) = self.latch.why() {
            let peer = peer_of(&self.socket);
            return Err(Error::Handshake { peer, source: source.clone() });
        }
        if self.was_reset() || countersign_sys::has_error(self.socket.as_fd()) {
            self.was_reset.store(true, Ordering::Relaxed);
            let why = "the peer has reset the connection";
            return Err(Error::Order { doing: "query", why, wsa: WsaError::ConnReset });
        }
        Ok(())
    }

    /// Changes the traffic keys.
    pub(crate) fn change_keys(&self) -> Result<(), Error> {
        let Protection::Tls { engine, .. } = &self.protection else {
            let why = "the connection is in clear";
            return Err(Error::Order { doing: "change keys", why, wsa: WsaError::OpNotSupp });
        };
        let mut engine = lock(engine).map_err(Error::io("change keys"))?;
        let peer = peer_of(&self.socket);
        engine.change_keys().map_err(|source| Error::Handshake { peer, source })?;
        self.note_keys(&mut engine);
        // What does not go now goes with the next write.
        self.push(&mut engine).map_err(Error::io("change keys"))?;
        Ok(())
    }

    /// Notices that the traffic keys have changed.
    fn note_keys(&self, engine: &mut Engine) {
        if self.latch.note_rekeys(engine.rekeys()) {
            self.end(engine, "the traffic keys have changed".to_owned());
        }
    }

    /// Ends the connection if the program wants it to follow the policy, and a newer one would not
    /// have it made.
    fn follow_policy(&self) {
        let Some(generation) = self.latch.newer_generation() else { return };
        let Protection::Tls { engine, evidence, .. } = &self.protection else { return };
        let (Ok(mut engine), Ok(peer), Ok(local)) =
            (lock(engine), self.socket.peer_addr(), self.socket.local_addr())
        else {
            return;
        };
        match still_welcome(&engine, evidence, &generation, peer, local) {
            Ok(()) => self.latch.judged(&generation),
            Err(why) => self.end(&mut engine, format!("under the policy as it is now, {why}")),
        }
    }

    /// Ends the connection at once, in both directions.
    fn end(&self, engine: &mut Engine, what: String) {
        let why = HandshakeError::Changed { what };
        self.latch.end(why.clone());
        engine.abort(why);
        // The peer learns of it if it listens; we are done either way.
        let _ = self.push(engine);
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn write_deadline(&self) -> io::Result<Option<Instant>> {
        if self.is_nonblocking() {
            return Ok(None);
        }
        Ok(self.socket.write_timeout()?.map(|timeout| Instant::now() + timeout))
    }

    /// Why a write found no one: the peer may have said it in an alert before it went, as servers
    /// do that do not accept a client's certificate.
    fn last_words(&self, engine: &Mutex<Engine>, error: io::Error) -> io::Error {
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

    fn noting_reset(&self, result: io::Result<usize>) -> io::Result<usize> {
        if let Err(error) = &result
            && error.kind() == io::ErrorKind::ConnectionReset
        {
            self.was_reset.store(true, Ordering::Relaxed);
        }
        result
    }

    fn failure(&self, source: HandshakeError) -> io::Error {
        Error::Handshake { peer: peer_of(&self.socket), source }.into()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.close_write().is_err() {
            return;
        }
        // An event loop must not be held up by a peer that does not read.
        let may_wait = !self.is_nonblocking();
        let _sent = self.flush_until(Some(Instant::now() + LINGER), may_wait);
        // Tickets that nobody read would turn the close into a reset, and cost the peer what we
        // sent last.
        let mut sink = [0; 4096];
        for _ in 0..16 {
            let received = countersign_sys::receive(&self.socket, &mut sink, false);
            if !received.is_ok_and(|count| count == sink.len()) {
                break;
            }
        }
    }
}

/// The peer's address; one that is gone has none.
pub(super) fn peer_of(socket: &Tcp) -> SocketAddr {
    socket.peer_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// A lock that a panic has poisoned guards a conversation in an unknown state: it is over.
fn lock<T>(mutex: &Mutex<T>) -> io::Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| io::Error::other("a thread panicked while it used this connection"))
}

/// As [`lock`], and `None` if someone else holds it.
fn try_lock<T>(mutex: &Mutex<T>) -> io::Result<Option<MutexGuard<'_, T>>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(Some(guard)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Poisoned(_)) => {
            Err(io::Error::other("a thread panicked while it used this connection"))
        }
    }
}
