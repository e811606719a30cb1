use std::ffi::{CStr, c_char};
use std::ptr::{null, null_mut};

use super::nodes::AddrInfo;
use super::{
    FreeAddrInfoW, GetAddrInfoW, WSAHOST_NOT_FOUND, WSANO_RECOVERY, countersign_ws_freeaddrinfo,
    countersign_ws_getaddrinfo, countersign_ws_gethostbyname, countersign_ws_getnameinfo,
};
use crate::abi::{self, WSAEAFNOSUPPORT, WSAEFAULT, WSAEINVAL};
use crate::wide;

fn hints(flags: i32, family: i32) -> AddrInfo<c_char> {
    AddrInfo {
        flags,
        family,
        socktype: abi::SOCK_STREAM,
        protocol: abi::IPPROTO_TCP,
        addrlen: 0,
        canonname: null_mut(),
        addr: null_mut(),
        next: null_mut(),
    }
}

/// The first address that is found, and the number of the error.
fn first(node: &CStr, service: &CStr, hints: &AddrInfo<c_char>) -> Result<Vec<u8>, i32> {
    let mut list = null_mut();
    // SAFETY: the strings end in NUL, the rest is ours.
    let error = unsafe {
        countersign_ws_getaddrinfo(node.as_ptr(), service.as_ptr(), hints, &raw mut list)
    };
    if error != 0 {
        assert!(list.is_null(), "an answer is written on success only");
        return Err(error);
    }
    // SAFETY: it succeeded, so there is an answer.
    let it = unsafe { &*list };
    // SAFETY: as many bytes as the answer says are at its address.
    let address = unsafe { std::slice::from_raw_parts(it.addr, it.addrlen) }.to_vec();
    // SAFETY: it is not used any more.
    unsafe { countersign_ws_freeaddrinfo(list) };
    Ok(address)
}

#[test]
fn answers_have_the_numbers_of_windows() {
    let v4 = first(c"127.0.0.1", c"80", &hints(0x4, abi::AF_INET)).unwrap();
    assert_eq!(v4, [2, 0, 0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let v6 = first(c"::1", c"443", &hints(0x4 | 0x8, abi::AF_INET6)).unwrap();
    assert_eq!((v6.len(), v6[0], v6[2], v6[3], v6[23]), (28, 23, 1, 187, 1));
}

#[test]
fn errors_have_the_numbers_of_winsock() {
    let ask = |node, hints: AddrInfo<c_char>| first(node, c"80", &hints).unwrap_err();
    assert_eq!(ask(c"no number", hints(0x4, abi::AF_INET)), WSAHOST_NOT_FOUND);
    assert_eq!(ask(c"::1", hints(0, 10)), WSAEAFNOSUPPORT);
    assert_eq!(ask(c"::1", hints(0x4000_0000, 0)), WSAEINVAL);
    let mut dirty = hints(0, 0);
    dirty.addrlen = 16;
    assert_eq!(ask(c"::1", dirty), WSANO_RECOVERY);
    // SAFETY: NULL is a pointer that it must survive.
    let error = unsafe { countersign_ws_getaddrinfo(c"::1".as_ptr(), null(), null(), null_mut()) };
    assert_eq!(error, WSAEFAULT);
    let mut list = null_mut();
    // SAFETY: as above.
    let error = unsafe { countersign_ws_getaddrinfo(null(), null(), null(), &raw mut list) };
    assert_eq!(error, WSAHOST_NOT_FOUND);
}

#[test]
fn wide_names() {
    let (node, service) = (wide::ended("127.0.0.1"), wide::ended("80"));
    let mut list = null_mut();
    // SAFETY: the strings end in NUL, the rest is ours.
    let error = unsafe { GetAddrInfoW(node.as_ptr(), service.as_ptr(), null(), &raw mut list) };
    assert_eq!(error, 0);
    // SAFETY: it succeeded, so there is an answer.
    assert_eq!(unsafe { (*list).family }, abi::AF_INET);
    // SAFETY: it is not used any more.
    unsafe { FreeAddrInfoW(list) };
    // SAFETY: NULL is nothing to free.
    unsafe { FreeAddrInfoW(null_mut()) };
}

#[test]
fn addresses_back_into_text() {
    let mut address = [0_u8; 28];
    address[0] = 23;
    address[3] = 80;
    address[23] = 1;
    let (mut host, mut service): ([c_char; 64], [c_char; 8]) = ([0; 64], [0; 8]);
    let mut ask = |size: u32| {
        // SAFETY: all of it is ours, and no shorter than it says.
        unsafe {
            countersign_ws_getnameinfo(
                address.as_ptr(),
                28,
                host.as_mut_ptr(),
                size,
                service.as_mut_ptr(),
                8,
                0x2 | 0x8,
            )
        }
    };
    assert_eq!(ask(3), 122);
    assert_eq!(ask(4), 0);
    let text = |bytes: &[c_char]| bytes.iter().map(|byte| *byte as u8).collect::<Vec<u8>>();
    assert!(text(&host).starts_with(b"::1\0") && text(&service).starts_with(b"80\0"));
}

#[test]
fn old_way_to_find_a_host() {
    // SAFETY: it ends in NUL.
    let entry = unsafe { countersign_ws_gethostbyname(c"127.0.0.1".as_ptr()) };
    assert!(!entry.is_null());
    // SAFETY: as above.
    assert!(unsafe { countersign_ws_gethostbyname(c"no such host.".as_ptr()) }.is_null());
    assert_eq!(crate::WSAGetLastError(), WSAHOST_NOT_FOUND);
}
