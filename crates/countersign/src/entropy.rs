//! The first random number of a process, which takes long.
//!
//! For the first one our library of ciphers gathers entropy from the jitter of the processor's clock, beside what
//! the kernel gives: tens of milliseconds, once. Whoever can see it coming has it made before a
//! peer waits for it.

use std::sync::OnceLock;

static READY: OnceLock<()> = OnceLock::new();

/// Makes the generator ready, if it is not yet.
pub(crate) fn prepare() {
    READY.get_or_init(|| {
        // A generator that fails says so again when a key is made.
        let _ = aws_lc_rs::rand::fill(&mut [0]);
    });
}

/// Returns whether it is ready, as far as we know.
#[cfg(feature = "tokio")]
pub(crate) fn is_ready() -> bool {
    READY.get().is_some()
}
