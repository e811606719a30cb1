//! What threads share, from one place.
//!
//! What goes through here can be compiled against the types of loom as well: `tests/orders` does so, and
//! runs it in every order that threads and memory permit.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
pub(crate) use std::thread;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}
