//! The listener that programs hold.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener as Tcp, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use countersign_kerberos::Done;
use countersign_sys::{Interest, ReadySet};
use countersign_tls::Engine;

use super::table::Pending;
use super::{Stage, Table};
use crate::context::Generation;
use crate::core::{HandshakeError, KerberosUse, SecuritySettings, ServerPlan, TargetTable};
use crate::kerberos::{Completions, Place};
use crate::stream::{Advance, Channel, Handshake, Inbound, Waiting};
use crate::{Context, Error, PeerName, Socket, TcpStream};

/// A listener whose clients have been authenticated when it hands them out.
///
/// Handshakes advance inside [`Self::accept`], all of them at once and on the caller's thread (what
/// of a Kerberos proof may block, on a thread of ours), so a slow or silent client delays nobody; several threads may accept at the same time, and then
/// share the work. While no thread accepts, handshakes wait, as connections wait in the kernel's
/// backlog.
///
/// **What strangers can make it hold.** At most `limits.handshakes` (1,024 if policy does not say
/// otherwise) handshakes at once, each for at most `limits.handshake-timeout-ms` (10 s), with one
/// descriptor and at most 150 KiB of memory (64 KiB of a handshake message that TLS permits, 68 KiB
/// of input, the state); 10 KiB is usual. One more, and the oldest is given up: under a flood those
/// are the silent ones, and a client that answers at once is served.
///
/// **Non-blocking.** After [`Self::set_nonblocking`], wait until the descriptor of
/// [`Self::as_fd`] can be read, then accept until `WouldBlock`. That descriptor stands for the
/// listening socket and every handshake together (epoll(7)).
///
/// # Examples
///
/// ```no_run
/// # use std::io::{Read, Write};
/// let context = countersign::Context::host()?;
/// let listener = countersign::TcpListener::bind_with(&context, "0.0.0.0:5432")?;
/// loop {
///     let (stream, _address) = listener.accept()?;
///     std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), countersign::Error>(())
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Tcp,
    local: SocketAddr,
    ready: ReadySet,
    context: Context,
    settings: Option<SecuritySettings>,
    names: Mutex<TargetTable>,
    table: Mutex<Table>,
    finished: Mutex<VecDeque<Incoming>>,
    completions: Completions<u64, Done>,
    nonblocking: AtomicBool,
}

/// What came of a connection.
#[non_exhaustive]
#[derive(Debug)]
pub enum Incoming {
    /// The client is who it must be.
    Accepted(TcpStream, SocketAddr),
    /// It is not, and was turned away.
    Refused(Refusal),
}

/// A client that was turned away.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Why.
    pub error: HandshakeError,
}

/// What came of going on without waiting.
#[derive(Debug)]
pub(crate) enum Turn {
    /// A client.
    Came(Box<Incoming>),
    /// Others have their turn now; there may be more to do.
    HasMore,
    /// Nothing is ready.
    Nothing,
}

impl Turn {
    fn or_would_block(self) -> Result<Incoming, Error> {
        match self {
            Self::Came(incoming) => Ok(*incoming),
            Self::HasMore | Self::Nothing => Err(Error::Io {
                doing: "accept".to_owned(),
                source: io::ErrorKind::WouldBlock.into(),
            }),
        }
    }
}

const LISTENER: u64 = 0;
const COMPLETIONS: u64 = ReadySet::ALARM - 1;
/// How long a client that was turned away has to read why.
const LINGER: Duration = Duration::from_secs(1);
/// How many refusals wait for [`TcpListener::next_event`] at most; older ones are forgotten.
const REFUSALS: usize = 1024;
/// How many steps a call that does not wait takes at most.
const STEPS: usize = 64;
/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;

