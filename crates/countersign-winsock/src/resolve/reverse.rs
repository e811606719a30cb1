//! Addresses into names: `getnameinfo` and `GetNameInfoW`.

use std::ffi::{CStr, c_char, c_int};

use super::{from_resolver, numbered};
use crate::abi;
use crate::address::{Address, KernelAddress};
use crate::boundary::room;
use crate::failure::Failure;
use crate::wide;

/// Winsock's flag and libc's: `NOFQDN`, `NUMERICHOST`, `NAMEREQD`, `NUMERICSERV`, `DGRAM`.
const FLAGS: &[(c_int, c_int)] = &[
    (0x01, libc::NI_NOFQDN),
    (0x02, libc::NI_NUMERICHOST),
    (0x04, libc::NI_NAMEREQD),
    (0x08, libc::NI_NUMERICSERV),
    (0x10, libc::NI_DGRAM),
];

/// The longest name of a host, and of a service, with its end: `NI_MAXHOST`, `NI_MAXSERV`.
const HOST: usize = 1025;
const SERVICE: usize = 32;

/// The name and the service at an address.
fn names(address: &Address, flags: c_int) -> Result<(String, String), Failure> {
    if flags & !0x1F != 0 {
        return Err(Failure::new(abi::WSAEINVAL, format!("flags {flags:#x} are not valid")));
    }
    let flags = FLAGS
        .iter()
        .filter(|(winsock, _)| flags & winsock != 0)
        .fold(0, |all, (_, linux)| all | linux);
    let kernel = KernelAddress::from(address);
    let (pointer, length) = kernel.raw();
    let mut host = [0_u8; HOST];
    let mut service = [0_u8; SERVICE];
    // SAFETY: the address is as long as it says, and so is the room for each of the names.
    let error = unsafe {
        libc::getnameinfo(
            pointer,
            length,
            host.as_mut_ptr().cast(),
            HOST as u32,
            service.as_mut_ptr().cast(),
            SERVICE as u32,
            flags,
        )
    };
    if error != 0 {
        return Err(from_resolver("name the address", error));
    }
    let text = |bytes: &[u8]| {
        let text = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
        text.to_string_lossy().into_owned()
    };
    Ok((text(&host), text(&service)))
}

/// Writes a name where there is room for it with its end; nothing where none is wanted.
///
/// # Safety
///
/// If `into` is not NULL, as many elements as `size` says must be writable there.
unsafe fn put<C: Copy>(name: &[C], into: *mut C, size: u32) -> Result<(), Failure> {
    if into.is_null() || size == 0 {
        return Ok(());
    }
    if name.len() > size as usize {
        return Err(Failure::fixed(122, "the room for a name is too short"));
    }
    let bytes = size_of_val(name);
    // SAFETY: the caller vouches for as many elements, and there are not more of ours.
    let into = unsafe { room(into.cast(), bytes)? };
    // SAFETY: they are that long, and new: nothing overlaps. As bytes, at any alignment.
    unsafe { into.as_mut_ptr().copy_from_nonoverlapping(name.as_ptr().cast(), bytes) };
    Ok(())
}

fn wanted(host: bool, service: bool) -> Result<(), Failure> {
    if host || service {
        return Ok(());
    }
    Err(Failure::fixed(super::WSAHOST_NOT_FOUND, "neither the name nor the service is wanted"))
}

/// Finds the name and service at an address; zero, or the number of the error.
///
/// # Safety
///
/// `length` bytes must be readable at `address`, and as many bytes as their sizes say writable at
/// `host` and `service`, if they are not NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_getnameinfo(
    address: *const u8,
    length: c_int,
    host: *mut c_char,
    host_size: u32,
    service: *mut c_char,
    service_size: u32,
    flags: c_int,
) -> c_int {
    numbered(|| {
        wanted(!host.is_null(), !service.is_null())?;
        // SAFETY: the caller vouches.
        let address = unsafe { Address::read(address, length)? };
        let (name, of_service) = names(&address, flags)?;
        let ended = |text: String| text.into_bytes().into_iter().chain([0]).collect::<Vec<u8>>();
        // SAFETY: the caller vouches.
        unsafe { put(&ended(name), host.cast(), host_size)? };
        // SAFETY: the caller vouches.
        unsafe { put(&ended(of_service), service.cast(), service_size) }
    })
}

/// As [`countersign_ws_getnameinfo`], in UTF-16.
///
/// # Safety
///
/// As [`countersign_ws_getnameinfo`], in units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn GetNameInfoW(
    address: *const u8,
    length: c_int,
    host: *mut u16,
    host_size: u32,
    service: *mut u16,
    service_size: u32,
    flags: c_int,
) -> c_int {
    numbered(|| {
        wanted(!host.is_null(), !service.is_null())?;
        // SAFETY: the caller vouches.
        let address = unsafe { Address::read(address, length)? };
        let (name, of_service) = names(&address, flags)?;
        // SAFETY: the caller vouches.
        unsafe { put(&wide::ended(&name), host, host_size)? };
        // SAFETY: the caller vouches.
        unsafe { put(&wide::ended(&of_service), service, service_size) }
    })
}
