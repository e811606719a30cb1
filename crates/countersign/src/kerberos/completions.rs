//! Work that other threads have done, for a socket with many peers.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use countersign_kerberos::{Awaited, Done, Work};

use super::pool::Place;
use super::queue::Queue;
use super::workers;

/// What came of work, by the keys of those who wait for it; `None` is work that panicked.
#[derive(Debug)]
pub(crate) struct Completions<K, T>(Arc<Queue<(K, Option<T>)>>);

impl<K: Send + 'static, T: Send + 'static> Completions<K, T> {
    /// Makes an empty queue.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Queue::new()?)))
    }

    /// Has work done for whoever has this key, which may wait for this one, as long as its place in
    /// the queue is kept.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub(crate) fn start(
        &self,
        place: &Place,
        key: K,
        awaited: Awaited,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<()> {
        let queue = self.0.clone();
        workers::start(place, awaited, work, move |done| queue.put((key, done)))
    }

    /// The same for a piece of work of a proof; `told` makes of what it came to what is queued.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn perform(
        &self,
        place: &Place,
        key: K,
        work: Work,
        told: impl FnOnce(Done) -> T + Send + 'static,
    ) -> io::Result<()> {
        let queue = self.0.clone();
        workers::perform(place, work, move |done| queue.put((key, done.map(told))))
    }

    /// Takes one that is done; the descriptor stays readable while there are more.
    pub(crate) fn take(&self) -> Option<(K, Option<T>)> {
        self.0.take()
    }
}

impl<K, T> AsFd for Completions<K, T> {
    /// A descriptor that can be read while there are any.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
