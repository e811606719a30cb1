//! The one place that reads the wall clock.

use std::time::SystemTime;

use crate::core::Timestamp;

/// Returns the time now; a clock before 1970 reads as 1970, when no certificate is valid.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_secs(since.map_or(0, |since| since.as_secs()))
}
