//! Events, waits, and how overlapped operations have come out.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::abi::{self, Handle, Socket, WSANETWORKEVENTS, WSAOVERLAPPED};
use crate::boundary::{answer, guard, guard_status, value};
use crate::event::{self, Event, Waited};
use crate::failure::{Failure, text_of};
use crate::handle::{self, Object};
use crate::{last_error, network_events, operations, startup, status, table};

const NO_EVENT: Failure =
    Failure::fixed(abi::WSA_INVALID_HANDLE, "the handle is none of an open event");

/// Makes an event that stays signalled until it is reset.
#[unsafe(no_mangle)]
pub extern "C" fn WSACreateEvent() -> Handle {
    guard(abi::WSA_INVALID_EVENT, || {
        startup::check()?;
        make(true, false)
    })
}

/// Makes an event. Events here have neither names nor access rights.
#[unsafe(no_mangle)]
pub extern "C" fn CreateEventW(
    _attributes: *const c_void,
    manual: c_int,
    initial: c_int,
    name: *const u16,
) -> Handle {
    guard(abi::WSA_INVALID_EVENT, || {
        if !name.is_null() {
            let text = "events are known in this process only, and have no names";
            return Err(Failure::fixed(abi::WSA_INVALID_PARAMETER, text));
        }
        make(manual != 0, initial != 0)
    })
}

/// As [`CreateEventW`].
#[unsafe(no_mangle)]
pub extern "C" fn CreateEventA(
    attributes: *const c_void,
    manual: c_int,
    initial: c_int,
    name: *const u8,
) -> Handle {
    CreateEventW(attributes, manual, initial, name.cast())
}

fn make(is_manual: bool, is_signalled: bool) -> Result<Handle, Failure> {
    handle::make(Object::Event(Event::new(is_manual, is_signalled)))
        .ok_or(Failure::fixed(abi::WSA_NOT_ENOUGH_MEMORY, "too many handles are open"))
}

/// Signals an event.
#[unsafe(no_mangle)]
pub extern "C" fn WSASetEvent(event: Handle) -> c_int {
    guard(abi::FALSE, || {
        handle::event(event).ok_or(NO_EVENT)?.set();
        Ok(abi::TRUE)
    })
}

/// As [`WSASetEvent`].
#[unsafe(no_mangle)]
pub extern "C" fn SetEvent(event: Handle) -> c_int {
    WSASetEvent(event)
}

/// Takes the signal from an event.
#[unsafe(no_mangle)]
pub extern "C" fn WSAResetEvent(event: Handle) -> c_int {
    guard(abi::FALSE, || {
        handle::event(event).ok_or(NO_EVENT)?.reset();
        Ok(abi::TRUE)
    })
}

/// As [`WSAResetEvent`].
#[unsafe(no_mangle)]
pub extern "C" fn ResetEvent(event: Handle) -> c_int {
    WSAResetEvent(event)
}

/// Closes the handle of an event.
#[unsafe(no_mangle)]
pub extern "C" fn WSACloseEvent(event: Handle) -> c_int {
    guard(abi::FALSE, || {
        handle::event(event).ok_or(NO_EVENT)?;
        handle::close(event).ok_or(NO_EVENT)?;
        Ok(abi::TRUE)
    })
}

/// Waits for one or all of up to 64 events; in an alertable wait, completion routines run.
///
/// # Safety
///
/// If `events` is not NULL, `count` handles must be readable there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAWaitForMultipleEvents(
    count: u32,
    events: *const Handle,
    all: c_int,
    milliseconds: u32,
    alertable: c_int,
) -> u32 {
    guard(abi::WAIT_FAILED, || {
        startup::check()?;
        // SAFETY: the caller vouches.
        unsafe { wait(count, events, all != 0, milliseconds, alertable != 0) }
    })
}

/// As [`WSAWaitForMultipleEvents`].
///
/// # Safety
///
/// As [`WSAWaitForMultipleEvents`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WaitForMultipleObjectsEx(
    count: u32,
    objects: *const Handle,
    all: c_int,
    milliseconds: u32,
    alertable: c_int,
) -> u32 {
    guard(abi::WAIT_FAILED, || {
        // SAFETY: the caller vouches.
        unsafe { wait(count, objects, all != 0, milliseconds, alertable != 0) }
    })
}

/// As [`WaitForMultipleObjectsEx`], and not alertable.
///
/// # Safety
///
/// As [`WSAWaitForMultipleEvents`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WaitForMultipleObjects(
    count: u32,
    objects: *const Handle,
    all: c_int,
    milliseconds: u32,
) -> u32 {
    // SAFETY: the caller vouches.
    unsafe { WaitForMultipleObjectsEx(count, objects, all, milliseconds, abi::FALSE) }
}

/// Waits for an event.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForSingleObjectEx(
    object: Handle,
    milliseconds: u32,
    alertable: c_int,
) -> u32 {
    guard(abi::WAIT_FAILED, || {
        // SAFETY: one handle is there.
        unsafe { wait(1, &raw const object, false, milliseconds, alertable != 0) }
    })
}

/// As [`WaitForSingleObjectEx`], and not alertable.
#[unsafe(no_mangle)]
pub extern "C" fn WaitForSingleObject(object: Handle, milliseconds: u32) -> u32 {
    WaitForSingleObjectEx(object, milliseconds, abi::FALSE)
}

