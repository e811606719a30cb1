//! The stream of programs on tokio.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll, ready};
use std::time::Instant;

use ::tokio::io::unix::AsyncFd;
use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::ToSocketAddrs;
use ::tokio::task::coop::poll_proceed;
use ::tokio::task::yield_now;
use ::tokio::time::timeout_at;

use super::registered::{Registered, Waiter, register};
use super::split::{OwnedReadHalf, OwnedWriteHalf};
use super::{host, looked_at, resolve};
use crate::core::{Evidence, SecurityInfo};
use crate::{Context, Error, PeerName, Socket};

/// A connection to a peer that has proved its name, for tokio.
///
/// **The end.** A read of zero bytes means that the peer said it is done; a connection that ends
/// without that word fails with `UnexpectedEof`, as [`TcpStream`](crate::TcpStream) says. A graceful
/// end is `shutdown().await`, then reading until the end.
///
/// **Flush.** As with every buffered writer, bytes that were written may wait here (at most 48 KiB)
/// while the socket has no room for them, and go out with the next write, flush, shutdown or
/// read: flush before waiting for an answer.
///
/// Must be made and used within a runtime whose I/O is enabled.
///
/// # Cancel safety
///
/// `read` and `write` of `AsyncReadExt` and `AsyncWriteExt` are cancel safe, as of any other
/// stream: a future that is dropped has moved no bytes.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::tokio::TcpStream;
///
/// let stream = TcpStream::connect("10.0.0.5:5432", "postgres/db1.example.com").await?;
/// let (mut reader, mut writer) = stream.into_split();
/// tokio::spawn(async move { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await });
/// tokio::io::AsyncWriteExt::write_all(&mut writer, b"hello").await?;
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    pub(super) shared: Arc<Shared>,
}

/// A stream in the reactor, which the halves of a split stream share.
#[derive(Debug)]
pub(super) struct Shared {
    registered: AsyncFd<Registered<crate::TcpStream>>,
    /// A read has found nothing. Until one has, bytes that came with the handshake may wait here,
    /// of which the reactor knows nothing.
    was_dry: AtomicBool,
    /// Bytes, or an end, were left in our memory by the last read: of these too the reactor knows
    /// nothing.
    has_more: AtomicBool,
}

impl TcpStream {
    /// Connects to `address`, where `name` must answer, with the context of the host; each address
    /// that it resolves to is tried as by [`crate::TcpStream::connect`].
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped closes what it has begun.
    pub async fn connect(address: impl ToSocketAddrs, name: &str) -> Result<Self, Error> {
        let name = name.parse()?;
        Self::connect_with(&host().await?, address, &name).await
    }

    /// Connects to `address`, where `name` must answer, with this context.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::connect`].
    pub async fn connect_with(
        context: &Context,
        address: impl ToSocketAddrs,
        name: &PeerName,
    ) -> Result<Self, Error> {
        let mut last = None;
        for address in resolve(address).await? {
            let mut socket = Socket::stream(context, address)?;
            socket.set_peer_target_name(address, name.clone())?;
            match Self::connect_socket(socket, address).await {
                Err(error @ Error::Io { .. }) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or_else(|| Error::io("connect")(io::ErrorKind::NotFound.into())))
    }

    /// Connects a socket whose security and names have been staged, within the time limits that
    /// it was given or that policy has.
    ///
    /// # Errors
    ///
    /// As [`Socket::connect`]; [`Error::Io`] and [`Error::Handshake`] with a time-out.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::connect`].
    pub async fn connect_socket(mut socket: Socket, address: SocketAddr) -> Result<Self, Error> {
        let quiet = looked_at(socket.context()).await;
        socket.replace_context(quiet);
        socket.set_nonblocking(true)?;
        let mut waiter = Waiter::default();
        let mut connected = socket.connect(address);
        while connected.as_ref().is_err_and(Error::is_would_block) {
            // It may have stopped for the sake of others, whom a peer that sends without end would
            // keep waiting; and the clock is not looked at where nothing has to be waited for.
            yield_now().await;
            waiter.follow(&socket)?;
            let waiting = waiter.wait();
            let waited = match socket.deadline() {
                Some(deadline) if deadline <= Instant::now() => None,
                Some(deadline) => timeout_at(deadline.into(), waiting).await.ok(),
                None => Some(waiting.await),
            };
            connected = match waited {
                Some(waited) => waited.and_then(|()| socket.finish_connect()),
                // A peer that cannot do security may still be met in clear, if that is permitted.
                None => socket.expire().and_then(|()| socket.finish_connect()),
            };
        }
        connected?;
        Self::from_blocking(socket.into_stream()?)
    }

    /// Takes a stream that was connected or accepted by other means.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the reactor has no room for it.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or if its I/O is not enabled, as everything that registers with tokio.
    pub fn from_blocking(stream: crate::TcpStream) -> Result<Self, Error> {
        stream.set_nonblocking(true).map_err(Error::io("set the mode"))?;
        let registered = register(Registered(stream)).map_err(Error::io("register the stream"))?;
        let (was_dry, has_more) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { shared: Arc::new(Shared { registered, was_dry, has_more }) })
    }

