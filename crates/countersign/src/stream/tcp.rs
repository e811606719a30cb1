//! The stream that programs hold.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use countersign_kerberos::DelegatedCredential;
use countersign_sys::Interest;

use super::Channel;
use crate::core::{Evidence, QueryAnswer, QueryTemplate, SecurityInfo};
use crate::rights::can_act_for;
use crate::{Context, Error, PeerName, Socket};

/// A connection to a peer that has proved its name.
///
/// Used like [`std::net::TcpStream`]: `&TcpStream` reads and writes too, so one thread can read
/// while another writes, and [`Self::try_clone`] gives each its own handle.
///
/// **The end.** A read of zero bytes means that the peer said it is done. If the TCP connection
/// ends without that word, the read fails with `UnexpectedEof`: someone on the path may have cut
/// the conversation short.
///
/// **Non-blocking.** After [`Self::set_nonblocking`], wait for [`Self::interest`] on the
/// descriptor, and read until `WouldBlock` before waiting again: plaintext that has been decrypted
/// is invisible to poll(2). A write may accept bytes that the socket has no room for yet, at most
/// 48 KiB; they go out with the next write, read or flush, and until then `interest` asks for
/// writability.
///
/// # Examples
///
/// ```no_run
/// use std::io::Write;
/// let mut stream = countersign::TcpStream::connect("10.0.0.5:5432", "postgres/db1.example.com")?;
/// stream.write_all(b"hello")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TcpStream {
    channel: Arc<Channel>,
    context: Context,
}

impl TcpStream {
    /// Connects to `address`, where `name` must answer, with the context of the host.
    ///
    /// Each address that `address` resolves to is tried in turn until one accepts a TCP
    /// connection there; a peer that does not prove its name ends the attempt, because trying
    /// elsewhere would let an attacker choose.
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    pub fn connect(address: impl ToSocketAddrs, name: &str) -> Result<Self, Error> {
        Self::connect_with(&Context::host()?, address, &name.parse()?)
    }

