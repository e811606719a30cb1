//! Subject alternative names: the names that a certificate states.

mod read;
pub(crate) use read::read;

mod write;
pub use write::encode;

use std::net::IpAddr;

use countersign_core::PeerName;

/// One name that a certificate states, as far as we understand it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// dNSName, perhaps with a wildcard (RFC 5280 section 4.2.1.6, RFC 9525).
    Dns(String),
    /// iPAddress (RFC 5280 section 4.2.1.6).
    Ip(IpAddr),
    /// KRB5PrincipalName (id-pkinit-san, RFC 4556 section 3.2.2).
    Kerberos(KerberosName),
    /// SRVName `_class.host` (id-on-dnsSRV, RFC 4985).
    Service {
        /// The class, without the underscore.
        class: String,
        /// The host.
        host: String,
    },
    /// uniformResourceIdentifier (RFC 5280 section 4.2.1.6).
    Uri(String),
    /// User principal name (otherName 1.3.6.1.4.1.311.20.2.3, MS-WCCE).
    UserPrincipal(String),
}

/// A Kerberos principal as a certificate states it: its parts are never joined before they have
/// been checked, so that one part cannot pass for two.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KerberosName {
    /// The realm.
    pub realm: String,
    /// The components of the principal.
    pub components: Vec<String>,
}

impl KerberosName {
    /// Takes a realm and the components of a principal in it.
    pub fn new(realm: String, components: Vec<String>) -> Self {
        Self { realm, components }
    }

    /// Returns the name that the principal is, if it is one that a peer can have.
    pub fn to_peer_name(&self) -> Option<PeerName> {
        let plain = |part: &String| !part.is_empty() && !part.contains(['/', '@', '\\']);
        if self.components.is_empty() || !self.components.iter().all(plain) || !plain(&self.realm) {
            return None;
        }
        let name = format!("{}@{}", self.components.join("/"), self.realm).parse().ok()?;
        self.states_host_of(&name).then_some(name)
    }

    /// Returns whether the host is stated as itself, but for case. Names that people write are
    /// brought into one form, and a final dot, a full-width letter or an ideographic full stop is
    /// no mistake there; in a certificate it is how one host could pass for another.
    fn states_host_of(&self, name: &PeerName) -> bool {
        let (PeerName::Service(service), Some(stated)) = (name, self.components.get(1)) else {
            return true;
        };
        let mut host = service.host().to_string();
        if let Some(port) = service.port() {
            host = format!("{host}:{port}");
        }
        stated.eq_ignore_ascii_case(&host)
    }
}

/// Object identifiers of the otherNames.
mod oid {
    pub(super) const KERBEROS: &[u64] = &[1, 3, 6, 1, 5, 2, 2];
    pub(super) const SERVICE: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 7];
    pub(super) const USER_PRINCIPAL: &[u64] = &[1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
}
