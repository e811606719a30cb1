//! What a proof came to.

use std::time::Duration;

use countersign_core::{PeerName, ServiceName, Sid};

use crate::DelegatedCredential;

/// What the peer proved, on this channel, and that it meant us.
#[derive(Clone, Debug)]
pub struct Proved {
    pub(crate) principal: String,
    pub(crate) realm: String,
    pub(crate) peer: Option<PeerName>,
    pub(crate) service: ServiceName,
    pub(crate) remaining: Option<Duration>,
    pub(crate) groups: Vec<Sid>,
    pub(crate) delegated: Option<DelegatedCredential>,
}

impl Proved {
    /// Returns the peer's principal, as Kerberos writes it.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Returns the peer's realm, which is one of those that the terms allow.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Returns the name that the peer proved: at a client the service that it asked for, with its
    /// realm. `None` is a principal that no name here can express, letter by letter.
    pub fn peer(&self) -> Option<&PeerName> {
        self.peer.as_ref()
    }

    /// Returns the service that both sides confirmed: at a server, which of its own.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Returns for how long the ticket is still good; `None` is for ever. A server's answer
    /// includes the skew of clocks that Kerberos allows, so it is no hard limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.remaining
    }

    /// Returns who the client is to Active Directory: first itself, then its groups. Empty at a
    /// client, and where the ticket carries no such data that the KDC vouches for (a PAC,
    /// [MS-PAC]).
    ///
    /// [MS-PAC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-pac
    pub fn groups(&self) -> &[Sid] {
        &self.groups
    }

    /// Returns the credentials that the client handed on, if it did and the terms take them.
    pub fn delegated(&self) -> Option<&DelegatedCredential> {
        self.delegated.as_ref()
    }
}
