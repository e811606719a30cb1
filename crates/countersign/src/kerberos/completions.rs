//! Work that other threads have done, for a socket with many peers.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_kerberos::{Awaited, Done, Work};
use countersign_sys::Signal;

use super::workers::{self, Place};

/// What came of work, by the keys of those who wait for it.
#[derive(Debug)]
pub(crate) struct Completions<K, T>(Arc<Shared<K, T>>);

#[derive(Debug)]
struct Shared<K, T> {
    /// `None` is work that panicked.
    queue: Mutex<VecDeque<(K, Option<T>)>>,
    news: Signal,
}

impl<K: Send + 'static, T: Send + 'static> Completions<K, T> {
    /// Makes an empty queue.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { queue: Mutex::default(), news: Signal::new()? })))
    }

    /// Has work that may wait for `awaited` done for whoever has this key, as long as its place in the
    /// queue is kept.
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
        let shared = self.0.clone();
        workers::start(place, awaited, work, move |done| shared.finish(key, done))
    }

    /// The same for a piece of work of a proof, of whose outcome `found` makes one of these.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn perform(
        &self,
        place: &Place,
        key: K,
        work: Work,
        found: fn(Done) -> T,
    ) -> io::Result<()> {
        let shared = self.0.clone();
        workers::perform(place, work, move |done| shared.finish(key, done.map(found)))
    }

    /// Takes one that is done; the descriptor stays readable while there are more.
    pub(crate) fn take(&self) -> Option<(K, Option<T>)> {
        let mut queue = self.0.lock();
        let first = queue.pop_front();
        if queue.is_empty() {
            self.0.news.clear();
        }
        first
    }
}

impl<K, T> Shared<K, T> {
    fn finish(&self, key: K, done: Option<T>) {
        let mut queue = self.lock();
        queue.push_back((key, done));
        self.news.raise();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(K, Option<T>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> AsFd for Completions<K, T> {
    /// A descriptor that can be read while there are any.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.news.as_fd()
    }
}
