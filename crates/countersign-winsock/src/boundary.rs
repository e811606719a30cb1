//! Where C meets Rust: no panic goes out, and pointers come in as allegations.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi;
use crate::failure::Failure;
use crate::last_error;

/// Runs the body of a function that C calls; a failure is noted, and `failed` is the answer. A
/// panic, which would be our bug, is a failure too.
pub(crate) fn guard<T>(failed: T, body: impl FnOnce() -> Result<T, Failure>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(failure)) => {
            last_error::note(failure);
            failed
        }
        Err(_) => {
            let what = "a bug in Countersign: it panicked, and standard error says where";
            last_error::note(Failure::fixed(abi::WSASYSCALLFAILURE, what));
            failed
        }
    }
}

/// As [`guard`], for functions that answer zero or `SOCKET_ERROR`.
pub(crate) fn guard_status(body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    guard(abi::SOCKET_ERROR, || body().map(|()| 0))
}

/// Returns the bytes that C says are there.
///
/// # Safety
///
/// If `pointer` is not NULL, `length` bytes must be readable there for as long as the slice is
/// used, and nobody must write to them.
pub(crate) unsafe fn bytes<'a>(pointer: *const u8, length: usize) -> Result<&'a [u8], Failure> {
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || length > isize::MAX as usize {
        return Err(Failure::FAULT);
    }
    // SAFETY: not NULL, no longer than an object can be; the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Returns the room that C says is there.
///
/// # Safety
///
/// As [`bytes`], writable, and nobody else must use it.
pub(crate) unsafe fn room<'a>(pointer: *mut u8, length: usize) -> Result<&'a mut [u8], Failure> {
    if length == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() || length > isize::MAX as usize {
        return Err(Failure::FAULT);
    }
    // SAFETY: not NULL, no longer than an object can be; the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// Writes an answer for C, if there is a place for it.
///
/// # Safety
///
/// If `pointer` is not NULL, a `T` must be writable there.
pub(crate) unsafe fn answer<T>(pointer: *mut T, value: T) {
    if !pointer.is_null() {
        // SAFETY: not NULL, and the caller vouches that a `T` may be written there; alignment is
        // not asked for.
        unsafe { pointer.write_unaligned(value) };
    }
}

/// Reads a value of C's.
///
/// # Safety
///
/// If `pointer` is not NULL, a `T` must be readable there.
pub(crate) unsafe fn value<T: Copy>(pointer: *const T) -> Result<T, Failure> {
    if pointer.is_null() {
        return Err(Failure::FAULT);
    }
    // SAFETY: not NULL, and the caller vouches that a `T` is there; alignment is not asked for.
    Ok(unsafe { pointer.read_unaligned() })
}
