//! What an event loop must know of a datagram socket to wait for it by other means than its
//! descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::UdpSocket;
use crate::{Context, Error};

impl UdpSocket {
    /// Goes by this handle of its context from now on.
    pub(crate) fn replace_context(&mut self, context: Context) {
        self.context = context;
    }

    /// Returns the kernel's socket, to wait on.
    pub(crate) fn kernel_socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns how many datagrams have been taken from the kernel, and outcomes from other threads:
    /// if it changed, so may have the standing of any peer.
    pub(crate) fn heard(&self) -> u64 {
        self.lock().open.as_ref().map_or(0, |open| open.heard)
    }

    /// Returns when something is due next: a retransmission, or the end of somebody's time.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.lock().open.as_ref().and_then(|open| open.next_deadline())
    }

    /// Returns a descriptor of its own that can be read when other threads have done work for the
    /// socket, once they were given any.
    pub(crate) fn work(&self) -> Option<io::Result<OwnedFd>> {
        let state = self.lock();
        let completions = state.open.as_ref()?.proofs.completions.as_ref()?;
        Some(completions.as_fd().try_clone_to_owned())
    }

    /// Returns whether datagrams wait for room in the kernel.
    pub(crate) fn has_outgoing(&self) -> bool {
        self.lock().open.as_ref().is_some_and(|open| open.is_full())
    }

    /// Sends what waits for room in the kernel, as much as it takes.
    pub(crate) fn push_outgoing(&self) -> Result<(), Error> {
        self.lock().flush(&self.socket, None).map_err(Error::io("send"))
    }
}
