//! Overlapped operations: what was started and goes on while the program does something else.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::abi::{CompletionRoutine, WSAOVERLAPPED};
use crate::address::Address;
use crate::alerts::{Alert, Alerts};
use crate::entry::{Direction, Entry};
use crate::event::Event;
use crate::failure::Failure;
use crate::pieces::{self, Piece};
use crate::transfer::{self, Wait};
use crate::{abi, handle, reactor, status};

/// The operations of one socket, in the order in which they were started.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    receive: VecDeque<Operation>,
    send: VecDeque<Operation>,
}

/// An operation that was started.
#[derive(Debug)]
pub(crate) struct Operation {
    what: What,
    pieces: Vec<Piece>,
    done: usize,
    completion: Completion,
}

/// What an operation does.
#[derive(Debug)]
pub(crate) enum What {
    Receive { flags: u32, from: Sender },
    Send { flags: u32, to: Option<Address> },
}

/// Where the program wants the sender's address.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) name: *mut u8,
    pub(crate) length: *mut c_int,
    /// Where the flags go of a message of `WSARecvMsg`.
    pub(crate) message: *mut abi::WSAMSG,
}

impl Sender {
    pub(crate) const NOBODY: Self = Self {
        name: std::ptr::null_mut(),
        length: std::ptr::null_mut(),
        message: std::ptr::null_mut(),
    };
}

/// Whom to tell, and how, when an operation is done.
#[derive(Debug)]
pub(crate) struct Completion {
    overlapped: *mut WSAOVERLAPPED,
    event: Option<Arc<Event>>,
    routine: CompletionRoutine,
    thread: Option<Arc<Alerts>>,
}

// SAFETY: the pointers are the program's, which vouches by the rules of Winsock that they are good
// until the operation is done, whichever thread does it.
unsafe impl Send for Operation {}

/// Threads of `WSAGetOverlappedResult` wait here, whatever they wait for.
static DONE: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());

impl Completion {
    /// Takes what the program gave with a call on an overlapped socket; `None` if it wants to wait
    /// for the call.
    ///
    /// # Safety
    ///
    /// If `overlapped` is not NULL, it must be good for reads and writes until the operation is
    /// done.
    pub(crate) unsafe fn new(
        overlapped: *mut WSAOVERLAPPED,
        routine: CompletionRoutine,
        event_too: bool,
    ) -> Option<Self> {
        if overlapped.is_null() {
            return None;
        }
        // SAFETY: the caller vouches.
        let at = unsafe { &raw const (*overlapped).event };
        // SAFETY: the caller vouches; alignment is not asked for.
        let event = unsafe { at.read_unaligned() };
        // With a routine the event may be anything that the program likes.
        let event = if routine.is_none() || event_too { handle::event(event) } else { None };
        let thread = routine.map(|_| Alerts::of_thread());
        Some(Self { overlapped, event, routine, thread })
    }

    /// Marks the operation as started.
    pub(crate) fn begin(&self) {
        self.write(status::PENDING, 0);
        if let Some(event) = &self.event {
            event.reset();
        }
    }

    /// Tells the program how it went.
    pub(crate) fn finish(self, result: &Result<usize, Failure>, flags: u32) {
        let (code, bytes) = match result {
            Ok(bytes) => (0, *bytes),
            Err(failure) => (failure.code, 0),
        };
        self.write(status::of(code), bytes);
        if let Some(event) = &self.event {
            event.set();
        }
        if let Some(thread) = &self.thread {
            thread.queue(Alert {
                routine: self.routine,
                error: code.cast_unsigned(),
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
                overlapped: self.overlapped,
                flags,
            });
        }
        let _held = DONE.0.lock().unwrap_or_else(PoisonError::into_inner);
        DONE.1.notify_all();
    }

    /// Writes the status last, since a thread may look at it at any time.
    fn write(&self, status: usize, bytes: usize) {
        if !self.overlapped.is_aligned() {
            return self.write_unaligned(status, bytes);
        }
        // SAFETY: the program vouches for the structure until the operation is done.
        let high = unsafe { &raw mut (*self.overlapped).internal_high };
        // SAFETY: as above, and it is aligned.
        let high = unsafe { AtomicUsize::from_ptr(high) };
        high.store(bytes, Ordering::Relaxed);
        // SAFETY: the program vouches for the structure until the operation is done.
        let internal = unsafe { &raw mut (*self.overlapped).internal };
        // SAFETY: as above, and it is aligned.
        let internal = unsafe { AtomicUsize::from_ptr(internal) };
        internal.store(status, Ordering::Release);
    }

