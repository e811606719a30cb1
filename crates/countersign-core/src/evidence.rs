//! What in fact holds between us and a peer.

use std::fmt;
use std::sync::Arc;

use crate::settings::flags;
use crate::{PeerName, ServiceName, Sid, TicketEncryption, Timestamp, WsaError};

/// A name that a peer has proved to hold.
///
/// A named peer cannot appear in [`Evidence`] without one, and [`Self::vouch`] is the only way to
/// make it, so a search for that word lists every line of code that vouches for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvedPeer {
    name: PeerName,
    proof: Proof,
}

impl ProvedPeer {
    /// States that the peer proved, by `proof`, to hold `name`.
    pub fn vouch(name: PeerName, proof: Proof) -> Self {
        Self { name, proof }
    }

    /// Returns the proved name.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Returns how it was proved.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// Returns whether this is the identity of a host and not of a user or service (SPEC 7.3).
    pub fn is_machine(&self) -> bool {
        match &self.name {
            PeerName::Service(service) => {
                matches!(self.proof, Proof::CertificateDnsName | Proof::CertificateIpAddress)
                    || service.is_class(ServiceName::HOST_CLASS)
            }
            // The account of a computer in Active Directory ([MS-ADTS] section 3.1.1.8.1).
            PeerName::User(user) => {
                self.proof == Proof::KerberosTicket && user.user().ends_with('$')
            }
            PeerName::Spiffe(_) => false,
        }
    }
}

/// How a peer proved its name.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A dNSName in its certificate (RFC 9525).
    CertificateDnsName,
    /// An iPAddress in its certificate (RFC 5280).
    CertificateIpAddress,
    /// A KRB5PrincipalName in its certificate (RFC 4556).
    CertificateKerberosName,
    /// A SRVName in its certificate (RFC 4985).
    CertificateServiceName,
    /// The one URI in its certificate (SPIFFE X509-SVID).
    CertificateSpiffeId,
    /// A user principal name in its certificate (Microsoft's otherName 1.3.6.1.4.1.311.20.2.3).
    CertificateUserPrincipalName,
    /// A Kerberos ticket for it, and the confirmation that belongs to this connection.
    KerberosTicket,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CertificateDnsName => "certificate dNSName",
            Self::CertificateIpAddress => "certificate iPAddress",
            Self::CertificateKerberosName => "certificate KRB5PrincipalName",
            Self::CertificateServiceName => "certificate SRVName",
            Self::CertificateSpiffeId => "certificate SPIFFE ID",
            Self::CertificateUserPrincipalName => "certificate user principal name",
            Self::KerberosTicket => "Kerberos ticket",
        })
    }
}

/// A way to protect a conversation.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// DTLS 1.2 over UDP.
    Dtls12,
    /// TLS 1.2 over TCP; only where policy opts in.
    Tls12,
    /// TLS 1.3 over TCP.
    Tls13,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dtls12 => "DTLS 1.2",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

/// The identity of an authenticated session: both ends compute the same one, nobody else can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// The exporter label from which it is derived (RFC 8446 section 7.5), with empty context.
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-countersign-session-id";

    /// Takes the exported bytes.
    pub fn from_exported(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the first half as a number: `MmSaId` of the query (SPEC 7.4).
    pub fn as_u64(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl SessionId {
    /// Returns the number of the traffic keys that are in force after so many changes: `QmSaId` of
    /// the query (SPEC 7.4).
    pub fn traffic_keys(self, rekeys: u64) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]).wrapping_add(rekeys)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What protects a conversation, and for whom.
///
/// A peer's name gets in only as a [`ProvedPeer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    mechanism: Mechanism,
    cipher_suite: String,
    key_exchange: String,
    session: SessionId,
    since: Timestamp,
    /// When the peer proved its names, if that was in an earlier connection.
    resumed_from: Option<Timestamp>,
    asked: Option<PeerName>,
    names: Vec<ProvedPeer>,
    expires: Option<Timestamp>,
    groups: Vec<Sid>,
    ticket: Option<TicketEncryption>,
    is_own_realm: bool,
    service: Option<Box<ServiceName>>,
}

impl Evidence {
    /// States that `mechanism` with these algorithms protects the conversation since then. No
    /// name has been proved until [`Self::with_peer`] says so.
    pub fn new(
        mechanism: Mechanism,
        cipher_suite: String,
        key_exchange: String,
        session: SessionId,
        since: Timestamp,
    ) -> Self {
        Self {
            mechanism,
            cipher_suite,
            key_exchange,
            session,
            since,
            resumed_from: None,
            asked: None,
            names: Vec::new(),
            expires: None,
            groups: Vec::new(),
            ticket: None,
            is_own_realm: false,
            service: None,
        }
    }

    /// Moves the moment from which it holds: a proof inside the connection ends later than the
    /// handshake.
    #[must_use]
    pub fn held_since(mut self, since: Timestamp) -> Self {
        self.since = since;
        self
    }

    /// Says that the peer proved itself in an earlier connection, at this time, and that this one
    /// resumes its session: who it is was judged anew, but its key has signed nothing since.
    #[must_use]
    pub fn resumed_from(mut self, authenticated: Timestamp) -> Self {
        self.resumed_from = Some(authenticated);
        self
    }

    /// Adds what the peer proved: first the name that was asked for, if one was, then every
    /// other name; and until when the proof is good.
    #[must_use]
    pub fn with_peer(
        mut self,
        asked: Option<PeerName>,
        names: Vec<ProvedPeer>,
        expires: Option<Timestamp>,
    ) -> Self {
        self.asked = asked;
        self.names = names;
        self.expires = expires;
        self
    }

