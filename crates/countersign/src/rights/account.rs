//! A local account, as the kernel will know it.

use std::path::{Path, PathBuf};

use countersign_sys::Identity;

/// A local account: who a thread becomes when it acts for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    identity: Identity,
    home: PathBuf,
    shell: PathBuf,
}

impl Account {
    pub(super) fn new(name: String, identity: Identity, home: PathBuf, shell: PathBuf) -> Self {
        Self { name, identity, home, shell }
    }

    /// Returns its name, as the user database spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the user id.
    pub fn uid(&self) -> u32 {
        self.identity.uid()
    }

    /// Returns the id of the primary group.
    pub fn gid(&self) -> u32 {
        self.identity.gid()
    }

    /// Returns all its groups, the primary one among them, in ascending order.
    pub fn groups(&self) -> Vec<u32> {
        self.identity.groups().collect()
    }

    /// Returns the home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the shell.
    pub fn shell(&self) -> &Path {
        &self.shell
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }
}
