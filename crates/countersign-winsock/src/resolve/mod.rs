//! Names of hosts into addresses and back: the host's own resolver, with Winsock's numbers and
//! layouts.
//!
//! What a name server says is where to connect, never who answers: nothing here proves anything.

mod forward;
pub use forward::{
    FreeAddrInfoW, GetAddrInfoW, countersign_ws_freeaddrinfo, countersign_ws_getaddrinfo,
};

mod host;
pub use host::{GetHostNameW, HostEntry, countersign_ws_gethostbyname, countersign_ws_gethostname};

mod nodes;
pub use nodes::AddrInfo;

mod reverse;
pub use reverse::{GetNameInfoW, countersign_ws_getnameinfo};

use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::{Failure, from_errno};
use crate::{abi, last_error};

const WSATYPE_NOT_FOUND: i32 = 10109;
const WSAHOST_NOT_FOUND: i32 = 11001;
const WSANO_RECOVERY: i32 = 11003;

/// Runs the body of a function that answers an error's number itself; the number is noted too.
fn numbered(body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::fixed(WSANO_RECOVERY, "a bug in Countersign: it panicked"),
    };
    let code = failure.code;
    last_error::note(failure);
    code
}

/// What the resolver of libc says, in Winsock's numbers.
fn from_resolver(doing: &str, error: c_int) -> Failure {
    let code = match error {
        libc::EAI_AGAIN => abi::WSATRY_AGAIN,
        libc::EAI_BADFLAGS => abi::WSAEINVAL,
        libc::EAI_FAMILY => abi::WSAEAFNOSUPPORT,
        libc::EAI_MEMORY => abi::WSA_NOT_ENOUGH_MEMORY,
        libc::EAI_NONAME | libc::EAI_NODATA => WSAHOST_NOT_FOUND,
        libc::EAI_OVERFLOW => 122,
        libc::EAI_SERVICE => WSATYPE_NOT_FOUND,
        libc::EAI_SOCKTYPE => abi::WSAESOCKTNOSUPPORT,
        libc::EAI_SYSTEM => {
            let errno = std::io::Error::last_os_error().raw_os_error();
            errno.map_or(WSANO_RECOVERY, from_errno)
        }
        _ => WSANO_RECOVERY,
    };
    // SAFETY: it takes any number.
    let said = unsafe { libc::gai_strerror(error) };
    // SAFETY: it is a string of libc's, which is never freed.
    let said = unsafe { CStr::from_ptr(said) };
    Failure::new(code, format!("cannot {doing}: {}", said.to_string_lossy()))
}

/// Reads a string that ends in NUL; NULL is none.
///
/// # Safety
///
/// `text` must be NULL or end in NUL.
unsafe fn narrow(text: *const c_char) -> Result<Option<String>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller vouches for its end.
    let text = unsafe { CStr::from_ptr(text) };
    let text = text.to_str().map_err(|_| Failure::fixed(abi::WSAEINVAL, "a name is not UTF-8"))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
