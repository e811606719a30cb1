//! A directory that only we can change, and files in it that are whole or not there.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fsync, mkdirat, openat,
    readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use zeroize::Zeroizing;

use crate::identity::IdentityError;
use crate::identity::certificate::hexadecimal;
use crate::identity::open::{Opened, errno, failed};
use crate::identity::permissions::Permissions;

/// An open directory of the store, whose owner is us or root and that nobody else can change.
///
/// Everything in it is reached from its descriptor, so that what was checked is what is used.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Everybody who can reach it.
    Public,
    /// Nobody but its owner.
    Secret,
}

impl Directory {
    /// Opens the directory at `path`, if there is one.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, IdentityError> {
        Self::open_at(CWD, path, path.to_owned())
    }

    /// Opens the directory at `path`, or makes it and what leads to it, each for us alone.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, IdentityError> {
        if let Some(parent) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|error| failed("create", parent)(errno(&error)))?;
        }
        Self::open_or_create_at(CWD, path, path.to_owned())
    }

    /// Opens the directory `name` in this one, if there is one. It may be reached by a symbolic
    /// link: nobody but us could have made it.
    pub(super) fn below(&self, name: &str) -> Result<Option<Self>, IdentityError> {
        Self::open_at(self.fd.as_fd(), Path::new(name), self.path.join(name))
    }

    /// Opens the directory `name` in this one, or makes it.
    pub(super) fn below_or_create(&self, name: &str) -> Result<Self, IdentityError> {
        Self::open_or_create_at(self.fd.as_fd(), Path::new(name), self.path.join(name))
    }

    /// Makes a new directory of this name, which there may not be yet.
    pub(super) fn create_below(&self, name: &str) -> Result<Self, IdentityError> {
        let path = self.path.join(name);
        mkdirat(&self.fd, name, DIRECTORY_MODE).map_err(failed("create", &path))?;
        self.below(name)?.ok_or(IdentityError::Io { doing: "open", path, errno: Errno::NOENT })
    }

    /// Waits until nobody else changes the store; lasts until the returned file is dropped.
    pub(super) fn lock(&self) -> Result<OwnedFd, IdentityError> {
        let path = self.path.join(LOCK);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&self.fd, LOCK, flags, SECRET_MODE).map_err(failed("open", &path))?;
        retry_on_intr(|| flock(&fd, FlockOperation::LockExclusive))
            .map_err(failed("lock", &path))?;
        // Nobody else is writing, so these are of somebody who was interrupted.
        for name in self.list()?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            self.remove(name);
        }
        Ok(fd)
    }

    /// Makes or replaces the file `name`, in one step for everybody who reads it.
    pub(super) fn write(
        &self,
        name: &str,
        secrecy: Secrecy,
        bytes: &[u8],
    ) -> Result<(), IdentityError> {
        let temporary = format!("{TEMPORARY}{}", random_word()?);
        self.write_new(&temporary, secrecy, bytes)?;
        let renamed = renameat(&self.fd, &*temporary, &self.fd, name);
        if renamed.is_err() {
            self.remove(&temporary);
        }
        renamed.map_err(failed("write", &self.path.join(name)))?;
        self.sync()
    }

    /// Makes the file `name`, which there may not be yet, and writes it through to the disk.
    pub(super) fn write_new(
        &self,
        name: &str,
        secrecy: Secrecy,
        bytes: &[u8],
    ) -> Result<(), IdentityError> {
        let path = self.path.join(name);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Secret until it is known whether it is: no moment in which somebody could open it.
        let fd = openat(&self.fd, name, flags, SECRET_MODE).map_err(failed("create", &path))?;
        let mut file = File::from(fd);
        let written = fchmod(&file, secrecy.mode())
            .and_then(|()| file.write_all(bytes).map_err(|error| errno(&error)))
            .and_then(|()| fsync(&file));
        if written.is_err() {
            self.remove(name);
        }
        written.map_err(failed("write", &path))
    }

    /// Makes `name` point to `target`, in one step for everybody who follows it.
    pub(super) fn point(&self, name: &str, target: &str) -> Result<(), IdentityError> {
        let temporary = format!("{TEMPORARY}{}", random_word()?);
        let path = self.path.join(name);
        symlinkat(target, &self.fd, &*temporary).map_err(failed("create", &path))?;
        let renamed = renameat(&self.fd, &*temporary, &self.fd, name);
        if renamed.is_err() {
            self.remove(&temporary);
        }
        renamed.map_err(failed("replace", &path))?;
        self.sync()
    }

    /// Removes the directory `name` with the files in it. What cannot be removed stays: it is in
    /// nobody's way.
    pub(super) fn remove_below(&self, name: &str) {
        if let Ok(Some(below)) = self.below(name) {
            for file in below.list().unwrap_or_default() {
                below.remove(&file);
            }
        }
        let _ = unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
    }

    /// Removes the file `name`, if it can be.
    pub(super) fn remove(&self, name: &str) {
        let _ = unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// Writes through to the disk which names there are.
    pub(super) fn sync(&self) -> Result<(), IdentityError> {
        match fsync(&self.fd) {
            // Some file systems cannot, and none of them loses names.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(failed("write", &self.path)(error)),
        }
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file `name`, if there is one.
    pub(super) fn read(
        &self,
        name: &str,
        secrecy: Secrecy,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
        let path = self.path.join(name);
        let opened = match Opened::open(self.fd.as_fd(), name.as_ref(), &path, OFlags::NOFOLLOW) {
            Ok(opened) => opened,
            Err(IdentityError::Io { errno: Errno::NOENT, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match secrecy {
            Secrecy::Public => opened.permissions.check_store(&path)?,
            Secrecy::Secret => opened.permissions.check_store_key(&path)?,
        }
        opened.read(limit).map(Some)
    }

    /// Returns whether anything has the name `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Returns where the symbolic link `name` points, if it is one.
    pub(super) fn target(&self, name: &str) -> Option<String> {
        readlinkat(&self.fd, name, Vec::new()).ok()?.into_string().ok()
    }

    /// Returns what is in it, in order, without what a text cannot hold: we made no such name.
    pub(super) fn list(&self) -> Result<Vec<String>, IdentityError> {
        let fail = || failed("list", &self.path);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(fail())? {
            let name = entry.map_err(fail())?.file_name().to_bytes().to_vec();
            if let Ok(name) = OsString::from_vec(name).into_string()
                && name != "."
                && name != ".."
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn open_at(
        at: BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
    ) -> Result<Option<Self>, IdentityError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = match openat(at, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let stat = fstat(&fd).map_err(failed("examine", &path))?;
        Permissions::of(&stat).check_store(&path)?;
        Ok(Some(Self { fd, path }))
    }

    fn open_or_create_at(
        at: BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
    ) -> Result<Self, IdentityError> {
        match mkdirat(at, name, DIRECTORY_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed("create", &path)(error)),
        }
        let found = Self::open_at(at, name, path.clone())?;
        found.ok_or(IdentityError::Io { doing: "open", path, errno: Errno::NOENT })
    }
}

impl Secrecy {
    fn mode(self) -> Mode {
        match self {
            Self::Public => Mode::from_raw_mode(0o644),
            Self::Secret => SECRET_MODE,
        }
    }
}

/// Returns 64 random bits in hexadecimal.
pub(super) fn random_word() -> Result<String, IdentityError> {
    random::<8>().map(|bytes| hexadecimal(&bytes))
}

/// Returns random bytes of the quality that keys have.
pub(super) fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| IdentityError::Making { what: "there is no randomness".to_owned() })?;
    Ok(bytes)
}

const DIRECTORY_MODE: Mode = Mode::RWXU;
const SECRET_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const LOCK: &str = ".lock";
/// How files and links begin that are about to get their name.
pub(super) const TEMPORARY: &str = ".new-";
