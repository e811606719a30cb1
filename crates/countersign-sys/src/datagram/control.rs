//! Control messages (cmsg(3)) and socket addresses as bytes, read and written without pointers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::c_int;

/// What stands before the data of a control message: its length with this, level and type.
const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = align_of::<libc::cmsghdr>();
const _: () = assert!(HEADER == size_of::<usize>() + 2 * size_of::<c_int>());

/// The control messages that came with a datagram: level, type, data.
pub(super) struct Controls<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Controls<'a> {
    type Item = (c_int, c_int, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let whole = usize::from_ne_bytes(take(self.0, 0)?);
        let level = c_int::from_ne_bytes(take(self.0, size_of::<usize>())?);
        let kind = c_int::from_ne_bytes(take(self.0, size_of::<usize>() + size_of::<c_int>())?);
        let data = self.0.get(HEADER..whole)?;
        self.0 = self.0.get(whole.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((level, kind, data))
    }
}

/// The control messages that go with a datagram.
pub(super) struct Outgoing {
    bytes: [u8; 64],
    length: usize,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }

    /// Adds one. What has no room is left out: two of those that are sent always have it.
    pub(super) fn add(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let whole = HEADER + data.len();
        let Some(room) = self.bytes.get_mut(self.length..self.length + whole) else { return };
        let mut header = [0; HEADER];
        let (length, words) = header.split_at_mut(size_of::<usize>());
        length.copy_from_slice(&whole.to_ne_bytes());
        let (first, second) = words.split_at_mut(size_of::<c_int>());
        first.copy_from_slice(&level.to_ne_bytes());
        second.copy_from_slice(&kind.to_ne_bytes());
        let (head, rest) = room.split_at_mut(HEADER);
        head.copy_from_slice(&header);
        rest.copy_from_slice(data);
        self.length += whole.next_multiple_of(ALIGN);
    }

    /// Adds the address that the datagram is to come from (ip(7), ipv6(7)); the socket's family
    /// says in which form.
    pub(super) fn add_source(&mut self, source: IpAddr, is_v6: bool) {
        match source {
            IpAddr::V4(ip) if !is_v6 => {
                // struct in_pktinfo: interface, source, and a field for receiving only.
                let mut info = [0; 12];
                let (_, fields) = info.split_at_mut(4);
                let (spec_dst, _) = fields.split_at_mut(4);
                spec_dst.copy_from_slice(&ip.octets());
                self.add(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            ip => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                // struct in6_pktinfo: source, interface.
                let mut info = [0; 20];
                let (address, _) = info.split_at_mut(16);
                address.copy_from_slice(&ip.octets());
                self.add(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Returns the address of ours that a datagram was sent to, if a control message says so.
pub(super) fn destination(level: c_int, kind: c_int, data: &[u8]) -> Option<IpAddr> {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            Some(IpAddr::V4(Ipv4Addr::from(take::<4>(data, 4)?)))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let ip = Ipv6Addr::from(take::<16>(data, 0)?);
            // Nobody can be answered from a multicast address.
            (!ip.is_multicast()).then(|| IpAddr::V6(ip).to_canonical())
        }
        _ => None,
    }
}

/// The bytes of the largest address that is read or written: struct sockaddr_in6.
pub(super) const ADDRESS: usize = size_of::<libc::sockaddr_in6>();

/// Reads a socket address as the kernel writes it.
pub(super) fn read_address(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(take(bytes, 2)?);
    match c_int::from(u16::from_ne_bytes(take(bytes, 0)?)) {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(take::<4>(bytes, 4)?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(take::<16>(bytes, 8)?);
            let scope = u32::from_ne_bytes(take(bytes, 24)?);
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

/// Writes a socket address as the kernel reads it; returns how many bytes of it count.
pub(super) fn write_address(address: SocketAddr, into: &mut [u8; ADDRESS]) -> usize {
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(room) = into.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
        at += bytes.len();
    };
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    put(&u16::try_from(family).unwrap_or_default().to_ne_bytes());
    put(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            put(&v4.ip().octets());
            put(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            put(&v6.flowinfo().to_be_bytes());
            put(&v6.ip().octets());
            put(&v6.scope_id().to_ne_bytes());
        }
    }
    at
}

/// Returns `N` bytes from `at` on.
pub(super) fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::{ADDRESS, Controls, Outgoing, destination, read_address, write_address};

    #[test]
    fn addresses_there_and_back() {
        for text in ["192.0.2.7:5000", "[2001:db8::1]:5000", "[fe80::1%3]:9"] {
            let address = text.parse().unwrap();
            let mut bytes = [0; ADDRESS];
            let length = write_address(address, &mut bytes);
            assert_eq!(read_address(&bytes[..length]), Some(address));
        }
        assert_eq!(read_address(&[2, 0, 0]), None);
    }

    #[test]
    fn control_messages_there_and_back() {
        let mut out = Outgoing::new();
        out.add(17, 103, &1200_u16.to_ne_bytes());
        out.add_source("2001:db8::1".parse().unwrap(), true);
        let read: Vec<_> = Controls(out.as_bytes()).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0], (17, 103, &1200_u16.to_ne_bytes()[..]));
        let (level, kind, data) = read[1];
        assert_eq!(destination(level, kind, data), Some("2001:db8::1".parse().unwrap()));
        for end in 0..out.as_bytes().len() {
            Controls(&out.as_bytes()[..end]).for_each(drop);
        }
    }
}
