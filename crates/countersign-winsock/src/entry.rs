//! What we know of one socket.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use countersign::{Incoming, Socket, TcpListener, TcpStream, UdpSocket};

use crate::abi;
use crate::address::Address;
use crate::failure::Failure;
use crate::kernel::{self, Identity};
use crate::network_events::NetworkEvents;
use crate::operations::Operations;
use crate::waker::Waker;

/// One socket: a plain one of the kernel, until security or a name is set.
#[derive(Debug)]
pub(crate) struct Entry {
    number: RawFd,
    identity: Mutex<Identity>,
    is_disowned: AtomicBool,
    family: c_int,
    kind: c_int,
    protocol: c_int,
    is_overlapped: bool,

    plain: PlainGate,
    secured: OnceLock<Secured>,
    /// Whether the stage holds a socket of `countersign`.
    is_staged: AtomicBool,
    stage: Mutex<Stage>,
    /// The socket itself, where the number stands for everything that is to be waited for.
    behind: OnceLock<OwnedFd>,
    phase: AtomicU8,
    /// When it was made, or accepted.
    made: Instant,

    /// What the program has set, and how calls have gone.
    pub(crate) state: Flags,
    /// Threads that wait for a change that the kernel does not tell of.
    pub(crate) watchers: Mutex<Vec<Arc<Waker>>>,
    pub(crate) operations: Mutex<Operations>,
    pub(crate) events: Mutex<Option<NetworkEvents>>,
    /// Connections that were accepted ahead of the program, to tell it that they are there.
    pub(crate) accepted: Mutex<VecDeque<Accepted>>,
}

/// A socket of `countersign` that has all the security it will ever have.
#[derive(Debug)]
pub(crate) enum Secured {
    Datagram(Box<UdpSocket>),
    Listener(Box<TcpListener>),
    Stream(TcpStream),
}

/// A socket of `countersign` on the way.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) socket: Option<Box<Socket>>,
}

/// A connection that was accepted, or why one was not.
#[derive(Debug)]
pub(crate) enum Accepted {
    Plain(OwnedFd, Address),
    Secured(Incoming),
}

/// How far a connect has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    None = 0,
    UnderWay = 1,
    Connected = 2,
    Failed = 3,
}

/// What the program has set, and how calls have gone.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    pub(crate) nonblocking: AtomicBool,
    pub(crate) is_closed: AtomicBool,
    pub(crate) receive_shut: AtomicBool,
    pub(crate) send_shut: AtomicBool,
    pub(crate) exclusive: AtomicBool,
    /// It is known to have a local address.
    pub(crate) is_bound: AtomicBool,
    /// Policy was asked whether the socket may be plain, and it may.
    pub(crate) may_be_plain: AtomicBool,
    pub(crate) conditional_accept: AtomicBool,
    pub(crate) has_events: AtomicBool,
    /// Milliseconds; zero is for ever.
    pub(crate) read_timeout: AtomicU32,
    pub(crate) write_timeout: AtomicU32,
    /// What SO_ERROR says next.
    pub(crate) error: AtomicI32,
    /// Overlapped operations under way.
    receiving: AtomicU32,
    sending: AtomicU32,
    /// Calls that wait in the kernel.
    pub(crate) readers: AtomicU32,
    pub(crate) writers: AtomicU32,
}

/// The type of a socket that a program asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type {
    pub(crate) family: c_int,
    pub(crate) kind: c_int,
    pub(crate) protocol: c_int,
    pub(crate) is_overlapped: bool,
}

impl Entry {
    /// A plain socket that we have made; it owns the descriptor.
    pub(crate) fn new(descriptor: OwnedFd, of: Type) -> Result<Self, Failure> {
        use std::os::fd::IntoRawFd as _;
        let identity = kernel::identity(descriptor.as_raw_fd())
            .map_err(|error| Failure::from_io("make a socket", &error))?;
        Ok(Self {
            number: descriptor.into_raw_fd(),
            identity: Mutex::new(identity),
            is_disowned: AtomicBool::new(false),
            family: of.family,
            kind: of.kind,
            protocol: of.protocol,
            is_overlapped: of.is_overlapped,
            plain: PlainGate::default(),
            secured: OnceLock::new(),
            is_staged: AtomicBool::new(false),
            stage: Mutex::default(),
            behind: OnceLock::new(),
            phase: AtomicU8::new(Phase::None as u8),
            made: Instant::now(),
            state: Flags::default(),
            watchers: Mutex::default(),
            operations: Mutex::default(),
            events: Mutex::default(),
            accepted: Mutex::default(),
        })
    }