    fn write_unaligned(&self, status: usize, bytes: usize) {
        // SAFETY: the program vouches for the structure until the operation is done.
        let high = unsafe { &raw mut (*self.overlapped).internal_high };
        // SAFETY: as above; alignment is not asked for.
        unsafe { high.write_unaligned(bytes) };
        fence(Ordering::Release);
        // SAFETY: the program vouches for the structure until the operation is done.
        let internal = unsafe { &raw mut (*self.overlapped).internal };
        // SAFETY: as above; alignment is not asked for.
        unsafe { internal.write_unaligned(status) };
    }
}

/// Reads how an operation stands: status and bytes.
///
/// # Safety
///
/// `overlapped` must be good for reads.
pub(crate) unsafe fn standing(overlapped: *const WSAOVERLAPPED) -> (usize, usize) {
    // SAFETY: the caller vouches.
    let internal = unsafe { &raw const (*overlapped).internal };
    // SAFETY: the caller vouches; alignment is not asked for. Volatile, since the reactor writes.
    let status = if internal.is_aligned() {
        // SAFETY: as above.
        unsafe { AtomicUsize::from_ptr(internal.cast_mut()) }.load(Ordering::Acquire)
    } else {
        // SAFETY: as above.
        unsafe { internal.read_unaligned() }
    };
    // SAFETY: the caller vouches.
    let high = unsafe { &raw const (*overlapped).internal_high };
    // SAFETY: the caller vouches; alignment is not asked for.
    (status, unsafe { high.read_unaligned() })
}

