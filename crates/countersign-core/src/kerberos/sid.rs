//! Security identifiers, as Active Directory names users and groups.

use std::fmt;
use std::str::FromStr;

/// A security identifier, `S-1-5-21-…-513` ([MS-DTYP] 2.4.2).
///
/// [MS-DTYP]: https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: u64,
    parts: Vec<u32>,
}

impl Sid {
    /// Most parts after the authority ([MS-DTYP] 2.4.2.2).
    pub const MAX_PARTS: usize = 15;

    /// Makes it of its authority, 48 bits, and its parts.
    ///
    /// # Errors
    ///
    /// An authority of more than 48 bits; no part, or more than [`Self::MAX_PARTS`].
    pub fn new(authority: u64, parts: Vec<u32>) -> Result<Self, SidError> {
        if authority >> 48 != 0 {
            return Err(SidError { why: "its authority has more than 48 bits" });
        }
        if parts.is_empty() || parts.len() > Self::MAX_PARTS {
            return Err(SidError { why: "it has no part after the authority, or more than 15" });
        }
        Ok(Self { authority, parts })
    }

    /// Returns the account or group `rid` of this domain.
    ///
    /// # Errors
    ///
    /// There is no room for another part.
    pub fn member(&self, rid: u32) -> Result<Self, SidError> {
        Self::new(self.authority, self.parts.iter().copied().chain([rid]).collect())
    }

    /// Returns the last part: the number of an account or group within its domain.
    pub fn rid(&self) -> u32 {
        self.parts.last().copied().unwrap_or_default()
    }
}

impl FromStr for Sid {
    type Err = SidError;

    fn from_str(text: &str) -> Result<Self, SidError> {
        let wrong = |why| SidError { why };
        let rest = text.strip_prefix("S-1-").or_else(|| text.strip_prefix("s-1-"));
        let mut words = rest.ok_or_else(|| wrong("it does not begin with S-1-"))?.split('-');
        let authority = words.next().unwrap_or_default();
        let authority = match authority.strip_prefix("0x") {
            Some(digits) if is_number(digits, 16) => u64::from_str_radix(digits, 16),
            None if is_number(authority, 10) => authority.parse(),
            _ => return Err(wrong("its authority is not a number")),
        };
        let authority = authority.map_err(|_| wrong("its authority is not a number"))?;
        let mut parts = Vec::new();
        for word in words.take(Self::MAX_PARTS + 1) {
            let part = word.parse().ok().filter(|_| is_number(word, 10));
            parts.push(part.ok_or_else(|| wrong("a part of it is not a number of 32 bits"))?);
        }
        Self::new(authority, parts)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Authorities of more than 32 bits are written in hexadecimal ([MS-DTYP] 2.4.2.1).
        if self.authority >> 32 == 0 {
            write!(f, "S-1-{}", self.authority)?;
        } else {
            write!(f, "S-1-0x{:012x}", self.authority)?;
        }
        self.parts.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

/// Why a text is no security identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a security identifier such as S-1-5-21-1-2-3-513: {why}")]
pub struct SidError {
    why: &'static str,
}

/// Digits only: the parsers of the standard library would take a sign too.
fn is_number(text: &str, radix: u32) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_digit(radix))
}

#[cfg(test)]
mod tests {
    use super::Sid;

    #[test]
    fn written_as_it_is_read() {
        for text in ["S-1-5-21-1004336348-1177238915-682003330-512", "S-1-0x100000000000-7"] {
            assert_eq!(text.parse::<Sid>().unwrap().to_string(), text);
        }
        let domain: Sid = "S-1-5-21-1-2-3".parse().unwrap();
        assert_eq!(domain.member(513).unwrap(), "s-1-5-21-1-2-3-513".parse().unwrap());
        assert_eq!(domain.member(513).unwrap().rid(), 513);
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = format!("S-1-5{}", "-1".repeat(16));
        let wrong = ["", "S-1-", "S-1-5", "S-2-5-1", "S-1-5-", "S-1-5-+1", "S-1-5--1", "S-1-x-1"];
        for text in wrong.into_iter().chain(["S-1-5-4294967296", "S-1-0xg-1", "S-1-0x-1", &long]) {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
        assert!("S-1-281474976710656-1".parse::<Sid>().is_err());
        let full: Sid = format!("S-1-5{}", "-1".repeat(15)).parse().unwrap();
        assert!(full.member(1).is_err());
    }
}
