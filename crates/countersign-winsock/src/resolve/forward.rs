//! Names into addresses: `getaddrinfo` and `GetAddrInfoW`.

use std::ffi::{CString, c_char, c_int};
use std::ptr::{null, null_mut};

use countersign::PeerName;

use super::nodes::{AddrInfo, Answer, Character, free, list};
use super::{WSAHOST_NOT_FOUND, WSANO_RECOVERY, from_resolver, narrow, numbered};
use crate::abi;
use crate::address::{Address, KernelAddress};
use crate::boundary::{answer, value};
use crate::failure::Failure;
use crate::wide;

const AI_PASSIVE: c_int = 0x0001;
const AI_CANONNAME: c_int = 0x0002;
const AI_NUMERICHOST: c_int = 0x0004;
const AI_NUMERICSERV: c_int = 0x0008;
const AI_ALL: c_int = 0x0100;
const AI_ADDRCONFIG: c_int = 0x0400;
const AI_V4MAPPED: c_int = 0x0800;
const AI_FQDN: c_int = 0x0002_0000;
/// Those that say how Windows asks its name services, which has no meaning here: `AI_NON_AUTHORITATIVE`,
/// `AI_SECURE`, `AI_RETURN_PREFERRED_NAMES`, `AI_FILESERVER`, `AI_DISABLE_IDN_ENCODING`.
const AI_ABOUT_SERVICES: c_int = 0x4000 | 0x8000 | 0x1_0000 | 0x4_0000 | 0x8_0000;

/// Winsock's flag and libc's.
const FLAGS: &[(c_int, c_int)] = &[
    (AI_PASSIVE, libc::AI_PASSIVE),
    (AI_CANONNAME, libc::AI_CANONNAME),
    (AI_FQDN, libc::AI_CANONNAME),
    (AI_NUMERICHOST, libc::AI_NUMERICHOST),
    (AI_NUMERICSERV, libc::AI_NUMERICSERV),
    (AI_ALL, libc::AI_ALL),
    (AI_ADDRCONFIG, libc::AI_ADDRCONFIG),
    (AI_V4MAPPED, libc::AI_V4MAPPED),
    (AI_ABOUT_SERVICES, 0),
];

/// What a program asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Hints {
    flags: c_int,
    family: c_int,
    socktype: c_int,
    protocol: c_int,
}

impl Hints {
    /// Reads the structure of the program, whose other fields must be zero.
    ///
    /// # Safety
    ///
    /// If `hints` is not NULL, the structure must be readable there.
    unsafe fn read<C>(hints: *const AddrInfo<C>) -> Result<Self, Failure> {
        if hints.is_null() {
            return Ok(Self::default());
        }
        if !hints.is_aligned() {
            return Err(Failure::FAULT);
        }
        // SAFETY: not NULL, aligned, and the caller vouches that it is there.
        let hints = unsafe { &*hints };
        let is_blank = hints.addrlen == 0
            && hints.canonname.is_null()
            && hints.addr.is_null()
            && hints.next.is_null();
        if !is_blank {
            let text =
                "the hints have more than flags, family, type and protocol: clear them first";
            return Err(Failure::fixed(WSANO_RECOVERY, text));
        }
        let &AddrInfo { flags, family, socktype, protocol, .. } = hints;
        Ok(Self { flags, family, socktype, protocol })
    }

    fn to_libc(self, has_name: bool) -> Result<libc::addrinfo, Failure> {
        let known = FLAGS.iter().fold(0, |all, (winsock, _)| all | winsock);
        if self.flags & !known != 0 || (self.flags & (AI_CANONNAME | AI_FQDN) != 0 && !has_name) {
            let text = format!("ai_flags {:#x} are not valid, or need a name", self.flags);
            return Err(Failure::new(abi::WSAEINVAL, text));
        }
        let flags = FLAGS.iter().filter(|(winsock, _)| self.flags & winsock != 0);
        let family = match self.family {
            abi::AF_UNSPEC => libc::AF_UNSPEC,
            abi::AF_INET => libc::AF_INET,
            abi::AF_INET6 => libc::AF_INET6,
            other => {
                let text = format!("ai_family {other} is not AF_UNSPEC, AF_INET or AF_INET6");
                return Err(Failure::new(abi::WSAEAFNOSUPPORT, text));
            }
        };
        Ok(libc::addrinfo {
            ai_flags: flags.fold(0, |all, (_, linux)| all | linux),
            ai_family: family,
            ai_socktype: self.socktype,
            ai_protocol: self.protocol,
            ai_addrlen: 0,
            ai_addr: null_mut(),
            ai_canonname: null_mut(),
            ai_next: null_mut(),
        })
    }
}

/// Frees what libc answered, however the reading ends.
struct Answers(*mut libc::addrinfo);

impl Drop for Answers {
    fn drop(&mut self) {
        // SAFETY: libc made it, and nobody else has it.
        unsafe { libc::freeaddrinfo(self.0) };
    }
}

