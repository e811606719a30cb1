//! Event objects, and waiting for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::abi;
use crate::alerts::Alerts;

/// An event: signalled or not.
#[derive(Debug)]
pub(crate) struct Event {
    /// Stays signalled until it is reset; else it is reset by the wait that it ends.
    is_manual: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    is_signalled: bool,
    waiters: Vec<Arc<Alerts>>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The event at this index, or all of them.
    For(usize),
    /// A completion routine ran.
    Completion,
    TimedOut,
}

impl Event {
    pub(crate) fn new(is_manual: bool, is_signalled: bool) -> Arc<Self> {
        let inner = Mutex::new(Inner { is_signalled, waiters: Vec::new() });
        Arc::new(Self { is_manual, inner })
    }

    pub(crate) fn set(&self) {
        let mut inner = self.lock();
        inner.is_signalled = true;
        for waiter in &inner.waiters {
            waiter.signal();
        }
    }

    pub(crate) fn reset(&self) {
        self.lock().is_signalled = false;
    }

    fn is_signalled(&self) -> bool {
        self.lock().is_signalled
    }

    /// Takes the signal; returns whether there was one.
    fn take(&self) -> bool {
        let mut inner = self.lock();
        let was = inner.is_signalled;
        if was && !self.is_manual {
            inner.is_signalled = false;
        }
        was
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has every event tell the thread, until it is dropped.
struct Registered<'a>(&'a [Arc<Event>], &'a Arc<Alerts>);

impl<'a> Registered<'a> {
    fn new(events: &'a [Arc<Event>], alerts: &'a Arc<Alerts>) -> Self {
        for event in events {
            event.lock().waiters.push(alerts.clone());
        }
        Self(events, alerts)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        for event in self.0 {
            let mut inner = event.lock();
            if let Some(at) = inner.waiters.iter().position(|it| Arc::ptr_eq(it, self.1)) {
                inner.waiters.swap_remove(at);
            }
        }
    }
}

/// Waits for one or all of the events, or, in an alertable wait, until completion routines ran.
pub(crate) fn wait(
    events: &[Arc<Event>],
    all: bool,
    milliseconds: u32,
    is_alertable: bool,
) -> Waited {
    let alerts = Alerts::of_thread();
    let deadline = deadline(milliseconds);
    let registered = Registered::new(events, &alerts);
    let waited = loop {
        alerts.reset();
        if let Some(index) = take(events, all) {
            break Waited::For(index);
        }
        if is_alertable && alerts.has_any() {
            break Waited::Completion;
        }
        if !alerts.wait(deadline) {
            break Waited::TimedOut;
        }
    };
    drop(registered);
    if waited == Waited::Completion {
        alerts.run();
    }
    waited
}

/// When a wait is over that lasts so long.
pub(crate) fn deadline(milliseconds: u32) -> Option<Instant> {
    if milliseconds == abi::INFINITE {
        return None;
    }
    Instant::now().checked_add(Duration::from_millis(milliseconds.into()))
}

fn take(events: &[Arc<Event>], all: bool) -> Option<usize> {
    if !all {
        return events.iter().position(|event| event.take());
    }
    if events.is_empty() || !events.iter().all(|event| event.is_signalled()) {
        return None;
    }
    for event in events {
        event.take();
    }
    Some(0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Event, Waited, wait};
    use crate::abi::INFINITE;

    #[test]
    fn waits_for_one_or_all() {
        let events = [Event::new(true, false), Event::new(true, false)];
        assert_eq!(wait(&events, false, 0, false), Waited::TimedOut);
        events[1].set();
        assert_eq!(wait(&events, false, INFINITE, false), Waited::For(1));
        assert_eq!(wait(&events, true, 10, false), Waited::TimedOut);
        let other = events[0].clone();
        let setter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            other.set();
        });
        assert_eq!(wait(&events, true, INFINITE, false), Waited::For(0));
        setter.join().unwrap();
        assert!(events.iter().all(|event| event.lock().waiters.is_empty()));
    }

    #[test]
    fn an_automatic_event_ends_one_wait() {
        let events = [Event::new(false, true)];
        assert_eq!(wait(&events, false, 0, false), Waited::For(0));
        let started = Instant::now();
        assert_eq!(wait(&events, false, 30, false), Waited::TimedOut);
        assert!(started.elapsed() >= Duration::from_millis(30));
    }
}
