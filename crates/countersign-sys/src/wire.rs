//! A socket as a writer that never waits.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

/// Sends to a socket without waiting and without SIGPIPE, many slices in one call.
#[derive(Debug)]
pub struct Wire<'a>(BorrowedFd<'a>);

impl<'a> Wire<'a> {
    /// Sends to `socket`.
    pub fn new(socket: BorrowedFd<'a>) -> Self {
        Self(socket)
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl io::Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| rustix::net::send(self.0, bytes, FLAGS))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [only] = slices {
            return self.write(only);
        }
        let mut none = SendAncillaryBuffer::default();
        uninterrupted(|| rustix::net::sendmsg(self.0, slices, &mut none, FLAGS))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn uninterrupted(mut call: impl FnMut() -> Result<usize, Errno>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}