    /// Connects to `address`, where `name` must answer, with this context.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    pub fn connect_with(
        context: &Context,
        address: impl ToSocketAddrs,
        name: &PeerName,
    ) -> Result<Self, Error> {
        let mut last = None;
        for address in address.to_socket_addrs().map_err(Error::io("resolve the address"))? {
            let mut socket = Socket::stream(context, address)?;
            socket.set_peer_target_name(address, name.clone())?;
            match socket.connect(address) {
                Ok(()) => return socket.into_stream(),
                Err(error @ Error::Io { .. }) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::Io {
            doing: "resolve the address".to_owned(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }

    pub(crate) fn new(channel: Channel, context: &Context) -> Self {
        Self { channel: Arc::new(channel.under(context)), context: context.clone() }
    }

    /// Returns the context that says who acts for the peer.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_nonblocking(&self) -> bool {
        self.channel.is_nonblocking()
    }

    /// Returns what protects the connection and who the peer is (SPEC 7). It never waits.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAECONNRESET` once the peer has reset the connection.
    pub fn query(&self) -> Result<SecurityInfo, Error> {
        self.channel.check_alive()?;
        Ok(match self.channel.evidence() {
            Some(evidence) => SecurityInfo::secured(evidence.clone()),
            None => SecurityInfo::clear(),
        })
    }

    /// Asks about the connection as `template` says (`WSAQuerySocketSecurity`, SPEC 7). It takes no
    /// lock that anybody holds while he waits, and for the all-zero template allocates nothing.
    ///
    /// With [`QueryTemplate::aborting_on`] the connection ends, in both directions, before another
    /// byte passes, once the traffic keys change (`QM_SA_ID`) or a newer policy, trust or
    /// certificate would not have this connection made (`MM_SA_ID`; the files are looked at
    /// when the connection is used, at most once a second). Reads, writes and queries then fail with
    /// [`crate::core::HandshakeError::Changed`], `WSAECONNABORTED`.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAECONNRESET` once the peer has reset the connection, or
    /// [`Error::Handshake`] once it was ended as the program had asked.
    pub fn query_with(&self, template: &QueryTemplate) -> Result<QueryAnswer, Error> {
        let answer = self.channel.query(template)?;
        let is_impersonable =
            self.evidence().is_some_and(|evidence| can_act_for(evidence, &self.context));
        Ok(if is_impersonable { answer.impersonated() } else { answer })
    }

    /// Changes the traffic keys of both directions, which otherwise happens by itself when they
    /// have protected as much as they may.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] in TLS 1.2, which cannot; [`Error::Order`] in clear; [`Error::Io`].
    pub fn change_keys(&self) -> Result<(), Error> {
        self.channel.change_keys()
    }

    /// Returns what protects the connection; `None` is cleartext.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.channel.evidence().map(|evidence| &**evidence)
    }

    /// Returns the tickets that the peer delegated, with which we can act for it at other services;
    /// `None` unless its policy and its KDC let it.
    pub fn delegated(&self) -> Option<&DelegatedCredential> {
        self.channel.delegated()
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    ///
    /// As getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.channel.socket().peer_addr()
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.channel.socket().local_addr()
    }

    /// Reads without waiting, whatever the mode of the stream is: neither for the peer nor for a
    /// thread that reads.
    ///
    /// # Errors
    ///
    /// As [`Read::read`]; `WouldBlock` if nothing is there.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.try_read(into)
    }

    /// Reads without waiting, and says what is left.
    #[cfg(feature = "tokio")]
    pub(crate) fn read_noting(&self, into: &mut [u8]) -> (io::Result<usize>, super::Left) {
        self.channel.read_noting(into)
    }

    /// Returns whether bytes that were accepted wait for the socket to take them.
    #[cfg(feature = "tokio")]
    pub(crate) fn wants_write(&self) -> bool {
        self.channel.wants_write()
    }

    /// Writes without waiting, whatever the mode of the stream is; see the type about bytes that
    /// were accepted and go out later.
    ///
    /// # Errors
    ///
    /// As [`Write::write`]; `WouldBlock` if there is no room.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.send(bytes, false)
    }

    /// Sends what was accepted and still waits, as far as it goes without waiting, whatever the
    /// mode of the stream is.
    ///
    /// # Errors
    ///
    /// As [`Write::flush`]; `WouldBlock` if there is more.
    pub fn try_flush(&self) -> io::Result<()> {
        self.channel.flush_until(None, false)
    }

    /// Reads what has arrived without taking it: the next read returns it again. At most 64 KiB are
    /// read ahead.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    pub fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.peek(into)
    }

    /// Returns how many bytes of plaintext can be read without waiting, counting no further than
    /// `most` or 64 KiB, and whether the end or an error comes after them: what poll(2) on the
    /// descriptor cannot tell. It never waits.
    ///
    /// # Errors
    ///
    /// Fails if a thread panicked while it used this connection.
    pub fn look_ahead(&self, most: usize) -> io::Result<(usize, bool)> {
        self.channel.look_ahead(most)
    }

    /// Says that no more will be written, or read. Of writing the peer learns: it reads an end
    /// that is no truncation.
    ///
    /// # Errors
    ///
    /// As shutdown(2) and [`Write::flush`].
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.channel.shutdown(how)
    }

    /// Returns another handle to the same connection; it closes with the last one.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of [`std::net::TcpStream::try_clone`].
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// Makes reads and writes fail with `WouldBlock` where they would wait; for all handles.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of [`std::net::TcpStream::set_nonblocking`].
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.channel.set_nonblocking(nonblocking);
        Ok(())
    }

    /// Returns what to wait for on the descriptor before the next call, after `WouldBlock`.
    pub fn interest(&self) -> &'static [Interest] {
        if self.channel.wants_write() {
            &[Interest::Read, Interest::Write]
        } else {
            &[Interest::Read]
        }
    }

    /// Bounds how long a read waits for bytes; `None` is for ever. Then it fails with
    /// `WouldBlock`, and the connection is as good as before.
    ///
    /// # Errors
    ///
    /// As setsockopt(2); `InvalidInput` for zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.channel.socket().set_read_timeout(timeout)
    }

    /// Bounds how long a write waits for the socket; `None` is for ever. Then it fails with
    /// `TimedOut`; bytes that it reported as written stay in order and go out later.
    ///
    /// # Errors
    ///
    /// As setsockopt(2); `InvalidInput` for zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.channel.socket().set_write_timeout(timeout)
    }

    /// Says whether small writes may be delayed (Nagle's algorithm); by default they are not.
    ///
    /// # Errors
    ///
    /// As setsockopt(2).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.channel.socket().set_nodelay(nodelay)
    }
}

impl Read for &TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.channel.read(into)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.channel.read_vectored(slices)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.channel.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.channel.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.flush()
    }
}

impl Read for TcpStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(slices)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl AsFd for TcpStream {
    /// The descriptor, to wait on and to set socket options. Bytes that are read from it or
    /// written to it directly end the conversation.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.socket().as_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("socket", self.channel.socket())
            .field("evidence", &self.evidence())
            .finish()
    }
}
