//! Opens files without waiting for them, and reads them up to a bound.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::IdentityError;
use super::permissions::Permissions;

/// The most that a certificate chain or a key may be.
pub(super) const CREDENTIAL_LIMIT: usize = 1 << 20;
/// The most that a bundle of anchors may be.
pub(super) const BUNDLE_LIMIT: usize = 16 << 20;
/// The most that a policy file may be.
pub(super) const POLICY_LIMIT: usize = 1 << 20;

/// A regular file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    path: PathBuf,
    size: u64,
    pub(super) permissions: Permissions,
}

impl Opened {
    /// Opens `name` in the directory `at`; `path` is what errors call it.
    ///
    /// What is opened is judged by its descriptor, so that it cannot be exchanged in between, and
    /// without waiting, so that a FIFO in place of a file cannot hold us up.
    pub(super) fn open(
        at: BorrowedFd<'_>,
        name: &Path,
        path: &Path,
        more: OFlags,
    ) -> Result<Self, IdentityError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | more;
        let fd = openat(at, name, flags, Mode::empty()).map_err(|error| match error {
            // What open(2) says of a socket.
            Errno::NXIO => special(path, FileType::Socket),
            Errno::LOOP if more.contains(OFlags::NOFOLLOW) => special(path, FileType::Symlink),
            error => failed("open", path)(error),
        })?;
        let stat = fstat(&fd).map_err(failed("examine", path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Self {
                file: File::from(fd),
                path: path.to_owned(),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                permissions: Permissions::of(&stat),
            }),
            other => Err(special(path, other)),
        }
    }

    /// Reads everything, if it is no more than `limit` bytes. What was read is wiped when dropped,
    /// also what was moved while reading.
    pub(super) fn read(mut self, limit: usize) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        let too_large = || IdentityError::TooLarge { path: self.path.clone(), limit };
        let size = usize::try_from(self.size).map_err(|_| too_large())?;
        if size > limit {
            return Err(too_large());
        }
        // One byte more than there should be, so that the end is seen without growing.
        let mut buffer = Zeroizing::new(vec![0; size + 1]);
        let mut filled = 0;
        loop {
            if filled > limit {
                return Err(too_large());
            }
            if filled == buffer.len() {
                let mut larger = Zeroizing::new(vec![0; filled * 2]);
                if let Some(start) = larger.get_mut(..filled) {
                    start.copy_from_slice(&buffer);
                }
                buffer = larger;
            }
            match self.file.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &self.path)(errno(&error))),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }
}

/// Makes an error of a system call on `path`.
pub(super) fn failed(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(Errno) -> IdentityError + use<> {
    let path = path.to_owned();
    move |errno| IdentityError::Io { doing, path, errno }
}

/// The number of an error that the standard library reports.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn special(path: &Path, kind: FileType) -> IdentityError {
    let found = match kind {
        FileType::BlockDevice | FileType::CharacterDevice => "a device",
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::Symlink => "a symbolic link",
        _ => "something else",
    };
    IdentityError::NotAFile { path: path.to_owned(), found }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, mkfifoat};

    use super::{IdentityError, Opened};

    fn read(path: &Path, limit: usize) -> Result<Vec<u8>, IdentityError> {
        Ok(Opened::open(CWD, path, path, OFlags::empty())?.read(limit)?.to_vec())
    }

    #[track_caller]
    fn refused(path: &Path, expected: &str) {
        let message = read(path, 10).unwrap_err().to_string();
        assert_eq!(message.replace(&*path.to_string_lossy(), "F"), expected);
    }

    #[test]
    fn files_are_read_up_to_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for size in [0, 1, 9, 10] {
            fs::write(&path, vec![7; size]).unwrap();
            assert_eq!(read(&path, 10).unwrap(), vec![7; size]);
        }
        fs::write(&path, [7; 11]).unwrap();
        refused(&path, "F is larger than 10 bytes");
    }

    #[test]
    fn files_that_say_no_size_are_read_and_bounded() {
        // Those of proc(5) say that they have zero bytes.
        let path = Path::new("/proc/self/status");
        assert!(read(path, 1 << 20).unwrap().len() > 100);
        refused(path, "F is larger than 10 bytes");
    }

    #[test]
    fn only_regular_files_are_read_and_nothing_waits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
        refused(&path, "F is a FIFO, and a regular file is needed");
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        refused(&path, "F is a socket, and a regular file is needed");
        refused(directory.path(), "F is a directory, and a regular file is needed");
        refused(Path::new("/dev/null"), "F is a device, and a regular file is needed");
        refused(
            &directory.path().join("absent"),
            "cannot open F: No such file or directory (os error 2)",
        );
    }
}