/// # Safety
///
/// If `events` is not NULL, `count` handles must be readable there.
unsafe fn wait(
    count: u32,
    events: *const Handle,
    all: bool,
    milliseconds: u32,
    is_alertable: bool,
) -> Result<u32, Failure> {
    let count = count as usize;
    if count == 0 || count > abi::MAXIMUM_WAIT_EVENTS {
        let text = "one to 64 events can be waited for at once";
        return Err(Failure::fixed(abi::WSA_INVALID_PARAMETER, text));
    }
    let mut found = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: the caller vouches for as many as the count says.
        let handle = unsafe { value(events.wrapping_add(index))? };
        found.push(handle::event(handle).ok_or(NO_EVENT)?);
    }
    Ok(match event::wait(&found, all, milliseconds, is_alertable) {
        Waited::For(index) => abi::WAIT_OBJECT_0 + u32::try_from(index).unwrap_or(0),
        Waited::Completion => abi::WAIT_IO_COMPLETION,
        Waited::TimedOut => abi::WAIT_TIMEOUT,
    })
}

/// Sleeps; in an alertable sleep, completion routines run, and end it.
#[unsafe(no_mangle)]
pub extern "C" fn SleepEx(milliseconds: u32, alertable: c_int) -> u32 {
    guard(0, || {
        Ok(match event::wait(&[], false, milliseconds, alertable != 0) {
            Waited::Completion => abi::WAIT_IO_COMPLETION,
            _ => 0,
        })
    })
}

/// Sleeps.
#[unsafe(no_mangle)]
pub extern "C" fn Sleep(milliseconds: u32) {
    SleepEx(milliseconds, abi::FALSE);
}

/// As `WSAGetLastError`: it is one number on Windows too.
#[unsafe(no_mangle)]
pub extern "C" fn GetLastError() -> u32 {
    last_error::WSAGetLastError().cast_unsigned()
}

/// As `WSASetLastError`.
#[unsafe(no_mangle)]
pub extern "C" fn SetLastError(code: u32) {
    last_error::WSASetLastError(code.cast_signed());
}

/// Tells how an overlapped operation has come out; not zero if it is done and has succeeded.
///
/// # Safety
///
/// As far as they are not NULL, the pointers must be good for what they are documented to point
/// to, and so must `overlapped` until the operation is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAGetOverlappedResult(
    socket: Socket,
    overlapped: *const WSAOVERLAPPED,
    bytes: *mut u32,
    wait: c_int,
    flags: *mut u32,
) -> c_int {
    guard(abi::FALSE, || {
        startup::check()?;
        let found = table::find(socket);
        if overlapped.is_null() || bytes.is_null() {
            found?;
            return Err(Failure::FAULT);
        }
        // SAFETY: the caller vouches.
        let (now, _) = unsafe { operations::standing(overlapped) };
        match found {
            // What was cancelled by closing the socket is told although the socket is gone.
            Err(_) if status::code(now) == abi::WSA_OPERATION_ABORTED => {}
            other => drop(other?),
        }
        if now == status::PENDING {
            if wait == 0 {
                let text = "the operation is still under way";
                return Err(Failure::fixed(abi::WSA_IO_INCOMPLETE, text));
            }
            // SAFETY: the caller vouches.
            unsafe { operations::wait(overlapped) };
        }
        // SAFETY: the caller vouches.
        let (now, count) = unsafe { operations::standing(overlapped) };
        // SAFETY: the caller vouches.
        unsafe { answer(bytes, u32::try_from(count).unwrap_or(u32::MAX)) };
        // SAFETY: the caller vouches.
        unsafe { answer(flags, 0) };
        match status::code(now) {
            0 => Ok(abi::TRUE),
            code => Err(Failure::new(code, text_of(code))),
        }
    })
}

/// Has an event be signalled when the network has something to say. The socket does not block from
/// now on.
#[unsafe(no_mangle)]
pub extern "C" fn WSAEventSelect(socket: Socket, event: Handle, mask: i32) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if mask & !abi::FD_ALL_EVENTS != 0 {
            let text = format!("the mask {mask:#x} names events that there are not");
            return Err(Failure::new(abi::WSAEINVAL, text));
        }
        let event: Option<Arc<Event>> = handle::event(event);
        if event.is_none() && mask != 0 {
            return Err(Failure::fixed(abi::WSAEINVAL, "the handle is none of an open event"));
        }
        super::ioctl::set_nonblocking(&entry, true)?;
        network_events::select(&entry, event, mask);
        Ok(())
    })
}

/// Tells what the network has said since the last call.
///
/// # Safety
///
/// If `events` is not NULL, it must be writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAEnumNetworkEvents(
    socket: Socket,
    event: Handle,
    events: *mut WSANETWORKEVENTS,
) -> c_int {
    guard_status(|| {
        startup::check()?;
        let entry = table::find_same(socket)?;
        if events.is_null() {
            return Err(Failure::FAULT);
        }
        if !event.is_null() {
            let event = handle::event(event);
            event.ok_or(Failure::fixed(abi::WSAEINVAL, "the handle is none of an event"))?.reset();
        }
        let (network_events, error_code) = network_events::take(&entry);
        // SAFETY: the caller vouches.
        unsafe { answer(events, WSANETWORKEVENTS { network_events, error_code }) };
        Ok(())
    })
}
