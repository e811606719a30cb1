//! `SOCKET_SECURITY_QUERY_TEMPLATE` and its second form.

use std::net::SocketAddr;

use countersign::core::SecurityProtocol;

use super::address::storage;
use super::{at_least, invalid, number};
use crate::failure::Failure;
use crate::layout::{
    SOCKET_QUERY_IPSEC2_ABORT_CONNECTION_ON_FIELD_CHANGE, SOCKET_QUERY_IPSEC2_FIELD_MASK_MM_SA_ID,
    SOCKET_QUERY_IPSEC2_FIELD_MASK_QM_SA_ID, SOCKET_SECURITY_PROTOCOL_IPSEC2,
    SOCKET_SECURITY_QUERY_TEMPLATE, SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2,
};

const SIZE: usize = size_of::<SOCKET_SECURITY_QUERY_TEMPLATE>();
const SECOND: usize = size_of::<SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2>();
const ADDRESS: std::ops::Range<usize> = 8..136;
const ACCESS: usize = 136;
const FLAGS: usize = 140;
const MASK: usize = 144;

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryTemplate {
    /// Which form of answer.
    pub protocol: SecurityProtocol,
    /// Which peer; a datagram socket needs it.
    pub address: Option<SocketAddr>,
    /// What the tokens are to be good for; zero asks for none.
    pub access: u32,
    /// What only the second form has.
    pub second: Option<SecondForm>,
    /// Whether every byte is zero, which asks for the flags only (SPEC 7.2).
    pub is_zero: bool,
}

/// What `SOCKET_SECURITY_QUERY_TEMPLATE_IPSEC2` adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecondForm {
    /// Whether the connection dies if one of the chosen fields changes.
    pub abort_on_change: bool,
    /// `MmSaId` is chosen.
    pub watch_session: bool,
    /// `QmSaId` is chosen.
    pub watch_keys: bool,
}

/// Reads the template of `WSAQuerySocketSecurity`.
///
/// # Errors
///
/// `WSAEMSGSIZE` if it is shorter than the structure that its protocol names,
/// `WSAEAFNOSUPPORT` for the family of the address, `WSAEINVAL` for a value without a meaning.
pub fn query_template(bytes: &[u8]) -> Result<QueryTemplate, Failure> {
    at_least(bytes, SIZE)?;
    let protocol = number(bytes, 0)?;
    let is_second = protocol == SOCKET_SECURITY_PROTOCOL_IPSEC2;
    if is_second {
        at_least(bytes, SECOND)?;
    }
    let address = storage(bytes.get(ADDRESS).unwrap_or_default())?;
    let protocol = SecurityProtocol::from_number(protocol)
        .map_err(|_| invalid(format!("there is no security protocol {protocol}")))?;
    let second = if is_second { Some(second_form(bytes)?) } else { None };
    let is_zero = bytes.iter().all(|byte| *byte == 0);
    Ok(QueryTemplate { protocol, address, access: number(bytes, ACCESS)?, second, is_zero })
}

fn second_form(bytes: &[u8]) -> Result<SecondForm, Failure> {
    let (flags, mask) = (number(bytes, FLAGS)?, number(bytes, MASK)?);
    if flags & !SOCKET_QUERY_IPSEC2_ABORT_CONNECTION_ON_FIELD_CHANGE != 0 {
        return Err(invalid(format!("Flags {flags:#x} has a bit without a meaning")));
    }
    let session = SOCKET_QUERY_IPSEC2_FIELD_MASK_MM_SA_ID;
    let keys = SOCKET_QUERY_IPSEC2_FIELD_MASK_QM_SA_ID;
    if mask & !(session | keys) != 0 {
        return Err(invalid(format!("FieldMask {mask:#x} has a bit without a meaning")));
    }
    Ok(SecondForm {
        abort_on_change: flags != 0,
        watch_session: mask & session != 0,
        watch_keys: mask & keys != 0,
    })
}
