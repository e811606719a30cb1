//! What strangers can make an endpoint hold.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Bounds in time and number.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many handshakes that others began are under way at once, proofs inside them included,
    /// each with about 75 kB of memory, and in a proof up to 112 KiB more; one more, and the oldest is
    /// given up.
    pub half_open: usize,
    /// How many of them from one host (one IPv4 address, or one IPv6 network of 64 bits).
    pub half_open_per_host: usize,
    /// How many peers there are at most; one more is not answered.
    pub peers: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long an association lives on which nothing goes either way.
    pub idle: Duration,
    /// How long we send to a peer that we greeted without hearing from it before we look, by a
    /// handshake beside the association, whether it has forgotten us. A peer that cannot begin
    /// anew where it has an association ignores that, and the association goes on.
    pub quiet: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1024,
            half_open_per_host: 64,
            peers: 10_000,
            handshake_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            quiet: Duration::from_secs(60),
        }
    }
}

/// The handshakes under way that others began, oldest first.
#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    by_age: BTreeMap<u64, SocketAddr>,
    by_host: HashMap<IpAddr, BTreeMap<u64, SocketAddr>>,
    next: u64,
}

impl HalfOpen {
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Adds one; returns its ticket.
    pub(super) fn add(&mut self, peer: SocketAddr) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.by_age.insert(ticket, peer);
        self.by_host.entry(host(peer)).or_default().insert(ticket, peer);
        ticket
    }

    pub(super) fn remove(&mut self, ticket: u64) {
        let Some(peer) = self.by_age.remove(&ticket) else { return };
        if let Some(of_host) = self.by_host.get_mut(&host(peer)) {
            of_host.remove(&ticket);
            if of_host.is_empty() {
                self.by_host.remove(&host(peer));
            }
        }
    }

    /// Returns who must go before one more from `peer` may come, by ticket and address, and the limit
    /// that says so.
    pub(super) fn surplus(
        &self,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Option<(u64, SocketAddr, usize)> {
        let of_host = self.by_host.get(&host(peer));
        let ((ticket, oldest), limit) =
            if of_host.is_some_and(|it| it.len() >= limits.half_open_per_host) {
                (of_host?.first_key_value()?, limits.half_open_per_host)
            } else if self.by_age.len() >= limits.half_open {
                (self.by_age.first_key_value()?, limits.half_open)
            } else {
                return None;
            };
        Some((*ticket, *oldest, limit))
    }
}

/// What counts as one host: whoever has an IPv6 network has all its addresses.
fn host(peer: SocketAddr) -> IpAddr {
    match peer.ip() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::{HalfOpen, Limits};

    #[test]
    fn the_oldest_goes_first_and_a_host_pays_for_itself() {
        let limits = Limits { half_open: 3, half_open_per_host: 2, ..Limits::default() };
        let [a1, a2, b, c] = ["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1"]
            .map(|text| text.parse().unwrap());
        let mut half_open = HalfOpen::default();
        let of_b = half_open.add(b);
        let ticket = half_open.add(a1);
        assert_eq!(half_open.surplus(a2, &limits), None);
        half_open.add(a2);
        assert_eq!(
            half_open.surplus(a2, &limits),
            Some((ticket, a1, 2)),
            "one network is one host"
        );
        assert_eq!(half_open.surplus(c, &limits), Some((of_b, b, 3)));
        half_open.remove(ticket);
        assert_eq!(half_open.surplus(a2, &limits), None);
        assert_eq!(half_open.len(), 2);
    }
}
