//! Addresses with ports as text: `WSAAddressToString` and `WSAStringToAddress`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::{IpAddr, SocketAddr};

use crate::abi;
use crate::address::Address;
use crate::boundary::{answer, guard_status, room, value};
use crate::failure::Failure;
use crate::wide;

/// An address; the port is left out where it is zero, as there.
fn show(address: SocketAddr) -> String {
    if address.port() != 0 {
        return address.to_string();
    }
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    }
}

/// Reads an address of this family, with or without a port.
fn parse(text: &str, family: c_int) -> Result<SocketAddr, Failure> {
    if family != abi::AF_INET && family != abi::AF_INET6 {
        let text = format!("family {family} is not AF_INET or AF_INET6");
        return Err(Failure::new(abi::WSAEINVAL, text));
    }
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let alone = || unbracketed.unwrap_or(text).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let scoped = || format!("[{}]:0", unbracketed.unwrap_or(text)).parse::<SocketAddr>();
    let address = text.parse::<SocketAddr>().or_else(|_| alone()).or_else(|_| scoped());
    let fits = |address: &SocketAddr| address.is_ipv6() == (family == abi::AF_INET6);
    address.ok().filter(fits).ok_or_else(|| {
        Failure::new(abi::WSAEINVAL, format!("{text:?} is no address of the family {family}"))
    })
}

/// Writes a text with its end, and its length; `WSAEFAULT` if there is too little room, the length
/// needed being stored.
///
/// # Safety
///
/// If they are not NULL, an unsigned int must be at `length`, and as many elements as it says must be
/// writable at `into`.
unsafe fn put<C: Copy>(text: &[C], into: *mut C, length: *mut u32) -> Result<(), Failure> {
    // SAFETY: the caller vouches.
    let offered = unsafe { value(length)? };
    let needed = u32::try_from(text.len()).unwrap_or(u32::MAX);
    // SAFETY: the caller vouches.
    unsafe { answer(length, needed) };
    if into.is_null() || offered < needed {
        return Err(Failure::fixed(abi::WSAEFAULT, "the room for the text is too short"));
    }
    let bytes = size_of_val(text);
    // SAFETY: the caller vouches for no less.
    let into = unsafe { room(into.cast(), bytes)? };
    // SAFETY: they are that long, and ours are new: nothing overlaps. As bytes, at any alignment.
    unsafe { into.as_mut_ptr().copy_from_nonoverlapping(text.as_ptr().cast(), bytes) };
    Ok(())
}

/// # Safety
///
/// `length` bytes must be readable at `address`, if it is not NULL.
unsafe fn text_of(address: *const u8, length: u32) -> Result<String, Failure> {
    let length = c_int::try_from(length).map_err(|_| Failure::FAULT)?;
    // SAFETY: the caller vouches.
    let address = unsafe { Address::read(address, length)? };
    address
        .ip()
        .map(show)
        .ok_or_else(|| Failure::fixed(abi::WSAEINVAL, "the address is not of AF_INET or AF_INET6"))
}

/// Writes an address as text.
///
/// # Safety
///
/// As far as they are not NULL, `length` bytes must be readable at `address`, an unsigned int at
/// `size`, and as many bytes as it says writable at `into`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAAddressToStringA(
    address: *const u8,
    length: u32,
    _protocol: *const c_void,
    into: *mut c_char,
    size: *mut u32,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let text = unsafe { text_of(address, length)? };
        let ended: Vec<u8> = text.into_bytes().into_iter().chain([0]).collect();
        // SAFETY: the caller vouches.
        unsafe { put(&ended, into.cast(), size) }
    })
}

/// As [`WSAAddressToStringA`], in UTF-16.
///
/// # Safety
///
/// As [`WSAAddressToStringA`], in units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAAddressToStringW(
    address: *const u8,
    length: u32,
    _protocol: *const c_void,
    into: *mut u16,
    size: *mut u32,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let text = unsafe { text_of(address, length)? };
        // SAFETY: the caller vouches.
        unsafe { put(&wide::ended(&text), into, size) }
    })
}

/// Reads an address from text.
///
/// # Safety
///
/// `text` must be NULL or end in NUL; as far as they are not NULL, an int must be at `length`, and as
/// many bytes as it says must be writable at `into`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAStringToAddressA(
    text: *const c_char,
    family: c_int,
    _protocol: *const c_void,
    into: *mut u8,
    length: *mut c_int,
) -> c_int {
    guard_status(|| {
        if text.is_null() || into.is_null() {
            return Err(Failure::FAULT);
        }
        // SAFETY: not NULL, and the caller vouches for its end.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        // SAFETY: the caller vouches.
        unsafe { Address::Ip(parse(&text, family)?).write(into, length) }
    })
}

/// As [`WSAStringToAddressA`], in UTF-16.
///
/// # Safety
///
/// As [`WSAStringToAddressA`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAStringToAddressW(
    text: *const u16,
    family: c_int,
    _protocol: *const c_void,
    into: *mut u8,
    length: *mut c_int,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let text = unsafe { wide::read(text)? };
        let Some(text) = text.filter(|_| !into.is_null()) else { return Err(Failure::FAULT) };
        // SAFETY: the caller vouches.
        unsafe { Address::Ip(parse(&text, family)?).write(into, length) }
    })
}

#[cfg(test)]
mod tests {
    use super::{parse, show};
    use crate::abi;

    #[track_caller]
    fn both_ways(text: &str, family: i32) {
        assert_eq!(show(parse(text, family).unwrap()), text);
    }

    #[test]
    fn with_and_without_ports_and_scopes() {
        both_ways("192.0.2.1:80", abi::AF_INET);
        both_ways("192.0.2.1", abi::AF_INET);
        both_ways("[2001:db8::1]:80", abi::AF_INET6);
        both_ways("2001:db8::1", abi::AF_INET6);
        both_ways("fe80::1%3", abi::AF_INET6);
        for (text, family) in [
            ("192.0.2.1", abi::AF_INET6),
            ("::1", abi::AF_INET),
            ("db1", abi::AF_INET),
            ("", 2),
            ("::1", 10),
        ] {
            assert_eq!(parse(text, family).unwrap_err().code, abi::WSAEINVAL, "{text}");
        }
    }
}
