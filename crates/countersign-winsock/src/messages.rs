//! `WSAMSG`, as `WSASendMsg` and `WSARecvMsg` use it.

use std::ffi::c_int;

use crate::abi::{self, WSAMSG};
use crate::boundary::value;
use crate::failure::Failure;
use crate::kernel::Arrived;

/// The parts of a message that are read before anything is done with it.
pub(crate) struct Message {
    pub(crate) name: *mut u8,
    pub(crate) name_length: c_int,
    pub(crate) buffers: *const abi::WSABUF,
    pub(crate) buffer_count: u32,
    pub(crate) control_length: u32,
    pub(crate) flags: u32,
}

/// Reads what the program has laid out.
///
/// # Safety
///
/// If `message` is not NULL, a `WSAMSG` must be readable there.
pub(crate) unsafe fn read(message: *const WSAMSG) -> Result<Message, Failure> {
    if message.is_null() {
        return Err(Failure::FAULT);
    }
    // SAFETY: the caller vouches; alignment is not asked for.
    let it = unsafe { message.read_unaligned() };
    Ok(Message {
        name: it.name,
        name_length: it.namelen,
        buffers: it.buffers,
        buffer_count: it.buffer_count,
        control_length: it.control.len,
        flags: it.flags,
    })
}

/// Tells the program of a message that has arrived: who sent it, that there is no control
/// information, and whether it was cut.
///
/// # Safety
///
/// `message` must be writable, and so must the name that it points to.
pub(crate) unsafe fn tell(message: *mut WSAMSG, arrived: &Arrived) -> Result<(), Failure> {
    // SAFETY: the caller vouches.
    let name = unsafe { &raw const (*message).name };
    // SAFETY: the caller vouches; alignment is not asked for.
    let name = unsafe { value(name)? };
    // SAFETY: the caller vouches.
    let length = unsafe { &raw mut (*message).namelen };
    if let Some(address) = &arrived.from {
        // SAFETY: the caller vouches for the name.
        unsafe { address.write(name, length)? };
    }
    // SAFETY: the caller vouches.
    let control = unsafe { &raw mut (*message).control.len };
    // SAFETY: the caller vouches; alignment is not asked for.
    unsafe { control.write_unaligned(0) };
    // SAFETY: the caller vouches.
    let flags = unsafe { &raw mut (*message).flags };
    let told = if arrived.is_cut { abi::MSG_TRUNC } else { 0 };
    // SAFETY: the caller vouches; alignment is not asked for.
    unsafe { flags.write_unaligned(told) };
    Ok(())
}
