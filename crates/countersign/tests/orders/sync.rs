//! The types of `crate::sync`, as loom knows them; what loom lacks is made of what it has.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use loom::sync::{LockResult, Mutex, MutexGuard};
pub(crate) use loom::thread;
pub(crate) use std::sync::PoisonError;

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

thread_local! {
    /// Time is over for all who wait. All threads of a model run on one of the system.
    static IS_LATE: Cell<bool> = const { Cell::new(false) };
    static WAITED_FOR: RefCell<Vec<Arc<loom::sync::Condvar>>> = const { RefCell::new(Vec::new()) };
}

/// Begins a model anew.
pub(crate) fn begin() {
    IS_LATE.set(false);
    WAITED_FOR.take();
}

/// Lets all time pass; those who wait already hear of it by [`wake_the_late`]. To be called under
/// the lock that they wait with, since they look at the clock under it.
pub(crate) fn let_time_pass() {
    IS_LATE.set(true);
}

/// Wakes those whose time is over.
pub(crate) fn wake_the_late() {
    let waited_for = WAITED_FOR.with_borrow(Vec::clone);
    waited_for.iter().for_each(|one| one.notify_all());
}

/// A condition whose time-outs come when the model says so; loom's own never come.
pub(crate) struct Condvar(Arc<loom::sync::Condvar>);

/// Whether the time was over.
pub(crate) struct Waited(bool);

impl Waited {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        let inner = Arc::new(loom::sync::Condvar::new());
        WAITED_FOR.with_borrow_mut(|all| all.push(inner.clone()));
        Self(inner)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, Waited)> {
        if IS_LATE.get() {
            return Ok((guard, Waited(true)));
        }
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        Ok((guard, Waited(IS_LATE.get())))
    }
}

/// A value that is set once; loom has none. What is set lives on after the model.
#[derive(Debug)]
pub(crate) struct OnceLock<T: 'static>(Mutex<Option<&'static T>>);

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut slot = self.0.lock().unwrap();
        if slot.is_some() {
            return Err(value);
        }
        *slot = Some(Box::leak(Box::new(value)));
        Ok(())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        *self.0.lock().unwrap()
    }
}
