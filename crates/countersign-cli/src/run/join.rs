//! Two ends joined: what comes out of one goes into the other, in both directions, until both are
//! done.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::net::sockopt::set_socket_keepalive;

use crate::failure::Failure;

/// Something that bytes go into and come out of.
pub(super) trait End: Sync {
    /// As [`Read::read`]; zero is an end that the other side meant.
    fn receive(&self, into: &mut [u8]) -> io::Result<usize>;

    /// As [`Write::write_all`].
    fn send(&self, bytes: &[u8]) -> io::Result<()>;

    /// Says that no more will be sent.
    fn finish(&self) -> io::Result<()>;

    /// Breaks it off, so that the other side cannot take that for an end that was meant, and
    /// whoever waits for it here stops waiting.
    fn abort(&self);
}

/// An end and what errors call it.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) end: &'a dyn End,
    pub(super) called: &'a str,
}

/// Bytes that have been carried.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Joins two ends until both directions are done. An end that one side meant is passed on to the
/// other; a broken side breaks the other.
///
/// # Errors
///
/// The first thing that went wrong.
pub(super) fn join(one: Side<'_>, other: Side<'_>) -> Result<(), Failure> {
    let failure = Mutex::new(None);
    let carry = |from: Side<'_>, to: Side<'_>| {
        if let Err(why) = carry(from, to) {
            failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
            from.end.abort();
            to.end.abort();
        }
    };
    thread::scope(|scope| {
        let back = thread::Builder::new().spawn_scoped(scope, || carry(other, one));
        match back {
            Ok(_) => carry(one, other),
            Err(error) => {
                one.end.abort();
                other.end.abort();
                let why = Failure::io("start a thread")(error);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
            }
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Carries bytes in one direction until they end, and passes the end on.
pub(super) fn carry(from: Side<'_>, to: Side<'_>) -> Result<(), Failure> {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = match from.end.receive(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failure::io(format!("receive from {}", from.called))(error));
            }
        };
        let piece = buffer.get(..count).unwrap_or_default();
        to.end.send(piece).map_err(Failure::io(format!("send to {}", to.called)))?;
    }
    match to.end.finish() {
        // It is gone, and so is whatever it would have said.
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
        other => other.map_err(Failure::io(format!("finish sending to {}", to.called))),
    }
}

/// Lets the kernel find out that the other side is gone, though nobody sends: the place that it
/// takes is wanted by others (tcp(7), SO_KEEPALIVE).
pub(super) fn keep_alive(socket: impl AsFd) {
    let _ = set_socket_keepalive(socket, true);
}

/// What the library seals for one system call; more would leave small rests.
pub(super) const PIECE: usize = 48 * 1024;

impl End for countersign::TcpStream {
    fn receive(&self, into: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(into)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&mut &*self).write_all(bytes)
    }

    fn finish(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// TCP ends without the word that would make it an end.
    fn abort(&self) {
        let _ = rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Both);
    }
}
