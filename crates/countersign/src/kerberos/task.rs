//! One piece of work on another thread, and a descriptor to wait for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_sys::Signal;

use super::{Place, workers};

/// Work that was begun. Dropping it forgets the outcome, and waits for nothing; what no thread has
/// come to yet is not done then.
#[derive(Debug)]
pub(crate) struct Task<T>(
    Arc<Shared<T>>,
    #[expect(dead_code, reason = "it is there to be dropped")] Place,
);

#[derive(Debug)]
struct Shared<T> {
    /// Outside: whether it is over. Inside: what came of it, if it did not panic.
    outcome: Mutex<Option<Option<T>>>,
    over: Signal,
}

impl<T: Send + 'static> Task<T> {
    /// Begins.
    ///
    /// # Errors
    ///
    /// If there is no descriptor or no thread left.
    pub(crate) fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared { outcome: Mutex::new(None), over: Signal::new()? });
        let theirs = shared.clone();
        let place = Place::default();
        workers::start(&place, work, move |outcome| {
            *theirs.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            theirs.over.raise();
        })?;
        Ok(Self(shared, place))
    }

    /// Returns what came of it: `None` while it is under way.
    ///
    /// # Errors
    ///
    /// If the work panicked.
    pub(crate) fn take(&self) -> Option<io::Result<T>> {
        let outcome = self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(outcome.ok_or_else(|| io::Error::other("the thread that did the work panicked")))
    }
}

impl<T> AsFd for Task<T> {
    /// A descriptor that can be read once the work is over.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.over.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::{Duration, Instant};

    use countersign_sys::{Interest, wait};

    use super::Task;

    /// Peers can make us begin more than the threads do, and give up before it is done.
    #[test]
    fn work_that_nobody_waits_for_any_more_holds_nothing_while_all_threads_hang() {
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let held: Vec<_> = (0..64)
            .map(|_| {
                let gate = gate.clone();
                let hang = move || {
                    let gate = gate.lock().unwrap();
                    let _ = gate.recv_timeout(Duration::from_secs(20));
                };
                Task::start(hang).unwrap()
            })
            .collect();
        let token = Arc::new(vec![0_u8; 128 * 1024]);
        let theirs = token.clone();
        let task = Task::start(move || theirs.len()).unwrap();
        assert!(task.take().is_none(), "all threads hang");
        drop(task);
        assert_eq!(Arc::strong_count(&token), 1, "its memory is still held");
        drop(go);
        drop(held);
    }

    #[test]
    fn the_descriptor_tells_when_it_is_over() {
        let task = Task::start(|| 7).unwrap();
        let deadline = Some(Instant::now() + Duration::from_secs(20));
        wait(task.as_fd(), Interest::Read, deadline).unwrap();
        assert_eq!(task.take().unwrap().unwrap(), 7);
        assert!(task.take().is_none(), "it is handed out once");
        let task: Task<()> = Task::start(|| panic!("meant")).unwrap();
        wait(task.as_fd(), Interest::Read, deadline).unwrap();
        assert!(task.take().unwrap().is_err());
    }
}
