//! What a program asks about a connection, and what it learns (SPEC 7).

use std::net::SocketAddr;
use std::sync::Arc;

use crate::settings::flags;
use crate::{Evidence, HandshakeError, InfoFlags, ProvedPeer, SocketKind, WsaError, fold};

flags! {
    /// What the caller may do with a token of the peer (`PeerTokenAccessMask`, SPEC 7.2); none is
    /// no token.
    TokenAccess {
        /// Make more of it (`TOKEN_DUPLICATE`).
        DUPLICATE = 0x2,
        /// Act with the peer's rights (`TOKEN_IMPERSONATE`).
        IMPERSONATE = 0x4,
        /// Read what it says (`TOKEN_QUERY`).
        QUERY = 0x8,
    }
}

flags! {
    /// Which ids of the answer a connection may not outlive (`FieldMask` of the template, SPEC 1
    /// and 7.4).
    SaFields {
        /// The authenticated session.
        MM_SA_ID = 0x1,
        /// The traffic keys.
        QM_SA_ID = 0x2,
    }
}

/// What a query asks for (`SOCKET_SECURITY_QUERY_TEMPLATE` and its IPSEC2 form, SPEC 2 and 7).
///
/// The default is the all-zero template: it asks for the flags, and nothing else is looked at.
///
/// # Examples
///
/// ```
/// use countersign_core::{QueryTemplate, SaFields, TokenAccess};
///
/// let template = QueryTemplate::default()
///     .at("10.0.0.5:514".parse().unwrap())
///     .with_tokens(TokenAccess::QUERY)
///     .with_sa_ids()
///     .aborting_on(SaFields::QM_SA_ID);
/// assert!(template.wants_tokens() && template.wants_sa_ids());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryTemplate {
    peer: Option<SocketAddr>,
    tokens: TokenAccess,
    wants_sa_ids: bool,
    abort_on: SaFields,
}

impl QueryTemplate {
    /// Asks about the peer at this address: datagram sockets have many (SPEC 7.1). A stream has
    /// one, and the address is ignored there.
    #[must_use]
    pub fn at(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Asks who the peer is, for a token of this access.
    #[must_use]
    pub fn with_tokens(mut self, access: TokenAccess) -> Self {
        self.tokens = access;
        self
    }

    /// Asks for the ids of session and traffic keys, and for the reason of a failed negotiation
    /// (the IPSEC2 form).
    #[must_use]
    pub fn with_sa_ids(mut self) -> Self {
        self.wants_sa_ids = true;
        self
    }

    /// Has the connection end once one of these fields is another than this query answers
    /// (`SOCKET_QUERY_IPSEC2_ABORT_CONNECTION_ON_FIELD_CHANGE`, SPEC 7.4).
    #[must_use]
    pub fn aborting_on(mut self, fields: SaFields) -> Self {
        self.abort_on = fields;
        self
    }

    /// Returns the peer that it asks about, in the form of [`fold`].
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer.map(fold)
    }

    /// Returns what a token is wanted for.
    pub fn tokens(&self) -> TokenAccess {
        self.tokens
    }

    /// Returns whether it asks who the peer is.
    pub fn wants_tokens(&self) -> bool {
        self.tokens != TokenAccess::NONE
    }

    /// Returns whether it asks for the ids.
    pub fn wants_sa_ids(&self) -> bool {
        self.wants_sa_ids
    }

    /// Returns the fields that the connection may not outlive.
    pub fn abort_on(&self) -> SaFields {
        self.abort_on
    }

    /// Says whether such a query can be asked of a socket of this kind, and about whom.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] if a datagram socket is asked about no peer, or one whose address or
    /// port is zero (SPEC 7.1).
    pub fn check(&self, kind: SocketKind) -> Result<(), WsaError> {
        let is_whole = self.peer.is_some_and(|peer| !peer.ip().is_unspecified() && peer.port() > 0);
        if kind == SocketKind::Datagram && !is_whole { Err(WsaError::Inval) } else { Ok(()) }
    }

    /// Answers about a connection that is there, from what holds (`None` is cleartext) and how
    /// often its traffic keys have changed. Neither waits nor allocates.
    pub fn answer(&self, evidence: Option<&Arc<Evidence>>, rekeys: u64) -> QueryAnswer {
        let secured = InfoFlags::CONNECTION_SECURED | InfoFlags::CONNECTION_ENCRYPTED;
        let ids = |evidence: &Arc<Evidence>| SaIds {
            session: evidence.session().as_u64(),
            traffic_keys: evidence.session().traffic_keys(rekeys),
        };
        QueryAnswer {
            flags: evidence.map_or(InfoFlags::NONE, |_| secured),
            evidence: evidence.filter(|_| self.wants_tokens()).cloned(),
            ids: evidence.filter(|_| self.wants_sa_ids).map(ids),
            negotiation_error: None,
        }
    }
}

/// The ids of what protects a connection (SPEC 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SaIds {
    /// `MmSaId`: the authenticated session, the same number at both ends.
    pub session: u64,
    /// `QmSaId`: the traffic keys in force, another number after each change of keys.
    pub traffic_keys: u64,
}

/// What a query learned (`SOCKET_SECURITY_QUERY_INFO` and its IPSEC2 form).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    flags: InfoFlags,
    evidence: Option<Arc<Evidence>>,
    ids: Option<SaIds>,
    negotiation_error: Option<HandshakeError>,
}

