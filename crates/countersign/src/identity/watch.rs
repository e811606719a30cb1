//! Tells whether files have changed, without reading them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a set of paths looked like at one moment.
///
/// Two stamps that differ say that something was created, removed, replaced, written or changed
/// in its attributes. For a directory this includes what it lists (not what is further below).
/// Symbolic links are followed, so it is what they point to that counts.
///
/// Two stamps that are equal say that nothing changed only if the first
/// [was settled](Self::is_settled) when it was taken: file systems note times in ticks, and a file
/// may be written twice in one.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
///
/// use countersign::identity::Stamp;
///
/// let paths = ["/etc/ssl/certs".into()];
/// let before = Stamp::of(&paths);
/// // … read the files, use them for a while …
/// if !before.is_settled(SystemTime::now()) || Stamp::of(&paths) != before {
///     // Read them again.
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    seen: Vec<(PathBuf, Seen)>,
}

impl Stamp {
    /// How long a file must have been at rest: longer than the ticks of any file system in use
    /// (FAT's are the longest).
    pub const TICK: Duration = Duration::from_secs(2);

    /// Looks at `paths`. What is absent or may not be looked at is noted as that.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut seen = Vec::new();
        for path in paths {
            let state = Seen::at(path);
            let lists = matches!(state, Seen::Present { is_directory: true, .. });
            seen.push((path.clone(), state));
            if lists {
                let mut entries: Vec<PathBuf> = fs::read_dir(path)
                    .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                    .unwrap_or_default();
                entries.sort();
                seen.extend(entries.into_iter().map(|entry| {
                    let state = Seen::at(&entry);
                    (entry, state)
                }));
            }
        }
        Self { seen }
    }

    /// Returns whether everything has been at rest for [`Self::TICK`] at the time `now`, so that a
    /// later change cannot leave the same stamp.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        self.seen.iter().all(|(_, seen)| match seen {
            Seen::Absent { .. } => true,
            Seen::Present { modified, changed, .. } => {
                [modified, changed].into_iter().all(|time| time.is_settled(now))
            }
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Absent {
        errno: Option<i32>,
    },
    Present {
        device: u64,
        inode: u64,
        is_directory: bool,
        size: u64,
        modified: FileTime,
        changed: FileTime,
    },
}

impl Seen {
    fn at(path: &Path) -> Self {
        let found: io::Result<_> = fs::metadata(path);
        match found {
            Err(error) => Self::Absent { errno: error.raw_os_error() },
            Ok(found) => Self::Present {
                device: found.dev(),
                inode: found.ino(),
                is_directory: found.is_dir(),
                size: found.size(),
                modified: FileTime { seconds: found.mtime(), nanoseconds: found.mtime_nsec() },
                changed: FileTime { seconds: found.ctime(), nanoseconds: found.ctime_nsec() },
            },
        }
    }
}

/// Since 1970-01-01 00:00:00 UTC, as stat(2) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileTime {
    seconds: i64,
    nanoseconds: i64,
}

impl FileTime {
    /// Times in the future count as at rest too, if they are far enough away: a clock that was
    /// wrong once must not keep us reading for ever.
    fn is_settled(self, now: SystemTime) -> bool {
        let now = match now.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
            Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |n| -n),
        };
        let then = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds);
        now.saturating_sub(then).unsigned_abs() >= Stamp::TICK.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{FileTime, Stamp};

    /// Makes a directory, takes a stamp, changes something, and says whether the stamp shows it.
    #[track_caller]
    fn seen(change: impl FnOnce(&std::path::Path)) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "one").unwrap();
        fs::create_dir(at("listed")).unwrap();
        fs::write(at("listed/a"), "one").unwrap();
        fs::create_dir(at("listed/below")).unwrap();
        fs::write(at("listed/below/b"), "one").unwrap();
        symlink("file", at("link")).unwrap();
        let paths = [at("file"), at("listed"), at("link"), at("absent")];
        let before = Stamp::of(&paths);
        assert_eq!(before, Stamp::of(&paths), "nothing has changed yet");
        assert!(!before.is_settled(SystemTime::now()), "just written");
        assert!(before.is_settled(SystemTime::now() + Duration::from_secs(3)));
        // The tick of the file system may be as long as the kernel's (10 ms at most).
        std::thread::sleep(Duration::from_millis(20));
        change(directory.path());
        before != Stamp::of(&paths)
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        assert!(seen(|at| fs::write(at.join("file"), "two").unwrap()));
        assert!(seen(|at| fs::remove_file(at.join("file")).unwrap()));
        assert!(seen(|at| fs::write(at.join("absent"), "").unwrap()));
        assert!(seen(|at| fs::write(at.join("listed/a"), "two").unwrap()));
        assert!(seen(|at| fs::write(at.join("listed/new"), "").unwrap()));
        assert!(seen(|at| fs::remove_file(at.join("listed/a")).unwrap()));
        assert!(seen(|at| {
            fs::write(at.join("next"), "one").unwrap();
            fs::rename(at.join("next"), at.join("file")).unwrap();
        }));
        assert!(seen(|at| {
            symlink("listed/a", at.join("next")).unwrap();
            fs::rename(at.join("next"), at.join("link")).unwrap();
        }));
        // Back to the old time and size: the change of the attributes itself has a time.
        assert!(seen(|at| {
            let file = at.join("file");
            let modified = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, "two").unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        }));
        assert!(!seen(|at| fs::write(at.join("listed/below/b"), "two").unwrap()));
    }

    #[test]
    fn files_settle_two_seconds_after_they_were_written() {
        let at = |seconds, nanoseconds| FileTime { seconds, nanoseconds };
        let now = UNIX_EPOCH + Duration::from_secs(100);
        assert!(at(98, 0).is_settled(now));
        assert!(!at(98, 1).is_settled(now));
        assert!(!at(100, 0).is_settled(now));
        assert!(!at(101, 999_999_999).is_settled(now));
        assert!(at(102, 0).is_settled(now));
        assert!(at(-1, 0).is_settled(now));
        assert!(at(i64::MAX, 0).is_settled(UNIX_EPOCH - Duration::from_secs(1)));
    }
}
