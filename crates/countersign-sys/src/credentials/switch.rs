//! Becomes somebody else, and comes back.

use std::io;

use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::snapshot::{self, Credentials};
use super::{Identity, capabilities, fork, keyring};

/// Why a thread did not become somebody else.
#[non_exhaustive]
#[derive(Debug)]
pub enum SwitchError {
    /// It could not be done, and the thread is who it was.
    Refused {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// It could be done in part only, and that part not be undone: the thread is nobody whom
    /// anybody wants, and the process should end.
    Stuck {
        /// What the kernel said.
        source: io::Error,
    },
}

impl Credentials {
    /// Makes the calling thread `identity`, in every way in which the kernel asks: real, effective,
    /// saved and file system ids, supplementary groups. No capability is left in effect, unless it
    /// becomes root. `self` is what the thread has now, and [`Self::restore`] gives it back.
    ///
    /// The permitted capabilities stay, for the way back. A child made by fork(2) loses those too,
    /// and so does a program that is executed. The thread has an empty session keyring from then
    /// on, also once it is back: the one that it had cannot be entered again (keyctl(2)).
    ///
    /// # Errors
    ///
    /// [`SwitchError::Refused`] if the kernel refuses, for instance an id that has no mapping in
    /// this user namespace.
    pub fn assume(&self, identity: &Identity) -> Result<(), SwitchError> {
        let refused = |call| move |source| SwitchError::Refused { call, source };
        if !capabilities::can_return(self.capabilities) {
            let what =
                "inheritable capabilities that are not permitted could not be taken up again";
            return Err(refused("capset")(io::Error::new(io::ErrorKind::Unsupported, what)));
        }
        fork::prepare().map_err(refused("pthread_atfork"))?;
        keyring::leave_session().map_err(refused("keyctl(KEYCTL_JOIN_SESSION_KEYRING)"))?;
        // Until this call nothing has changed, and where it is forbidden (user_namespaces(7)), so
        // is its undoing.
        set_thread_groups(identity.supplementary())
            .map_err(|errno| refused("setgroups")(errno.into()))?;
        let Err((call, source)) = self.change_to(identity) else {
            fork::drop_privilege_in_children(identity.uid() != 0);
            return Ok(());
        };
        match self.restore() {
            Ok(()) => Err(SwitchError::Refused { call, source }),
            Err(source) => Err(SwitchError::Stuck { source }),
        }
    }

    /// The group, after the groups, and the user last: each change needs a privilege that goes with
    /// the user.
    fn change_to(&self, identity: &Identity) -> Result<(), (&'static str, io::Error)> {
        let at = |call| move |source| (call, source);
        let (uid, gid) = (identity.user(), identity.group());
        set_thread_res_gid(gid, gid, gid).map_err(|errno| ("setresgid", errno.into()))?;
        set_uids(self.uids, [uid; 3]).map_err(at("setresuid"))?;
        if uid != Uid::ROOT {
            capabilities::put_away(self.capabilities).map_err(at("capset"))?;
        }
        self.check_change(identity).map_err(at("the look back"))
    }

    /// Asks the kernel, instead of believing that what did not fail was done. The file system ids
    /// always follow the effective ones (setresuid(2)).
    fn check_change(&self, identity: &Identity) -> io::Result<()> {
        let (uid, gid) = (identity.user(), identity.group());
        let is_done = snapshot::uids()? == [uid; 3]
            && snapshot::gids()? == [gid; 3]
            && is_same_set(&snapshot::groups()?, identity.supplementary());
        let sets = rustix::thread::capabilities(None)?;
        let is_safe = uid == Uid::ROOT || (sets.effective | sets.inheritable).is_empty();
        let can_return = sets.permitted == self.capabilities.permitted;
        if is_done && is_safe && can_return { Ok(()) } else { Err(unlike()) }
    }

    /// Makes the calling thread who it was when `self` was read: user, groups, capabilities, in
    /// this order.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or the thread is not who it was afterwards. It is then somebody else
    /// in part, and the process should end.
    pub fn restore(&self) -> io::Result<()> {
        capabilities::take_up(self.capabilities)?;
        if self.uids[1] == Uid::ROOT {
            let [real, effective, saved] = self.uids;
            set_thread_res_uid(real, effective, saved)?;
        } else {
            set_uids(snapshot::uids()?, self.uids)?;
            // If the thread was root until now the kernel has put them away.
            capabilities::take_up(self.capabilities)?;
        }
        if self.file_uid != self.uids[1] {
            snapshot::set_file_uid(self.file_uid);
        }
        let [real, effective, saved] = self.gids;
        set_thread_res_gid(real, effective, saved)?;
        if self.file_gid != effective {
            snapshot::set_file_gid(self.file_gid);
        }
        set_thread_groups(&self.groups)?;
        capabilities::restore(self.capabilities, self.ambient)?;
        self.check_restored()?;
        fork::drop_privilege_in_children(false);
        // What was put into it as somebody else must not serve whoever this thread is next.
        keyring::leave_session()
    }

    fn check_restored(&self) -> io::Result<()> {
        let is_done = snapshot::uids()? == self.uids
            && snapshot::gids()? == self.gids
            && (self.file_uid == self.uids[1] || snapshot::file_uid() == self.file_uid)
            && (self.file_gid == self.gids[1] || snapshot::file_gid() == self.file_gid)
            && snapshot::groups()? == self.groups
            && rustix::thread::capabilities(None)? == self.capabilities;
        if is_done { Ok(()) } else { Err(unlike()) }
    }
}

fn unlike() -> io::Error {
    io::Error::other("no call failed, and yet the thread is not who it should be")
}

fn set_uids(now: [Uid; 3], next: [Uid; 3]) -> io::Result<()> {
    let [real, effective, saved] = next;
    let change = || Ok(set_thread_res_uid(real, effective, saved)?);
    if leaves_root(now, next) { capabilities::keeping(change) } else { change() }
}

fn leaves_root(now: [Uid; 3], next: [Uid; 3]) -> bool {
    now.contains(&Uid::ROOT) && !next.contains(&Uid::ROOT)
}

fn is_same_set(found: &[Gid], sorted: &[Gid]) -> bool {
    let raw = |gids: &[Gid]| -> Vec<u32> { gids.iter().map(|gid| gid.as_raw()).collect() };
    let mut found = raw(found);
    found.sort_unstable();
    found == raw(sorted)
}
