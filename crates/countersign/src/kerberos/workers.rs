//! Threads for work that may block: who asks a KDC for a ticket waits for half a minute if that is
//! silent, and nobody else may wait with it.

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use super::pool::{Place, Pool};

/// The most threads at once. Each may hang in a silent KDC; then work waits for the first that
/// comes back, and handshakes for their deadlines.
const THREADS: usize = 64;

/// How long a thread without work waits for some.
const IDLE: Duration = Duration::from_secs(10);

static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::new(THREADS, IDLE));

/// Runs `work` on a thread that may block, and then `done` there with what came of it; `None` if it
/// panicked. Neither runs if `place` is dropped before.
///
/// # Errors
///
/// If there is no thread for it, and none can be made.
pub(crate) fn start<T: 'static>(
    place: &Place,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Option<T>) + Send + 'static,
) -> io::Result<()> {
    POOL.start_at(place, work, done)
}

/// Returns whether any thread is at work.
pub(crate) fn is_busy() -> bool {
    POOL.is_busy()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::time::{Duration, Instant};

    use crate::kerberos::pool::{Place, Pool};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pool(limit: usize, patience: Duration) -> &'static Pool {
        Box::leak(Box::new(Pool::new(limit, patience)))
    }

    fn start(pool: &'static Pool, work: impl FnOnce() + Send + 'static) -> Place {
        let place = Place::default();
        pool.start_at(&place, work, |_| {}).unwrap();
        place
    }

    #[test]
    fn work_is_done_elsewhere_and_a_panic_is_reported() {
        let (done, came) = mpsc::channel();
        let here = std::thread::current().id();
        let second = done.clone();
        let place = Place::default();
        let elsewhere = move || std::thread::current().id() != here;
        let pool = pool(2, PATIENCE);
        pool.start_at(&place, elsewhere, move |it| done.send(it).unwrap()).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(Some(true)));
        let report = move |it: Option<bool>| second.send(it).unwrap();
        pool.start_at(&place, || panic!("meant"), report).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(None));
    }

    #[test]
    fn one_that_hangs_delays_nobody_until_all_do() {
        let pool = pool(2, PATIENCE);
        let (done, came) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let first = done.clone();
        let _slow = start(pool, move || {
            let _ = gate.recv_timeout(PATIENCE);
            first.send("slow").unwrap();
        });
        for _ in 0..10 {
            let done = done.clone();
            let _quick = start(pool, move || done.send("quick").unwrap());
            assert_eq!(came.recv_timeout(PATIENCE), Ok("quick"));
        }
        assert!(pool.threads() <= 2);

        let (second_go, second_gate) = mpsc::channel::<()>();
        let _second = start(pool, move || {
            let _ = second_gate.recv_timeout(PATIENCE);
        });
        let queued = done.clone();
        let _queued = start(pool, move || queued.send("queued").unwrap());
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
        let _places: Vec<Place> = (0..8).map(|_| start(pool, || {})).collect();
        let deadline = Instant::now() + PATIENCE;
        while pool.threads() > 0 {
            assert!(Instant::now() < deadline, "they never ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (done, came) = mpsc::channel();
        let _place = start(pool, move || done.send(()).unwrap());
        assert_eq!(came.recv_timeout(PATIENCE), Ok(()));
    }
}
