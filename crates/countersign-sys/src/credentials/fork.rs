//! What a child gets of a thread that is somebody else when it forks.
//!
//! fork(2) copies the credentials, with the permitted capabilities that the thread keeps for its
//! way back. A child has no way back to go, so it loses them before fork(2) returns in it. (A
//! program that is executed loses them by execve(2) itself; posix_spawn(3) runs no handler, but
//! executes at once.)
#![expect(unsafe_code, reason = "pthread_atfork(3) is not in the libc crate")]

use std::cell::Cell;
use std::io;
use std::sync::OnceLock;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

thread_local! {
    static IS_SOMEBODY_ELSE: Cell<bool> = const { Cell::new(false) };
}

/// Has children looked after, from now on and once for the process.
///
/// # Errors
///
/// If there is no memory for it.
pub(super) fn prepare() -> io::Result<()> {
    static REGISTERED: OnceLock<libc::c_int> = OnceLock::new();
    let outcome = *REGISTERED.get_or_init(|| {
        // SAFETY: the handler is a function that lives as long as this code does (the C library
        // forgets the handlers of a library that it unloads), and it makes one system call, which
        // is all that a child of a threaded process may do.
        unsafe { pthread_atfork(None, None, Some(in_child)) }
    });
    if outcome == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(outcome)) }
}

/// Says whether children of the calling thread are to lose their capabilities.
pub(super) fn drop_privilege_in_children(drop: bool) {
    IS_SOMEBODY_ELSE.set(drop);
}

extern "C" fn in_child() {
    if !IS_SOMEBODY_ELSE.get() {
        return;
    }
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    if set_capabilities(None, nothing).is_err() {
        // Unheard of: giving up capabilities needs none.
        std::process::abort();
    }
}

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}
