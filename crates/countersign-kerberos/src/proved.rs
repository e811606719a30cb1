//! What a proof came to.

use std::time::Duration;

use countersign_core::{PeerName, ServiceName, Sid, TicketEncryption};

use crate::DelegatedCredential;

/// What the peer proved, on this channel, and that it meant us.
///
/// It comes out of [`Exchange::poll`](crate::Exchange::poll) alone: of a client when the service has
/// confirmed the channel and the name, of a server when the client has.
#[derive(Clone, Debug)]
pub struct Proved(pub(crate) Found);

/// Whose ticket a server has judged, while nothing shows yet that it was shown for this channel and
/// this service by whom it was made for. Somebody in the middle may pass it on.
///
/// There is no way from this to [`Proved`] but the client's confirmation. A server may turn a client
/// away by it, and nothing else.
#[derive(Debug)]
pub struct Unconfirmed(Found);

/// What a ticket, or an answer to it, says.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) principal: String,
    pub(crate) realm: String,
    /// Whether that is our own.
    pub(crate) is_own_realm: bool,
    pub(crate) peer: Option<PeerName>,
    pub(crate) service: ServiceName,
    pub(crate) remaining: Option<Duration>,
    pub(crate) groups: Vec<Sid>,
    pub(crate) delegated: Option<DelegatedCredential>,
    pub(crate) encryption: TicketEncryption,
}

impl Unconfirmed {
    pub(crate) fn new(found: Found) -> Self {
        Self(found)
    }

    /// Returns the principal of the ticket, as Kerberos writes it.
    pub fn principal(&self) -> &str {
        &self.0.principal
    }

    /// Returns the name that the principal is, as [`Proved::peer`] does.
    pub fn peer(&self) -> Option<&PeerName> {
        self.0.peer.as_ref()
    }

    /// Returns who the ticket says that its owner is to Active Directory, as [`Proved::groups`] does.
    pub fn groups(&self) -> &[Sid] {
        &self.0.groups
    }

    /// States that the client has confirmed it: the one way from a ticket to a proof.
    pub(crate) fn confirmed(self) -> Proved {
        Proved(self.0)
    }
}

impl Proved {
    /// Returns the peer's principal, as Kerberos writes it.
    pub fn principal(&self) -> &str {
        &self.0.principal
    }

    /// Returns the peer's realm, which is one of those that the terms allow.
    pub fn realm(&self) -> &str {
        &self.0.realm
    }

    /// Returns whether the peer's realm is our own, which is the one that counts where the terms list
    /// none.
    pub fn is_of_own_realm(&self) -> bool {
        self.0.is_own_realm
    }

    /// Returns the name that the peer proved: at a client the service that it asked for, with its
    /// realm. `None` is a principal that no name here can express, letter by letter.
    pub fn peer(&self) -> Option<&PeerName> {
        self.0.peer.as_ref()
    }

    /// Returns the service that both sides confirmed: at a server, which of its own.
    pub fn service(&self) -> &ServiceName {
        &self.0.service
    }

    /// Returns for how long the ticket is still good; `None` is for ever. A server's answer
    /// includes the skew of clocks that Kerberos allows, so it is no hard limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.0.remaining
    }

    /// Returns who the client is to Active Directory: first itself, then its groups. Empty at a
    /// client, and where the ticket carries no such data that the KDC vouches for (a PAC,
    /// [MS-PAC]).
    ///
    /// [MS-PAC]: https://learn.microsoft.com/openspecs/windows_protocols/ms-pac
    pub fn groups(&self) -> &[Sid] {
        &self.0.groups
    }

    /// Returns the credentials that the client handed on, if it did and the terms take them.
    pub fn delegated(&self) -> Option<&DelegatedCredential> {
        self.0.delegated.as_ref()
    }

    /// Returns how the ticket was encrypted, and what came with it: all of it as the terms demand.
    pub fn encryption(&self) -> TicketEncryption {
        self.0.encryption
    }
}
