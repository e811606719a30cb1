//! `select` and `WSAPoll`: which of many sockets are ready, counting what the kernel does not see.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crate::entry::{Entry, Phase, Secured};
use crate::failure::Failure;
use crate::waker::Waker;
use crate::{abi, accept, connect, kernel};

/// What is asked of a socket, and the answer.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) entry: Arc<Entry>,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) urgent: bool,
    pub(crate) ready: Ready,
}

/// What a socket is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) urgent: bool,
    /// The peer has ended the connection.
    pub(crate) hang_up: bool,
    /// A connect has failed, or the connection has.
    pub(crate) failed: bool,
}

impl Asked {
    pub(crate) fn new(entry: Arc<Entry>) -> Self {
        Self { entry, read: false, write: false, urgent: false, ready: Ready::default() }
    }

    fn answers(&self) -> bool {
        let Ready { read, write, urgent, hang_up, failed } = self.ready;
        self.read && read || self.write && write || self.urgent && urgent || hang_up || failed
    }

    /// Whether a connect was tried in vain.
    pub(crate) fn has_failed_to_connect(&self) -> bool {
        self.entry.phase() == Phase::Failed && self.ready.failed
    }

    /// What the kernel is asked for this socket.
    fn poll(&self) -> libc::pollfd {
        let mut events = 0;
        let number = self.entry.number();
        match (self.entry.secured(), self.entry.phase()) {
            // The reactor goes on with it, and tells us.
            (None, Phase::UnderWay) if self.entry.is_staged() => {
                return libc::pollfd { fd: -1, events, revents: 0 };
            }
            (None, Phase::UnderWay) => events |= libc::POLLOUT,
            (Some(Secured::Listener(_) | Secured::Datagram(_)), _) => {
                if self.read {
                    events |= libc::POLLIN;
                }
            }
            _ => {
                if self.read {
                    events |= libc::POLLIN;
                }
                if self.write {
                    events |= libc::POLLOUT;
                }
                if self.urgent {
                    events |= libc::POLLPRI;
                }
            }
        }
        libc::pollfd { fd: number, events, revents: 0 }
    }

    /// Combines what the kernel says with what it cannot know.
    fn judge(&mut self, revents: i16) {
        let mut ready = Ready::default();
        if self.entry.phase() == Phase::UnderWay && self.entry.is_plain() {
            connect::look_after_plain(&self.entry);
        }
        match (self.entry.secured(), self.entry.phase()) {
            (None | Some(Secured::Datagram(_)), Phase::UnderWay) => {}
            (_, Phase::Failed) => {
                ready.failed = self.entry.state.error.load(Ordering::Relaxed) != 0;
            }
            (Some(Secured::Stream(stream)), _) => {
                let (bytes, is_over) = match self.read {
                    true => stream.look_ahead(1).unwrap_or((0, true)),
                    false => (0, false),
                };
                ready.read = bytes > 0 || is_over;
                ready.write = revents & libc::POLLOUT != 0 && stream.interest().len() == 1;
                ready.hang_up = is_over && bytes == 0 || revents & libc::POLLHUP != 0;
                ready.failed = revents & libc::POLLERR != 0;
            }
            (Some(Secured::Listener(_)), _) => {
                ready.read = self.read && accept::look_ahead(&self.entry);
            }
            (Some(Secured::Datagram(socket)), _) => {
                ready.read = self.read && !matches!(socket.look_ahead(), Ok(None));
                ready.write = self.write
                    && kernel::poll_now(self.entry.kernel(), libc::POLLOUT) & libc::POLLOUT != 0;
            }
            (None, _) if self.entry.is_staged() => {}
            (None, _) => {
                let ahead =
                    !self.entry.accepted.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
                ready.read = revents & libc::POLLIN != 0 || ahead;
                ready.write = revents & libc::POLLOUT != 0;
                ready.urgent = revents & libc::POLLPRI != 0;
                // A socket that was never connected hangs up too, for the kernel.
                let is_connected = self.entry.phase() == Phase::Connected;
                ready.hang_up = revents & libc::POLLHUP != 0 && is_connected;
                ready.failed = revents & libc::POLLERR != 0;
                // select(2) of both worlds: a read would not wait.
                ready.read |= self.read && (ready.hang_up || ready.failed);
            }
        }
        self.ready = ready;
    }
}

