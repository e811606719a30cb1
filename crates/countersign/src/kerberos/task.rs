//! One piece of work on another thread, and a descriptor to wait for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_sys::Signal;

use super::workers;

/// Work that was begun. Dropping it forgets the outcome, and waits for nothing.
#[derive(Debug)]
pub(crate) struct Task<T>(Arc<Shared<T>>);

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
        workers::start(work, move |outcome| {
            *theirs.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            theirs.over.raise();
        })?;
        Ok(Self(shared))
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
    use std::time::{Duration, Instant};

    use countersign_sys::{Interest, wait};

    use super::Task;

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
