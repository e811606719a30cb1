//! Work of handshakes that other threads have done.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use countersign_kerberos::{Done, Work};
use countersign_sys::Signal;

use crate::kerberos::{self, Place};

/// What came of work, by the keys of the handshakes that wait for it.
#[derive(Debug)]
pub(super) struct Completions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<VecDeque<(u64, Option<Done>)>>,
    news: Signal,
}

impl Completions {
    /// Makes an empty queue.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Shared { queue: Mutex::default(), news: Signal::new()? })))
    }

    /// Has work done for the handshake of this key, as long as its place in the queue is kept.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub(super) fn start(&self, place: &Place, key: u64, work: Work) -> io::Result<()> {
        let shared = self.0.clone();
        kerberos::perform(place, work, move |done| {
            let mut queue = shared.lock();
            queue.push_back((key, done));
            shared.news.raise();
        })
    }

    /// Takes one that is done; the descriptor stays readable while there are more.
    pub(super) fn take(&self) -> Option<(u64, Option<Done>)> {
        let mut queue = self.0.lock();
        let first = queue.pop_front();
        if queue.is_empty() {
            self.0.news.clear();
        }
        first
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Option<Done>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Completions {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.news.as_fd()
    }
}
