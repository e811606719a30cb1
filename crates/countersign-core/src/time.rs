//! Points in time, which come in as arguments.

use std::fmt;
use std::time::Duration;

/// A point in time: whole seconds since 1970-01-01 00:00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes it from seconds since 1970-01-01 00:00:00 UTC.
    pub fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Returns the seconds since 1970-01-01 00:00:00 UTC.
    pub fn as_secs(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this, zero if it is the other way round.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes it as RFC 3339 does, in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = i64::try_from(self.0)
            .ok()
            .and_then(|secs| ::time::OffsetDateTime::from_unix_timestamp(secs).ok());
        match date {
            Some(at) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute(),
                at.second()
            ),
            None => write!(f, "{} s after 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn shown_as_rfc_3339() {
        assert_eq!(Timestamp::from_secs(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_secs(1_795_345_445).to_string(), "2026-11-22T11:04:05Z");
        assert_eq!(
            Timestamp::from_secs(u64::MAX).to_string(),
            format!("{} s after 1970", u64::MAX)
        );
    }
}