impl QueryAnswer {
    /// Answers about a connection that was tried and refused.
    pub fn failed(error: HandshakeError) -> Self {
        let flags = InfoFlags::NONE;
        Self { flags, evidence: None, ids: None, negotiation_error: Some(error) }
    }

    /// Adds that a token exists that can be used for impersonation (SPEC 7.5).
    #[must_use]
    pub fn impersonated(mut self) -> Self {
        self.flags = self.flags | InfoFlags::CONNECTION_IMPERSONATED;
        self
    }

    /// Returns what is true now.
    pub fn flags(&self) -> InfoFlags {
        self.flags
    }

    /// Returns what a token is made from, if the template asked for one and there is protection.
    pub fn evidence(&self) -> Option<&Arc<Evidence>> {
        self.evidence.as_ref()
    }

    /// Returns the user or service that authenticated, if the template asked (SPEC 7.3).
    pub fn application(&self) -> Option<&ProvedPeer> {
        self.evidence.as_ref()?.application()
    }

    /// Returns the host that authenticated, if the template asked (SPEC 7.3).
    pub fn machine(&self) -> Option<&ProvedPeer> {
        self.evidence.as_ref()?.machine()
    }

    /// Returns the ids, if the template asked and there is protection.
    pub fn ids(&self) -> Option<SaIds> {
        self.ids
    }

    /// Returns why the negotiation failed, if it did; its `wsa()` is `NegotiationWinerr`.
    pub fn negotiation_error(&self) -> Option<&HandshakeError> {
        self.negotiation_error.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{QueryTemplate, SaFields, TokenAccess};
    use crate::{
        Evidence, InfoFlags, Mechanism, Proof, ProvedPeer, SessionId, SocketKind, Timestamp,
        WsaError,
    };

    fn evidence() -> Arc<Evidence> {
        let proved = |name: &str, proof| ProvedPeer::vouch(name.parse().unwrap(), proof);
        let session = SessionId::from_exported(*b"12345678abcdefgh");
        let names = vec![
            proved("db1.test", Proof::CertificateDnsName),
            proved("alice@TEST", Proof::CertificateKerberosName),
        ];
        let (suite, group) = ("suite".to_owned(), "group".to_owned());
        let now = Timestamp::from_secs(1);
        let evidence = Evidence::new(Mechanism::Tls13, suite, group, session, now);
        Arc::new(evidence.with_peer(None, names, None))
    }

    #[test]
    fn spec_7_2_the_zero_template_asks_for_flags_only() {
        let answer = QueryTemplate::default().answer(Some(&evidence()), 0);
        assert_eq!(answer.flags().bits(), 3);
        assert_eq!((answer.evidence(), answer.ids()), (None, None));
        assert!(answer.application().is_none() && answer.machine().is_none());
        let clear = QueryTemplate::default().with_sa_ids().answer(None, 0);
        assert_eq!((clear.flags(), clear.ids()), (InfoFlags::NONE, None));
        assert_eq!(answer.impersonated().flags().bits(), 7);
    }

    #[test]
    fn spec_7_3_application_and_machine_apart() {
        let template = QueryTemplate::default().with_tokens(TokenAccess::QUERY);
        let answer = template.answer(Some(&evidence()), 0);
        assert_eq!(answer.application().unwrap().name().to_string(), "alice@TEST");
        assert_eq!(answer.machine().unwrap().name().to_string(), "host/db1.test");
    }

    #[test]
    fn spec_7_4_the_ids_of_session_and_keys() {
        let ids = |rekeys| {
            QueryTemplate::default().with_sa_ids().answer(Some(&evidence()), rekeys).ids().unwrap()
        };
        assert_eq!(ids(0).session, u64::from_be_bytes(*b"12345678"));
        assert_eq!(ids(0).traffic_keys, u64::from_be_bytes(*b"abcdefgh"));
        assert_eq!(ids(1).session, ids(0).session);
        assert_ne!(ids(1).traffic_keys, ids(0).traffic_keys);
    }

    #[test]
    fn spec_7_1_a_datagram_query_needs_address_and_port() {
        let check = |peer: Option<&str>, kind| {
            let mut template = QueryTemplate::default();
            if let Some(peer) = peer {
                template = template.at(peer.parse().unwrap());
            }
            template.check(kind)
        };
        for bad in [None, Some("0.0.0.0:0"), Some("10.0.0.1:0"), Some("[::]:1")] {
            assert_eq!(check(bad, SocketKind::Datagram), Err(WsaError::Inval), "{bad:?}");
            assert_eq!(check(bad, SocketKind::Stream), Ok(()), "{bad:?}");
        }
        assert_eq!(check(Some("10.0.0.1:1"), SocketKind::Datagram), Ok(()));
    }

    #[test]
    fn spec_1_masks_have_winsocks_numbers_and_no_others() {
        assert_eq!(TokenAccess::from_bits(0xe).unwrap().bits(), 0xe);
        assert!(TokenAccess::from_bits(1).is_err() && TokenAccess::from_bits(0x10).is_err());
        assert!(SaFields::from_bits(3).unwrap().contains(SaFields::QM_SA_ID));
        assert!(SaFields::from_bits(4).is_err());
    }
}
