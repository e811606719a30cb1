//! One piece of work on another thread, and a descriptor to wait for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use countersign_kerberos::{Awaited, Done, Work};
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
    /// Begins what may wait for this one.
    ///
    /// # Errors
    ///
    /// If there is no descriptor or no thread left.
    pub(crate) fn start(
        awaited: Awaited,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let (shared, place) = (Shared::new()?, Place::default());
        let theirs = Arc::clone(&shared);
        workers::start(&place, awaited, work, move |outcome| theirs.finish(outcome))?;
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

impl Task<Done> {
    /// Begins a piece of work of a proof.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub(crate) fn perform(work: Work) -> io::Result<Self> {
        let (shared, place) = (Shared::new()?, Place::default());
        let theirs = Arc::clone(&shared);
        workers::perform(&place, work, move |outcome| theirs.finish(outcome))?;
        Ok(Self(shared, place))
    }
}

impl<T> Shared<T> {
    fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { outcome: Mutex::new(None), over: Signal::new()? }))
    }

    fn finish(&self, outcome: Option<T>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        self.over.raise();
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

    use countersign_kerberos::{Awaited, InitiatorCredential};
    use countersign_sys::{Interest, wait};

    use super::Task;

    fn awaited(name: &str) -> Awaited {
        InitiatorCredential::cache(name).awaits()
    }

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
                Task::start(awaited("silent"), hang).unwrap()
            })
            .collect();
        let token = Arc::new(vec![0_u8; 128 * 1024]);
        let theirs = token.clone();
        let task = Task::start(awaited("silent"), move || theirs.len()).unwrap();
        assert!(task.take().is_none(), "all threads hang");
        drop(task);
        assert_eq!(Arc::strong_count(&token), 1, "its memory is still held");
        drop(go);
        drop(held);
    }

    #[test]
    fn the_descriptor_tells_when_it_is_over() {
        let task = Task::start(awaited("good"), || 7).unwrap();
        let deadline = Some(Instant::now() + Duration::from_secs(20));
        wait(task.as_fd(), Interest::Read, deadline).unwrap();
        assert_eq!(task.take().unwrap().unwrap(), 7);
        assert!(task.take().is_none(), "it is handed out once");
        let task: Task<()> = Task::start(awaited("good"), || panic!("meant")).unwrap();
        wait(task.as_fd(), Interest::Read, deadline).unwrap();
        assert!(task.take().unwrap().is_err());
    }
}
