//! The six functions, with the order of checks of SPEC 3: descriptor; pointers; sizes; the socket's
//! family, then its type; connection state; values. A call that fails changes nothing.

use std::ffi::c_int;
use std::sync::Arc;

use countersign::rights;

use crate::abi::{self, CompletionRoutine, Socket, WSAOVERLAPPED};
use crate::boundary::{answer, bytes, guard_status, value};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::operations::Completion;
use crate::{decode, query, security, startup, token};

/// Turns security on (SPEC 4).
///
/// # Safety
///
/// As far as they are not NULL, `length` bytes must be readable at `settings`, and `overlapped` must
/// be good until the operation is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSASetSocketSecurity(
    socket: Socket,
    settings: *const u8,
    length: u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let entry = unsafe { set_security(socket, settings, length)? };
        // SAFETY: the caller vouches.
        unsafe { tell_done(&entry, overlapped, routine, 0) };
        Ok(())
    })
}

/// Says who the peer at an address must be (SPEC 5).
///
/// # Safety
///
/// As [`WSASetSocketSecurity`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSASetSocketPeerTargetName(
    socket: Socket,
    name: *const u8,
    length: u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let entry = unsafe { set_name(socket, name, length)? };
        // SAFETY: the caller vouches.
        unsafe { tell_done(&entry, overlapped, routine, 0) };
        Ok(())
    })
}

/// Removes the name of an address (SPEC 6).
///
/// # Safety
///
/// As [`WSASetSocketSecurity`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSADeleteSocketPeerTargetName(
    socket: Socket,
    address: *const u8,
    length: u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let entry = unsafe { delete_name(socket, address, length)? };
        // SAFETY: the caller vouches.
        unsafe { tell_done(&entry, overlapped, routine, 0) };
        Ok(())
    })
}

/// Tells what protects a connection, and who the peer is (SPEC 7).
///
/// # Safety
///
/// As far as they are not NULL, `template_length` bytes must be readable at `template`, a length at
/// `length`, as many bytes as it says writable at `info`, and `overlapped` good until the
/// operation is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAQuerySocketSecurity(
    socket: Socket,
    template: *const u8,
    template_length: u32,
    info: *mut u8,
    length: *mut u32,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
) -> c_int {
    guard_status(|| {
        // SAFETY: the caller vouches.
        let (entry, size) = unsafe { query(socket, template, template_length, info, length)? };
        // SAFETY: the caller vouches.
        unsafe { tell_done(&entry, overlapped, routine, size) };
        Ok(())
    })
}

/// Acts for the peer on this thread (SPEC 8).
///
/// # Safety
///
/// If `address` is not NULL, `length` bytes must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAImpersonateSocketPeer(
    socket: Socket,
    address: *const u8,
    length: u32,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = security::find(socket)?;
        if address.is_null() && !query::is_connected(&entry) {
            let text = "the socket is not connected, so the peer's address is needed";
            return Err(Failure::fixed(abi::WSAEFAULT, text));
        }
        let peer = if address.is_null() {
            Ok(None)
        } else {
            // SAFETY: the caller vouches.
            let bytes = unsafe { bytes(address, length as usize)? };
            unless_short(decode::sockaddr(bytes).map(Some))?
        };
        security::check_type(&entry)?;
        let token = query::impersonation_token(&entry, peer)?;
        token::assume(&token)
    })
}

/// Ends the impersonation of this thread, if there is one (SPEC 8.5).
#[unsafe(no_mangle)]
pub extern "C" fn WSARevertImpersonation() -> c_int {
    guard_status(|| {
        startup::check()?;
        rights::revert();
        Ok(())
    })
}

/// Lets a size that is wrong out at once, and keeps any other failure for when it is its turn.
fn unless_short<T>(decoded: Result<T, Failure>) -> Result<Result<T, Failure>, Failure> {
    match decoded {
        Err(failure) if failure.code == abi::WSAEMSGSIZE => Err(failure),
        other => Ok(other),
    }
}

/// # Safety
///
/// If `settings` is not NULL, `length` bytes must be readable there.
pub(super) unsafe fn set_security(
    socket: Socket,
    settings: *const u8,
    length: u32,
) -> Result<Arc<Entry>, Failure> {
    startup::check()?;
    let entry = security::find(socket)?;
    let decoded = if settings.is_null() {
        if length > 0 {
            return Err(Failure::FAULT);
        }
        Ok(None)
    } else {
        // SAFETY: the caller vouches.
        let bytes = unsafe { bytes(settings, length as usize)? };
        unless_short(decode::settings(bytes).map(Some))?
    };
    security::check_set_security(&entry)?;
    security::set_security(&entry, decoded?)?;
    Ok(entry)
}

