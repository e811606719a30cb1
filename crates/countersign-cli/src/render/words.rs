//! Times, sizes and dates as people say them.

use std::time::Duration;

use countersign::core::Timestamp;

/// Returns how long something took.
pub(crate) fn took(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 999.5 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}

/// Returns how many bytes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return count(bytes, "byte");
    }
    // Nobody counts the last of so many.
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in UNITS.into_iter().skip(1) {
        if amount < 1023.95 {
            break;
        }
        amount /= 1024.0;
        unit = next;
    }
    format!("{amount:.1} {unit}")
}

/// Returns a number of things, in the plural if there is not just one.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Returns the day of a moment.
pub(crate) fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Returns how far a moment is away: `in 3 days`, `2 hours ago`.
pub(crate) fn from_now(now: Timestamp, then: Timestamp) -> String {
    if then >= now {
        format!("in {}", span(then.since(now)))
    } else {
        format!("{} ago", span(now.since(then)))
    }
}

/// Returns a time in its largest unit, rounded; years only when days are hard to imagine.
pub(crate) fn span(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    let seconds = time.as_secs();
    for (unit, name, least) in [
        (YEAR, "year", 2 * YEAR),
        (DAY, "day", DAY),
        (HOUR, "hour", HOUR),
        (MINUTE, "minute", MINUTE),
    ] {
        if seconds >= least {
            // To the nearest: what was issued for a week a moment ago expires in a week.
            return count((seconds + unit / 2) / unit, name);
        }
    }
    count(seconds, "second")
}

/// Returns numbers as a list.
pub(super) fn list(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use countersign::core::Timestamp;

    use super::{day, from_now, size, span, took};

    #[test]
    fn as_people_say_it() {
        assert_eq!(took(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(took(Duration::from_micros(12_345)), "12 ms");
        assert_eq!(took(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1 << 20), "1.0 MiB");
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(span(Duration::from_secs(59)), "59 seconds");
        assert_eq!(span(Duration::from_secs(3600)), "1 hour");
        assert_eq!(span(Duration::from_secs(397 * 86400)), "397 days");
        assert_eq!(span(Duration::from_secs(7 * 86400 - 1)), "7 days");
        assert_eq!(span(Duration::from_secs(3652 * 86400)), "10 years");
        let at = |secs| Timestamp::from_secs(secs);
        assert_eq!(from_now(at(86_400), at(3 * 86_400)), "in 2 days");
        assert_eq!(from_now(at(86_400), at(0)), "1 day ago");
        assert_eq!(day(at(1_795_345_445)), "2026-11-22");
    }
}
