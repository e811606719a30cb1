//! Service principal names.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::{Host, check_text, check_word, split_realm};
use crate::NameError;

/// A service on a host: `class/host[:port][/service][@REALM]`.
///
/// The class keeps the case in which it was written, because Kerberos databases may tell cases
/// apart, but two classes that differ in case only are the same.
#[derive(Clone, Debug)]
pub struct ServiceName {
    class: String,
    host: Host,
    port: Option<u16>,
    service: Option<String>,
    realm: Option<String>,
}

impl ServiceName {
    /// The class of a host itself; a bare DNS name means it.
    pub const HOST_CLASS: &'static str = "host";

    /// Returns the name of the host itself, `host/HOST`.
    pub fn of_host(host: Host) -> Self {
        Self { class: Self::HOST_CLASS.to_owned(), host, port: None, service: None, realm: None }
    }

    /// Reads a host-based name of GSS-API (RFC 2743 section 4.1): `postgres@db1.example.com` is
    /// `postgres/db1.example.com`, in whatever realm that host is. Elsewhere this is never guessed,
    /// because the same text is a user of a realm.
    ///
    /// # Errors
    ///
    /// It has no host, or one of the two is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use countersign_core::{PeerName, ServiceName};
    ///
    /// let service = ServiceName::from_host_based("postgres@DB1.example.com")?;
    /// assert_eq!(service, "postgres/db1.example.com".parse()?);
    /// assert!(matches!("postgres@db1.example.com".parse()?, PeerName::User(_)));
    /// # Ok::<(), countersign_core::NameError>(())
    /// ```
    pub fn from_host_based(text: &str) -> Result<Self, NameError> {
        let (service, host) = text.split_once('@').ok_or(NameError::EmptyPart { part: "host" })?;
        if host.contains(['/', '@', ':']) || service.contains('/') {
            return Err(NameError::NotAService { name: text.to_owned() });
        }
        format!("{service}/{host}").parse()
    }

    /// Returns the class of the service, such as `postgres`, as it was written.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port, if the name has one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the service part (`domain` in `ldap/dc1.example.com/domain`), if there is one.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Returns the realm, if the name has one.
    pub fn realm(&self) -> Option<&str> {
        self.realm.as_deref()
    }

    /// Returns whether this is another class of service on the same host.
    pub fn is_class(&self, class: &str) -> bool {
        self.class.eq_ignore_ascii_case(class)
    }

    /// Returns whether a peer that proves `self` has proved `asked`: equal in every part, but a
    /// realm that was not asked for may be any.
    pub fn satisfies(&self, asked: &Self) -> bool {
        self.is_class(&asked.class)
            && self.host == asked.host
            && self.port == asked.port
            && self.service == asked.service
            && (asked.realm.is_none() || self.realm == asked.realm)
    }
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_text(text)?;
        let (rest, realm) = split_realm(text)?;
        let mut parts = rest.split('/');
        let class = parts.next().unwrap_or_default();
        let Some(host) = parts.next() else {
            return Err(match realm {
                Some(_) => NameError::NotAService { name: text.to_owned() },
                None => NameError::EmptyPart { part: "host" },
            });
        };
        let service = parts.next();
        if parts.next().is_some() {
            return Err(NameError::TooManyParts);
        }
        check_word(class, "class", |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))?;
        if let Some(service) = service {
            check_word(service, "service part", |c| !matches!(c, '\\' | '*'))?;
        }
        let (host, port) = Host::split_port(host)?;
        Ok(Self {
            class: class.to_owned(),
            host,
            port,
            service: service.map(str::to_owned),
            realm: realm.map(str::to_owned),
        })
    }
}

impl PartialEq for ServiceName {
    fn eq(&self, other: &Self) -> bool {
        self.is_class(&other.class)
            && self.host == other.host
            && self.port == other.port
            && self.service == other.service
            && self.realm == other.realm
    }
}

impl Eq for ServiceName {}

impl Hash for ServiceName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.class.to_ascii_lowercase().hash(state);
        (&self.host, self.port, &self.service, &self.realm).hash(state);
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(service) = &self.service {
            write!(f, "/{service}")?;
        }
        if let Some(realm) = &self.realm {
            write!(f, "@{realm}")?;
        }
        Ok(())
    }
}
