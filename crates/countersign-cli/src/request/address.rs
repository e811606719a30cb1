//! Where to connect and where to listen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::failure::Failure;

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `HOST:PORT`, where to connect to.
    pub(crate) fn to_connect(typed: &str) -> Result<Self, Failure> {
        let address = Self::read(typed).ok_or_else(|| bad(typed, "HOST:PORT"))?;
        if address.port == 0 {
            return Err(bad(typed, "HOST:PORT with a port from 1 to 65535"));
        }
        Ok(address)
    }

    /// Reads `PORT` (of the loopback interface) or `ADDRESS:PORT`, where to listen.
    pub(crate) fn to_listen(typed: &str) -> Result<Self, Failure> {
        let port = typed.strip_prefix(':').unwrap_or(typed);
        if let Some(port) = number(port) {
            return Ok(Self { host: Ipv4Addr::LOCALHOST.to_string(), port });
        }
        Self::read(typed).ok_or_else(|| bad(typed, "PORT or ADDRESS:PORT"))
    }

    /// Reads `IP:PORT`, which needs no look-up.
    pub(crate) fn numeric(typed: &str) -> Result<SocketAddr, Failure> {
        typed.parse().map_err(|_| bad(typed, "IP:PORT, numeric: a look-up would use the network"))
    }

    /// Returns the socket address, if the host is a number.
    pub(crate) fn known(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.host.parse().ok()?, self.port))
    }

    /// Returns the socket addresses, after a look-up if the host is a name.
    pub(crate) fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        let lookup = |source| Failure::Lookup { host: self.host.clone(), source };
        let found: Vec<SocketAddr> =
            (self.host.as_str(), self.port).to_socket_addrs().map_err(lookup)?.collect();
        if found.is_empty() {
            return Err(lookup(std::io::ErrorKind::NotFound.into()));
        }
        Ok(found)
    }

    fn read(typed: &str) -> Option<Self> {
        let (host, port) = typed.rsplit_once(':')?;
        let port = number(port)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(bare) => bare.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6)?.to_string(),
            None => host.to_owned(),
        };
        let is_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_v6 = bare.is_some();
        (is_v6 || (!host.is_empty() && host.chars().all(is_host))).then_some(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Digits only: `parse` would take a plus sign too.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn bad(typed: &str, form: &str) -> Failure {
    Failure::usage(
        format!("\"{typed}\" is not an address"),
        format!("write {form}; an IPv6 address stands in brackets, as in [2001:db8::1]:443"),
    )
}

#[cfg(test)]
mod tests {
    use super::Address;
    use crate::failure::Failure;

    #[track_caller]
    fn check(read: fn(&str) -> Result<Address, Failure>, typed: &str, expected: Option<&str>) {
        assert_eq!(read(typed).ok().map(|it| it.to_string()).as_deref(), expected, "{typed}");
    }

    #[test]
    fn where_to_connect_needs_both_parts() {
        for typed in ["localhost:1", "127.0.0.1:65535", "[::1]:443", "db_1.example.com:5432"] {
            check(Address::to_connect, typed, Some(typed));
        }
        for typed in [
            "",
            ":",
            "localhost",
            "localhost:",
            ":1",
            "a:0",
            "a:65536",
            "a:+1",
            "::1:443",
            "[a]:1",
            "a b:1",
            "a/b:1",
            "[127.0.0.1]:1",
            "a:1:2",
        ] {
            check(Address::to_connect, typed, None);
        }
    }

    #[test]
    fn a_port_alone_listens_on_the_loopback_interface() {
        check(Address::to_listen, "7000", Some("127.0.0.1:7000"));
        check(Address::to_listen, ":7000", Some("127.0.0.1:7000"));
        check(Address::to_listen, "0.0.0.0:0", Some("0.0.0.0:0"));
        check(Address::to_listen, "[::]:0", Some("[::]:0"));
        check(Address::to_listen, "65536", None);
        check(Address::to_listen, "localhost", None);
    }
}
