//! Which core a thread runs on.

use rustix::thread::{CpuSet, sched_setaffinity};

/// Keeps the calling thread on one core, if the machine has that many.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    // On a machine with one core everybody shares it.
    let _ = sched_setaffinity(None, &set);
}