    /// Adds the groups that the peer's KDC says it is in.
    #[must_use]
    pub fn with_groups(mut self, groups: Vec<Sid>) -> Self {
        self.groups = groups;
        self
    }

    /// Adds how the peer's ticket, or ours for it, is encrypted.
    #[must_use]
    pub fn with_ticket_encryption(mut self, ticket: Option<TicketEncryption>) -> Self {
        self.ticket = ticket;
        self
    }

    /// States that the peer proved its name by a ticket, and is of our own realm.
    #[must_use]
    pub fn with_own_realm(mut self, is_own_realm: bool) -> Self {
        self.is_own_realm = is_own_realm;
        self
    }

    /// States for which of our own services the peer had its ticket.
    #[must_use]
    pub fn with_service(mut self, service: Option<ServiceName>) -> Self {
        self.service = service.map(Box::new);
        self
    }

    /// Returns the mechanism that protects the conversation.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Returns the cipher suite, by its registered name.
    pub fn cipher_suite(&self) -> &str {
        &self.cipher_suite
    }

    /// Returns the key exchange group, by its registered name.
    pub fn key_exchange(&self) -> &str {
        &self.key_exchange
    }

    /// Returns the identity of the session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Returns since when it holds.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Returns whether the connection resumes the session of an earlier one, in which the peer
    /// proved itself (RFC 8446 section 2.2).
    pub fn is_resumed(&self) -> bool {
        self.resumed_from.is_some()
    }

    /// Returns when the peer last proved itself by its key: when this connection was made, or the
    /// one whose session it resumes.
    pub fn authenticated(&self) -> Timestamp {
        self.resumed_from.unwrap_or(self.since)
    }

    /// Returns the name that was asked for, if one was.
    pub fn asked(&self) -> Option<&PeerName> {
        self.asked.as_ref()
    }

    /// Returns whether a name was asked for and proved (SPEC 5.5).
    pub fn is_peer_name_verified(&self) -> bool {
        self.asked.is_some() && !self.names.is_empty()
    }

    /// Returns who the peer is: the name that was asked for, else the first that it proved.
    /// `None` is an anonymous client, or a certificate without a name that we understand.
    pub fn peer(&self) -> Option<&ProvedPeer> {
        self.names.first()
    }

    /// Returns every name that the peer proved.
    pub fn names(&self) -> &[ProvedPeer] {
        &self.names
    }

    /// Returns the user or service that authenticated (SPEC 7.3).
    pub fn application(&self) -> Option<&ProvedPeer> {
        self.names.iter().find(|name| !name.is_machine())
    }

    /// Returns the host that authenticated (SPEC 7.3).
    pub fn machine(&self) -> Option<&ProvedPeer> {
        self.names.iter().find(|name| name.is_machine())
    }

    /// Returns when the peer's proof expires, if it does.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Returns the groups that the peer's KDC says it is in, in an authenticated part of its ticket
    /// (the PAC of Active Directory): the peer's own identifier first. Empty without one.
    pub fn groups(&self) -> &[Sid] {
        &self.groups
    }

    /// Returns how the ticket is encrypted by which the peer proved its name; `None` if it was no
    /// ticket that did.
    pub fn ticket_encryption(&self) -> Option<TicketEncryption> {
        self.ticket
    }

    /// Returns whether the peer proved its name by a ticket, and is of our own realm.
    pub fn is_of_own_realm(&self) -> bool {
        self.is_own_realm
    }

    /// Returns for which of our own services the peer had its ticket, with its realm; `None` if we
    /// asked for somebody, or it was no ticket that proved the peer.
    pub fn service(&self) -> Option<&ServiceName> {
        self.service.as_deref()
    }
}

flags! {
    /// What is true of a connection now (`Flags` of the query, SPEC 1 and 7.5).
    InfoFlags {
        /// The connection is protected.
        CONNECTION_SECURED = 0x1,
        /// It is encrypted; implies that it is secured.
        CONNECTION_ENCRYPTED = 0x2,
        /// A token of the peer exists that can be used for impersonation.
        CONNECTION_IMPERSONATED = 0x4,
    }
}

/// The answer to a query (SPEC 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityInfo {
    evidence: Option<Arc<Evidence>>,
}

impl SecurityInfo {
    /// The connection is in clear.
    pub fn clear() -> Self {
        Self { evidence: None }
    }

    /// The connection is protected as the evidence says.
    pub fn secured(evidence: impl Into<Arc<Evidence>>) -> Self {
        Self { evidence: Some(evidence.into()) }
    }

    /// Returns what is true now.
    pub fn flags(&self) -> InfoFlags {
        match self.evidence {
            Some(_) => InfoFlags::CONNECTION_SECURED | InfoFlags::CONNECTION_ENCRYPTED,
            None => InfoFlags::NONE,
        }
    }

    /// Returns the evidence; none means cleartext.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::{Proof, ProvedPeer};

    #[test]
    fn a_ticket_is_of_a_machine_if_its_principal_is_a_host_or_the_account_of_one() {
        let is_machine =
            |name: &str, proof| ProvedPeer::vouch(name.parse().unwrap(), proof).is_machine();
        assert!(is_machine("host/db1.example.com@A", Proof::KerberosTicket));
        assert!(is_machine("DB1$@A", Proof::KerberosTicket));
        assert!(!is_machine("alice@A", Proof::KerberosTicket));
        assert!(!is_machine("postgres/db1.example.com@A", Proof::KerberosTicket));
        assert!(!is_machine("DB1$@A", Proof::CertificateUserPrincipalName));
    }
}
