//! The session keyring of the calling thread (keyrings(7)).
//!
//! Keys are not only guarded by ids: a thread *possesses* what its session keyring holds, whoever
//! it is. So a thread that becomes somebody else must leave the keyring of the session behind. It
//! cannot come back to it: keyctl(2) joins keyrings by name, and that of a session is anonymous.
#![expect(unsafe_code, reason = "keyctl(2) has no wrapper")]

use std::cell::Cell;
use std::io;

use rustix::io::Errno;

const GET_KEYRING_ID: libc::c_long = 0;
const JOIN_SESSION_KEYRING: libc::c_long = 1;
const CLEAR: libc::c_long = 7;
const SESSION: libc::c_long = -3;

thread_local! {
    /// The session keyring that this thread was given here.
    static OWN: Cell<Option<libc::c_long>> = const { Cell::new(None) };
}

/// Gives the calling thread a session keyring with nothing in it. Where keyrings do not exist, or
/// a sandbox forbids the call, there is nothing that the thread could use of them either.
///
/// # Errors
///
/// As keyctl(2): the quota of the user, or memory, is used up.
pub(super) fn leave_session() -> io::Result<()> {
    if let Some(own) = OWN.get()
        && keyctl(GET_KEYRING_ID, SESSION).is_ok_and(|current| current == own)
        && keyctl(CLEAR, own).is_ok()
    {
        return Ok(());
    }
    match keyctl(JOIN_SESSION_KEYRING, 0) {
        Ok(own) => {
            OWN.set(Some(own));
            Ok(())
        }
        Err(Errno::NOSYS | Errno::PERM | Errno::OPNOTSUPP) => {
            OWN.set(None);
            Ok(())
        }
        Err(errno) => Err(errno.into()),
    }
}

/// keyctl(2) with one argument and, where a pointer is expected, none.
fn keyctl(operation: libc::c_long, argument: libc::c_long) -> Result<libc::c_long, Errno> {
    // SAFETY: the three operations take numbers, and JOIN_SESSION_KEYRING a pointer that may be
    // null and here is; none of them writes to our memory.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, operation, argument, 0, 0, 0) };
    if answer < 0 {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::{GET_KEYRING_ID, SESSION, keyctl, leave_session};

    #[test]
    fn a_thread_leaves_its_session_alone() {
        let session = || keyctl(GET_KEYRING_ID, SESSION);
        let before = session();
        std::thread::spawn(move || {
            leave_session().unwrap();
            let own = session();
            assert!(own.is_err() || own != before, "the same keyring");
            leave_session().unwrap();
            assert_eq!(session(), own, "cleared, not made anew");
        })
        .join()
        .unwrap();
        assert_eq!(session(), before, "another thread's");
    }
}
