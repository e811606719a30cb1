//! Threads for work that may block: who asks a KDC for a ticket waits for half a minute if that is
//! silent, and nobody else may wait with it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// The most threads at once. Each may hang in a silent KDC; then work waits for the first that
/// comes back, and handshakes for their deadlines.
const THREADS: usize = 64;

/// How long a thread without work waits for some.
const IDLE: Duration = Duration::from_secs(10);

/// What each needs at most; the Kerberos library keeps little on the stack.
const STACK: usize = 512 * 1024;

static POOL: Pool = Pool::new(THREADS, IDLE);

/// Runs `work` on a thread that may block, and then `done` there with what came of it; `None` if it
/// panicked.
///
/// # Errors
///
/// If there is no thread for it, and none can be made.
pub(crate) fn start<T: 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Option<T>) + Send + 'static,
) -> io::Result<()> {
    POOL.start(Box::new(move || {
        // Whatever a panic leaves half done is dropped with the work.
        done(catch_unwind(AssertUnwindSafe(work)).ok());
    }))
}

/// Returns whether any thread is at work.
pub(crate) fn is_busy() -> bool {
    let state = POOL.lock();
    state.threads > state.idle
}

/// Threads that are started on demand, bounded in number, and end when there is nothing to do.
struct Pool {
    state: Mutex<State>,
    news: Condvar,
    limit: usize,
    patience: Duration,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Pool {
    const fn new(limit: usize, patience: Duration) -> Self {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0 };
        Self { state: Mutex::new(state), news: Condvar::new(), limit, patience }
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
            let (woken, waited) = self
                .news
                .wait_timeout_while(state, self.patience, |state| state.jobs.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
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
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::{Duration, Instant};

    use super::{Pool, start};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pool(limit: usize, patience: Duration) -> &'static Pool {
        Box::leak(Box::new(Pool::new(limit, patience)))
    }

    #[test]
    fn work_is_done_elsewhere_and_a_panic_is_reported() {
        let (done, came) = mpsc::channel();
        let here = std::thread::current().id();
        let second = done.clone();
        start(move || std::thread::current().id() != here, move |it| done.send(it).unwrap())
            .unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(Some(true)));
        start(|| panic!("meant"), move |it: Option<bool>| second.send(it).unwrap()).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(None));
    }

    #[test]
    fn one_that_hangs_delays_nobody_until_all_do() {
        let pool = pool(2, PATIENCE);
        let (done, came) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let first = done.clone();
        pool.start(Box::new(move || {
            let _ = gate.recv_timeout(PATIENCE);
            first.send("slow").unwrap();
        }))
        .unwrap();
        for _ in 0..10 {
            let done = done.clone();
            pool.start(Box::new(move || done.send("quick").unwrap())).unwrap();
            assert_eq!(came.recv_timeout(PATIENCE), Ok("quick"));
        }
        assert!(pool.lock().threads <= 2);

        let (second_go, second_gate) = mpsc::channel::<()>();
        pool.start(Box::new(move || {
            let _ = second_gate.recv_timeout(PATIENCE);
        }))
        .unwrap();
        let queued = done.clone();
        pool.start(Box::new(move || queued.send("queued").unwrap())).unwrap();
        assert_eq!(
            came.recv_timeout(Duration::from_millis(100)),
            Err(RecvTimeoutError::Timeout),
            "both threads hang"
        );
        second_go.send(()).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok("queued"));
        go.send(()).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok("slow"));
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let pool = pool(8, Duration::from_millis(20));
        for _ in 0..8 {
            pool.start(Box::new(|| {})).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while pool.lock().threads > 0 {
            assert!(Instant::now() < deadline, "they never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (done, came) = mpsc::channel();
        pool.start(Box::new(move || done.send(()).unwrap())).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(()));
    }
}
