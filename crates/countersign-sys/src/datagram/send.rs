//! Sending: from a chosen address, and several datagrams in one call (UDP_SEGMENT of udp(7)).

#![expect(unsafe_code, reason = "no safe wrapper has sendmsg(2) with these control messages")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::SendFlags;

use super::control::{ADDRESS, Outgoing, write_address};

/// Where a datagram goes, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a datagram has two ends")]
pub struct Route {
    /// Whom it goes to; `None` is the peer that the socket is connected to.
    pub to: Option<SocketAddr>,
    /// The address of ours that it comes from; `None` leaves it to the kernel.
    pub from: Option<IpAddr>,
    /// The socket is one of IPv6.
    pub is_v6: bool,
}

/// The most datagrams that one call sends (UDP_MAX_SEGMENTS of the kernel before 6.9).
pub const MAX_SEGMENTS: usize = 64;
/// The most bytes that one call sends.
pub const MAX_SEGMENTED: usize = 65_507;

/// Sends one datagram without waiting, or several of `segment` bytes each that stand one after the
/// other in `datagrams`; only the last may be shorter.
///
/// # Errors
///
/// As sendmsg(2); `WouldBlock` if the socket has no room. In segments nothing is sent then, and
/// `InvalidInput` says that this path does not take them so.
pub fn send_along(
    socket: impl AsFd,
    route: Route,
    datagrams: &[u8],
    segment: Option<u16>,
) -> io::Result<()> {
    if (segment, route.from) == (None, None) {
        return send_plainly(socket, route.to, datagrams);
    }
    let mut name = [0; ADDRESS];
    let name_length = route.to.map_or(0, |to| write_address(to, &mut name));
    let mut control = Outgoing::new();
    if let Some(segment) = segment {
        control.add(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
    }
    if let Some(from) = route.from {
        control.add_source(from, route.is_v6);
    }
    let control = control.as_bytes();
    let mut piece =
        libc::iovec { iov_base: datagrams.as_ptr().cast_mut().cast(), iov_len: datagrams.len() };
    // SAFETY: a msghdr is numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if name_length > 0 {
        header.msg_name = name.as_mut_ptr().cast();
        header.msg_namelen = libc::socklen_t::try_from(name_length).unwrap_or_default();
    }
    header.msg_iov = ptr::from_mut(&mut piece);
    header.msg_iovlen = 1;
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len();
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    loop {
        // SAFETY: the header points to memory of the lengths that it says, which the call reads
        // and does not write.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, flags) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Sends one datagram with nothing beside it: the kernel has less to look at.
fn send_plainly(socket: impl AsFd, to: Option<SocketAddr>, datagram: &[u8]) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        let sent = match &to {
            Some(to) => rustix::net::sendto(&socket, datagram, flags, to),
            None => rustix::net::send(&socket, datagram, flags),
        };
        match sent {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
