//! Sets of names, as an administrator writes them in `[[allow]]`.

use std::fmt;
use std::str::FromStr;

use super::host::check_dns;
use super::{Host, PeerName, ServiceName, SpiffeId, check_word};
use crate::NameError;

/// A set of names: one name, or a pattern with a star for one whole part.
///
/// | pattern | holds |
/// | --- | --- |
/// | `*` | every peer that proved any name |
/// | `postgres/*.example.com` | that class on hosts one label below the domain, without port or service part |
/// | `*/db1.example.com` | every class on that host |
/// | `*@EXAMPLE.COM` | every user of that realm |
/// | `spiffe://prod/*`, `spiffe://prod/eu/*` | every workload below that path |
/// | a name | that name; a realm that it leaves out may be any |
///
/// A pattern never reaches from one kind of name into another, except `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Any,
    AnyClass(ServiceName),
    AnyPathBelow { domain: String, path: String },
    AnyUserOf(String),
    HostsBelow { class: Option<String>, domain: String },
    Exactly(PeerName),
}

impl PeerPattern {
    /// Returns whether the set holds `name`.
    pub fn matches(&self, name: &PeerName) -> bool {
        match (&self.0, name) {
            (Shape::Any, _) => true,
            (Shape::Exactly(PeerName::Service(asked)), PeerName::Service(name)) => {
                name.satisfies(asked)
            }
            (Shape::Exactly(asked), name) => name == asked,
            (Shape::AnyClass(on), PeerName::Service(name)) => {
                name.host() == on.host()
                    && name.port() == on.port()
                    && name.service() == on.service()
                    && (on.realm().is_none() || name.realm() == on.realm())
            }
            (Shape::AnyPathBelow { domain, path }, PeerName::Spiffe(id)) => {
                id.trust_domain() == domain && id.path().starts_with(path.as_str())
            }
            (Shape::AnyUserOf(realm), PeerName::User(user)) => user.realm() == realm,
            (Shape::HostsBelow { class, domain }, PeerName::Service(name)) => {
                let Host::Dns(host) = name.host() else { return false };
                class.as_ref().is_none_or(|class| name.is_class(class))
                    && name.port().is_none()
                    && name.service().is_none()
                    && host.split_once('.').is_some_and(|(_, parent)| parent == domain)
            }
            _ => false,
        }
    }
}

impl PeerPattern {
    /// Returns whether names of services that carry a realm are in the set because of that realm;
    /// `*` means everybody, and says so.
    pub(crate) fn speaks_of_realms(&self) -> bool {
        match &self.0 {
            Shape::Any => true,
            Shape::Exactly(PeerName::Service(name)) | Shape::AnyClass(name) => {
                name.realm().is_some()
            }
            _ => false,
        }
    }
}

impl From<PeerName> for PeerPattern {
    fn from(name: PeerName) -> Self {
        Self(Shape::Exactly(name))
    }
}

impl FromStr for PeerPattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::BadStar { pattern: text.to_owned() };
        if text == "*" {
            return Ok(Self(Shape::Any));
        }
        if !text.contains('*') {
            return text.parse().map(|name| Self(Shape::Exactly(name)));
        }
        if text.matches('*').count() > 1 && !text.starts_with("*/*.") {
            return Err(bad());
        }
        if text.starts_with(SpiffeId::SCHEME) {
            let base = text.strip_suffix("/*").ok_or_else(bad)?;
            // The part before the star must be a SPIFFE ID once a segment stands in its place.
            let probe: SpiffeId = format!("{base}/x").parse()?;
            let path = probe.path().strip_suffix('x').unwrap_or_default().to_owned();
            return Ok(Self(Shape::AnyPathBelow { domain: probe.trust_domain().to_owned(), path }));
        }
        if let Some(realm) = text.strip_prefix("*@") {
            check_word(realm, "realm", |c| !matches!(c, '/' | '@' | '\\' | '*'))?;
            return Ok(Self(Shape::AnyUserOf(realm.to_owned())));
        }
        let (class, host) = match text.split_once('/') {
            Some(("*", host)) => (None, host),
            Some((class, host)) => (Some(class), host),
            None => (Some(ServiceName::HOST_CLASS), text),
        };
        if let Some(domain) = host.strip_prefix("*.") {
            let domain = match domain.parse()? {
                Host::Dns(domain) if check_dns(&domain).is_ok() => domain,
                _ => return Err(bad()),
            };
            if let Some(class) = class {
                // The class is checked by the parser of names.
                let _: ServiceName = format!("{class}/{domain}").parse()?;
            }
            return Ok(Self(Shape::HostsBelow { class: class.map(str::to_owned), domain }));
        }
        match class {
            None if !host.contains('*') => {
                Ok(Self(Shape::AnyClass(format!("any/{host}").parse()?)))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for PeerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Any => f.write_str("*"),
            Shape::AnyClass(on) => {
                let text = on.to_string();
                write!(f, "*/{}", text.split_once('/').map_or("", |(_, rest)| rest))
            }
            Shape::AnyPathBelow { domain, path } => write!(f, "spiffe://{domain}{path}*"),
            Shape::AnyUserOf(realm) => write!(f, "*@{realm}"),
            Shape::HostsBelow { class, domain } => {
                write!(f, "{}/*.{domain}", class.as_deref().unwrap_or("*"))
            }
            Shape::Exactly(name) => name.fmt(f),
        }
    }
}