    pub(crate) fn number(&self) -> RawFd {
        self.number
    }

    pub(crate) fn family(&self) -> c_int {
        self.family
    }

    pub(crate) fn kind(&self) -> c_int {
        self.kind
    }

    pub(crate) fn made(&self) -> Instant {
        self.made
    }

    pub(crate) fn is_overlapped(&self) -> bool {
        self.is_overlapped
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.kind == abi::SOCK_STREAM
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.state.nonblocking.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::SeqCst)
    }

    /// What it is, once nothing of that changes any more; `None` is plain, or staged.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        self.secured.get()
    }

    /// Whether a socket of `countersign` is on the way.
    pub(crate) fn is_staged(&self) -> bool {
        self.is_staged.load(Ordering::Acquire)
    }

    /// What keeps bytes in clear off a socket that is secured.
    pub(crate) fn plain(&self) -> &PlainGate {
        &self.plain
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.secured.get().is_none() && !self.is_staged()
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            1 => Phase::UnderWay,
            2 => Phase::Connected,
            3 => Phase::Failed,
            _ => Phase::None,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// The number of the socket itself, for calls of the kernel.
    pub(crate) fn kernel(&self) -> RawFd {
        self.behind.get().map_or(self.number, AsRawFd::as_raw_fd)
    }

    /// What is on the way. A connect that blocks holds it; whoever only looks asks for the phase
    /// first.
    pub(crate) fn stage(&self) -> MutexGuard<'_, Stage> {
        // What a panic left behind is a socket whose own state says what is legal.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Self::stage`], and `None` if a connect that blocks holds it.
    pub(crate) fn try_stage(&self) -> Option<MutexGuard<'_, Stage>> {
        match self.stage.try_lock() {
            Ok(stage) => Some(stage),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Has the socket of the stage be the one that calls go to.
    pub(crate) fn put_on_stage(&self, stage: &mut Stage, socket: Box<Socket>) {
        stage.socket = Some(socket);
        self.is_staged.store(true, Ordering::Release);
    }

    /// Has calls go to a datagram socket from now on.
    pub(crate) fn become_datagram(&self, socket: Box<UdpSocket>) -> Result<(), Failure> {
        self.put_in_front(socket.as_fd())?;
        let _was_none = self.secured.set(Secured::Datagram(socket));
        Ok(())
    }

    /// Takes the listener or the stream off the stage, if that is what the socket has become.
    pub(crate) fn leave_stage(&self, stage: &mut Stage) -> Result<(), Failure> {
        let Some(socket) = stage.socket.take() else { return Ok(()) };
        let secured = if socket.is_listening() {
            let listener = (*socket).into_listener()?;
            self.put_in_front(listener.as_fd())?;
            Secured::Listener(Box::new(listener))
        } else if socket.is_connected() {
            let stream = (*socket).into_stream()?;
            self.follow(&stream)?;
            stream.set_nonblocking(false).map_err(|error| Failure::from_io("connect", &error))?;
            self.set_phase(Phase::Connected);
            Secured::Stream(stream)
        } else {
            stage.socket = Some(socket);
            return Ok(());
        };
        let _was_none = self.secured.set(secured);
        self.is_staged.store(false, Ordering::Release);
        Ok(())
    }

    /// Makes a socket of a connection that was accepted.
    pub(crate) fn of_stream(stream: TcpStream, listener: &Self) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::from_io("accept", &error);
        let descriptor = stream.as_fd().try_clone_to_owned().map_err(failed)?;
        let entry = Self::new(descriptor, listener.as_type())?;
        stream.set_nonblocking(false).map_err(failed)?;
        let _was_none = entry.secured.set(Secured::Stream(stream));
        entry.set_phase(Phase::Connected);
        Ok(entry)
    }

    pub(crate) fn as_type(&self) -> Type {
        Type {
            family: self.family,
            kind: self.kind,
            protocol: self.protocol,
            is_overlapped: self.is_overlapped,
        }
    }

    /// Has the number stand for what is to be waited for, and keeps the socket behind it.
    fn put_in_front(&self, front: std::os::fd::BorrowedFd<'_>) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::from_io("set the socket up", &error);
        let socket = kernel::borrow(self.number).try_clone_to_owned().map_err(failed)?;
        self.stand_for(front).map_err(failed)?;
        let _was_none = self.behind.set(socket);
        Ok(())
    }

    /// Has the number stand for another file; nobody who looks meanwhile takes it for a stranger's.
    fn stand_for(&self, file: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
        let mut held = self.identity();
        kernel::replace(self.number, file)?;
        *held = kernel::identity(self.number)?;
        Ok(())
    }

    /// Has the number stand for the socket of the stream, which is another one if the connection
    /// had to be made anew.
    fn follow(&self, stream: &TcpStream) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::from_io("connect", &error);
        let identity = kernel::identity(stream.as_fd().as_raw_fd()).map_err(failed)?;
        let is_another = identity != *self.identity();
        if is_another {
            self.stand_for(stream.as_fd()).map_err(failed)?;
        }
        Ok(())
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the number still stands for this socket.
    pub(crate) fn is_same(&self) -> bool {
        let held = self.identity();
        kernel::identity(self.number).is_ok_and(|now| now == *held)
    }

    /// Gives the number up: it is someone else's now.
    pub(crate) fn disown(&self) {
        self.is_disowned.store(true, Ordering::Release);
    }

    /// Marks the calls that wait, so that closing knows of them.
    pub(crate) fn waiting(&self, direction: Direction) -> Waiting<'_> {
        let count = match direction {
            Direction::Receive => &self.state.readers,
            Direction::Send => &self.state.writers,
        };
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }

    /// How many overlapped operations of a direction are under way.
    pub(crate) fn pending(&self, direction: Direction) -> &AtomicU32 {
        match direction {
            Direction::Receive => &self.state.receiving,
            Direction::Send => &self.state.sending,
        }
    }

    /// Tells the threads that wait for a change.
    pub(crate) fn wake_watchers(&self) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.iter() {
            watcher.wake();
        }
    }
}

