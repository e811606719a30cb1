//! Threads for work that may block: who asks a KDC for a ticket waits for half a minute if that is
//! silent, and nobody may wait with it who needs something else.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use countersign_kerberos::{Awaited, Done, Work};

use super::lanes::Lanes;
use crate::rights;

/// What a thread does; it is lent its place in the queue.
type Job = Box<dyn FnOnce(&Arc<Slot>) + Send>;

/// The most threads at once. Each may hang in a silent KDC. Those who wait for one and the same never
/// have more of them than are left to others, so the first silent realm takes half of them, the
/// second half of the rest.
const THREADS: usize = 64;

/// How long a thread without work waits for some.
const IDLE: Duration = Duration::from_secs(10);

/// What each needs at most; the Kerberos library keeps little on the stack.
const STACK: usize = 512 * 1024;

/// How often a process may be forked from one that has threads here, without exec(3), and have its
/// own.
const FORKS: usize = 16;

/// The threads of this process, and what it remembers of those that it was forked from: none of
/// them is there in a child, and one may have held a lock.
static POOLS: [Pool; FORKS] = [const { Pool::new(THREADS, IDLE) }; FORKS];

fn pool() -> io::Result<&'static Pool> {
    let pool = POOLS.get(countersign_sys::lineage());
    pool.ok_or_else(|| {
        io::Error::other(format!(
            "this process was forked {FORKS} times without exec(3), which leaves no threads for \
             Kerberos"
        ))
    })
}

/// A place in the queue. Dropping it takes the work in it back, unless a thread has begun that: who
/// gives a handshake up must not leave behind what its peer sent, nor work for those that hang
/// already.
#[derive(Default)]
pub(crate) struct Place(Arc<Slot>);

/// A queue may hold it for longer, empty.
#[derive(Default)]
pub(super) struct Slot(Mutex<Held>);

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

/// Runs `work` on a thread that may wait for `awaited`, and then `done` there with what came of it;
/// `None` if it panicked. Neither runs if `place` is dropped before.
///
/// # Errors
///
/// If there is no thread for it, and none can be made.
pub(crate) fn start<T: 'static>(
    place: &Place,
    awaited: Awaited,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Option<T>) + Send + 'static,
) -> io::Result<()> {
    let job: Job = Box::new(move |_| {
        // Whatever a panic leaves half done is dropped with the work.
        done(catch_unwind(AssertUnwindSafe(work)).ok());
    });
    let pool = pool()?;
    place.0.fill(job);
    pool.start(awaited, Arc::clone(&place.0))
}

/// The same for a piece of work of a proof, each step of which may wait for somebody else.
///
/// # Errors
///
/// As [`start`].
pub(crate) fn perform(
    place: &Place,
    work: Work,
    done: impl FnOnce(Option<Done>) + Send + 'static,
) -> io::Result<()> {
    let pool = pool()?;
    let awaited = work.awaits();
    place.0.fill(step(pool, work, done));
    pool.start(awaited, Arc::clone(&place.0))
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

/// Returns whether any thread is at work.
pub(crate) fn is_busy() -> bool {
    pool().is_ok_and(|pool| pool.lock().lanes.busy() > 0)
}

/// Threads that are started on demand, bounded in number, and end when there is nothing to do.
struct Pool {
    state: Mutex<State>,
    news: Condvar,
    limit: usize,
    patience: Duration,
}

struct State {
    lanes: Lanes,
    threads: usize,
    /// Threads that wait and were not called.
    idle: usize,
    /// Threads that were called and are not there yet.
    called: usize,
}

impl Pool {
    const fn new(limit: usize, patience: Duration) -> Self {
        let lanes = Lanes::new(limit);
        let state = State { lanes, threads: 0, idle: 0, called: 0 };
        Self { state: Mutex::new(state), news: Condvar::new(), limit, patience }
    }

    fn start(&'static self, awaited: Awaited, slot: Arc<Slot>) -> io::Result<()> {
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
            let waited = self.news.wait_timeout_while(state, self.patience, |s| s.called == 0);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
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
    fn lock(&self) -> MutexGuard<'_, State> {
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
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::{Duration, Instant};

    use countersign_kerberos::{Awaited, InitiatorCredential};

    use super::{Place, Pool, Slot, start};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pool(limit: usize, patience: Duration) -> &'static Pool {
        Box::leak(Box::new(Pool::new(limit, patience)))
    }

    fn awaited(name: &str) -> Awaited {
        InitiatorCredential::cache(name).awaits()
    }

    #[test]
    fn work_is_done_elsewhere_and_a_panic_is_reported() {
        let (done, came) = mpsc::channel();
        let here = std::thread::current().id();
        let second = done.clone();
        let place = Place::default();
        let elsewhere = move || std::thread::current().id() != here;
        start(&place, awaited("a"), elsewhere, move |it| done.send(it).unwrap()).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(Some(true)));
        let panics = || panic!("meant");
        let reports = move |it: Option<bool>| second.send(it).unwrap();
        start(&place, awaited("a"), panics, reports).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(None));
    }

    #[test]
    fn those_who_wait_for_one_that_hangs_delay_each_other_only() {
        let pool = pool(64, PATIENCE);
        let mut gates = Vec::new();
        for silent in ["one", "another", "a third"] {
            for _ in 0..100 {
                let (go, gate) = mpsc::channel::<()>();
                gates.push(go);
                let hang = move || {
                    let _ = gate.recv_timeout(PATIENCE);
                };
                pool.start(awaited(silent), Slot::filled(hang)).unwrap();
            }
        }
        let (done, came) = mpsc::channel();
        for _ in 0..100 {
            let done = done.clone();
            let quick = move || done.send("quick").unwrap();
            pool.start(awaited("good"), Slot::filled(quick)).unwrap();
            assert_eq!(came.recv_timeout(PATIENCE), Ok("quick"));
        }
        let late = done.clone();
        let queued = Slot::filled(move || late.send("queued").unwrap());
        pool.start(awaited("one"), queued).unwrap();
        let waited = came.recv_timeout(Duration::from_millis(100));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout), "all that it may have hang");
        assert!(pool.lock().threads <= 64);
        drop(gates);
        assert_eq!(came.recv_timeout(PATIENCE), Ok("queued"));
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let pool = pool(8, Duration::from_millis(20));
        for _ in 0..8 {
            pool.start(awaited("a"), Slot::filled(|| {})).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while pool.lock().threads > 0 {
            assert!(Instant::now() < deadline, "they never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (done, came) = mpsc::channel();
        let work = Slot::filled(move || done.send(()).unwrap());
        pool.start(awaited("a"), work).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(()));
    }
}
