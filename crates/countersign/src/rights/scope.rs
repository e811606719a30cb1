//! A thread that acts for a peer, for those who must not block or share theirs.

use std::panic;
use std::thread;

use super::{Impersonation, PeerToken, RightsError};

/// Runs `work` with the rights of a peer on a thread of its own, and waits for it.
///
/// For async code: call it where blocking is allowed (`tokio::task::spawn_blocking`); the calling
/// thread never acts for the peer, so no other task that runs on it can. A panic of `work` goes on
/// in the caller.
///
/// # Errors
///
/// As [`PeerToken::impersonate`], and [`RightsError::Thread`] if there is no thread left.
///
/// # Panics
///
/// If `work` does.
pub fn impersonate_scope<R: Send>(
    token: &PeerToken,
    work: impl FnOnce(&Impersonation<'_>) -> R + Send,
) -> Result<R, RightsError> {
    // Looked up by the caller, which need not be able to in there.
    token.account()?;
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("impersonation".to_owned())
            .spawn_scoped(scope, || token.impersonate(work))
            .map_err(RightsError::Thread)?;
        thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}
