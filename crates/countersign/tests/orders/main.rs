//! What threads share, run in every order that threads and memory permit.
//!
//! These are the files of the library, compiled once more: their `crate::sync` is loom's here. Loom runs a
//! model again and again, each time in another order of the threads' steps and with another of the
//! values that a load may see, until there is none left.

#![allow(dead_code, clippy::allow_attributes, reason = "each model uses its part of a file")]

mod sync;

/// Nobody acts for a peer here.
mod rights {
    pub(crate) fn as_process<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[path = "../../src/kerberos/lanes.rs"]
mod lanes;

#[path = "../../src/kerberos/pool.rs"]
mod pool;

#[path = "../../src/listener/queue.rs"]
mod queue;

#[path = "../../src/stream/standing.rs"]
mod standing;

mod threads;

mod news;

mod wishes;
