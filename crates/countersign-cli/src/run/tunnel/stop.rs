//! The wish of an administrator that a tunnel end.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGTERM and SIGINT, as they come.
#[derive(Debug)]
pub(super) struct Signals([Signal; 2]);

impl Signals {
    /// Takes them from now on, in a runtime.
    ///
    /// # Errors
    ///
    /// If the kernel refuses (sigaction(2)).
    pub(super) fn new() -> Result<Self, Failure> {
        let take = |kind| signal(kind).map_err(Failure::io("wait for signals"));
        Ok(Self([take(SignalKind::terminate())?, take(SignalKind::interrupt())?]))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        poll_fn(|task| {
            let is_there = |it: &mut Signal| it.poll_recv(task).is_ready();
            if self.0.iter_mut().map(is_there).fold(false, |any, one| any | one) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}