/// Through here goes every byte in clear, and no longer once security is being set: whoever found the
/// socket plain a moment ago, by a number that has another meaning now, must not send on it in
/// clear nor take bytes of its handshake.
#[derive(Debug, Default)]
pub(crate) struct PlainGate(AtomicI32);

impl PlainGate {
    const SHUT: i32 = -1;

    /// Begins a call in clear; it lasts as long as what is returned.
    pub(crate) fn pass(&self) -> Result<PlainCall<'_>, Failure> {
        let more = |calls: i32| calls.checked_add(1).filter(|more| *more > 0);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            Ok(_) => Ok(PlainCall(&self.0)),
            Err(_) => Err(Failure::fixed(abi::WSAENOTCONN, "the socket is not connected")),
        }
    }

    /// Lets nobody pass any more, once the call that is just passing is over.
    ///
    /// # Errors
    ///
    /// `WSAEINVAL` while a call in clear goes on and on.
    pub(crate) fn shut(&self) -> Result<(), Failure> {
        const PATIENCE: Duration = Duration::from_millis(100);
        let mut since = None;
        loop {
            match self.0.compare_exchange(0, Self::SHUT, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) | Err(Self::SHUT) => return Ok(()),
                Err(_) if since.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {
                    std::thread::yield_now();
                }
                Err(_) => {
                    let text = "another thread sends or receives on the socket, in clear";
                    return Err(Failure::fixed(abi::WSAEINVAL, text));
                }
            }
        }
    }

    /// Takes [`Self::shut`] back: the socket was not secured after all.
    pub(crate) fn reopen(&self) {
        self.0.store(0, Ordering::SeqCst);
    }
}

/// A call in clear.
#[derive(Debug)]
pub(crate) struct PlainCall<'a>(&'a AtomicI32);

impl Drop for PlainCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Receive,
    Send,
}

/// A call that waits in the kernel.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // What `countersign` holds says good-bye first, while the socket is still there.
        self.secured.take();
        self.stage().socket = None;
        if !self.is_disowned.load(Ordering::Acquire) && self.is_same() {
            kernel::close(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PlainGate;
    use crate::abi;

    #[test]
    fn nothing_in_clear_beside_security() {
        let gate = PlainGate::default();
        let call = gate.pass().unwrap();
        assert_eq!(gate.shut().unwrap_err().code, abi::WSAEINVAL);
        drop(call);
        gate.shut().unwrap();
        assert_eq!(gate.pass().unwrap_err().code, abi::WSAENOTCONN);
        gate.reopen();
        drop(gate.pass().unwrap());
        gate.shut().unwrap();
    }
}
