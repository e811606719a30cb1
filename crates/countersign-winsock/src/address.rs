//! Addresses, as Winsock writes them, as Linux does, and as Rust does.
//!
//! The layouts are the same but for the number of the family: AF_INET6 is 23 for Winsock.

use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::abi;
use crate::boundary::{bytes, room, value};
use crate::failure::Failure;

/// An address that a plain socket may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Ip(SocketAddr),
    /// The path of a local socket, as it stands in `sun_path`.
    Local(Vec<u8>),
}

impl Address {
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Local(_) => None,
        }
    }

    /// Gives an address the family of the socket that hears from it: a socket of IPv6 knows the
    /// IPv4 ones as mapped ones (RFC 4291, section 2.5.5.2), and its program has room for no others.
    pub(crate) fn into_family(self, family: c_int) -> Self {
        match self {
            Self::Ip(SocketAddr::V4(address)) if family == abi::AF_INET6 => {
                let ip = address.ip().to_ipv6_mapped();
                Self::Ip(SocketAddrV6::new(ip, address.port(), 0, 0).into())
            }
            other => other,
        }
    }

    /// Reads what Winsock calls a `sockaddr`.
    ///
    /// # Errors
    ///
    /// `WSAEFAULT` if it is shorter than its family's, `WSAEAFNOSUPPORT` for a family that is not
    /// known.
    pub(crate) fn decode(sockaddr: &[u8]) -> Result<Self, Failure> {
        const SHORT: Failure =
            Failure::fixed(abi::WSAEFAULT, "the address is shorter than its family's");
        let [low, high, rest @ ..] = sockaddr else { return Err(SHORT) };
        match c_int::from(u16::from_ne_bytes([*low, *high])) {
            abi::AF_INET => match rest {
                [p, q, a, b, c, d, _, _, _, _, _, _, _, _, ..] => {
                    let ip = Ipv4Addr::new(*a, *b, *c, *d);
                    Ok(Self::Ip(SocketAddrV4::new(ip, u16::from_be_bytes([*p, *q])).into()))
                }
                _ => Err(SHORT),
            },
            abi::AF_INET6 => {
                let (Some(port), Some(flow), Some(ip), Some(scope)) =
                    (take(rest, 0), take(rest, 2), take(rest, 6), take(rest, 22))
                else {
                    return Err(SHORT);
                };
                let address = SocketAddrV6::new(
                    Ipv6Addr::from(ip),
                    u16::from_be_bytes(port),
                    u32::from_ne_bytes(flow),
                    u32::from_ne_bytes(scope),
                );
                Ok(Self::Ip(address.into()))
            }
            abi::AF_UNIX => Ok(Self::Local(rest.iter().copied().take(108).collect())),
            other => Err(Failure::new(
                abi::WSAEAFNOSUPPORT,
                format!("the address is of family {other}, and not AF_INET or AF_INET6"),
            )),
        }
    }

    /// Reads a `sockaddr` of the program.
    ///
    /// # Safety
    ///
    /// If `pointer` is not NULL, `length` bytes must be readable there.
    pub(crate) unsafe fn read(pointer: *const u8, length: c_int) -> Result<Self, Failure> {
        if pointer.is_null() {
            return Err(Failure::FAULT);
        }
        let Ok(length) = usize::try_from(length) else { return Err(Failure::FAULT) };
        // SAFETY: the caller vouches.
        Self::decode(unsafe { bytes(pointer, length)? })
    }

    /// Writes it as Winsock does.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(28);
        match self {
            Self::Ip(SocketAddr::V4(address)) => {
                out.extend((abi::AF_INET as u16).to_ne_bytes());
                out.extend(address.port().to_be_bytes());
                out.extend(address.ip().octets());
                out.extend([0; 8]);
            }
            Self::Ip(SocketAddr::V6(address)) => {
                out.extend((abi::AF_INET6 as u16).to_ne_bytes());
                out.extend(address.port().to_be_bytes());
                out.extend(address.flowinfo().to_ne_bytes());
                out.extend(address.ip().octets());
                out.extend(address.scope_id().to_ne_bytes());
            }
            Self::Local(path) => {
                out.extend((abi::AF_UNIX as u16).to_ne_bytes());
                out.extend(path);
                out.resize(110, 0);
            }
        }
        out
    }

    /// Returns whether the program's room for an address, if it has any, is large enough.
    ///
    /// # Safety
    ///
    /// If `length` is not NULL, an int must be readable there.
    pub(crate) unsafe fn check_room(
        pointer: *const u8,
        length: *const c_int,
        family: c_int,
    ) -> Result<(), Failure> {
        if pointer.is_null() {
            return Ok(());
        }
        // SAFETY: the caller vouches.
        let length = unsafe { value(length)? };
        let needed = match family {
            abi::AF_INET => 16,
            abi::AF_INET6 => 28,
            _ => 2,
        };
        if length < needed {
            return Err(Failure::fixed(abi::WSAEFAULT, "the room for the address is too short"));
        }
        Ok(())
    }

    /// Writes it where the program wants it, and its length; nothing if the program wants none.
    ///
    /// # Safety
    ///
    /// If the pointers are not NULL, an int must be at `length`, and as many bytes as it says must
    /// be writable at `pointer`.
    pub(crate) unsafe fn write(&self, pointer: *mut u8, length: *mut c_int) -> Result<(), Failure> {
        if pointer.is_null() {
            return Ok(());
        }
        // SAFETY: the caller vouches.
        let offered = unsafe { value(length)? };
        let encoded = self.encode();
        let Some(count) =
            usize::try_from(offered).ok().filter(|room| *room >= encoded.len().min(28))
        else {
            return Err(Failure::fixed(abi::WSAEFAULT, "the room for the address is too short"));
        };
        let count = count.min(encoded.len());
        // SAFETY: the caller vouches for as many bytes as it offered.
        let into = unsafe { room(pointer, count)? };
        into.copy_from_slice(encoded.get(..count).unwrap_or_default());
        // SAFETY: the caller vouches; alignment is not asked for.
        unsafe { length.write_unaligned(c_int::try_from(count).unwrap_or(0)) };
        Ok(())
    }
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// An address as Linux writes it.
#[derive(Clone)]
pub(crate) struct KernelAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl KernelAddress {
    /// Room for any address.
    pub(crate) fn empty() -> Self {
        // SAFETY: all zero is a value of this structure: no family.
        let storage = unsafe { std::mem::MaybeUninit::zeroed().assume_init() };
        Self { storage, length: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    pub(crate) fn raw(&self) -> (*const libc::sockaddr, libc::socklen_t) {
        ((&raw const self.storage).cast(), self.length)
    }

    pub(crate) fn raw_mut(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        self.length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        ((&raw mut self.storage).cast(), &raw mut self.length)
    }

    pub(crate) fn set_length(&mut self, length: libc::socklen_t) {
        self.length = length;
    }

    fn bytes(&self) -> &[u8] {
        let length = (self.length as usize).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: the structure is plain bytes, all of them initialised, and no shorter than this.
        unsafe { std::slice::from_raw_parts((&raw const self.storage).cast(), length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let length = size_of::<libc::sockaddr_storage>();
        // SAFETY: the structure is plain bytes, any of which are a value of it.
        unsafe { std::slice::from_raw_parts_mut((&raw mut self.storage).cast(), length) }
    }

    pub(crate) fn to_address(&self) -> Address {
        let mut bytes = self.bytes().to_vec();
        let family = c_int::from(self.storage.ss_family);
        let winsock = if family == libc::AF_INET6 { abi::AF_INET6 } else { family };
        for (to, from) in bytes.iter_mut().zip((winsock as u16).to_ne_bytes()) {
            *to = from;
        }
        let nowhere = Address::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        Address::decode(&bytes).unwrap_or(nowhere)
    }
}

impl From<&Address> for KernelAddress {
    fn from(address: &Address) -> Self {
        let mut encoded = address.encode();
        let family = match address {
            Address::Ip(SocketAddr::V4(_)) => libc::AF_INET,
            Address::Ip(SocketAddr::V6(_)) => libc::AF_INET6,
            Address::Local(path) => {
                encoded.truncate(2 + path.len());
                libc::AF_UNIX
            }
        };
        for (to, from) in encoded.iter_mut().zip((family as u16).to_ne_bytes()) {
            *to = from;
        }
        let mut kernel = Self::empty();
        for (to, from) in kernel.bytes_mut().iter_mut().zip(&encoded) {
            *to = *from;
        }
        kernel.length = encoded.len() as libc::socklen_t;
        kernel
    }
}

impl std::fmt::Debug for KernelAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_address())
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, KernelAddress};
    use crate::abi;

    #[test]
    fn addresses_survive_both_ways() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:443", "[fe80::1%3]:1"] {
            let address = Address::Ip(text.parse().unwrap());
            assert_eq!(Address::decode(&address.encode()).unwrap(), address);
            assert_eq!(KernelAddress::from(&address).to_address(), address);
        }
    }

    #[test]
    fn the_number_of_ipv6_is_windows_not_linux() {
        let encoded = Address::Ip("[::1]:1".parse().unwrap()).encode();
        assert_eq!((encoded.len(), encoded[0], encoded[1]), (28, 23, 0));
        let mut linux = encoded;
        linux[0] = 10;
        assert_eq!(Address::decode(&linux).unwrap_err().code, abi::WSAEAFNOSUPPORT);
    }

    #[test]
    fn short_ones_are_faults() {
        let encoded = Address::Ip("192.0.2.1:80".parse().unwrap()).encode();
        for length in 0..16 {
            let failure = Address::decode(&encoded[..length]).unwrap_err();
            assert_eq!(failure.code, abi::WSAEFAULT, "{length}");
        }
    }
}
