//! TCP sockets in stages.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};

use crate::readiness::{Interest, wait_for_events};

/// Makes a TCP socket of the family of `like`, closed on exec. It does not wait, until
/// [`start_connect`] has it do so.
///
/// # Errors
///
/// As socket(2).
pub fn stream_socket(like: SocketAddr) -> io::Result<OwnedFd> {
    const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
    let family = if like.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(rustix::net::socket_with(family, SocketType::STREAM, FLAGS, None)?)
}

/// How a port was taken, which [`listen`] needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exclusive {
    over_time_wait: bool,
}

impl Exclusive {
    /// It was taken before the socket came to us.
    pub const ALREADY: Self = Self { over_time_wait: false };
}

/// Binds, and takes the port for this socket alone: neither SO_REUSEADDR nor SO_REUSEPORT of
/// another socket can share it.
///
/// Connections of an earlier server that are in TIME_WAIT do not hinder: where only they hold the
/// port, SO_REUSEADDR is set until the socket listens, and a listener that exists makes that fail.
///
/// # Errors
///
/// As bind(2); `AddrInUse` if another socket holds the port.
pub fn bind_exclusive(socket: &OwnedFd, address: SocketAddr) -> io::Result<Exclusive> {
    match rustix::net::bind(socket, &address) {
        Ok(()) => Ok(Exclusive { over_time_wait: false }),
        Err(Errno::ADDRINUSE) if address.port() != 0 => {
            sockopt::set_socket_reuseaddr(socket, true)?;
            let bound = rustix::net::bind(socket, &address);
            if bound.is_err() {
                sockopt::set_socket_reuseaddr(socket, false)?;
            }
            bound?;
            Ok(Exclusive { over_time_wait: true })
        }
        Err(error) => Err(error.into()),
    }
}

/// Listens, with the port still taken exclusively; accepting does not wait.
///
/// # Errors
///
/// As listen(2).
pub fn listen(socket: OwnedFd, backlog: i32, taken: Exclusive) -> io::Result<TcpListener> {
    rustix::net::listen(&socket, backlog)?;
    if taken.over_time_wait {
        sockopt::set_socket_reuseaddr(&socket, false)?;
    }
    Ok(TcpListener::from(socket))
}

/// Has the connections that a listening socket accepts send without delay: Linux hands TCP_NODELAY
/// down to them, which saves each of them the call.
///
/// # Errors
///
/// As setsockopt(2).
pub fn accept_without_delay(listener: &TcpListener) -> io::Result<()> {
    Ok(sockopt::set_tcp_nodelay(listener, true)?)
}

/// Accepts a connection without waiting; the accepted socket blocks.
///
/// # Errors
///
/// As accept(2); `WouldBlock` if there is none.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    // Once this connection is in TIME_WAIT it must not keep the next listener from the port.
    sockopt::set_socket_reuseaddr(&stream, true)?;
    Ok((stream, peer))
}

/// Starts to connect a socket of [`stream_socket`] and does not wait; [`wait_connected`] says what
/// came of it. From then on calls on the socket wait.
///
/// # Errors
///
/// As connect(2), other than that it is under way.
pub fn start_connect(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    let started = rustix::net::connect(socket, &address);
    rustix::io::ioctl_fionbio(socket, false)?;
    match started {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until a connection that was started is made.
///
/// # Errors
///
/// What connect(2) would have said; `TimedOut` once the deadline is over.
pub fn wait_connected(socket: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<()> {
    if wait_for_events(socket, Interest::Write, deadline)?.is_sound() {
        return Ok(());
    }
    Ok(sockopt::socket_error(socket)??)
}

/// Receives; zero is the end. Waits only if `wait` says so.
///
/// # Errors
///
/// As recv(2); `WouldBlock` if nothing is there, or the socket's time-out is over.
pub fn receive(socket: impl AsFd, into: &mut [u8], wait: bool) -> io::Result<usize> {
    let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    loop {
        match rustix::net::recv(socket.as_fd(), &mut *into, flags) {
            Ok((_, count)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use super::{accept, accept_without_delay, start_connect, stream_socket, wait_connected};

    fn connect(to: SocketAddr) -> io::Result<()> {
        let socket = stream_socket(to)?;
        start_connect(&socket, to)?;
        wait_connected(socket.as_fd(), Instant::now().checked_add(Duration::from_secs(20)))
    }

    #[test]
    fn accepted_connections_send_without_delay() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        accept_without_delay(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = accept(&listener).unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_connection_is_made_or_says_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        connect(there).unwrap();
        // Nobody else is given a port that is bound, and nobody listens at this one.
        let bound = stream_socket(there).unwrap();
        rustix::net::bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let bound = TcpListener::from(bound);
        let nobody = bound.local_addr().unwrap();
        assert_eq!(connect(nobody).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
