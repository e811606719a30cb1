//! How a thread is woken that waits for more than the kernel knows.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable from [`Self::wake`] to [`Self::clear`] (eventfd(2)).
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// The one of this thread, made at its first use.
    pub(crate) fn of_thread() -> io::Result<Arc<Self>> {
        thread_local! {
            static WAKER: RefCell<Option<(u32, Arc<Waker>)>> = const { RefCell::new(None) };
        }
        let process = std::process::id();
        WAKER
            .try_with(|waker| {
                let mut waker = waker.borrow_mut();
                // After a fork(2) the descriptor is shared with the parent, and not ours to clear.
                if let Some((owner, waker)) = &*waker
                    && *owner == process
                {
                    return Ok(waker.clone());
                }
                let made = Arc::new(Self::new()?);
                *waker = Some((process, made.clone()));
                Ok(made)
            })
            .unwrap_or_else(|_| Self::new().map(Arc::new))
    }

    pub(crate) fn wake(&self) {
        // It fails only at 2^64 - 1, when it is readable too.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn clear(&self) {
        // It fails only if it is unreadable already.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    pub(crate) fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
