//! What a socket tells of its datagrams besides their bytes.

#![expect(unsafe_code, reason = "no safe wrapper has these options of setsockopt(2)")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use libc::c_int;

/// Has the socket keep what the network says of each datagram (IP_RECVERR of ip(7)), for
/// [`super::Batch::complaints`], also when it is not connected.
///
/// # Errors
///
/// As setsockopt(2).
pub fn tell_complaints(socket: &OwnedFd, like: SocketAddr) -> io::Result<()> {
    // A socket of IPv6 may have peers of IPv4, whose errors come by the other option.
    set(socket, libc::IPPROTO_IP, libc::IP_RECVERR)?;
    match like {
        SocketAddr::V4(_) => Ok(()),
        SocketAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    }
}

/// Has the socket tell at which address of the host each datagram arrived.
///
/// # Errors
///
/// As setsockopt(2).
pub fn tell_destination(socket: &OwnedFd, like: SocketAddr) -> io::Result<()> {
    match like {
        SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    }
}

/// Has the kernel hand over datagrams of one sender that came in a row together (UDP_GRO of
/// udp(7)); [`super::Batch`] takes them apart.
///
/// # Errors
///
/// As setsockopt(2); kernels before 5.0 do not know it.
pub fn join_arrivals(socket: &OwnedFd) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO)
}

fn set(socket: impl AsFd, level: c_int, option: c_int) -> io::Result<()> {
    let on: c_int = 1;
    let size = libc::socklen_t::try_from(size_of::<c_int>()).unwrap_or_default();
    // SAFETY: the option takes an int, and the pointer is to one.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, ptr::from_ref(&on).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
