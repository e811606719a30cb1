//! The last failure of each thread: a number for the program, a text for people.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int};

use crate::failure::{Failure, text_of};

thread_local! {
    static CODE: Cell<i32> = const { Cell::new(0) };
    static TEXT: RefCell<Option<Failure>> = const { RefCell::new(None) };
    static SHOWN: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Notes why a call of this thread failed.
pub(crate) fn note(failure: Failure) {
    CODE.set(failure.code);
    // A thread that is ending has no place for the text any more.
    let _ = TEXT.try_with(|text| {
        if let Ok(mut text) = text.try_borrow_mut() {
            *text = Some(failure);
        }
    });
}

/// Notes a number that says all.
pub(crate) fn note_code(code: i32) {
    CODE.set(code);
    let _ = TEXT.try_with(|text| {
        if let Ok(mut text) = text.try_borrow_mut() {
            *text = None;
        }
    });
}

/// Returns the number of this thread's last failure; a call that succeeds leaves it.
#[unsafe(no_mangle)]
pub extern "C" fn WSAGetLastError() -> c_int {
    CODE.get()
}

/// Sets the number that [`WSAGetLastError`] returns in this thread.
#[unsafe(no_mangle)]
pub extern "C" fn WSASetLastError(code: c_int) {
    if code != CODE.get() {
        note_code(code);
    }
}

/// Returns why this thread's last failure happened and what to try, in UTF-8, never NULL. It is
/// ours, and stays as it is until the next call of this function in the same thread.
#[unsafe(no_mangle)]
pub extern "C" fn CountersignLastErrorText() -> *const c_char {
    const NOTHING: *const c_char = c"".as_ptr();
    let text = TEXT.try_with(|text| text.borrow().as_ref().map(|failure| failure.text.to_string()));
    let Ok(text) = text else { return NOTHING };
    let text = text.unwrap_or_else(|| text_of(CODE.get()).to_owned());
    let Ok(text) = CString::new(text.replace('\0', " ")) else { return NOTHING };
    SHOWN.try_with(|shown| shown.borrow_mut().insert(text).as_ptr()).unwrap_or(NOTHING)
}
