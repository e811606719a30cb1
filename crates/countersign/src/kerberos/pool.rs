//! Threads that are started on demand, and the places of work that waits for one.
//!
//! What is shared here goes through [`crate::sync`], so that `tests/orders` can run it in every order.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use countersign_kerberos::{Awaited, Done, Work};

use super::lanes::Lanes;
use crate::rights;
use crate::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread};

/// What a thread does; it is lent its place in the queue.
type Job = Box<dyn FnOnce(&Arc<Slot>) + Send>;

/// What each needs at most; the Kerberos library keeps little on the stack.
const STACK: usize = 512 * 1024;

/// A place in the queue. Dropping it takes the work in it back, unless a thread has begun that: who
/// gives a handshake up must not leave behind what its peer sent, nor work for those that hang
/// already.
#[derive(Default)]
pub(crate) struct Place(Arc<Slot>);

/// A queue may hold it for longer, empty.
pub(super) struct Slot(Mutex<Held>);

impl Default for Slot {
    fn default() -> Self {
        Self(Mutex::new(Held::default()))
    }
}

#[derive(Default)]
struct Held {
    job: Option<Job>,
    is_given_up: bool,
}

impl Slot {
    /// Puts work in, unless nobody waits for it any more.
    fn fill(&self, job: Job) -> bool {
        let mut held = self.lock();
        if held.is_given_up {
            // What it holds is dropped when the lock is not held any more.
            drop(held);
            drop(job);
            return false;
        }
        held.job = Some(job);
        true
    }

    /// Returns whether there is nothing in it, or not any more.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().job.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Slot(empty)" } else { "Slot" })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.0.lock();
        held.is_given_up = true;
        let job = held.job.take();
        drop(held);
        drop(job);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// Takes the next step, and then waits in the queue for what is left.
fn step(pool: &'static Pool, work: Work, done: impl FnOnce(Option<Done>) + Send + 'static) -> Job {
    Box::new(move |slot| match catch_unwind(AssertUnwindSafe(|| work.step())) {
        Ok(Ok(outcome)) => done(Some(outcome)),
        Ok(Err(rest)) => {
            let awaited = rest.awaits();
            if slot.fill(step(pool, rest, done)) {
                // This thread looks into the queue next, so there is one that comes to it.
                pool.lock().lanes.add(awaited, Arc::clone(slot));
            }
        }
        Err(_) => done(None),
    })
}

/// Threads that are started on demand, bounded in number, and end when there is nothing to do.
pub(super) struct Pool {
    state: Mutex<State>,
    news: Condvar,
    limit: usize,
    patience: Duration,
}

pub(super) struct State {
    lanes: Lanes,
    threads: usize,
    /// Threads that wait and were not called.
    idle: usize,
    /// Threads that were called and are not there yet.
    called: usize,
}

impl Pool {
    /// Makes one of at most `limit` threads, each of which waits so long for work when it has none.
    pub(super) fn new(limit: usize, patience: Duration) -> Self {
        let lanes = Lanes::new(limit);
        let state = State { lanes, threads: 0, idle: 0, called: 0 };
        Self { state: Mutex::new(state), news: Condvar::new(), limit, patience }
    }

    /// As [`super::workers::start`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn start<T: 'static>(
        &'static self,
        place: &Place,
        awaited: Awaited,
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Option<T>) + Send + 'static,
    ) -> io::Result<()> {
        place.0.fill(Box::new(move |_| {
            // Whatever a panic leaves half done is dropped with the work.
            done(catch_unwind(AssertUnwindSafe(work)).ok());
        }));
        self.add(awaited, Arc::clone(&place.0))
    }

    /// As [`super::workers::perform`].
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn perform(
        &'static self,
        place: &Place,
        work: Work,
        done: impl FnOnce(Option<Done>) + Send + 'static,
    ) -> io::Result<()> {
        let awaited = work.awaits();
        place.0.fill(step(self, work, done));
        self.add(awaited, Arc::clone(&place.0))
    }

    /// Returns whether any thread is at work.
    pub(super) fn is_busy(&self) -> bool {
        self.lock().lanes.busy() > 0
    }

    pub(super) fn add(&'static self, awaited: Awaited, slot: Arc<Slot>) -> io::Result<()> {
        let mut state = self.lock();
        state.lanes.add(awaited, slot);
        self.recruit(state)
    }

    /// Sees to it that somebody comes to what may begin, if there is anybody left.
    fn recruit(&'static self, mut state: MutexGuard<'_, State>) -> io::Result<()> {
        if !state.lanes.has_due() {
            return Ok(());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
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
        // A thread is born as who its parent is. Whoever acts for a peer just now must not leave
        // one behind that does, for others' work.
        let spawned = rights::as_process(|| thread.stack_size(STACK).spawn(move || self.work()));
        let Err(error) = spawned else { return Ok(()) };
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads > 0 {
            // One of those that there are will come to it.
            return Ok(());
        }
        state.lanes.clear();
        Err(error)
    }

    /// Takes one job after the other, until there has been none for a while.
    fn work(&'static self) {
        let mut state = self.lock();
        loop {
            if let Some((awaited, slot)) = state.lanes.begin() {
                // Others may be due too, which whoever has just made room does not know. That
                // there is no thread for them is no news for this one.
                let _ = self.recruit(state);
                let job = slot.lock().job.take();
                if let Some(job) = job {
                    // A job that panics has caught that itself; its `done` may not have.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&slot)));
                }
                state = self.lock();
                state.lanes.end(&awaited);
                continue;
            }
            state.idle += 1;
            let mut is_over = false;
            while state.called == 0 && !is_over {
                let waited = self.news.wait_timeout(state, self.patience);
                let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (state, is_over) = (woken, waited.timed_out());
            }
            if state.called > 0 {
                state.called -= 1;
                continue;
            }
            state.idle -= 1;
            if !state.lanes.has_due() {
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

#[cfg(test)]
impl Slot {
    /// A slot with this in it, for which somebody waits.
    pub(super) fn filled(work: impl FnOnce() + Send + 'static) -> Arc<Self> {
        let slot = Self::default();
        assert!(slot.fill(Box::new(|_| work())));
        Arc::new(slot)
    }
}

#[cfg(test)]
impl Place {
    pub(super) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
impl Pool {
    pub(super) fn threads(&self) -> usize {
        self.lock().threads
    }
}