impl TcpListener {
    /// Listens on `address` with the context of the host.
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::bind_with(&Context::host()?, address)
    }

    /// Listens on `address` with this context; the port is taken exclusively (SPEC 4.8).
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub fn bind_with(context: &Context, address: impl ToSocketAddrs) -> Result<Self, Error> {
        let mut last = None;
        for address in address.to_socket_addrs().map_err(Error::io("resolve the address"))? {
            let mut socket = Socket::stream(context, address)?;
            socket.set_security(None)?;
            match socket.bind(address) {
                Ok(()) => {
                    socket.listen(BACKLOG)?;
                    return socket.into_listener();
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Io {
            doing: "resolve the address".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    pub(crate) fn new(
        socket: Tcp,
        context: Context,
        settings: Option<SecuritySettings>,
        names: TargetTable,
    ) -> Result<Self, Error> {
        let failed = || Error::io("listen");
        let ready = ReadySet::new().map_err(failed())?;
        countersign_sys::accept_without_delay(&socket).map_err(failed())?;
        ready.add(&socket, LISTENER).map_err(failed())?;
        let completions = Completions::new().map_err(failed())?;
        ready.add(&completions, COMPLETIONS).map_err(failed())?;
        let local = socket.local_addr().map_err(failed())?;
        let listener = Self {
            socket,
            local,
            ready,
            context,
            settings,
            names: Mutex::new(names),
            table: Mutex::default(),
            finished: Mutex::default(),
            completions,
            nonblocking: AtomicBool::new(false),
        };
        crate::entropy::prepare();
        // Better now than at each client.
        let generation = listener.context.current();
        if let ServerPlan::Tls { admission, .. } = listener.plan(&generation, local)? {
            if admission.kerberos() != KerberosUse::Off {
                generation.kerberos.server()?;
            } else if generation.server.is_none() {
                return Err(Error::NoCertificate);
            }
            listener.context.note_listener();
        }
        Ok(listener)
    }

    /// Waits for a client that is who it must be; those that are not are turned away in silence.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel has no descriptors or memory left, or, non-blocking, with
    /// `WouldBlock`.
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        loop {
            if let Incoming::Accepted(stream, peer) = self.next_event()? {
                return Ok((stream, peer));
            }
        }
    }

    /// Waits for a client, and says also who was turned away and why.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn next_event(&self) -> Result<Incoming, Error> {
        self.next(!self.nonblocking.load(Ordering::Relaxed))?.or_would_block()
    }

    /// As [`Self::next_event`], but never waits, whatever the mode of the listener is.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    pub fn try_next_event(&self) -> Result<Incoming, Error> {
        self.next(false)?.or_would_block()
    }

    /// Goes on with what is ready, and waits for it only if `block` says so.
    pub(crate) fn next(&self, block: bool) -> Result<Turn, Error> {
        let mut steps = 0;
        loop {
            if let Some(incoming) = self.take_finished() {
                return Ok(Turn::Came(Box::new(incoming)));
            }
            steps += 1;
            // The descriptor stays ready, so that a flood does not keep an event loop here.
            if !block && steps > STEPS {
                return Ok(Turn::HasMore);
            }
            match self.ready.next(block).map_err(Error::io("wait for a client"))? {
                None if block => {}
                None => return Ok(Turn::Nothing),
                Some(LISTENER) => self.take_connection()?,
                Some(ReadySet::ALARM) => self.expire(),
                Some(COMPLETIONS) => self.complete(),
                Some(key) => {
                    let pending = lock(&self.table).take(key);
                    if let Some(pending) = pending {
                        self.advance(key, pending);
                    }
                }
            }
        }
    }

    /// Takes one of those that are finished; if there are more, another thread is woken for them.
    fn take_finished(&self) -> Option<Incoming> {
        let mut finished = lock(&self.finished);
        let first = finished.pop_front()?;
        if !finished.is_empty() {
            drop(finished);
            let mut table = lock(&self.table);
            if self.ready.set_alarm(Duration::ZERO).is_ok() {
                table.alarm = Some(Instant::now());
            }
        }
        Some(first)
    }

    /// Sets the name that clients at `address` must prove (SPEC 5.6), from the next one on.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn set_peer_target_name(&self, address: SocketAddr, name: PeerName) -> Result<(), Error> {
        lock(&self.names).insert(address, name);
        Ok(())
    }

    /// Deletes the name for `address` (SPEC 6).
    ///
    /// # Errors
    ///
    /// None today; an unknown address is no error.
    pub fn delete_peer_target_name(&self, address: SocketAddr) -> Result<(), Error> {
        lock(&self.names).remove(address);
        Ok(())
    }

    /// Returns the address on which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Returns how many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        lock(&self.table).len()
    }

    /// Makes `accept` fail with `WouldBlock` where it would wait.
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    /// Goes by this handle of its context from now on.
    #[cfg(feature = "tokio")]
    pub(crate) fn replace_context(&mut self, context: Context) {
        self.context = context;
    }

    /// Decides for a client that reached this host at `local`.
    fn plan(&self, generation: &Generation, local: SocketAddr) -> Result<ServerPlan, Error> {
        let names = lock(&self.names);
        Ok(generation.policy.plan_server(self.settings.as_ref(), &names, local)?)
    }

    /// Takes one connection from the kernel.
    fn take_connection(&self) -> Result<(), Error> {
        let (socket, peer) = match countersign_sys::accept(&self.socket) {
            Ok(accepted) => accepted,
            Err(error) if is_lost(&error) => return Ok(()),
            Err(error) if is_exhausted(&error) && self.give_up_oldest(|| exhausted(&error)) => {
                return Ok(());
            }
            Err(error) => return Err(Error::io("accept")(error)),
        };
        let generation = self.context.current();
        let local = if self.local.ip().is_unspecified() {
            let Ok(local) = socket.local_addr() else { return Ok(()) };
            local
        } else {
            self.local
        };
        let (admission, cleartext) = match self.plan(&generation, local) {
            Ok(ServerPlan::Tls { admission, cleartext }) => (admission, cleartext),
            Ok(_) => {
                let channel = Channel::clear(socket, Inbound::default());
                self.finish(Incoming::Accepted(TcpStream::new(channel, &self.context), peer));
                return Ok(());
            }
            Err(Error::Plan(error)) => {
                self.refuse(peer, HandshakeError::OurSide { what: error.to_string() });
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(config) = &generation.server else {
            let what = "there is no certificate to prove who we are".to_owned();
            self.refuse(peer, HandshakeError::OurSide { what });
            return Ok(());
        };
        let party = match admission.kerberos() {
            KerberosUse::Off => None,
            _ => match generation.kerberos.server() {
                Ok(party) => Some(party),
                Err(error) => {
                    self.refuse(peer, HandshakeError::OurSide { what: error.to_string() });
                    return Ok(());
                }
            },
        };
        let engine = match Engine::server(config, admission.into(), peer) {
            Ok(engine) => engine,
            Err(error) => {
                self.refuse(peer, error);
                return Ok(());
            }
        };
        let limits = generation.policy.limits();
        let overloaded = || HandshakeError::Overloaded { limit: limits.handshakes };
        while lock(&self.table).len() >= limits.handshakes && self.give_up_oldest(overloaded) {}
        let handshake = Handshake::new(socket, engine, cleartext);
        let handshake = Box::new(match party {
            Some(party) => handshake.with_party(party),
            None => handshake,
        });
        let key = lock(&self.table).new_key();
        // Most clients have greeted by the time that they are accepted, and need not be waited for.
        self.settle(key, peer, false, handshake.advance());
        Ok(())
    }

    /// Lets a handshake go as far as it can.
    fn advance(&self, key: u64, pending: Pending) {
        let Pending { peer, deadline, stage, is_watched } = pending;
        match stage {
            Stage::Handshaking(handshake) => {
                self.settle(key, peer, is_watched, handshake.advance());
            }
            // Its descriptor is not waited for.
            stage @ Stage::Working(..) => {
                lock(&self.table).insert(key, Pending { peer, deadline, stage, is_watched });
            }
            Stage::Lingering(waiting) => {
                if !waiting.drain() {
                    self.linger(key, peer, is_watched, waiting, deadline);
                }
            }
        }
    }

    /// Waits for a descriptor, which may be in the ready set.
    fn watch(
        &self,
        descriptor: impl AsFd,
        key: u64,
        interest: Interest,
        is_watched: bool,
    ) -> io::Result<()> {
        if is_watched {
            self.ready.rearm(descriptor, key, interest)
        } else {
            self.ready.add_once(descriptor, key, interest)
        }
    }

    /// Waits until a client that was turned away has read why.
    fn linger(
        &self,
        key: u64,
        peer: SocketAddr,
        is_watched: bool,
        waiting: Waiting,
        deadline: Instant,
    ) {
        let mut table = lock(&self.table);
        if self.watch(waiting.socket(), key, Interest::Read, is_watched).is_ok() {
            let stage = Stage::Lingering(waiting);
            table.insert(key, Pending { peer, deadline, stage, is_watched: true });
            self.set_alarm(&mut table);
        }
    }

    /// Goes on with a handshake whose work another thread has done.
    fn complete(&self) {
        let Some((key, done)) = self.completions.take() else { return };
        // It may have been given up meanwhile.
        let pending = lock(&self.table).take(key);
        if let Some(Pending { peer, stage: Stage::Working(handshake, _), is_watched, .. }) = pending
        {
            self.settle(key, peer, is_watched, handshake.resume(done));
        }
    }

    /// Returns until when a handshake has time.
    fn deadline(&self, handshake: &Handshake) -> Instant {
        let limits = self.context.current().policy.limits();
        let deadline = handshake.deadline(limits.handshake_timeout, limits.insecure_after);
        deadline.unwrap_or_else(far_away)
    }

    /// Acts on how far a handshake has come, whose descriptor may be in the ready set.
    fn settle(&self, key: u64, peer: SocketAddr, is_watched: bool, advance: Advance) {
        match advance {
            Advance::Work(handshake, work) => {
                // It is in the table before the work can be done, so that it is found there.
                let mut table = lock(&self.table);
                let deadline = self.deadline(&handshake);
                let place = Arc::new(Place::default());
                let stage = Stage::Working(handshake, place.clone());
                table.insert(key, Pending { peer, deadline, stage, is_watched });
                self.set_alarm(&mut table);
                drop(table);
                if let Err(error) = self.completions.perform(&place, key, work, |done| done) {
                    lock(&self.table).take(key);
                    self.refuse(peer, HandshakeError::OurSide { what: error.to_string() });
                }
            }
            Advance::Open(channel) => {
                if is_watched {
                    // It would stay silent, but count against the limit of the user.
                    let _ = self.ready.remove(channel.socket());
                }
                self.finish(Incoming::Accepted(TcpStream::new(*channel, &self.context), peer));
            }
            Advance::Wait(handshake, interest) => {
                // The table is locked before the descriptor can be reported again, so that
                // whoever is told of it finds it there.
                let mut table = lock(&self.table);
                let deadline = self.deadline(&handshake);
                match self.watch(handshake.socket(), key, interest, is_watched) {
                    Ok(()) => {
                        let stage = Stage::Handshaking(handshake);
                        table.insert(key, Pending { peer, deadline, stage, is_watched: true });
                        // Another thread may have found nothing to set it for meanwhile.
                        self.set_alarm(&mut table);
                    }
                    Err(error) => {
                        drop(table);
                        self.refuse(peer, HandshakeError::OurSide { what: error.to_string() });
                    }
                }
            }
            Advance::TryInClear => {}
            Advance::Refused(waiting, error) => {
                self.refuse(peer, error);
                if waiting.drain() {
                    return;
                }
                self.linger(key, peer, is_watched, waiting, Instant::now() + LINGER);
            }
        }
    }

    /// Ends everything whose time is over.
    fn expire(&self) {
        let limits = self.context.current().policy.limits();
        loop {
            let expired = lock(&self.table).take_expired(Instant::now());
            let Some(Pending { peer, stage, is_watched, .. }) = expired else { break };
            let (Stage::Handshaking(handshake) | Stage::Working(handshake, _)) = stage else {
                continue;
            };
            let after = limits.handshake_timeout;
            match handshake.give_up(HandshakeError::TimedOut { after }) {
                Advance::Open(channel) => {
                    if is_watched {
                        let _ = self.ready.remove(channel.socket());
                    }
                    self.finish(Incoming::Accepted(TcpStream::new(*channel, &self.context), peer));
                }
                Advance::Refused(_, error) => self.refuse(peer, error),
                Advance::TryInClear | Advance::Wait(..) | Advance::Work(..) => {}
            }
        }
        let mut table = lock(&self.table);
        table.alarm = None;
        self.set_alarm(&mut table);
    }

    /// Gives up the oldest handshake, and says why; returns whether there was one.
    fn give_up_oldest(&self, why: impl FnOnce() -> HandshakeError) -> bool {
        let Some(oldest) = lock(&self.table).take_oldest() else { return false };
        if matches!(oldest.stage, Stage::Handshaking(_) | Stage::Working(..)) {
            self.refuse(oldest.peer, why());
        }
        true
    }

    /// Sets the alarm for the first deadline, unless it goes off before that anyway.
    fn set_alarm(&self, table: &mut Table) {
        let Some(first) = table.first_deadline() else { return };
        if table.alarm.is_none_or(|alarm| alarm > first) {
            // Without the alarm a silent client stays until it is the oldest.
            let after = first.saturating_duration_since(Instant::now());
            if self.ready.set_alarm(after).is_ok() {
                table.alarm = Some(first);
            }
        }
    }

    fn refuse(&self, peer: SocketAddr, error: HandshakeError) {
        self.finish(Incoming::Refused(Refusal { peer, error }));
    }

    fn finish(&self, incoming: Incoming) {
        let mut finished = lock(&self.finished);
        if finished.len() >= REFUSALS
            && let Some(at) = finished.iter().position(|it| matches!(it, Incoming::Refused(_)))
        {
            finished.remove(at);
        }
        finished.push_back(incoming);
    }
}

impl AsFd for TcpListener {
    /// A descriptor that can be read when `accept` has something to do: the listening socket and
    /// every handshake together.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// When a handshake ends that has all the time of the world: in a year.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}

/// Connections that were gone before they were accepted (accept(2)).
fn is_lost(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::WouldBlock
            | Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::PermissionDenied
    )
}

/// No descriptors or memory left (EMFILE, ENFILE, ENOBUFS, ENOMEM).
fn is_exhausted(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Why a handshake is given up that takes what another connection needs.
fn exhausted(error: &io::Error) -> HandshakeError {
    let what = format!("no more connections can be accepted ({error}), and this was the oldest");
    HandshakeError::OurSide { what }
}

/// The tables are changed in single steps, so one that a panic left behind is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