/// Waits until an operation is done.
///
/// # Safety
///
/// `overlapped` must be good for reads until then.
pub(crate) unsafe fn wait(overlapped: *const WSAOVERLAPPED) {
    let mut held = DONE.0.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the caller vouches.
    while unsafe { standing(overlapped) }.0 == status::PENDING {
        held = DONE.1.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Operation {
    pub(crate) fn new(what: What, pieces: Vec<Piece>, completion: Completion) -> Self {
        Self { what, pieces, done: 0, completion }
    }

    fn direction(&self) -> Direction {
        match self.what {
            What::Receive { .. } => Direction::Receive,
            What::Send { .. } => Direction::Send,
        }
    }

    /// Goes on without waiting; returns how it went if that is known now.
    fn attempt(&mut self, entry: &Arc<Entry>) -> Option<(Result<usize, Failure>, u32)> {
        match &self.what {
            What::Receive { flags, from } => {
                // SAFETY: the program vouches for its buffers until the operation is done.
                match unsafe { transfer::receive(entry, &self.pieces, *flags, Wait::Never) } {
                    Ok(arrived) => {
                        let wants_more = flags & abi::MSG_WAITALL != 0 && arrived.bytes > 0;
                        self.done += arrived.bytes;
                        if wants_more && entry.is_stream() {
                            pieces::advance(&mut self.pieces, arrived.bytes);
                            if !self.pieces.is_empty() {
                                return None;
                            }
                        }
                        let partial = if arrived.is_cut { abi::MSG_PARTIAL } else { 0 };
                        // SAFETY: the program vouches for these places until it is done.
                        let told = unsafe { tell_sender(from, &arrived) };
                        let result = match told {
                            Err(failure) => Err(failure),
                            Ok(()) if arrived.is_cut => Err(cut()),
                            Ok(()) => Ok(self.done),
                        };
                        Some((result, partial))
                    }
                    Err(failure) if failure.is_would_block() => None,
                    Err(_) if self.done > 0 => Some((Ok(self.done), 0)),
                    Err(failure) => Some((Err(failure), 0)),
                }
            }
            What::Send { flags, to } => {
                // SAFETY: the program vouches for its buffers until the operation is done.
                let sent = unsafe {
                    transfer::send(entry, &self.pieces, to.as_ref(), *flags, Wait::Never)
                };
                match sent {
                    Ok(count) => {
                        self.done += count;
                        if !entry.is_stream() {
                            return Some((Ok(count), 0));
                        }
                        pieces::advance(&mut self.pieces, count);
                        if !self.pieces.is_empty() && count > 0 {
                            return None;
                        }
                        Some((Ok(self.done), 0))
                    }
                    Err(failure) if failure.is_would_block() => None,
                    Err(failure) => Some((Err(failure), 0)),
                }
            }
        }
    }
}

/// Says that a datagram did not fit.
pub(crate) fn cut() -> Failure {
    let text = "the datagram is larger than the buffer, and its rest is lost";
    Failure::fixed(abi::WSAEMSGSIZE, text)
}

/// Writes the sender's address where the program wants it.
///
/// # Safety
///
/// The places must be writable, as far as they are not NULL.
pub(crate) unsafe fn tell_sender(
    from: &Sender,
    arrived: &crate::kernel::Arrived,
) -> Result<(), Failure> {
    if let Some(address) = &arrived.from {
        // SAFETY: the caller vouches.
        unsafe { address.write(from.name, from.length)? };
    }
    if !from.message.is_null() {
        // SAFETY: the caller vouches.
        unsafe { crate::messages::tell(from.message, arrived)? };
    }
    Ok(())
}

impl Operations {
    fn queue(&mut self, direction: Direction) -> &mut VecDeque<Operation> {
        match direction {
            Direction::Receive => &mut self.receive,
            Direction::Send => &mut self.send,
        }
    }

    /// Whether something waits for the socket to be readable, and writable.
    pub(crate) fn interests(&self) -> (bool, bool) {
        (!self.receive.is_empty(), !self.send.is_empty())
    }
}

/// Starts an operation, and finishes it at once if that is possible without waiting.
///
/// # Errors
///
/// `WSA_IO_PENDING` if it goes on; anything else is that it was never started, and nobody is told.
pub(crate) fn start(entry: &Arc<Entry>, mut operation: Operation) -> Result<(usize, u32), Failure> {
    let mut operations = lock(entry);
    if entry.is_closed() {
        return Err(Failure::NOT_SOCK);
    }
    let direction = operation.direction();
    let queue = operations.queue(direction);
    operation.completion.begin();
    if queue.is_empty()
        && let Some((result, flags)) = operation.attempt(entry)
    {
        // Still under the lock, so that completions come in the order of the operations.
        return match result {
            Ok(count) => {
                operation.completion.finish(&Ok(count), flags);
                Ok((count, flags))
            }
            Err(failure) => {
                operation.completion.write(status::of(failure.code), 0);
                Err(failure)
            }
        };
    }
    queue.push_back(operation);
    entry.pending(direction).fetch_add(1, Ordering::Release);
    drop(operations);
    reactor::attend(entry);
    Err(Failure::fixed(abi::WSA_IO_PENDING, "the operation was started and is under way"))
}

/// Goes on with the operations of a socket, in order.
pub(crate) fn advance(entry: &Arc<Entry>) {
    for direction in [Direction::Receive, Direction::Send] {
        loop {
            let mut operations = lock(entry);
            let queue = operations.queue(direction);
            let Some(first) = queue.front_mut() else { break };
            let Some((result, flags)) = first.attempt(entry) else { break };
            let Some(first) = queue.pop_front() else { break };
            entry.pending(direction).fetch_sub(1, Ordering::Release);
            first.completion.finish(&result, flags);
        }
    }
}

/// Ends every operation of a socket that is being closed.
pub(crate) fn cancel(entry: &Arc<Entry>) {
    let mut operations = lock(entry);
    let mut cancelled: Vec<Operation> = operations.receive.drain(..).collect();
    cancelled.extend(operations.send.drain(..));
    entry.pending(Direction::Receive).store(0, Ordering::Release);
    entry.pending(Direction::Send).store(0, Ordering::Release);
    drop(operations);
    for operation in cancelled {
        let text = "the operation was cancelled because the socket was closed";
        let aborted = Err(Failure::fixed(abi::WSA_OPERATION_ABORTED, text));
        operation.completion.finish(&aborted, 0);
    }
}

/// Has a call that is not overlapped wait behind the operations that are under way.
pub(crate) fn wait_in_line(entry: &Arc<Entry>, direction: Direction) -> Result<(), Failure> {
    let pending = entry.pending(direction);
    if pending.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    if entry.is_nonblocking() {
        return Err(Failure::WOULD_BLOCK);
    }
    let mut held = DONE.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !entry.is_closed() && pending.load(Ordering::Acquire) > 0 {
        held = DONE.1.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
    Ok(())
}

fn lock(entry: &Entry) -> MutexGuard<'_, Operations> {
    // A queue is changed in single steps, so what a panic left behind is whole.
    entry.operations.lock().unwrap_or_else(PoisonError::into_inner)
}
