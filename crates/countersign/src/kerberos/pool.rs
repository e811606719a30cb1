//! Threads that are started on demand, and the places of work that waits for one.
//!
//! What is shared here goes through [`crate::sync`], so that `tests/orders` can run it in every order.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

type Job = Box<dyn FnOnce() + Send>;

/// What each thread needs at most; the Kerberos library keeps little on the stack.
const STACK: usize = 512 * 1024;

/// A place in the queue. Dropping it takes the work in it back, unless a thread has begun that: who
/// gives a handshake up must not leave behind what its peer sent, nor work for those that hang
/// already.
#[derive(Default)]
pub(crate) struct Place(Arc<Slot>);

/// A queue may hold it for longer, empty.
#[derive(Default)]
struct Slot(Mutex<Option<Job>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let job = self.0.lock().take();
        // What it holds is dropped when the lock is not held any more.
        drop(job);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl Place {
    /// Puts work here, and returns what a thread does to come to it: first `work`, and then `done`
    /// with what came of it, `None` if it panicked. Neither is done if the place is gone before.
    fn fill<T: 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Option<T>) + Send + 'static,
    ) -> Job {
        *self.0.lock() = Some(Box::new(move || {
            // Whatever a panic leaves half done is dropped with the work.
            done(catch_unwind(AssertUnwindSafe(work)).ok());
        }));
        let slot = Arc::clone(&self.0);
        Box::new(move || {
            let job = slot.lock().take();
            if let Some(job) = job {
                job();
            }
        })
    }
}

/// Threads that are started on demand, bounded in number, and end when there is nothing to do.
pub(super) struct Pool {
    state: Mutex<State>,
    news: Condvar,
    limit: usize,
    patience: Duration,
}

pub(super) struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Pool {
    /// Makes one of at most `limit` threads, each of which waits so long for work when it has none.
    pub(super) fn new(limit: usize, patience: Duration) -> Self {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0 };
        Self { state: Mutex::new(state), news: Condvar::new(), limit, patience }
    }

    /// Has `work` done for the place, and then `done`; see [`super::start`].
    ///
    /// # Errors
    ///
    /// If there is no thread for it, and none can be made.
    pub(super) fn start_at<T: 'static>(
        &'static self,
        place: &Place,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Option<T>) + Send + 'static,
    ) -> io::Result<()> {
        self.start(place.fill(work, done))
    }

    /// Returns whether any thread is at work.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.threads > state.idle
    }

    /// Returns how many threads there are.
    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }

    fn start(&'static self, job: Job) -> io::Result<()> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            drop(state);
            self.news.notify_one();
            return Ok(());
        }
        if state.threads >= self.limit {
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let thread = thread::Builder::new().name("countersign-kerberos".to_owned());
        let spawned = thread.stack_size(STACK).spawn(move || self.work());
        let Err(error) = spawned else { return Ok(()) };
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // One of those that there are will come to it.
            return Ok(());
        }
        state.jobs.clear();
        Err(error)
    }

    /// Takes one job after the other, until there has been none for a while.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A job that panics has caught that itself; its `done` may not have.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let mut is_over = false;
            while state.jobs.is_empty() && !is_over {
                let waited = self.news.wait_timeout(state, self.patience);
                let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (state, is_over) = (woken, waited.timed_out());
            }
            state.idle -= 1;
            if state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    /// Its state changes in single steps, so one that a panic left behind is still whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
