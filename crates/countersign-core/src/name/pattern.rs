//! Sets of names, as an administrator writes them in `[[allow]]`.

use std::fmt;
use std::str::FromStr;

use super::host::check_dns;
use super::{Host, PeerName, ServiceName, SpiffeId, check_word, split_realm};
use crate::NameError;

/// A set of names: one name, or a pattern with a star for one whole part.
///
/// | pattern | holds |
/// | --- | --- |
/// | `*` | every peer that proved any name |
/// | `postgres/*.example.com[@REALM]` | that class on hosts one label below the domain, without port or service part |
/// | `*/db1.example.com[@REALM]` | every class on that host; without a realm, no name of one |
/// | `*@EXAMPLE.COM` | every user of that realm |
/// | `spiffe://prod/*`, `spiffe://prod/eu/*` | every workload below that path |
/// | a name | that name; a realm that it leaves out may be any |
///
/// A pattern never reaches from one kind of name into another, except `*`.
///
/// **Principals of two parts.** Kerberos does not tell a user's instance from a service (RFC 4120
/// section 6.2): `alice/admin@EXAMPLE.COM` has the form of a service and is one name with it, so it
/// is written and compared as one, `*/admin@EXAMPLE.COM` holds everybody's. What a star would let in
/// by accident it does not: where users may make instances of their own, one may be called as a host
/// is, so a class that is left open never reaches into a realm that is not stated. And as users are
/// compared exactly, so is the class of a name in a realm whose host is one label, since it may be a
/// user.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Any,
    AnyClass(ServiceName),
    AnyPathBelow { domain: String, path: String },
    AnyUserOf(String),
    HostsBelow { class: Option<String>, domain: String, realm: Option<String> },
    Exactly(PeerName),
}

impl PeerPattern {
    /// Returns whether the set holds `name`.
    pub fn matches(&self, name: &PeerName) -> bool {
        match (&self.0, name) {
            (Shape::Any, _) => true,
            (Shape::Exactly(PeerName::Service(asked)), PeerName::Service(name)) => {
                name.satisfies(asked) && (!may_be_user(name) || name.class() == asked.class())
            }
            (Shape::Exactly(asked), name) => name == asked,
            (Shape::AnyClass(on), PeerName::Service(name)) => {
                name.host() == on.host()
                    && name.port() == on.port()
                    && name.service() == on.service()
                    && name.realm() == on.realm()
            }
            (Shape::AnyPathBelow { domain, path }, PeerName::Spiffe(id)) => {
                id.trust_domain() == domain && id.path().starts_with(path.as_str())
            }
            (Shape::AnyUserOf(realm), PeerName::User(user)) => user.realm() == realm,
            (Shape::HostsBelow { class, domain, realm }, PeerName::Service(name)) => {
                let Host::Dns(host) = name.host() else { return false };
                // A class that is stated says whose the name is, in whatever realm.
                let is_any_realm = realm.is_none() && class.is_some();
                class.as_ref().is_none_or(|class| name.is_class(class))
                    && (is_any_realm || name.realm() == realm.as_deref())
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
            Shape::HostsBelow { realm, .. } => realm.is_some(),
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
            let (domain, realm) = split_realm(domain)?;
            let domain = match domain.parse()? {
                Host::Dns(domain) if check_dns(&domain).is_ok() => domain,
                _ => return Err(bad()),
            };
            if let Some(class) = class {
                // The class is checked by the parser of names.
                let _: ServiceName = format!("{class}/{domain}").parse()?;
            }
            let (class, realm) = (class.map(str::to_owned), realm.map(str::to_owned));
            return Ok(Self(Shape::HostsBelow { class, domain, realm }));
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
            Shape::HostsBelow { class, domain, realm } => {
                write!(f, "{}/*.{domain}", class.as_deref().unwrap_or("*"))?;
                realm.as_ref().map_or(Ok(()), |realm| write!(f, "@{realm}"))
            }
            Shape::Exactly(name) => name.fmt(f),
        }
    }
}

/// Returns whether a name may as well be a user's, with an instance: that has no dots as a rule, and
/// nothing but a KDC makes it.
fn may_be_user(name: &ServiceName) -> bool {
    let is_word = matches!(name.host(), Host::Dns(host) if !host.contains('.'));
    is_word && name.realm().is_some() && name.port().is_none() && name.service().is_none()
}