    /// Returns what protects the connection and who the peer is (SPEC 7). It never waits.
    ///
    /// # Errors
    ///
    /// As [`crate::TcpStream::query`].
    pub fn query(&self) -> Result<SecurityInfo, Error> {
        self.get_ref().query()
    }

    /// Returns what protects the connection; `None` is cleartext.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.get_ref().evidence()
    }

    /// Returns the stream below, for its addresses and options; it is non-blocking, and must stay so.
    pub fn get_ref(&self) -> &crate::TcpStream {
        self.shared.stream()
    }

    /// Becomes a half that reads and a half that writes, for two tasks. The connection closes
    /// with the last of them; the one that writes ends writing when it is dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf(self.shared.clone()), OwnedWriteHalf::new(self.shared))
    }
}

impl Shared {
    pub(super) fn stream(&self) -> &crate::TcpStream {
        &self.registered.get_ref().0
    }

    pub(super) fn poll_read(
        &self,
        task: &mut Task<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut stream = self.stream();
        if stream.wants_write() {
            // What was written and waits may be what the peer answers. If it still finds no room,
            // the writer hears of it.
            let _ = stream.flush();
        }
        loop {
            let knows_nothing =
                !self.was_dry.load(Ordering::Relaxed) || self.has_more.load(Ordering::Relaxed);
            let (guard, turn) = match knows_nothing {
                // Where the reactor is asked, it sees to it that others have their turn.
                true => (None, Some(ready!(poll_proceed(task)))),
                false => (Some(ready!(self.registered.poll_read_ready(task))?), None),
            };
            let (read, left) = stream.read_noting(into.initialize_unfilled());
            self.has_more.store(left.here, Ordering::Relaxed);
            match read {
                Ok(count) => {
                    into.advance(count);
                    if let Some(turn) = turn {
                        turn.made_progress();
                    }
                    if let (Some(mut guard), true) = (guard, left.none_in_kernel) {
                        // Asking the kernel once more, to hear that there is none, would cost as
                        // much as a short message. What comes from now on changes the guard.
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // What is left is no whole record.
                    self.has_more.store(false, Ordering::Relaxed);
                    match guard {
                        Some(mut guard) => guard.clear_ready(),
                        None => self.was_dry.store(true, Ordering::Relaxed),
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Has `call` done when the socket has room.
    pub(super) fn poll_out<T>(
        &self,
        task: &mut Task<'_>,
        mut call: impl FnMut(&crate::TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let mut guard = ready!(self.registered.poll_write_ready(task))?;
            match call(self.stream()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                other => return Poll::Ready(other),
            }
        }
    }

    pub(super) fn poll_write(&self, task: &mut Task<'_>, plain: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_out(task, |mut stream| stream.write(plain))
    }

    pub(super) fn poll_write_vectored(
        &self,
        task: &mut Task<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_out(task, |mut stream| stream.write_vectored(slices))
    }

    pub(super) fn poll_flush(&self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        if !self.stream().wants_write() {
            return Poll::Ready(Ok(()));
        }
        self.poll_out(task, |mut stream| stream.flush())
    }

    pub(super) fn poll_shutdown(&self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.poll_out(task, |stream| stream.shutdown(Shutdown::Write))
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.poll_read(task, into)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        plain: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write(task, plain)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_flush(task)
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        self.shared.poll_shutdown(task)
    }
}

impl AsFd for TcpStream {
    /// The descriptor, to set socket options. Bytes that are read from it or written to it
    /// directly end the conversation.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get_ref().fmt(f)
    }
}

/// A connection must be able to move between the threads of a runtime.
const _: fn() = || {
    fn moves<T: Send + Sync>(_: T) {}
    fn future<F: Future + Send>(_: F) {}
    let _ = |stream: TcpStream| moves(stream);
    let _ = || future(TcpStream::connect("", ""));
};
