//! The datagram socket of programs on tokio.

use std::future::pending;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ::tokio::io::unix::AsyncFd;
use ::tokio::net::ToSocketAddrs;
use ::tokio::select;
use ::tokio::sync::Notify;
use ::tokio::time::sleep_until;

use super::registered::{ready, register};
use super::{host, looked_at, resolve};
use crate::core::SecurityInfo;
use crate::{Context, Error, Interest, PeerName};

/// One UDP socket, many peers, a name for each, for tokio; what it promises is what
/// [`UdpSocket`](crate::UdpSocket) promises.
///
/// Handshakes, retransmissions and expiry advance while any call is awaited: a program that only
/// sends should also await [`Self::recv_from`] somewhere. Several tasks may use it at once.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign::tokio::UdpSocket;
///
/// let socket = UdpSocket::bind("0.0.0.0:0").await?;
/// let peer = "10.0.0.7:4000".parse()?;
/// socket.get_ref().set_peer_target_name(peer, "meter/m7.example.com".parse()?)?;
/// socket.send_to(b"hello", peer).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: crate::UdpSocket,
    /// The kernel's socket, to wait for datagrams and for room.
    kernel: AsyncFd<OwnedFd>,
    /// One task may take from the kernel what another waits for, and says so here.
    progress: Notify,
    /// Tells of work that other threads have done for the socket, once they were given any.
    work: OnceLock<AsyncFd<OwnedFd>>,
    /// Looks at the files, which the socket itself does not.
    context: Context,
}

/// When nothing is due; only so that there is something to wait for.
const FAR_AWAY: Duration = Duration::from_secs(3600);

