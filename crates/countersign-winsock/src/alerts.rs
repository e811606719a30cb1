//! What a thread is told of in its alertable waits, and how it waits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::abi::{CompletionRoutine, WSAOVERLAPPED};

/// The completion routines that a thread has yet to run, and the place where it waits.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Alert>,
    is_signalled: bool,
}

/// A call of a completion routine that is due.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) routine: CompletionRoutine,
    pub(crate) error: u32,
    pub(crate) bytes: u32,
    pub(crate) overlapped: *mut WSAOVERLAPPED,
    pub(crate) flags: u32,
}

// SAFETY: the pointer is the program's, which expects to get it back in the thread that gave it;
// in between it is a number.
unsafe impl Send for Alert {}

impl Alerts {
    /// Those of this thread.
    pub(crate) fn of_thread() -> Arc<Self> {
        thread_local! {
            static ALERTS: RefCell<Option<Arc<Alerts>>> = const { RefCell::new(None) };
        }
        ALERTS
            .try_with(|alerts| alerts.borrow_mut().get_or_insert_default().clone())
            // A thread that is ending waits for nothing that others could tell it.
            .unwrap_or_default()
    }

    /// Has the thread run a routine in its next alertable wait.
    pub(crate) fn queue(&self, alert: Alert) {
        let mut inner = self.lock();
        inner.queue.push_back(alert);
        inner.is_signalled = true;
        self.changed.notify_all();
    }

    /// Ends the wait of the thread, if it waits.
    pub(crate) fn signal(&self) {
        let mut inner = self.lock();
        inner.is_signalled = true;
        self.changed.notify_all();
    }

    /// Forgets what was signalled before the thread looks at everything.
    pub(crate) fn reset(&self) {
        self.lock().is_signalled = false;
    }

    pub(crate) fn has_any(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    /// Waits until something is signalled; returns whether it was, and not the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut inner = self.lock();
        while !inner.is_signalled {
            inner = match deadline {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.changed.wait_timeout(inner, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// Runs every routine that is due, also those that become due meanwhile; returns whether there
    /// was one.
    pub(crate) fn run(&self) -> bool {
        let mut ran = false;
        loop {
            let next = self.lock().queue.pop_front();
            let Some(Alert { routine, error, bytes, overlapped, flags }) = next else { return ran };
            ran = true;
            if let Some(routine) = routine {
                // SAFETY: the program gave the routine with the operation, to be called so, in this
                // thread, with this pointer.
                unsafe { routine(error, bytes, overlapped, flags) };
            }
        }
    }

    /// Both are changed in single steps, so what a panic left behind is whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
