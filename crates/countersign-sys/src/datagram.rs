//! UDP sockets in stages, that never wait.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

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

/// Receives one datagram, without waiting; what does not fit is lost.
///
/// # Errors
///
/// As recvfrom(2); `WouldBlock` if none is there.
pub fn receive_from(socket: impl AsFd, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    loop {
        match rustix::net::recvfrom(socket.as_fd(), &mut *into, RecvFlags::DONTWAIT) {
            Ok((count, _, Some(from))) => return Ok((count, from.try_into()?)),
            // Without a sender it is no datagram that could be answered.
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends one datagram, without waiting.
///
/// # Errors
///
/// As sendto(2); `WouldBlock` if the socket has no room.
pub fn send_to(socket: impl AsFd, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::sendto(socket.as_fd(), datagram, flags, &to) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
