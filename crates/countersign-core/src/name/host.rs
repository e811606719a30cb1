//! The host part of a name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::NameError;

/// A host: a DNS name in its ASCII form, or an IP address.
///
/// DNS names are kept in lower case, after IDNA processing (UTS 46), without the final dot.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name: ASCII, lower case, no final dot.
    Dns(String),
    /// An IP address; IPv4-mapped IPv6 addresses are kept as IPv4.
    Ip(IpAddr),
}

impl Host {
    /// Splits `host[:port]`, with IPv6 addresses in brackets when a port follows.
    pub(super) fn split_port(text: &str) -> Result<(Self, Option<u16>), NameError> {
        if let Some(rest) = text.strip_prefix('[') {
            let Some((address, after)) = rest.split_once(']') else {
                return Err(bad(text, "the bracket is not closed"));
            };
            let host = address
                .parse::<Ipv6Addr>()
                .map_err(|_| bad(text, "the brackets do not hold an IPv6 address"))?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if after.is_empty() => None,
                None => return Err(bad(text, "something follows the bracket")),
            };
            return Ok((Self::Ip(IpAddr::V6(host).to_canonical()), port));
        }
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok((Self::Ip(IpAddr::V6(address).to_canonical()), None));
        }
        match text.split_once(':') {
            Some((host, port)) => Ok((host.parse()?, Some(parse_port(port)?))),
            None => Ok((text.parse()?, None)),
        }
    }
}

impl FromStr for Host {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let unbracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = unbracketed.parse::<IpAddr>() {
            return Ok(Self::Ip(address.to_canonical()));
        }
        if text.is_empty() {
            return Err(NameError::EmptyPart { part: "host" });
        }
        let ascii = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::EMPTY)
            .map_err(|_| bad(text, "it has no valid IDNA form"))?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii).to_ascii_lowercase();
        check_dns(&name).map_err(|why| bad(text, why))?;
        Ok(Self::Dns(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Refuses what is no DNS host name (RFC 1123 section 2.1, and the underscore that hosts in use
/// have).
pub(super) fn check_dns(name: &str) -> Result<(), &'static str> {
    if name.len() > 253 {
        return Err("it is longer than 253 bytes");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("it has an empty label");
        }
        if label.len() > 63 {
            return Err("it has a label longer than 63 bytes");
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return Err("a label holds something other than letters, digits, hyphen, underscore");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label begins or ends with a hyphen");
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its last label is a number, as in a mistyped IP address");
    }
    Ok(())
}

fn parse_port(text: &str) -> Result<u16, NameError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(NameError::BadPort { port: text.to_owned() }),
    }
}

fn bad(host: &str, why: &'static str) -> NameError {
    NameError::BadHost { host: host.to_owned(), why }
}
