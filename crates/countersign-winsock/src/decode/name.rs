//! `SOCKET_PEER_TARGET_NAME`.

use std::net::SocketAddr;

use countersign::PeerName;
use countersign::core::SecurityProtocol;

use super::address::{ANYONE, storage};
use super::{at_least, invalid, length, number, short, utf16};
use crate::failure::Failure;
use crate::layout::{SOCKET_PEER_TARGET_NAME, SOCKET_SECURITY_PROTOCOL_IPSEC2};

const SIZE: usize = size_of::<SOCKET_PEER_TARGET_NAME>();
const ADDRESS: std::ops::Range<usize> = 8..136;
const LENGTH: usize = 136;
const STRINGS: usize = 140;

/// Who must be at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetName {
    /// Which protocol the name is for.
    pub protocol: SecurityProtocol,
    /// Where; address and port zero mean whomever a stream connects to.
    pub address: SocketAddr,
    /// Who.
    pub name: PeerName,
}

/// Reads a `SOCKET_PEER_TARGET_NAME`.
///
/// # Errors
///
/// `WSAEMSGSIZE` if it is shorter than the structure or the string that it declares,
/// `WSAEAFNOSUPPORT` for the family of the address, `WSAEINVAL` for everything else.
pub fn peer_target_name(bytes: &[u8]) -> Result<TargetName, Failure> {
    at_least(bytes, SIZE)?;
    let protocol = number(bytes, 0)?;
    let text = string(bytes, protocol)?;
    let address = storage(bytes.get(ADDRESS).unwrap_or_default())?.unwrap_or(ANYONE);
    let protocol = SecurityProtocol::from_number(protocol)
        .map_err(|_| invalid(format!("there is no security protocol {protocol}")))?;
    let text = utf16::text(text, "name of the peer")?;
    let name = text.parse::<PeerName>().map_err(|error| {
        invalid(format!("{:?} is no name of a peer: {error}; {}", text.as_str(), error.hint()))
    })?;
    Ok(TargetName { protocol, address, name })
}

/// Finds the string. Its declared length is bytes, and yet programs store units in it: SPEC 2 says
/// how to tell the two apart.
fn string(bytes: &[u8], protocol: u32) -> Result<&[u8], Failure> {
    let declared = length(bytes, LENGTH)?;
    let strings = bytes.get(STRINGS..).unwrap_or_default();
    if protocol != SOCKET_SECURITY_PROTOCOL_IPSEC2
        && let Some(units) = strings.get(..declared.saturating_mul(2))
        && !utf16::has_nul(units)
    {
        return Ok(units);
    }
    strings.get(..declared).ok_or_else(|| short(bytes.len(), STRINGS.saturating_add(declared)))
}
