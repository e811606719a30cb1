//! A queue between threads, and a descriptor that is readable while something is in it.
//!
//! What is shared here goes through [`crate::sync`], so that `tests/orders` can run it in every order.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use countersign_sys::Signal;

use crate::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Queue<T> {
    waiting: Mutex<VecDeque<T>>,
    news: Signal,
}

impl<T> Queue<T> {
    /// Makes an empty one.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { waiting: Mutex::new(VecDeque::new()), news: Signal::new()? })
    }

    pub(super) fn put(&self, one: T) {
        let mut waiting = self.lock();
        waiting.push_back(one);
        self.news.raise();
    }

    /// Takes the first; the descriptor stays readable while there are more.
    pub(super) fn take(&self) -> Option<T> {
        let mut waiting = self.lock();
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.news.clear();
        }
        first
    }

    /// It changes in single steps, so one that a panic left behind is still whole.
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> AsFd for Queue<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}
