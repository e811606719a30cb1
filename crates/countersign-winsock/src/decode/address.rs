//! Addresses of peers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::{at_least, take};
use crate::abi;
use crate::failure::Failure;

const AF_UNSPEC: u16 = abi::AF_UNSPEC as u16;
const AF_INET: u16 = abi::AF_INET as u16;
const AF_INET6: u16 = abi::AF_INET6 as u16;

/// The size of a `SOCKADDR_IN`.
const SIZE_V4: usize = 16;
/// The size of a `SOCKADDR_IN6`.
const SIZE_V6: usize = 28;

/// Reads a `sockaddr` that is given to one of the security functions.
///
/// # Errors
///
/// `WSAEMSGSIZE` if it is shorter than its family's, `WSAEAFNOSUPPORT` for a family other than
/// `AF_INET` and `AF_INET6`.
pub fn sockaddr(bytes: &[u8]) -> Result<SocketAddr, Failure> {
    match family(bytes)? {
        AF_INET => {
            at_least(bytes, SIZE_V4)?;
            let ip = Ipv4Addr::from(take::<4>(bytes, 4)?);
            Ok(SocketAddrV4::new(ip, u16::from_be_bytes(take(bytes, 2)?)).into())
        }
        AF_INET6 => {
            at_least(bytes, SIZE_V6)?;
            let ip = Ipv6Addr::from(take::<16>(bytes, 8)?);
            let port = u16::from_be_bytes(take(bytes, 2)?);
            let flow = u32::from_ne_bytes(take(bytes, 4)?);
            let scope = u32::from_ne_bytes(take(bytes, 24)?);
            Ok(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        other => Err(unknown(other)),
    }
}

/// Reads the `SOCKADDR_STORAGE` of a structure; `None` if it says nothing: no family, and zero.
pub(super) fn storage(bytes: &[u8]) -> Result<Option<SocketAddr>, Failure> {
    if family(bytes)? == AF_UNSPEC && bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    sockaddr(bytes).map(Some)
}

/// Whomever a stream connects to (SPEC 5.1).
pub(super) const ANYONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn family(bytes: &[u8]) -> Result<u16, Failure> {
    take(bytes, 0).map(u16::from_ne_bytes)
}

fn unknown(family: u16) -> Failure {
    let hint = match family {
        10 => "; 10 is AF_INET6 of Linux, and 23 that of winsock2.h",
        AF_UNSPEC => "; set it to that of the peer's address",
        _ => "",
    };
    Failure::new(
        abi::WSAEAFNOSUPPORT,
        format!("the peer's address has family {family}, not AF_INET or AF_INET6{hint}"),
    )
}