/// # Safety
///
/// If `name` is not NULL, `length` bytes must be readable there.
pub(super) unsafe fn set_name(
    socket: Socket,
    name: *const u8,
    length: u32,
) -> Result<Arc<Entry>, Failure> {
    startup::check()?;
    let entry = security::find(socket)?;
    if name.is_null() {
        return Err(Failure::FAULT);
    }
    // SAFETY: the caller vouches.
    let bytes = unsafe { bytes(name, length as usize)? };
    let decoded = unless_short(decode::peer_target_name(bytes))?;
    security::check_set_name(&entry)?;
    let target = decoded?;
    security::set_name(&entry, target.address, target.name)?;
    Ok(entry)
}

/// # Safety
///
/// If `address` is not NULL, `length` bytes must be readable there.
pub(super) unsafe fn delete_name(
    socket: Socket,
    address: *const u8,
    length: u32,
) -> Result<Arc<Entry>, Failure> {
    startup::check()?;
    let entry = security::find(socket)?;
    if address.is_null() {
        return Err(Failure::FAULT);
    }
    // SAFETY: the caller vouches.
    let bytes = unsafe { bytes(address, length as usize)? };
    let decoded = unless_short(decode::sockaddr(bytes))?;
    security::check_delete_name(&entry)?;
    security::delete_name(&entry, decoded?)?;
    Ok(entry)
}

/// # Safety
///
/// As [`WSAQuerySocketSecurity`].
pub(super) unsafe fn query(
    socket: Socket,
    template: *const u8,
    template_length: u32,
    info: *mut u8,
    length: *mut u32,
) -> Result<(Arc<Entry>, usize), Failure> {
    startup::check()?;
    let entry = security::find(socket)?;
    // SAFETY: the caller vouches.
    let offered = unsafe { value(length)? } as usize;
    let decoded = if template.is_null() {
        if template_length > 0 || !entry.is_stream() {
            let text = "a datagram socket has many peers, so the template is needed";
            return Err(Failure::fixed(abi::WSAEFAULT, text));
        }
        Ok(None)
    } else {
        // SAFETY: the caller vouches.
        let bytes = unsafe { bytes(template, template_length as usize)? };
        unless_short(decode::query_template(bytes).map(Some))?
    };
    let is_second = matches!(&decoded, Ok(Some(template)) if template.second.is_some());
    let needed = crate::encode::QueryInfo::size(is_second);
    if info.is_null() || offered < needed {
        // SAFETY: the caller vouches.
        unsafe { answer(length, u32::try_from(needed).unwrap_or(u32::MAX)) };
        let text = format!("the answer needs {needed} bytes, and there are {offered}");
        // What the vendor's sample expects of streams (SPEC 3, size probe).
        let probe = info.is_null() && entry.is_stream();
        let code = if probe { abi::WSAEFAULT } else { abi::WSAEMSGSIZE };
        return Err(Failure::new(code, text));
    }
    security::check_type(&entry)?;
    let told = query::query(&entry, decoded)?;
    // SAFETY: the caller vouches for as many bytes as it offered, which are no fewer than needed.
    unsafe { std::ptr::copy_nonoverlapping(told.as_ptr(), info, told.len()) };
    // SAFETY: the caller vouches.
    unsafe { answer(length, u32::try_from(told.len()).unwrap_or(u32::MAX)) };
    Ok((entry, told.len()))
}

/// Tells a program in the way that it asked for that an operation is done (SPEC 9).
///
/// # Safety
///
/// If `overlapped` is not NULL, and the socket is an overlapped one, it must be good until then.
pub(super) unsafe fn tell_done(
    entry: &Entry,
    overlapped: *mut WSAOVERLAPPED,
    routine: CompletionRoutine,
    bytes: usize,
) {
    if !entry.is_overlapped() {
        return;
    }
    // SAFETY: the caller vouches.
    if let Some(completion) = unsafe { Completion::new(overlapped, routine, true) } {
        completion.begin();
        completion.finish(&Ok(bytes), 0);
    }
}
