//! Which name the peer at an address must prove.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::PeerName;

/// Names by address, as `WSASetSocketPeerTargetName` stores them (SPEC 5.1, 5.2).
///
/// Looked up most specific first: address and port; address with port zero, which is any port
/// there; zero address with a port; and last zero address with port zero, which is whomever the
/// socket connects to.
#[derive(Clone, Debug, Default)]
pub struct TargetTable {
    names: HashMap<SocketAddr, PeerName>,
    was_named: bool,
}

impl TargetTable {
    /// Stores the name for an address; returns the name that it replaces.
    pub fn insert(&mut self, address: SocketAddr, name: PeerName) -> Option<PeerName> {
        self.was_named = true;
        self.names.insert(fold(address), name)
    }

    /// Removes the name of exactly this address (SPEC 6); none there is no error.
    pub fn remove(&mut self, address: SocketAddr) -> Option<PeerName> {
        self.names.remove(&fold(address))
    }

    /// Returns the name that the peer at `address` must prove, and the entry that says so.
    pub fn lookup(&self, address: SocketAddr) -> Option<(SocketAddr, &PeerName)> {
        if self.names.is_empty() {
            return None;
        }
        let address = fold(address);
        let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut any_port = address;
        any_port.set_port(0);
        let keys = [
            address,
            any_port,
            SocketAddr::new(anywhere, address.port()),
            SocketAddr::new(anywhere, 0),
        ];
        keys.into_iter().find_map(|key| self.names.get(&key).map(|name| (key, name)))
    }

    /// Returns every name and its address, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &PeerName)> {
        self.names.iter().map(|(address, name)| (*address, name))
    }

    /// Returns whether there was ever a name. Deleting the last one secures no less: what a
    /// name has secured stays so (SPEC 5.4, 6).
    pub fn was_named(&self) -> bool {
        self.was_named
    }

    /// Returns whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }
}

/// Gives every address one form: IPv4-mapped IPv6 addresses become IPv4 (SPEC 5.2), and the zero
/// address of either family the one of IPv4. The flow label is dropped; the scope is kept, since
/// a link-local address means another host on another link.
pub fn fold(address: SocketAddr) -> SocketAddr {
    let ip = address.ip().to_canonical();
    if ip.is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    }
    match (ip, address) {
        (IpAddr::V6(_), SocketAddr::V6(mut v6)) => {
            v6.set_flowinfo(0);
            SocketAddr::V6(v6)
        }
        _ => SocketAddr::new(ip, address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::TargetTable;

    fn table() -> TargetTable {
        let mut table = TargetTable::default();
        for (address, name) in [
            ("192.0.2.1:5432", "exact"),
            ("192.0.2.1:0", "anyport"),
            ("0.0.0.0:5432", "anyhost"),
            ("[::]:0", "anyone"),
            ("[2001:db8::1]:1", "six"),
        ] {
            table.insert(address.parse().unwrap(), name.parse().unwrap());
        }
        table
    }

    #[track_caller]
    fn found(address: &str, expected: &str) {
        let table = table();
        let (_, name) = table.lookup(address.parse().unwrap()).unwrap();
        assert_eq!(name.to_string(), format!("host/{expected}"));
    }

    #[test]
    fn spec_5_2_most_specific_first() {
        found("192.0.2.1:5432", "exact");
        found("192.0.2.1:80", "anyport");
        found("192.0.2.9:5432", "anyhost");
        found("192.0.2.9:80", "anyone");
        found("[2001:db8::1]:1", "six");
        found("[2001:db8::1]:5432", "anyhost");
    }

    #[test]
    fn spec_5_2_mapped_addresses_are_the_same_peer() {
        found("[::ffff:192.0.2.1]:5432", "exact");
    }

    #[test]
    fn a_link_local_peer_is_one_on_its_link_only() {
        let mut table = table();
        table.insert("[fe80::1%2]:0".parse().unwrap(), "right".parse().unwrap());
        let (_, name) = table.lookup("[fe80::1%2]:80".parse().unwrap()).unwrap();
        assert_eq!(name.to_string(), "host/right");
        let (_, name) = table.lookup("[fe80::1%3]:80".parse().unwrap()).unwrap();
        assert_eq!(name.to_string(), "host/anyone");
    }

    #[test]
    fn spec_6_the_last_name_deleted_is_not_security_taken_back() {
        let mut table = TargetTable::default();
        assert!(!table.was_named());
        let address = "192.0.2.1:1".parse().unwrap();
        table.insert(address, "db1".parse().unwrap());
        table.remove(address);
        assert!(table.is_empty() && table.was_named());
    }

    #[test]
    fn spec_5_1_later_call_replaces() {
        let mut table = table();
        let old = table.insert("[::ffff:192.0.2.1]:5432".parse().unwrap(), "new".parse().unwrap());
        assert_eq!(old.unwrap().to_string(), "host/exact");
        assert_eq!(table.len(), 5);
    }

    #[test]
    fn spec_6_delete_is_exact_and_forgiving() {
        let mut table = table();
        assert!(table.remove("192.0.2.1:81".parse().unwrap()).is_none());
        assert!(table.remove("192.0.2.1:5432".parse().unwrap()).is_some());
        let (key, _) = table.lookup("192.0.2.1:5432".parse().unwrap()).unwrap();
        assert_eq!(key, "192.0.2.1:0".parse().unwrap());
    }
}
