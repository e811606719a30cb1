//! Whom a thread may become.

use rustix::thread::{Gid, Uid};

/// A user and the groups that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    uid: Uid,
    gid: Gid,
    /// In the order in which the kernel gives them back.
    groups: Vec<Gid>,
}

/// 4,294,967,295 is no id: to the kernel it means "leave it as it is" (setresuid(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is no more to say of it")]
pub struct NoSuchId;

impl Identity {
    /// Takes ids as the user database has them; the supplementary groups in any order.
    ///
    /// # Errors
    ///
    /// [`NoSuchId`] if one of them would leave the thread what it is.
    pub fn new(uid: u32, gid: u32, groups: &[u32]) -> Result<Self, NoSuchId> {
        if uid == u32::MAX || gid == u32::MAX || groups.contains(&u32::MAX) {
            return Err(NoSuchId);
        }
        let mut groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        groups.sort_unstable_by_key(|gid| gid.as_raw());
        groups.dedup();
        Ok(Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups })
    }

    /// Returns the user id.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// Returns the id of the primary group.
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Returns the supplementary groups, in ascending order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.groups.iter().map(|gid| gid.as_raw())
    }

    pub(super) fn user(&self) -> Uid {
        self.uid
    }

    pub(super) fn group(&self) -> Gid {
        self.gid
    }

    pub(super) fn supplementary(&self) -> &[Gid] {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, NoSuchId};

    #[test]
    fn the_id_that_changes_nothing_is_none() {
        for (uid, gid, groups) in
            [(u32::MAX, 1, &[][..]), (1, u32::MAX, &[]), (1, 1, &[2, u32::MAX])]
        {
            assert_eq!(Identity::new(uid, gid, groups), Err(NoSuchId));
        }
    }

    #[test]
    fn groups_are_in_the_order_of_the_kernel() {
        let identity = Identity::new(7, 8, &[30, 8, 20, 8]).unwrap();
        assert_eq!(identity.groups().collect::<Vec<_>>(), [8, 20, 30]);
    }
}