/// Waits until one of the sockets is ready; returns how many are, zero if the time is over.
pub(crate) fn wait(asked: &mut [Asked], until: Until) -> Result<usize, Failure> {
    let failed = |error: std::io::Error| Failure::from_io("wait", &error);
    let mut registered = None;
    loop {
        // What is told from here on wakes us; what was told before is seen below.
        if let Some(Registered { waker, .. }) = &registered {
            Waker::clear(waker);
        }
        let mut polled: Vec<libc::pollfd> = asked.iter().map(Asked::poll).collect();
        kernel::poll(&mut polled, Some(0)).map_err(failed)?;
        for (one, polled) in asked.iter_mut().zip(&polled) {
            if one.entry.is_closed() || polled.revents & libc::POLLNVAL != 0 {
                return Err(Failure::NOT_SOCK);
            }
            one.judge(polled.revents);
        }
        let count = asked.iter().filter(|one| one.answers()).count();
        let left = match until {
            Until::Now => Some(0),
            Until::Never => None,
            Until::Then(then) => {
                let left = then.saturating_duration_since(Instant::now());
                // Rounded up, so that the time is over afterwards.
                Some(u32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u32::MAX))
            }
        };
        if count > 0 || left == Some(0) {
            return Ok(count);
        }
        let Some(Registered { waker, .. }) = &registered else {
            let waker = Waker::of_thread().map_err(failed)?;
            let entries = asked.iter().map(|one| one.entry.clone()).collect();
            registered = Some(Registered::new(entries, waker));
            continue;
        };
        let mut polled: Vec<libc::pollfd> = asked.iter().map(Asked::poll).collect();
        polled.push(libc::pollfd { fd: waker.number(), events: libc::POLLIN, revents: 0 });
        match kernel::poll(&mut polled, left) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
}

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Now,
    Never,
    Then(Instant),
}

impl Until {
    /// After so many milliseconds; a negative number is never.
    pub(crate) fn milliseconds(time: i32) -> Self {
        match u64::try_from(time) {
            Ok(0) => Self::Now,
            Ok(time) => Self::after(std::time::Duration::from_millis(time)),
            Err(_) => Self::Never,
        }
    }

    pub(crate) fn after(time: std::time::Duration) -> Self {
        if time.is_zero() {
            return Self::Now;
        }
        Instant::now().checked_add(time).map_or(Self::Never, Self::Then)
    }
}

/// Sockets that tell this thread of changes, until it is dropped.
struct Registered {
    entries: Vec<Arc<Entry>>,
    waker: Arc<Waker>,
}

impl Registered {
    fn new(entries: Vec<Arc<Entry>>, waker: Arc<Waker>) -> Self {
        for entry in &entries {
            entry.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(waker.clone());
        }
        Self { entries, waker }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        for entry in &self.entries {
            let mut watchers = entry.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = watchers.iter().position(|it| Arc::ptr_eq(it, &self.waker)) {
                watchers.swap_remove(at);
            }
        }
        self.waker.clear();
    }
}

/// The bits of `WSAPOLLFD` for what a socket is ready for.
pub(crate) fn poll_bits(asked: &Asked) -> i16 {
    let Ready { read, write, urgent, hang_up, failed } = asked.ready;
    let mut bits = 0;
    for (holds, bit) in [
        (read && asked.read, abi::POLLRDNORM),
        (write && asked.write, abi::POLLWRNORM),
        (urgent && asked.urgent, abi::POLLPRI),
        (hang_up || failed && asked.entry.phase() == Phase::Failed, abi::POLLHUP),
        (failed, abi::POLLERR),
    ] {
        if holds {
            bits |= bit;
        }
    }
    bits
}
