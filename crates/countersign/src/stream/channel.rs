//! An open connection: plaintext on one side, the wire on the other.

mod read;
#[cfg(feature = "tokio")]
pub(crate) use read::Left;

mod write;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream as Tcp};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use countersign_kerberos::DelegatedCredential;
use countersign_tls::Engine;

use super::Inbound;
use super::latch::{Latch, still_welcome};
use crate::Context;
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

/// How long the last handle to a blocking stream waits at most for bytes that were accepted before
/// a time-out and have not gone out (SPEC 4.11).
const LINGER: Duration = Duration::from_secs(2);

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

    /// Says that the program gave credentials for this connection.
    pub(crate) fn with_given_credentials(mut self) -> Self {
        self.latch.note_given();
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
        let has_given = self.latch.has_given();
        match still_welcome(&engine, evidence, has_given, &generation, peer, local) {
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
