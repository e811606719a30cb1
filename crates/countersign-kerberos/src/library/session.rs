//! A context of libkrb5, for one use at a time.

#![expect(unsafe_code, reason = "calls the C functions of ffi.rs")]

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::KerberosFailure;

use super::ffi::{Handle, Krb5};
use super::status::plain;

/// Why libkrb5 did not do what it was asked, in its words.
pub(super) type Words = String;

/// A context of the library, which is made for each use: it belongs to one thread at a time.
pub(super) struct Session {
    pub(super) table: &'static Krb5,
    pub(super) context: Handle,
}

impl Session {
    pub(super) fn open() -> Result<Self, KerberosFailure> {
        Settings::keep();
        Self::make()
    }

    fn make() -> Result<Self, KerberosFailure> {
        let table = Krb5::get()?;
        let mut context = ptr::null_mut();
        // SAFETY: the context is written to the pointer, and becomes ours.
        let code = unsafe { (table.krb5_init_context)(&mut context) };
        let krb5 = Self { table, context };
        match krb5.check(code) {
            Ok(()) if !context.is_null() => Ok(krb5),
            Ok(()) => Err(KerberosFailure::Other { text: "no context was made".to_owned() }),
            Err(text) => Err(KerberosFailure::Other { text }),
        }
    }

    /// Returns a principal as Kerberos writes it. It must be one of the library's, and alive.
    pub(super) fn unparse(&self, principal: Handle) -> Result<String, Words> {
        let mut text = ptr::null_mut();
        // SAFETY: context and principal are alive, and the text becomes ours to give back.
        let code = unsafe { (self.table.krb5_unparse_name)(self.context, principal, &mut text) };
        self.check(code)?;
        let principal = copy(text);
        // SAFETY: the library made it, and nobody uses it after this.
        unsafe { (self.table.krb5_free_unparsed_name)(self.context, text) };
        principal.ok_or_else(|| "a principal is not UTF-8".to_owned())
    }

    pub(super) fn check(&self, code: i32) -> Result<(), Words> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the context is alive or null, which is allowed; the text is ours to give back.
        let text = unsafe { (self.table.krb5_get_error_message)(self.context, code) };
        if text.is_null() {
            return Err(format!("error {code}"));
        }
        // SAFETY: it is a C string until it is given back, below.
        let words = plain(unsafe { CStr::from_ptr(text) }.to_bytes());
        // SAFETY: the library made it, and nobody uses it after this.
        unsafe { (self.table.krb5_free_error_message)(self.context, text) };
        Err(words)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.context.is_null() {
            // SAFETY: the context is alive, and nobody has it after this.
            unsafe { (self.table.krb5_free_context)(self.context) };
        }
    }
}

/// The settings of the host as the library has read them. It shares what it has parsed among all
/// contexts that live at one time, and GSS-API makes one for nearly each call: without one that
/// stays, `krb5.conf` would be read and parsed each time.
///
/// The library looks at the file itself whenever a context is made, but not at those that it
/// includes; for their sake this one is made anew now and then.
pub(super) struct Settings {
    #[expect(dead_code, reason = "it is there to live")]
    session: Session,
    since: Instant,
}

// SAFETY: the context belongs to no thread, and nobody uses it but who frees it.
unsafe impl Send for Settings {}

impl Settings {
    /// How long a change of an included file may stay unnoticed.
    const LIFE: Duration = Duration::from_secs(60);

    /// Sees to it that they are there. Never waits for another thread that does the same.
    pub(super) fn keep() {
        static KEPT: Mutex<Option<Settings>> = Mutex::new(None);
        let Ok(mut kept) = KEPT.try_lock() else { return };
        if kept.as_ref().is_some_and(|kept| kept.since.elapsed() < Self::LIFE) {
            return;
        }
        // What was read goes away with the last context, so before there is another one.
        drop(kept.take());
        // Who cannot make one goes without.
        let session = Session::make().ok();
        *kept = session.map(|session| Self { session, since: Instant::now() });
    }
}

/// Numbers of this process' keytabs and caches in memory.
pub(super) struct Numbers {
    next: u32,
    free: Vec<u32>,
}

impl Numbers {
    fn with<T>(act: impl FnOnce(&mut Self) -> T) -> T {
        static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers { next: 0, free: Vec::new() });
        act(&mut NUMBERS.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take() -> u32 {
        Self::with(|numbers| {
            numbers.free.pop().unwrap_or_else(|| {
                numbers.next += 1;
                numbers.next
            })
        })
    }

    pub(super) fn give_back(number: u32) {
        Self::with(|numbers| numbers.free.push(number));
    }
}

/// Copies a C string of the library, if it is one and UTF-8.
pub(super) fn copy(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller got it from the library, which ends its strings with a NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().ok().map(str::to_owned)
}
