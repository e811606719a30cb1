//! How many connections there may be at once.

use std::sync::{Condvar, Mutex, PoisonError};

/// A number of places; who finds none free waits.
#[derive(Debug)]
pub(super) struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(places: u32) -> Self {
        Self { free: Mutex::new(places), freed: Condvar::new() }
    }

    /// Waits for a place.
    pub(super) fn take(&self) -> Slot<'_> {
        // A number is whole whatever panicked.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::Slots;

    #[test]
    fn who_finds_no_place_waits_for_one() {
        let slots = Slots::new(2);
        let was_freed = AtomicBool::new(false);
        let (one, _two) = (slots.take(), slots.take());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _three = slots.take();
                assert!(was_freed.load(Ordering::SeqCst));
            });
            was_freed.store(true, Ordering::SeqCst);
            drop(one);
        });
    }
}
