//! The ends of a tunnel, each cut unless it was declared over.

use std::io;
use std::net::TcpStream as StandardStream;
use std::os::fd::AsFd;
use std::time::Duration;

use countersign::Evidence;
use countersign::tokio::TcpStream as SecuredStream;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream as PlainStream;

use crate::failure::Failure;
use crate::run::join::keep_alive;

/// A stream that can be broken off so that the other side cannot take that for an end that was
/// meant.
pub(in crate::run) trait Cut {
    /// Prepares it for the case that nobody gets to say anything any more: this process may be
    /// killed.
    fn brace(&self) {}

    /// Breaks it off.
    fn cut(&self);

    /// Lets it close as one that is over in both directions.
    fn release(&self) {}
}

/// A stream that is cut when it is dropped, unless both directions have ended.
#[derive(Debug)]
pub(in crate::run) struct End<S: Cut> {
    pub(super) stream: S,
    is_over: bool,
}

pub(in crate::run) type PlainEnd = End<PlainStream>;
pub(in crate::run) type SecuredEnd = End<SecuredStream>;

impl<S: Cut> End<S> {
    /// Takes charge of a stream.
    pub(in crate::run) fn new(stream: S) -> Self {
        stream.brace();
        Self { stream, is_over: false }
    }

    /// Declares that both directions have ended as they should.
    pub(super) fn is_over(&mut self) {
        self.is_over = true;
        self.stream.release();
    }
}

impl SecuredEnd {
    /// Registers it with the reactor of the thread that calls, which is to carry it.
    ///
    /// # Errors
    ///
    /// If that has no room for it.
    pub(in crate::run) fn move_here(&mut self) -> Result<(), Failure> {
        self.stream = SecuredStream::from_blocking(self.stream.get_ref().clone())?;
        Ok(())
    }

    /// Returns what protects the connection and who the peer is.
    pub(in crate::run) fn evidence(&self) -> Option<&Evidence> {
        self.stream.evidence()
    }
}

impl<S: Cut> Drop for End<S> {
    fn drop(&mut self) {
        if !self.is_over {
            self.stream.cut();
        }
    }
}

/// Lets go of a stream that another thread is to carry; whatever closes it on the way resets it.
///
/// # Errors
///
/// If the reactor does not let go.
pub(in crate::run) fn travelling(stream: PlainStream) -> io::Result<StandardStream> {
    stream.brace();
    stream.into_std()
}

/// Takes charge of a stream that has come to this thread.
///
/// # Errors
///
/// If the reactor has no room for it.
pub(in crate::run) fn arrived(stream: StandardStream) -> io::Result<PlainEnd> {
    Ok(End { stream: PlainStream::from_std(stream)?, is_over: false })
}

impl Cut for PlainStream {
    fn brace(&self) {
        // Whatever closes it resets it (socket(7)): a plain FIN would be an end.
        let _ = set_socket_linger(self, Some(Duration::ZERO));
        // Units are as large as what there was to read, so to wait for more only costs time.
        let _ = self.set_nodelay(true);
    }

    fn cut(&self) {
        // connect(2) to no address resets the connection at once (tcp(7)); so does the close.
        let _ = rustix::net::connect_unspec(self);
    }

    fn release(&self) {
        // What the kernel still has to send goes out.
        let _ = set_socket_linger(self, None);
    }
}

impl Cut for SecuredStream {
    fn brace(&self) {
        keep_alive(self);
    }

    /// TCP ends without the word that would make it an end.
    fn cut(&self) {
        let _ = rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Both);
    }
}

/// Whether a stream that would be ended is gone, and with it whatever it would have said.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotConnected
}
