//! The listener of programs on tokio.

use std::net::SocketAddr;

use ::tokio::io::unix::AsyncFd;
use ::tokio::net::ToSocketAddrs;
use ::tokio::task::yield_now;

use super::registered::{Registered, register};
use super::{TcpStream, host, looked_at, resolve};
use crate::listener::Turn;
use crate::{Context, Error, PeerName, Refusal, Socket};

/// A listener whose clients have been authenticated when it hands them out, for tokio.
///
/// Handshakes advance while [`Self::accept`] is awaited, all of them at once, so a slow or silent
/// client delays nobody; while nobody awaits it, they wait. Several tasks may await it at the
/// same time and share the work. What strangers can make it hold is bounded as
/// [`TcpListener`](crate::TcpListener) says.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = countersign::tokio::TcpListener::bind("0.0.0.0:5432").await?;
/// loop {
///     let (stream, _address) = listener.accept().await?;
///     tokio::spawn(async move {
///         let (mut reader, mut writer) = stream.into_split();
///         tokio::io::copy(&mut reader, &mut writer).await
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    inner: AsyncFd<Registered<crate::TcpListener>>,
    /// Looks at the files, which the listener itself does not.
    context: Context,
}

/// What came of a connection.
#[non_exhaustive]
#[derive(Debug)]
pub enum Incoming {
    /// The client is who it must be.
    Accepted(TcpStream, SocketAddr),
    /// It is not, and was turned away.
    Refused(Refusal),
}

impl TcpListener {
    /// Listens on `address` with the context of the host.
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::bind_with(&host().await?, address).await
    }

    /// Listens on `address` with this context; the port is taken exclusively (SPEC 4.8).
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub async fn bind_with(context: &Context, address: impl ToSocketAddrs) -> Result<Self, Error> {
        let quiet = looked_at(context).await;
        let addresses = resolve(address).await?;
        let listener = crate::TcpListener::bind_with(&quiet, addresses.as_slice())?;
        Self::register(listener, context.clone())
    }

    /// Takes a socket that listens, whose security and names have been staged.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] unless it listens.
    ///
    /// # Panics
    ///
    /// As [`TcpStream::from_blocking`].
    pub fn from_socket(mut socket: Socket) -> Result<Self, Error> {
        let context = socket.context().clone();
        socket.replace_context(context.without_looks());
        Self::register(socket.into_listener()?, context)
    }

    fn register(listener: crate::TcpListener, context: Context) -> Result<Self, Error> {
        listener.set_nonblocking(true);
        let inner = register(Registered(listener)).map_err(Error::io("listen"))?;
        Ok(Self { inner, context })
    }

    /// Waits for a client that is who it must be; those that are not are turned away in silence.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the kernel has no descriptors or memory left.
    ///
    /// # Cancel safety
    ///
    /// No client is lost when the future is dropped.
    pub async fn accept(&self) -> Result<(TcpStream, SocketAddr), Error> {
        loop {
            if let Incoming::Accepted(stream, peer) = self.next_event().await? {
                return Ok((stream, peer));
            }
        }
    }

    /// Waits for a client, and says also who was turned away and why.
    ///
    /// # Errors
    ///
    /// As [`Self::accept`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::accept`].
    pub async fn next_event(&self) -> Result<Incoming, Error> {
        let listener = &self.inner.get_ref().0;
        loop {
            looked_at(&self.context).await;
            // What the reactor says is taken back below, and only if nothing came meanwhile.
            let ready = self.inner.readable().await;
            let mut ready = ready.map_err(Error::io("wait for a client"))?;
            match listener.next(false)? {
                Turn::Came(incoming) => match *incoming {
                    crate::Incoming::Accepted(stream, peer) => {
                        return Ok(Incoming::Accepted(TcpStream::from_blocking(stream)?, peer));
                    }
                    crate::Incoming::Refused(refusal) => return Ok(Incoming::Refused(refusal)),
                },
                Turn::Nothing => ready.clear_ready(),
                Turn::HasMore => yield_now().await,
            }
        }
    }

    /// Sets the name that clients at `address` must prove (SPEC 5.6), from the next one on.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn set_peer_target_name(&self, address: SocketAddr, name: PeerName) -> Result<(), Error> {
        self.inner.get_ref().0.set_peer_target_name(address, name)
    }

    /// Deletes the name for `address` (SPEC 6).
    ///
    /// # Errors
    ///
    /// None today; an unknown address is no error.
    pub fn delete_peer_target_name(&self, address: SocketAddr) -> Result<(), Error> {
        self.inner.get_ref().0.delete_peer_target_name(address)
    }

    /// Returns the address on which it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.get_ref().0.local_addr()
    }

    /// Returns how many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        self.inner.get_ref().0.handshakes()
    }
}
