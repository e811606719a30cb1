//! What the kernel has noted of the calling thread.
#![expect(unsafe_code, reason = "reads ids by calls that rustix does not have")]

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::capabilities;

/// Everything of the calling thread's credentials that becoming somebody else changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective, saved.
    pub(super) uids: [Uid; 3],
    pub(super) gids: [Gid; 3],
    pub(super) file_uid: Uid,
    pub(super) file_gid: Gid,
    pub(super) groups: Vec<Gid>,
    pub(super) capabilities: CapabilitySets,
    pub(super) ambient: CapabilitySet,
}

/// The capabilities without which a thread cannot become somebody else (capabilities(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these two are all that setresuid(2) knows")]
pub struct Missing {
    /// CAP_SETUID is missing.
    pub setuid: bool,
    /// CAP_SETGID is missing.
    pub setgid: bool,
}

impl Credentials {
    /// Reads those of the calling thread.
    ///
    /// # Errors
    ///
    /// As getresuid(2), getgroups(2) and capget(2), none of which fails on a healthy system.
    pub fn of_thread() -> io::Result<Self> {
        let capabilities = rustix::thread::capabilities(None)?;
        Ok(Self {
            uids: uids()?,
            gids: gids()?,
            file_uid: file_uid(),
            file_gid: file_gid(),
            groups: groups()?,
            ambient: capabilities::ambient(capabilities)?,
            capabilities,
        })
    }

    /// Returns what the thread lacks to become somebody else; `None` if nothing.
    pub fn missing(&self) -> Option<Missing> {
        let effective = self.capabilities.effective;
        let missing = Missing {
            setuid: !effective.contains(CapabilitySet::SETUID),
            setgid: !effective.contains(CapabilitySet::SETGID),
        };
        (missing.setuid || missing.setgid).then_some(missing)
    }

    /// Returns the effective user id.
    pub fn uid(&self) -> u32 {
        self.uids[1].as_raw()
    }

    /// Returns the effective group id.
    pub fn gid(&self) -> u32 {
        self.gids[1].as_raw()
    }

    /// Returns the supplementary groups, in the order of the kernel.
    pub fn groups(&self) -> Vec<u32> {
        self.groups.iter().map(|gid| gid.as_raw()).collect()
    }

    /// Returns whether the thread can do nothing that its user and groups cannot do: no
    /// capability is effective.
    pub fn is_without_privilege(&self) -> bool {
        self.capabilities.effective.is_empty()
    }
}

pub(super) fn uids() -> io::Result<[Uid; 3]> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: getresuid(2) writes one uid_t to each of the three pointers, which point to locals
    // that live until it returns.
    let outcome = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok([real, effective, saved].map(Uid::from_raw))
}

pub(super) fn gids() -> io::Result<[Gid; 3]> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: getresgid(2) writes one gid_t to each of the three pointers, which point to locals
    // that live until it returns.
    let outcome = unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok([real, effective, saved].map(Gid::from_raw))
}

/// It cannot be read but by a change that is none (setfsuid(2)).
pub(super) fn file_uid() -> Uid {
    // SAFETY: setfsuid(2) takes a number and touches no memory of ours; of the calling thread
    // alone it changes the id, and with -1, which is no id, not even that.
    let id = unsafe { libc::setfsuid(u32::MAX) };
    Uid::from_raw(id.cast_unsigned())
}

/// As [`file_uid`], for the group (setfsgid(2)).
pub(super) fn file_gid() -> Gid {
    // SAFETY: as for setfsuid(2) above.
    let id = unsafe { libc::setfsgid(u32::MAX) };
    Gid::from_raw(id.cast_unsigned())
}

pub(super) fn set_file_uid(uid: Uid) {
    // SAFETY: setfsuid(2) takes a number and touches no memory of ours. glibc makes the plain
    // system call, for the calling thread alone.
    unsafe { libc::setfsuid(uid.as_raw()) };
}

pub(super) fn set_file_gid(gid: Gid) {
    // SAFETY: as for setfsuid(2) above.
    unsafe { libc::setfsgid(gid.as_raw()) };
}

/// Most threads have few groups, and then one call does.
pub(super) fn groups() -> io::Result<Vec<Gid>> {
    const FEW: usize = 32;
    let mut few = [0; FEW];
    // SAFETY: getgroups(2) writes at most FEW gid_t, and the array has room for as many.
    let count = unsafe { libc::getgroups(FEW as libc::c_int, few.as_mut_ptr()) };
    match usize::try_from(count) {
        Ok(count) => Ok(few.iter().take(count).copied().map(Gid::from_raw).collect()),
        Err(_) => Ok(rustix::process::getgroups()?),
    }
}
