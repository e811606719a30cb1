//! Threads for work that may block: who asks a KDC for a ticket waits for half a minute if that is
//! silent, and nobody may wait with it who needs something else.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use countersign_kerberos::{Awaited, Done, Work};

use super::pool::{Place, Pool};

/// The most threads at once. Each may hang in a silent KDC. Those who wait for one and the same never
/// have more of them than are left to others, so the first silent realm takes half of them, the
/// second half of the rest.
const THREADS: usize = 64;

/// How long a thread without work waits for some.
const IDLE: Duration = Duration::from_secs(10);

/// How often a process may be forked from one that has threads here, without exec(3), and have its
/// own.
const FORKS: usize = 16;

/// The threads of this process, and what it remembers of those that it was forked from: none of
/// them is there in a child, and one may have held a lock.
static POOLS: [LazyLock<Pool>; FORKS] =
    [const { LazyLock::new(|| Pool::new(THREADS, IDLE)) }; FORKS];

fn pool() -> io::Result<&'static Pool> {
    let pool = POOLS.get(countersign_sys::lineage());
    pool.map(|pool| &**pool).ok_or_else(|| {
        io::Error::other(format!(
            "this process was forked {FORKS} times without exec(3), which leaves no threads for \
             Kerberos"
        ))
    })
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
    pool()?.start(place, awaited, work, done)
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
    pool()?.perform(place, work, done)
}

/// Returns whether any thread is at work.
pub(crate) fn is_busy() -> bool {
    pool().is_ok_and(Pool::is_busy)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::{Duration, Instant};

    use countersign_kerberos::{Awaited, InitiatorCredential};

    use super::start;
    use crate::kerberos::pool::{Place, Pool, Slot};

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
                pool.add(awaited(silent), Slot::filled(hang)).unwrap();
            }
        }
        let (done, came) = mpsc::channel();
        for _ in 0..100 {
            let done = done.clone();
            let quick = move || done.send("quick").unwrap();
            pool.add(awaited("good"), Slot::filled(quick)).unwrap();
            assert_eq!(came.recv_timeout(PATIENCE), Ok("quick"));
        }
        let late = done.clone();
        let queued = Slot::filled(move || late.send("queued").unwrap());
        pool.add(awaited("one"), queued).unwrap();
        let waited = came.recv_timeout(Duration::from_millis(100));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout), "all that it may have hang");
        assert!(pool.threads() <= 64);
        drop(gates);
        assert_eq!(came.recv_timeout(PATIENCE), Ok("queued"));
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let pool = pool(8, Duration::from_millis(20));
        for _ in 0..8 {
            pool.add(awaited("a"), Slot::filled(|| {})).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while pool.threads() > 0 {
            assert!(Instant::now() < deadline, "they never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (done, came) = mpsc::channel();
        let work = Slot::filled(move || done.send(()).unwrap());
        pool.add(awaited("a"), work).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(()));
    }
}
