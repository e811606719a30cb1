//! UDP sockets in stages, that never wait.

mod control;

mod options;
pub use options::{join_arrivals, tell_complaints, tell_destination};

mod receive;
pub use receive::{Arrived, Batch, Complaint};

mod send;
pub use send::{MAX_SEGMENTED, MAX_SEGMENTS, Route, send_along};

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Makes a UDP socket of the family of `like` that does not wait, closed on exec.
///
/// # Errors
///
/// As socket(2).
pub fn datagram_socket(like: SocketAddr) -> io::Result<OwnedFd> {
    let family = if like.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?)
}

/// Binds, and takes the port for this socket alone: SO_REUSEADDR and SO_REUSEPORT share a UDP port
/// only between sockets that all have them, and ours has not.
///
/// # Errors
///
/// As bind(2); `AddrInUse` if another socket holds the port.
pub fn bind_datagrams(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    Ok(rustix::net::bind(socket, &address)?)
}

/// Has the kernel pass on datagrams of this peer only, and tell when nobody is there.
///
/// # Errors
///
/// As connect(2).
pub fn connect_datagrams(socket: &OwnedFd, peer: SocketAddr) -> io::Result<()> {
    Ok(rustix::net::connect(socket, &peer)?)
}

/// Returns the address that a socket is bound to.
///
/// # Errors
///
/// As getsockname(2).
pub fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    Ok(rustix::net::getsockname(socket)?.try_into()?)
}
