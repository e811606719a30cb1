//! Who may read and change a file: decided from its mode and owner, not by trying.

use std::path::Path;

use rustix::fs::Stat;
use rustix::process::geteuid;

use super::IdentityError;

/// Mode and owner of an open file or directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permissions {
    mode: u32,
    owner: u32,
    us: u32,
}

impl Permissions {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { mode: stat.st_mode & 0o7777, owner: stat.st_uid, us: geteuid().as_raw() }
    }

    /// Refuses a key of the store that anybody but its owner can read.
    pub(super) fn check_store_key(self, path: &Path) -> Result<(), IdentityError> {
        self.check_owner(path)?;
        self.check_unreadable(0o077, path)
    }

    /// Refuses a key that others can read. The group may read a key of root's, because only root
    /// decides who is in the group (Debian's `ssl-cert`); nobody else's.
    pub(super) fn check_any_key(self, path: &Path) -> Result<(), IdentityError> {
        self.check_unreadable(if self.owner == ROOT { 0o027 } else { 0o077 }, path)
    }

    /// Refuses a file or directory of the store that anybody but its owner can change.
    pub(super) fn check_store(self, path: &Path) -> Result<(), IdentityError> {
        self.check_owner(path)?;
        if self.mode & 0o022 == 0 {
            Ok(())
        } else {
            Err(IdentityError::Writable { path: path.to_owned(), mode: self.mode })
        }
    }

    fn check_owner(self, path: &Path) -> Result<(), IdentityError> {
        if self.owner == self.us || self.owner == ROOT {
            Ok(())
        } else {
            let Self { owner, us, .. } = self;
            Err(IdentityError::NotOurs { path: path.to_owned(), owner, us })
        }
    }

    fn check_unreadable(self, forbidden: u32, path: &Path) -> Result<(), IdentityError> {
        if self.mode & forbidden == 0 {
            Ok(())
        } else {
            Err(IdentityError::KeyReadable { path: path.to_owned(), mode: self.mode })
        }
    }
}

const ROOT: u32 = 0;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{IdentityError, Permissions};

    const US: u32 = 1000;
    const OTHER: u32 = 1001;

    #[track_caller]
    fn check(
        rule: fn(Permissions, &Path) -> Result<(), IdentityError>,
        owner: u32,
        mode: u32,
        good: bool,
    ) {
        let found = rule(Permissions { mode, owner, us: US }, Path::new("/f"));
        assert_eq!(found.is_ok(), good, "{owner} {mode:o}: {found:?}");
    }

    #[test]
    fn a_key_of_the_store_is_for_its_owner_alone() {
        for (owner, mode, good) in [
            (US, 0o600, true),
            (US, 0o400, true),
            (0, 0o600, true),
            (US, 0o640, false),
            (US, 0o604, false),
            (US, 0o620, false),
            (0, 0o640, false),
            (OTHER, 0o600, false),
        ] {
            check(Permissions::check_store_key, owner, mode, good);
        }
    }

    #[test]
    fn the_group_may_read_only_a_key_of_root() {
        for (owner, mode, good) in [
            (US, 0o600, true),
            (0, 0o640, true),
            (0, 0o440, true),
            (US, 0o640, false),
            (0, 0o660, false),
            (0, 0o644, false),
            (0, 0o641, false),
            (US, 0o604, false),
        ] {
            check(Permissions::check_any_key, owner, mode, good);
        }
    }

    #[test]
    fn only_the_owner_may_change_the_store() {
        for (owner, mode, good) in [
            (US, 0o700, true),
            (US, 0o755, true),
            (0, 0o755, true),
            (US, 0o770, false),
            (US, 0o702, false),
            (US, 0o1777, false),
            (OTHER, 0o700, false),
        ] {
            check(Permissions::check_store, owner, mode, good);
        }
    }
}
