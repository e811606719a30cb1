//! The name of this host, and the old way to find another.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::net::ToSocketAddrs as _;
use std::ptr::null_mut;

use super::{WSAHOST_NOT_FOUND, narrow};
use crate::abi;
use crate::boundary::{guard, guard_status, room};
use crate::failure::Failure;
use crate::wide;

/// `HOSTENT`.
#[repr(C)]
#[derive(Debug)]
pub struct HostEntry {
    name: *mut c_char,
    aliases: *mut *mut c_char,
    addrtype: i16,
    length: i16,
    addr_list: *mut *mut u8,
}

/// An entry with what it points to, until the thread asks again.
struct Shown {
    entry: HostEntry,
    _name: CString,
    _addresses: Vec<[u8; 4]>,
    _pointers: Vec<*mut u8>,
    _aliases: Box<[*mut c_char; 1]>,
}

thread_local! {
    static SHOWN: RefCell<Option<Box<Shown>>> = const { RefCell::new(None) };
}

/// The name of this host.
pub(super) fn own_name() -> Result<String, Failure> {
    let mut name = [0_u8; 256];
    // SAFETY: there is as much room as it says.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0 {
        return Err(Failure::last_os("find the name of this host"));
    }
    let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

fn too_short() -> Failure {
    Failure::fixed(abi::WSAEFAULT, "the room for the name of this host is too short")
}

/// Answers the name of this host.
///
/// # Safety
///
/// If `name` is not NULL, `size` bytes must be writable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_gethostname(name: *mut c_char, size: c_int) -> c_int {
    guard_status(|| {
        let own = own_name()?;
        let needed = own.len() + 1;
        if name.is_null() || usize::try_from(size).is_ok_and(|size| size < needed) || size < 0 {
            return Err(too_short());
        }
        // SAFETY: the caller vouches for no less.
        let into = unsafe { room(name.cast(), needed)? };
        for (to, from) in into.iter_mut().zip(own.bytes().chain([0])) {
            *to = from;
        }
        Ok(())
    })
}

/// As [`countersign_ws_gethostname`], in UTF-16.
///
/// # Safety
///
/// As [`countersign_ws_gethostname`], in units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn GetHostNameW(name: *mut u16, size: c_int) -> c_int {
    guard_status(|| {
        let own = wide::ended(&own_name()?);
        if name.is_null() || usize::try_from(size).map_or(true, |size| size < own.len()) {
            return Err(too_short());
        }
        // SAFETY: the caller vouches for no less.
        let into = unsafe { room(name.cast(), own.len() * 2)? };
        for (to, from) in into.iter_mut().zip(own.iter().flat_map(|unit| unit.to_ne_bytes())) {
            *to = from;
        }
        Ok(())
    })
}

/// Finds the IPv4 addresses of a host; NULL if there are none. What is answered is ours, and good
/// until the thread calls again.
///
/// # Safety
///
/// `name` must be NULL, which is this host, or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_gethostbyname(name: *const c_char) -> *mut HostEntry {
    guard(null_mut(), || {
        // SAFETY: the caller vouches.
        let name = match unsafe { narrow(name)? } {
            Some(name) if !name.is_empty() => name,
            _ => own_name()?,
        };
        let not_found = |why: &dyn std::fmt::Display| {
            Failure::new(WSAHOST_NOT_FOUND, format!("cannot find {name}: {why}"))
        };
        let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| not_found(&error))?;
        let mut addresses: Vec<[u8; 4]> = found
            .filter_map(|address| match address.ip() {
                std::net::IpAddr::V4(ip) => Some(ip.octets()),
                std::net::IpAddr::V6(_) => None,
            })
            .collect();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(not_found(&"it has no IPv4 address"));
        }
        let name = CString::new(name.as_str()).map_err(|_| not_found(&"a NUL is within"))?;
        Ok(show(name, addresses))
    })
}

fn show(name: CString, mut addresses: Vec<[u8; 4]>) -> *mut HostEntry {
    let mut pointers: Vec<*mut u8> = addresses.iter_mut().map(|ip| ip.as_mut_ptr()).collect();
    pointers.push(null_mut());
    let mut aliases = Box::new([null_mut()]);
    let entry = HostEntry {
        name: name.as_ptr().cast_mut(),
        aliases: aliases.as_mut_ptr(),
        addrtype: abi::AF_INET as i16,
        length: 4,
        addr_list: pointers.as_mut_ptr(),
    };
    let shown = Box::new(Shown {
        entry,
        _name: name,
        _addresses: addresses,
        _pointers: pointers,
        _aliases: aliases,
    });
    let place = SHOWN.try_with(|place| &raw mut place.borrow_mut().insert(shown).entry);
    place.unwrap_or(null_mut())
}
