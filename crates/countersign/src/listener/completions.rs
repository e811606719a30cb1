//! Work of handshakes that other threads have done.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use countersign_kerberos::{Done, Work};

use super::queue::Queue;
use crate::kerberos::{self, Place};

/// What came of work, by the keys of the handshakes that wait for it.
#[derive(Debug)]
pub(super) struct Completions(Arc<Queue<(u64, Option<Done>)>>);

impl Completions {
    /// Makes an empty queue.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Queue::new()?)))
    }

    /// Has work done for the handshake of this key, as long as its place in the queue is kept.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub(super) fn start(&self, place: &Place, key: u64, work: Work) -> io::Result<()> {
        let queue = self.0.clone();
        kerberos::perform(place, work, move |done| queue.put((key, done)))
    }

    /// Takes one that is done; the descriptor stays readable while there are more.
    pub(super) fn take(&self) -> Option<(u64, Option<Done>)> {
        self.0.take()
    }
}

impl AsFd for Completions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
