//! A descriptor that can be read when something was said.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable from [`Self::raise`] to [`Self::clear`] (eventfd(2)).
#[derive(Debug)]
pub struct Signal(OwnedFd);

impl Signal {
    /// Makes one that is not raised.
    ///
    /// # Errors
    ///
    /// As eventfd(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Makes it readable.
    pub fn raise(&self) {
        // It fails only at 2^64 - 1, when it is readable too.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        // It fails only if it is unreadable already.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
