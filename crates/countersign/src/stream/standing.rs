//! What a program wants its connection not to outlive, and whether that has changed: what a query, a
//! reader and a writer share without a lock.
//!
//! What is shared here goes through [`crate::sync`], so that `tests/orders` can run it in every order.

use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The fields that were asked for, how often the keys have changed, and why the connection was
/// ended. `E` is that reason.
#[derive(Debug)]
pub(super) struct Standing<E: 'static> {
    fields: AtomicU32,
    rekeys: AtomicU64,
    ended: OnceLock<E>,
}

impl<E: 'static> Default for Standing<E> {
    fn default() -> Self {
        Self { fields: AtomicU32::new(0), rekeys: AtomicU64::new(0), ended: OnceLock::new() }
    }
}

impl<E: 'static> Standing<E> {
    /// Adds fields whose change is to end the connection, and returns how often the keys have changed.
    /// Whoever changes the keys after that sees the fields ([`Self::note_rekeys`]), so that no change is
    /// lost between the answer of a query and the wish that came with it.
    pub(super) fn want(&self, fields: u32) -> u64 {
        if fields != 0 {
            self.fields.fetch_or(fields, Ordering::Relaxed);
            // Of this and the other fence one comes first, and what was written before that one is
            // seen after the other.
            fence(Ordering::SeqCst);
        }
        self.rekeys.load(Ordering::Relaxed)
    }

    /// Notes how often the keys have changed, and returns the fields that were asked for, if that is
    /// news.
    pub(super) fn note_rekeys(&self, rekeys: u64) -> Option<u32> {
        if self.rekeys.load(Ordering::Relaxed) == rekeys {
            return None;
        }
        self.rekeys.store(rekeys, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Some(self.fields.load(Ordering::Relaxed))
    }

    /// Returns the fields that were asked for.
    pub(super) fn fields(&self) -> u32 {
        self.fields.load(Ordering::Relaxed)
    }

    /// Ends the connection; the first reason is the one.
    pub(super) fn end(&self, why: E) {
        let _ = self.ended.set(why);
    }

    /// Returns why the connection was ended, if it was.
    pub(super) fn why(&self) -> Option<&E> {
        self.ended.get()
    }
}
