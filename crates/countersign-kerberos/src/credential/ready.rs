//! A client's tickets for single services, taken out of where its tickets are, so that it can ask
//! for such a service with no file, no KDC and no other thread.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Uid, geteuid, getuid};

use super::initiator::Held;
use super::stamp::{Stamp, is_local};
use crate::library::Name;

/// Tickets for one service.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    /// Whose they are.
    pub(crate) owner: String,
    /// The service, with its realm.
    pub(crate) service: String,
    /// The same, as the library keeps it.
    pub(crate) target: Arc<Name>,
    /// With these alone no KDC can be asked for others.
    pub(crate) held: Held,
}

/// Tickets of one credential, by the names that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<HashMap<String, Arc<Kept>>>);

#[derive(Debug)]
struct Kept {
    ready: Ready,
    origin: Origin,
    until: Instant,
}

/// What has to be as it was for tickets to count.
#[derive(Debug)]
pub(crate) enum Origin {
    /// They are copied from a file.
    File(FileOrigin),
    /// They are our own, of a key of ours.
    Memory,
}

/// A cache in a file, and who found it where.
#[derive(Debug)]
pub(crate) struct FileOrigin {
    pub(crate) path: PathBuf,
    /// `KRB5CCNAME`, if it was that which named it.
    variable: Option<Option<OsString>>,
    users: (Uid, Uid),
    stamp: Option<Stamp>,
}

/// How long tickets are kept without a look at the settings of the host, which say which realm a
/// host is in, and what is a default.
const LIFE: Duration = Duration::from_secs(60);

/// For how many services tickets are kept.
const MOST: usize = 256;

impl FileOrigin {
    /// Looks at the surroundings in which a cache is about to be found and read.
    pub(crate) fn begin(by_variable: bool) -> Self {
        Self {
            path: PathBuf::new(),
            variable: by_variable.then(|| env::var_os(VARIABLE)),
            users: users(),
            stamp: None,
        }
    }

    /// Takes note of the file, before it is read.
    pub(crate) fn found(&mut self, path: PathBuf) {
        self.stamp = Stamp::of(&path).ok();
        self.path = path;
    }

    /// Returns whether the file was the same from before it was read until now.
    pub(crate) fn is_same(&self) -> bool {
        self.stamp.is_some() && Stamp::of(&self.path).ok() == self.stamp
    }

    /// Returns whether any later change of it will show, and looking for one never waits.
    fn can_be_watched(&self) -> bool {
        let is_settled = |stamp: &Stamp| stamp.is_settled(SystemTime::now());
        self.stamp.as_ref().is_some_and(is_settled) && is_local(&self.path)
    }

    /// Returns whether nothing has changed: the name, who we are, and the file.
    fn holds(&self) -> bool {
        let is_named = self.variable.as_ref().is_none_or(|value| *value == env::var_os(VARIABLE));
        is_named && self.users == users() && self.is_same()
    }
}

const VARIABLE: &str = "KRB5CCNAME";

/// Who this thread is: a process that gave its rights up, or a thread that acts for another, does
/// not go on with what somebody else could read.
fn users() -> (Uid, Uid) {
    (getuid(), geteuid())
}

impl Shelf {
    /// Returns tickets for the service that was asked for by this name, if they still count; else
    /// they leave memory.
    pub(crate) fn take(&self, asked: &str) -> Option<Ready> {
        let kept = Arc::clone(self.lock().get(asked)?);
        let holds = match &kept.origin {
            Origin::File(origin) => origin.holds(),
            Origin::Memory => true,
        };
        if holds && Instant::now() < kept.until {
            return Some(kept.ready.clone());
        }
        let is_it = |there: &Arc<Kept>| Arc::ptr_eq(there, &kept);
        let mut shelf = self.lock();
        let gone = if shelf.get(asked).is_some_and(is_it) { shelf.remove(asked) } else { None };
        drop(shelf);
        drop(gone);
        None
    }

    /// Keeps tickets that are good for so long, unless changes of where they come from could pass
    /// unnoticed.
    pub(crate) fn keep(&self, asked: String, ready: Ready, origin: Origin, good: Duration) {
        if let Origin::File(origin) = &origin
            && !origin.can_be_watched()
        {
            return;
        }
        let until = Instant::now() + good.min(LIFE);
        let mut shelf = self.lock();
        // What is dropped here calls the library, so it goes when the lock is free.
        let mut gone = Vec::new();
        if shelf.len() >= MOST && !shelf.contains_key(&asked) {
            gone.extend(shelf.drain());
        }
        let old = shelf.insert(asked, Arc::new(Kept { ready, origin, until }));
        drop(shelf);
        drop((old, gone));
    }

    /// Forgets tickets of this credential.
    pub(crate) fn forget(&self, stale: &Held) {
        let mut shelf = self.lock();
        let gone: Vec<_> = shelf.extract_if(|_, kept| kept.ready.held.is(stale)).collect();
        drop(shelf);
        drop(gone);
    }

    /// An entry changes as a whole, so one that a panic left behind is still good.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::ffi::OsString;

    use rustix::process::Uid;

    use super::{FileOrigin, VARIABLE, users};

    /// A file that stays what it is.
    fn origin() -> FileOrigin {
        let mut origin = FileOrigin::begin(true);
        origin.found(env::current_exe().unwrap());
        origin
    }

    #[test]
    fn what_was_found_counts_where_it_would_be_found_again() {
        assert!(origin().holds());
        let another = |change: fn(&mut FileOrigin)| {
            let mut origin = origin();
            change(&mut origin);
            !origin.holds()
        };
        assert!(another(|origin| origin.variable = Some(Some(OsString::from("FILE:/other")))));
        assert!(another(|origin| origin.users.0 = Uid::from_raw(users().0.as_raw() ^ 1)));
        assert!(another(|origin| origin.users.1 = Uid::from_raw(users().1.as_raw() ^ 1)));
        assert!(another(|origin| origin.found("/nonexistent/cache".into())));
        // Which file a policy names, the environment does not change.
        let mut named = FileOrigin::begin(false);
        named.found(env::current_exe().unwrap());
        assert!(named.variable.is_none() && named.holds(), "{VARIABLE}");
    }
}
