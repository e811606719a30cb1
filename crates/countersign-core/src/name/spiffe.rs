//! SPIFFE IDs.

use std::fmt;
use std::str::FromStr;

use super::check_text;
use crate::NameError;

/// A workload's name, `spiffe://trust-domain/path` (SPIFFE ID specification, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: String,
    domain_end: usize,
}

impl SpiffeId {
    /// How every SPIFFE ID begins.
    pub const SCHEME: &'static str = "spiffe://";

    /// Returns the trust domain.
    pub fn trust_domain(&self) -> &str {
        self.text.get(Self::SCHEME.len()..self.domain_end).unwrap_or_default()
    }

    /// Returns the path, with its first slash.
    pub fn path(&self) -> &str {
        self.text.get(self.domain_end..).unwrap_or_default()
    }
}

impl FromStr for SpiffeId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_text(text)?;
        let bad = |why| NameError::BadSpiffeId { id: text.to_owned(), why };
        let rest = text
            .strip_prefix(Self::SCHEME)
            .ok_or_else(|| bad("it does not begin with spiffe://"))?;
        let Some((domain, path)) = rest.split_once('/') else {
            return Err(bad("it has no path, so it names a trust domain and no workload"));
        };
        if domain.is_empty() {
            return Err(bad("its trust domain is empty"));
        }
        if domain.len() > 255 {
            return Err(bad("its trust domain is longer than 255 bytes"));
        }
        let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
        if !domain.bytes().all(in_domain) {
            return Err(bad("its trust domain holds more than a-z, 0-9, dot, hyphen, underscore"));
        }
        for segment in path.split('/') {
            if matches!(segment, "" | "." | "..") {
                return Err(bad("its path has an empty, '.' or '..' segment"));
            }
            if !segment.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
                return Err(bad(
                    "its path holds more than letters, digits, dot, hyphen, underscore",
                ));
            }
        }
        Ok(Self { text: text.to_owned(), domain_end: Self::SCHEME.len() + domain.len() })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