impl UdpSocket {
    /// Binds `address` with the context of the host.
    ///
    /// # Errors
    ///
    /// [`Error`], which says who must act and what to try.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self, Error> {
        Self::bind_with(&host().await?, address).await
    }

    /// Binds `address` with this context; the port is taken exclusively (SPEC 4.8).
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub async fn bind_with(context: &Context, address: impl ToSocketAddrs) -> Result<Self, Error> {
        let quiet = looked_at(context).await;
        let addresses = resolve(address).await?;
        let socket = crate::UdpSocket::bind_with(&quiet, addresses.as_slice())?;
        Self::from_blocking(socket, context)
    }

    /// Takes a socket that was staged by other means; `context` is the one that it was made with.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the reactor has no room for it.
    ///
    /// # Panics
    ///
    /// As [`TcpStream::from_blocking`](super::TcpStream::from_blocking).
    pub fn from_blocking(mut socket: crate::UdpSocket, context: &Context) -> Result<Self, Error> {
        let failed = || Error::io("register the socket");
        socket.set_nonblocking(true);
        socket.replace_context(context.without_looks());
        let kernel = socket.kernel_socket().try_clone_to_owned().map_err(failed())?;
        Ok(Self {
            kernel: register(kernel).map_err(failed())?,
            socket,
            progress: Notify::new(),
            work: OnceLock::new(),
            context: context.clone(),
        })
    }

    /// Returns the socket below, to set security, names and the MTU, to query, and to ask for
    /// addresses; it is non-blocking, and must stay so.
    pub fn get_ref(&self) -> &crate::UdpSocket {
        &self.socket
    }

    /// Talks to `peer` alone from now on, and returns once it has proved who it is.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::connect`].
    ///
    /// # Cancel safety
    ///
    /// The socket stays connected to `peer`, and the handshake goes on with the next call.
    pub async fn connect(&self, peer: SocketAddr) -> Result<(), Error> {
        looked_at(&self.context).await;
        match self.get_ref().connect(peer) {
            Err(error) if error.is_would_block() => {
                self.retried(crate::UdpSocket::finish_connect).await
            }
            other => other,
        }
    }

    /// Sends one datagram to `peer`, once it has proved who it is.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::send_to`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped while the handshake is under way has sent nothing.
    pub async fn send_to(&self, datagram: &[u8], peer: SocketAddr) -> Result<usize, Error> {
        let sent = self.retried(|socket| socket.send_to(datagram, peer)).await?;
        self.pushed_out().await?;
        Ok(sent)
    }

    /// Sends one datagram to the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::send_to`].
    pub async fn send(&self, datagram: &[u8]) -> Result<usize, Error> {
        let sent = self.retried(|socket| socket.send(datagram)).await?;
        self.pushed_out().await?;
        Ok(sent)
    }

    /// Receives one datagram of a peer that has proved who it is, and says where it came from.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::recv_from`], which says what becomes of one that is too large.
    ///
    /// # Cancel safety
    ///
    /// No datagram is lost when the future is dropped.
    pub async fn recv_from(&self, into: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        self.retried(|socket| socket.recv_from(into)).await
    }

    /// Receives one datagram of the peer that the socket is connected to.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::recv`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::recv_from`].
    pub async fn recv(&self, into: &mut [u8]) -> Result<usize, Error> {
        self.retried(|socket| socket.recv(into)).await
    }

    /// Says who the peer at `address` must be; see
    /// [`UdpSocket::set_peer_target_name`](crate::UdpSocket::set_peer_target_name).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn set_peer_target_name(&self, address: SocketAddr, name: PeerName) -> Result<(), Error> {
        self.get_ref().set_peer_target_name(address, name)
    }

    /// Returns what protects the conversation with a peer, and who it is (SPEC 7). It never waits.
    ///
    /// # Errors
    ///
    /// As [`crate::UdpSocket::query`].
    pub fn query(&self, peer: SocketAddr) -> Result<SecurityInfo, Error> {
        self.get_ref().query(peer)
    }

    /// Repeats a call until it no longer would wait.
    async fn retried<T>(
        &self,
        mut call: impl FnMut(&crate::UdpSocket) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let socket = self.get_ref();
        loop {
            looked_at(&self.context).await;
            let mut told = pin!(self.progress.notified());
            // Before the call, so that what another task does meanwhile is heard of.
            told.as_mut().enable();
            let before = socket.heard();
            let result = call(socket);
            if socket.heard() != before {
                self.progress.notify_waiters();
            }
            self.follow_work()?;
            match result {
                Err(error) if error.is_would_block() => {}
                other => return other,
            }
            let due = socket.next_deadline().unwrap_or_else(|| Instant::now() + FAR_AWAY);
            select! {
                () = told => {}
                () = sleep_until(due.into()) => {}
                waited = ready(&self.kernel, socket.kernel_socket(), &[Interest::Read]) => {
                    waited.map_err(Error::io("wait"))?;
                }
                waited = self.work_done() => waited?,
            }
        }
    }

    /// Puts the descriptor that tells of work by other threads into the reactor, once there is one.
    fn follow_work(&self) -> Result<(), Error> {
        if self.work.get().is_none()
            && let Some(descriptor) = self.get_ref().work()
        {
            let failed = || Error::io("wait for Kerberos");
            let work = register(descriptor.map_err(failed())?).map_err(failed())?;
            // Another task may have been first, and has told the others.
            if self.work.set(work).is_ok() {
                self.progress.notify_waiters();
            }
        }
        Ok(())
    }

    /// Waits until other threads have done work for the socket; for ever if they were given none.
    async fn work_done(&self) -> Result<(), Error> {
        match self.work.get() {
            Some(work) => ready(work, work.get_ref().as_fd(), &[Interest::Read])
                .await
                .map_err(Error::io("wait for Kerberos")),
            None => pending().await,
        }
    }

    /// Waits until the kernel has taken what was accepted for it.
    async fn pushed_out(&self) -> Result<(), Error> {
        let socket = self.get_ref();
        while socket.has_outgoing() {
            ready(&self.kernel, socket.kernel_socket(), &[Interest::Write])
                .await
                .map_err(Error::io("send"))?;
            socket.push_outgoing()?;
        }
        Ok(())
    }
}
