//! The name that a peer must prove.

mod error;
pub use error::NameError;

mod host;
pub use host::Host;

mod pattern;
pub use pattern::PeerPattern;

mod service;
pub use service::ServiceName;

mod spiffe;
pub use spiffe::SpiffeId;

mod user;
pub use user::UserName;

use std::fmt;
use std::str::FromStr;

/// The name that a peer must prove to hold, or has proved to hold.
///
/// Parsed once, shown in one spelling, compared by the rules of its kind: hosts by their IDNA
/// form without regard to case, classes without regard to case, realms, users and SPIFFE paths
/// exactly.
///
/// # Examples
///
/// ```
/// use countersign_core::PeerName;
///
/// let service: PeerName = "postgres/db1.example.com:5432@EXAMPLE.COM".parse()?;
/// let dns: PeerName = "db1.example.com".parse()?;
/// assert_eq!(dns, "host/db1.example.com".parse()?);
/// let user: PeerName = "alice@EXAMPLE.COM".parse()?;
/// let workload: PeerName = "spiffe://prod/billing".parse()?;
/// # Ok::<(), countersign_core::NameError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// A service on a host: `class/host[:port][/service][@REALM]`. A DNS name is `host/NAME`.
    Service(ServiceName),
    /// A workload: `spiffe://trust-domain/path`.
    Spiffe(SpiffeId),
    /// A user: `user@REALM`.
    User(UserName),
}

impl PeerName {
    /// Longest name in bytes, as written.
    pub const MAX_LEN: usize = 2048;

    /// Returns the host that the name speaks of, if it speaks of one.
    pub fn host(&self) -> Option<&Host> {
        match self {
            Self::Service(service) => Some(service.host()),
            Self::Spiffe(_) | Self::User(_) => None,
        }
    }
}

impl FromStr for PeerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_text(text)?;
        if text.starts_with(SpiffeId::SCHEME) {
            return text.parse().map(Self::Spiffe);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(NameError::UnknownScheme { scheme: scheme.to_owned() });
        }
        if text.contains('/') {
            return text.parse().map(Self::Service);
        }
        if text.contains('@') {
            return text.parse().map(Self::User);
        }
        Host::from_str(text).map(|host| Self::Service(ServiceName::of_host(host)))
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => name.fmt(f),
            Self::Spiffe(name) => name.fmt(f),
            Self::User(name) => name.fmt(f),
        }
    }
}

/// Refuses what no kind of name may hold.
fn check_text(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > PeerName::MAX_LEN {
        return Err(NameError::TooLong { bytes: text.len() });
    }
    match text.char_indices().find(|(_, c)| c.is_control() || c.is_whitespace() || is_bidi(*c)) {
        Some((at, found)) => Err(NameError::BadCharacter { found, at, part: "name" }),
        None => Ok(()),
    }
}

/// Characters that change the direction of the text around them, and so what a name looks like
/// (Unicode Standard Annex 9, section 2).
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Takes the realm off the end of a name.
fn split_realm(text: &str) -> Result<(&str, Option<&str>), NameError> {
    let Some((rest, realm)) = text.split_once('@') else { return Ok((text, None)) };
    if realm.contains('@') {
        return Err(NameError::TwoRealms);
    }
    check_word(realm, "realm", |c| !matches!(c, '/' | '@' | '\\' | '*'))?;
    Ok((rest, Some(realm)))
}

/// Refuses an empty part, or one with a character that it may not hold.
fn check_word(
    text: &str,
    part: &'static str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::EmptyPart { part });
    }
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((at, found)) => Err(NameError::BadCharacter { found, at, part }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
