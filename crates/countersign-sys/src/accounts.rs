//! The user database of the host, wherever it is kept (nsswitch.conf(5)): files, LDAP, SSSD.
//!
//! These calls may wait for a directory server.
#![expect(unsafe_code, reason = "the C library alone knows where accounts are kept")]

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr;

use zeroize::Zeroize as _;

/// A line of the user database (passwd(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountEntry {
    /// The account, as the database spells it.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: PathBuf,
    /// The shell.
    pub shell: PathBuf,
}

/// What says that an account is no longer to be used (shadow(5)), in days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ageing {
    /// The first day on which the account is expired.
    pub expires: Option<i64>,
    /// The last day on which the account may be used though its password is too old.
    pub inactive_after: Option<i64>,
}

/// More than any entry needs; a database that wants more is broken.
const MOST: usize = 1 << 20;

/// The most groups that a process can have (NGROUPS_MAX).
const MOST_GROUPS: usize = 65_536;

/// Looks an account up by its name; `None` if there is none (getpwnam_r(3)).
///
/// # Errors
///
/// If the database cannot be asked; `InvalidInput` for a name with a NUL.
pub fn account(name: &str) -> io::Result<Option<AccountEntry>> {
    let name = CString::new(name)?;
    with_room(|buffer| {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: getpwnam_r(3) reads the name up to its NUL, writes `entry`, at most `len` bytes of
        // the buffer, and `found`; all of them outlive the call.
        let outcome = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        if !is_found(outcome, found)? {
            return Ok(None);
        }
        // SAFETY: the call said that it found the account, and has filled the entry then.
        let entry = unsafe { entry.assume_init() };
        Ok(Some(AccountEntry {
            name: String::from_utf8(bytes(entry.pw_name)).map_err(|_| not_text())?,
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            home: PathBuf::from(OsString::from_vec(bytes(entry.pw_dir))),
            shell: PathBuf::from(OsString::from_vec(bytes(entry.pw_shell))),
        }))
    })
}

/// Returns the groups of an account, `gid` among them (getgrouplist(3)). Groups that a directory
/// server keeps are missing while it cannot be reached: the call has no way to say so.
///
/// # Errors
///
/// If there are more than a process can have; `InvalidInput` for a name with a NUL.
pub fn groups_of(name: &str, gid: u32) -> io::Result<Vec<u32>> {
    let name = CString::new(name)?;
    let mut room = 64;
    loop {
        let mut groups: Vec<libc::gid_t> = vec![0; room];
        let mut count = libc::c_int::try_from(room).unwrap_or(libc::c_int::MAX);
        // SAFETY: getgrouplist(3) reads the name up to its NUL and writes at most `count` ids to the
        // vector, which has as many, and then how many there are to `count`.
        let outcome =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if outcome >= 0 {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return Ok(groups);
        }
        if room >= MOST_GROUPS {
            return Err(io::Error::other("the account is in more groups than a process can have"));
        }
        room = usize::try_from(count).unwrap_or(0).max(room * 2).min(MOST_GROUPS);
    }
}

/// Returns what says that an account is no longer to be used (getspnam_r(3)); `None` if the
/// database keeps nothing of the kind for it.
///
/// # Errors
///
/// `PermissionDenied` if only root may read that; else if the database cannot be asked.
pub fn shadow(name: &str) -> io::Result<Option<Ageing>> {
    let name = CString::new(name)?;
    with_room(|buffer| {
        let mut entry = MaybeUninit::<libc::spwd>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: getspnam_r(3) reads the name up to its NUL, writes `entry`, at most `len` bytes of
        // the buffer, and `found`; all of them outlive the call.
        let outcome = unsafe {
            libc::getspnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        // The password itself is of no interest, and should not lie about.
        let known = is_found(outcome, found);
        let ageing = known.map(|known| {
            // SAFETY: where the call said that it found the entry, it has filled it.
            known.then(|| ageing(unsafe { entry.assume_init_ref() }))
        });
        buffer.zeroize();
        ageing
    })
}

fn ageing(entry: &libc::spwd) -> Ageing {
    // An empty field is -1.
    let day = |field: libc::c_long| (field >= 0).then_some(field);
    let inactive_after = match (day(entry.sp_lstchg), day(entry.sp_max), day(entry.sp_inact)) {
        // Zero is "must be changed at the next login", which is about passwords only.
        (Some(changed @ 1..), Some(most), Some(inactive)) => {
            Some(changed.saturating_add(most).saturating_add(inactive))
        }
        _ => None,
    };
    Ageing { expires: day(entry.sp_expire), inactive_after }
}

/// Tries with more and more room, until the entry fits.
fn with_room<T>(mut look: impl FnMut(&mut [u8]) -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    let mut room = 1024;
    loop {
        match look(&mut vec![0; room]) {
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && room < MOST => room *= 4,
            outcome => return outcome,
        }
    }
}

/// Not finding is no error, but some databases say it by one of these (getpwnam(3), NOTES).
fn is_found<T>(outcome: libc::c_int, found: *const T) -> io::Result<bool> {
    match outcome {
        0 => Ok(!found.is_null()),
        libc::ENOENT | libc::ESRCH => Ok(false),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

fn bytes(text: *const libc::c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: the fields of an entry that was found are null, which is handled above, or point to
    // strings with a NUL, in a buffer that our caller still holds.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

fn not_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the name of the account is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::{account, groups_of};

    #[test]
    fn root_is_on_every_host() {
        let root = account("root").unwrap().unwrap();
        assert_eq!((root.name.as_str(), root.uid, root.gid), ("root", 0, 0));
        assert!(groups_of("root", 0).unwrap().contains(&0));
    }

    #[test]
    fn nobody_is_called_that() {
        assert_eq!(account("no such account").unwrap(), None);
        assert_eq!(account("").unwrap(), None);
        assert!(account("a\0b").is_err());
    }
}
