//! Whether a file is still what it was.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells a file that was changed, or replaced by another, from what it was (inode(7)). What a
/// change sets is the kernel's own clock, which nobody but it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::new(&metadata))
    }

    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Returns whether the last change was so long before `now` that the next one gets another
    /// time: the kernel's clock for files stands still for some milliseconds.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        /// Ten times what the coarsest clock takes for a step (CONFIG_HZ=100).
        const GRAIN: Duration = Duration::from_millis(100);
        let (seconds, nanos) = self.changed;
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else {
            return false;
        };
        let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos));
        changed.and_then(|changed| now.duration_since(changed).ok()).is_some_and(|age| age >= GRAIN)
    }
}

/// Returns whether a file is on a file system of this host, which answers a question for a file's
/// state from memory or its own disk and never waits for another machine or a program.
pub(crate) fn is_local(path: &Path) -> bool {
    /// Numbers of statfs(2) for bcachefs, btrfs, ext2 to ext4, f2fs, overlayfs, ramfs, tmpfs, xfs
    /// and ZFS.
    const LOCAL: [u32; 9] = [
        0xca45_1a4e,
        0x9123_683e,
        0xef53,
        0xf2f5_2010,
        0x794c_7630,
        0x8584_58f6,
        0x0102_1994,
        0x5846_5342,
        0x2fc1_2fc1,
    ];
    // Its type has another width on other machines.
    rustix::fs::statfs(path).is_ok_and(|file_system| LOCAL.contains(&(file_system.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::{Stamp, is_local};

    #[test]
    fn each_change_and_each_replacement_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let mut seen: Vec<Stamp> = Vec::new();
        let changes: [fn(&Path); 5] = [
            |path| fs::write(path, "alice").unwrap(),
            |path| fs::write(path, "carol").unwrap(),
            |path| {
                fs::remove_file(path).unwrap();
                fs::write(path, "alice").unwrap();
            },
            |path| {
                let other = path.with_extension("new");
                fs::write(&other, "carol").unwrap();
                fs::rename(other, path).unwrap();
            },
            |path| {
                let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
                fs::write(path, "alice").unwrap();
                fs::File::options().write(true).open(path).unwrap().set_times(times).unwrap();
            },
        ];
        for change in changes {
            change(&path);
            let stamp = Stamp::of(&path).unwrap();
            assert!(!seen.contains(&stamp), "{stamp:?}");
            assert!(!stamp.is_settled(SystemTime::now() - Duration::from_secs(1)));
            std::thread::sleep(Duration::from_millis(120));
            assert!(stamp.is_settled(SystemTime::now()));
            assert_eq!(Stamp::of(&path).unwrap(), stamp);
            seen.push(stamp);
        }
        fs::remove_file(&path).unwrap();
        assert!(Stamp::of(&path).is_err());
    }

    #[test]
    fn what_others_serve_is_not_local() {
        assert!(!is_local(Path::new("/proc/self/status")));
        assert!(!is_local(Path::new("/nonexistent/cache")));
    }
}