/// Asks the resolver.
fn resolve(
    node: Option<&str>,
    service: Option<&str>,
    hints: Hints,
) -> Result<Vec<Answer>, Failure> {
    if node.is_none() && service.is_none() {
        return Err(Failure::fixed(WSAHOST_NOT_FOUND, "neither a name nor a service is given"));
    }
    let asked = hints.to_libc(node.is_some())?;
    // The empty name is this host, as there.
    let own = if node == Some("") { Some(super::host::own_name()?) } else { None };
    let ascii = own.or_else(|| node.map(to_ascii));
    let doing = format!(
        "find {}{}",
        ascii.as_deref().unwrap_or("this host"),
        service.map_or_else(String::new, |service| format!(", service {service}")),
    );
    let end = |text: &str| {
        let text = CString::new(text);
        text.map_err(|_| Failure::fixed(abi::WSAEINVAL, "a name has a NUL within"))
    };
    let node = ascii.as_deref().map(end).transpose()?;
    let service = service.map(end).transpose()?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(null(), |text| text.as_ptr());
    let mut found = null_mut();
    // SAFETY: the strings end in NUL or are NULL, the structures are initialised, and all of them
    // outlive the call.
    let error = unsafe {
        libc::getaddrinfo(pointer(&node), pointer(&service), &raw const asked, &raw mut found)
    };
    if error != 0 {
        return Err(from_resolver(&doing, error));
    }
    let found = Answers(found);
    let mut answers = Vec::new();
    let mut next = found.0;
    while !next.is_null() {
        // SAFETY: libc's list is intact until it is freed, when `found` goes.
        let it = unsafe { &*next };
        let mut address = KernelAddress::empty();
        let length = it.ai_addrlen.min(size_of::<libc::sockaddr_storage>() as libc::socklen_t);
        let (room, _) = address.raw_mut();
        // SAFETY: as many bytes as the answer says are at its address, and there is room for them.
        unsafe { room.cast::<u8>().copy_from_nonoverlapping(it.ai_addr.cast(), length as usize) };
        address.set_length(length);
        if let address @ Address::Ip(_) = address.to_address() {
            // SAFETY: a name of libc's ends in NUL, or is NULL.
            let name = unsafe { narrow(it.ai_canonname) }.ok().flatten();
            let (flags, socktype, protocol) = (hints.flags, it.ai_socktype, it.ai_protocol);
            answers.push(Answer { flags, socktype, protocol, address, name });
        }
        next = it.ai_next;
    }
    Ok(answers)
}

/// The ASCII form of a name (IDNA), where it needs one.
fn to_ascii(node: &str) -> String {
    if node.is_ascii() {
        return node.to_owned();
    }
    let name = node.parse::<PeerName>();
    let host = name.as_ref().ok().and_then(PeerName::host);
    host.map_or_else(|| node.to_owned(), ToString::to_string)
}

/// # Safety
///
/// As [`countersign_ws_getaddrinfo`] of `hints` and `result`.
unsafe fn answer_list<C: Character>(
    node: Option<String>,
    service: Option<String>,
    hints: *const AddrInfo<C>,
    result: *mut *mut AddrInfo<C>,
) -> Result<(), Failure> {
    // SAFETY: the caller vouches; that it is readable shows that it is one.
    unsafe { value(result)? };
    // SAFETY: the caller vouches.
    let hints = unsafe { Hints::read(hints)? };
    let answers = resolve(node.as_deref(), service.as_deref(), hints)?;
    // SAFETY: the caller vouches.
    unsafe { answer(result, list(answers)) };
    Ok(())
}

/// Finds the addresses of a host and service; zero, or the number of the error.
///
/// # Safety
///
/// The strings must be NULL or end in NUL; `hints` must be NULL or a structure; if `result` is not
/// NULL, a pointer must be writable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const AddrInfo<c_char>,
    result: *mut *mut AddrInfo<c_char>,
) -> c_int {
    numbered(|| {
        // SAFETY: the caller vouches.
        let node = unsafe { narrow(node)? };
        // SAFETY: the caller vouches.
        let service = unsafe { narrow(service)? };
        // SAFETY: the caller vouches.
        unsafe { answer_list(node, service, hints, result) }
    })
}

/// As [`countersign_ws_getaddrinfo`], in UTF-16.
///
/// # Safety
///
/// As [`countersign_ws_getaddrinfo`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn GetAddrInfoW(
    node: *const u16,
    service: *const u16,
    hints: *const AddrInfo<u16>,
    result: *mut *mut AddrInfo<u16>,
) -> c_int {
    numbered(|| {
        // SAFETY: the caller vouches.
        let node = unsafe { wide::read(node)? };
        // SAFETY: the caller vouches.
        let service = unsafe { wide::read(service)? };
        // SAFETY: the caller vouches.
        unsafe { answer_list(node, service, hints, result) }
    })
}

/// Frees what [`countersign_ws_getaddrinfo`] answered; NULL is nothing to free.
///
/// # Safety
///
/// It must come from there and not be freed yet, and nobody may use it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn countersign_ws_freeaddrinfo(list: *mut AddrInfo<c_char>) {
    // SAFETY: the caller vouches.
    unsafe { free(list) };
}

/// Frees what [`GetAddrInfoW`] answered; NULL is nothing to free.
///
/// # Safety
///
/// It must come from there and not be freed yet, and nobody may use it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FreeAddrInfoW(list: *mut AddrInfo<u16>) {
    // SAFETY: the caller vouches.
    unsafe { free(list) };
}
