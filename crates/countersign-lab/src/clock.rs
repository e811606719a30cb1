//! The time of this host, the one place where the laboratory asks for it: certificates for real
//! processes must be good now, and pairs that are given no other time live now too.

use std::time::{Duration, SystemTime};

use countersign_core::Timestamp;

/// One day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the time of this host.
///
/// # Panics
///
/// If the clock stands before 1970.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_secs(since.expect("the clock stands after 1970").as_secs())
}
