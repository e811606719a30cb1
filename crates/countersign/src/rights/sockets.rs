//! Tokens of the peers of sockets, and impersonation by socket, by the rules of SPEC 8.1 and 8.4.

use std::net::SocketAddr;

use super::{Impersonation, PeerToken, RightsError};
use crate::core::{SecurityInfo, WsaError};
use crate::{Error, Socket, TcpStream, UdpSocket};

impl TcpStream {
    /// Returns the token of the user or service that authenticated, if one did (SPEC 7.3).
    pub fn application_token(&self) -> Option<PeerToken> {
        let token = PeerToken::application(self.evidence()?, self.context());
        token.map(|token| token.with_delegated(self.delegated()))
    }

    /// Returns the token of the host that authenticated, if one did (SPEC 7.3).
    pub fn machine_token(&self) -> Option<PeerToken> {
        let token = PeerToken::machine(self.evidence()?, self.context());
        token.map(|token| token.with_delegated(self.delegated()))
    }

    /// Returns the token that impersonation takes: the user's if there is one, else the machine's
    /// (SPEC 8.2).
    pub fn peer_token(&self) -> Option<PeerToken> {
        let token = PeerToken::of_peer(self.evidence()?, self.context());
        token.map(|token| token.with_delegated(self.delegated()))
    }

    /// Runs `work` with the rights of the peer (`WSAImpersonateSocketPeer`, SPEC 8), on this thread;
    /// see [`PeerToken::impersonate`].
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEOPNOTSUPP` on a non-blocking stream or one in clear;
    /// [`Error::Rights`] if nobody can act for the peer. `work` was not run then.
    pub fn impersonate<R>(&self, work: impl FnOnce(&Impersonation<'_>) -> R) -> Result<R, Error> {
        Ok(self.impersonation_token()?.impersonate(work)?)
    }

    /// Returns the token for impersonation, under the conditions of [`Self::impersonate`].
    ///
    /// # Errors
    ///
    /// As [`Self::impersonate`], as far as they concern the socket.
    pub fn impersonation_token(&self) -> Result<PeerToken, Error> {
        check(&self.query()?, self.is_nonblocking())?;
        self.peer_token().ok_or_else(|| RightsError::NoName.into())
    }
}

impl Socket {
    /// Returns the token that impersonation takes: the user's if there is one, else the machine's
    /// (SPEC 8.2).
    pub fn peer_token(&self) -> Option<PeerToken> {
        self.as_stream()?.peer_token()
    }

    /// Returns the token of the user or service that authenticated, if one did (SPEC 7.3).
    pub fn application_token(&self) -> Option<PeerToken> {
        self.as_stream()?.application_token()
    }

    /// Returns the token of the host that authenticated, if one did (SPEC 7.3).
    pub fn machine_token(&self) -> Option<PeerToken> {
        self.as_stream()?.machine_token()
    }

    /// Runs `work` with the rights of the peer (`WSAImpersonateSocketPeer`, SPEC 8), on this thread;
    /// see [`PeerToken::impersonate`].
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAENOTCONN` before there is a connection, with `WSAEOPNOTSUPP` on a
    /// non-blocking socket or one in clear; [`Error::Rights`] if nobody can act for the peer. `work`
    /// was not run then.
    pub fn impersonate<R>(&self, work: impl FnOnce(&Impersonation<'_>) -> R) -> Result<R, Error> {
        Ok(self.impersonation_token()?.impersonate(work)?)
    }

    /// Returns the token for impersonation, under the conditions of [`Self::impersonate`].
    ///
    /// # Errors
    ///
    /// As [`Self::impersonate`], as far as they concern the socket.
    pub fn impersonation_token(&self) -> Result<PeerToken, Error> {
        // Says what is wrong with a socket that has no peer.
        check(&self.query()?, self.is_nonblocking())?;
        self.peer_token().ok_or_else(|| RightsError::NoName.into())
    }
}

impl UdpSocket {
    /// Returns the token of the user or service at an address, if one has authenticated (SPEC 7.3).
    pub fn application_token(&self, peer: SocketAddr) -> Option<PeerToken> {
        let (evidence, delegated) = self.proved_by(peer)?;
        let token = PeerToken::application(&evidence, self.context());
        token.map(|token| token.with_delegated(delegated.as_ref()))
    }

    /// Returns the token of the host at an address, if it has authenticated (SPEC 7.3).
    pub fn machine_token(&self, peer: SocketAddr) -> Option<PeerToken> {
        let (evidence, delegated) = self.proved_by(peer)?;
        let token = PeerToken::machine(&evidence, self.context());
        token.map(|token| token.with_delegated(delegated.as_ref()))
    }

    /// Returns the token that impersonation takes: the user's if there is one, else the machine's
    /// (SPEC 8.2).
    pub fn peer_token(&self, peer: SocketAddr) -> Option<PeerToken> {
        let (evidence, delegated) = self.proved_by(peer)?;
        let token = PeerToken::of_peer(&evidence, self.context());
        token.map(|token| token.with_delegated(delegated.as_ref()))
    }

    /// Runs `work` with the rights of the peer at an address (`WSAImpersonateSocketPeer`, SPEC 8), on
    /// this thread; see [`PeerToken::impersonate`]. Without an address it is the peer that the socket
    /// is connected to.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEFAULT` without an address on a socket that is not connected, with
    /// `WSAENOTCONN` for a peer that has not proved who it is, with `WSAEOPNOTSUPP` on a non-blocking
    /// socket; [`Error::Rights`] if nobody can act for the peer. `work` was not run then.
    pub fn impersonate<R>(
        &self,
        peer: Option<SocketAddr>,
        work: impl FnOnce(&Impersonation<'_>) -> R,
    ) -> Result<R, Error> {
        Ok(self.impersonation_token(peer)?.impersonate(work)?)
    }

    /// Returns the token for impersonation, under the conditions of [`Self::impersonate`].
    ///
    /// # Errors
    ///
    /// As [`Self::impersonate`], as far as they concern the socket.
    pub fn impersonation_token(&self, peer: Option<SocketAddr>) -> Result<PeerToken, Error> {
        let peer = match (self.peer_addr(), peer) {
            // On a connected socket the address is ignored (SPEC 8.4).
            (Ok(connected), _) => connected,
            (Err(_), Some(peer)) => peer,
            (Err(_), None) => {
                let why = "the socket is not connected, so it takes the peer's address";
                return Err(Error::Order { doing: DOING, why, wsa: WsaError::Fault });
            }
        };
        check(&self.query(peer)?, self.is_nonblocking())?;
        self.peer_token(peer).ok_or_else(|| RightsError::NoName.into())
    }
}

const DOING: &str = "impersonate the peer";

/// Blocking, secured sockets only (SPEC 8.1).
fn check(info: &SecurityInfo, is_nonblocking: bool) -> Result<(), Error> {
    let why = match info.evidence() {
        None => "the connection is in clear, and nobody has proved anything",
        Some(_) if is_nonblocking => "the socket is non-blocking",
        Some(_) => return Ok(()),
    };
    Err(Error::Order { doing: DOING, why, wsa: WsaError::OpNotSupp })
}
