//! Descriptors of ours in tokio's reactor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Instant;

use ::tokio::io;
use ::tokio::io::unix::AsyncFd;

use crate::{Error, Interest};

/// Something with a descriptor, as the reactor wants it.
#[derive(Debug)]
pub(super) struct Registered<T>(pub(super) T);

impl<T: AsFd> AsRawFd for Registered<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Puts a descriptor into the reactor.
#[expect(
    deprecated,
    reason = "its successor is unsafe; our types keep one open descriptor for life"
)]
pub(super) fn register<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(inner)
}

/// Waits until `registered`, whose descriptor is `descriptor`, is ready for `interest`.
///
/// The reactor reports changes only (edges), and a call of ours may stop before it has used up what
/// was there. So the kernel is asked each time before anything is waited for.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped.
pub(super) async fn ready<T: AsRawFd>(
    registered: &AsyncFd<T>,
    descriptor: BorrowedFd<'_>,
    interest: &[Interest],
) -> io::Result<()> {
    loop {
        if is_ready(descriptor, interest) {
            return Ok(());
        }
        registered.ready(for_reactor(interest)).await?.clear_ready();
    }
}

fn is_ready(descriptor: BorrowedFd<'_>, interest: &[Interest]) -> bool {
    let now = Some(Instant::now());
    interest.iter().any(|one| match countersign_sys::wait(descriptor, *one, now) {
        Ok(()) => true,
        // Another error comes out of the call that follows.
        Err(error) => error.kind() != io::ErrorKind::TimedOut,
    })
}

fn for_reactor(interest: &[Interest]) -> io::Interest {
    let all = interest.iter().fold(None, |all: Option<io::Interest>, one| {
        let one = match one {
            Interest::Write => io::Interest::WRITABLE,
            _ => io::Interest::READABLE,
        };
        Some(all.map_or(one, |all| all | one))
    });
    all.unwrap_or(io::Interest::READABLE)
}

/// Waits for a socket that is being connected. Its descriptor may change on the way, so each is
/// registered when it is met.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    at: Option<(RawFd, AsyncFd<OwnedFd>)>,
    interest: &'static [Interest],
}

impl Waiter {
    /// Notes what the socket waits for now.
    pub(super) fn follow(&mut self, socket: &crate::Socket) -> Result<(), Error> {
        let failed = || Error::io("wait for the connection");
        let Some(descriptor) = socket.descriptor() else {
            return Err(failed()(io::ErrorKind::NotConnected.into()));
        };
        let number = descriptor.as_raw_fd();
        if self.at.as_ref().is_none_or(|(registered, _)| *registered != number) {
            let own = descriptor.try_clone_to_owned().map_err(failed())?;
            self.at = Some((number, register(own).map_err(failed())?));
        }
        self.interest = socket.interest();
        Ok(())
    }

    /// Waits until the socket is ready for that.
    pub(super) async fn wait(&self) -> Result<(), Error> {
        match &self.at {
            Some((_, registered)) => {
                ready(registered, registered.get_ref().as_fd(), self.interest).await
            }
            None => Ok(()),
        }
        .map_err(Error::io("wait for the connection"))
    }
}
