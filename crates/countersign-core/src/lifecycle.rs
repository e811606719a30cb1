//! What is legal when, in the life of a socket.

use std::net::SocketAddr;

use crate::WsaError;

/// The type of a socket.
#[expect(clippy::exhaustive_enums, reason = "SPEC 3 knows these two and refuses the rest")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_STREAM`.
    Stream,
}

/// How far a socket has come.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has a local address.
    Bound,
    /// It has a peer, and whatever protection the plan asked for.
    Connected,
    /// It is on the way to its peer.
    Connecting,
    /// A connection was tried and refused.
    Failed,
    /// It was just made.
    Fresh,
    /// It takes connections.
    Listening,
    /// Its peer has reset it.
    Reset,
}

/// The rules of SPEC 3 to 8 about order, as a state machine.
///
/// Each method asks whether an operation is legal now, and answers with the Winsock error if it
/// is not; a refused operation changes nothing. Methods called `completed_*` record what happened
/// in the world.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    kind: SocketKind,
    stage: Stage,
    security_set: bool,
    named: bool,
}

impl Lifecycle {
    /// Starts the life of a socket.
    pub fn new(kind: SocketKind) -> Self {
        Self { kind, stage: Stage::Fresh, security_set: false, named: false }
    }

    /// Starts the life of a socket that a listener accepted: it inherits the listener's security
    /// (SPEC 4.9).
    pub fn accepted(listener: &Self) -> Self {
        Self { stage: Stage::Connected, ..listener.clone() }
    }

    /// Sets security (SPEC 4.1).
    ///
    /// # Errors
    ///
    /// [`WsaError::IsConn`] on a connected socket; [`WsaError::Inval`] a second time, or once
    /// the socket is bound, listening or connecting.
    pub fn set_security(&mut self) -> Result<(), WsaError> {
        match self.stage {
            Stage::Connected | Stage::Reset => Err(WsaError::IsConn),
            Stage::Fresh if !self.security_set => {
                self.security_set = true;
                Ok(())
            }
            _ => Err(WsaError::Inval),
        }
    }

    /// Sets the name of the peer at an address (SPEC 5.1). A name on a socket without security
    /// secures it (SPEC 5.4).
    ///
    /// # Errors
    ///
    /// [`WsaError::IsConn`] on a connected socket; [`WsaError::Inval`] while a connection is
    /// being made or after it failed, and for a datagram peer whose address and port are zero.
    pub fn set_peer_target_name(&mut self, peer: SocketAddr) -> Result<(), WsaError> {
        match self.stage {
            Stage::Connected | Stage::Reset => return Err(WsaError::IsConn),
            Stage::Connecting | Stage::Failed => return Err(WsaError::Inval),
            Stage::Bound | Stage::Fresh | Stage::Listening => {}
        }
        if self.kind == SocketKind::Datagram && peer.ip().is_unspecified() && peer.port() == 0 {
            return Err(WsaError::Inval);
        }
        self.named = true;
        Ok(())
    }

    /// Deletes the name of the peer at an address (SPEC 6).
    ///
    /// # Errors
    ///
    /// [`WsaError::IsConn`] on a stream that is connected; [`WsaError::Inval`] on one that is
    /// on the way.
    pub fn delete_peer_target_name(&self) -> Result<(), WsaError> {
        match (self.kind, self.stage) {
            (SocketKind::Stream, Stage::Connected | Stage::Reset) => Err(WsaError::IsConn),
            (SocketKind::Stream, Stage::Connecting | Stage::Failed) => Err(WsaError::Inval),
            _ => Ok(()),
        }
    }

    /// Binds.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] unless the socket is fresh.
    pub fn bind(&self) -> Result<(), WsaError> {
        if self.stage == Stage::Fresh { Ok(()) } else { Err(WsaError::Inval) }
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// [`WsaError::OpNotSupp`] on a datagram socket, [`WsaError::IsConn`] on a connected one,
    /// [`WsaError::Inval`] unless it is bound.
    pub fn listen(&self) -> Result<(), WsaError> {
        match (self.kind, self.stage) {
            (SocketKind::Datagram, _) => Err(WsaError::OpNotSupp),
            (_, Stage::Connected | Stage::Reset) => Err(WsaError::IsConn),
            (_, Stage::Bound) => Ok(()),
            _ => Err(WsaError::Inval),
        }
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`WsaError::IsConn`] on a connected socket, [`WsaError::Inval`] on one that listens, is
    /// connecting already, or has failed.
    pub fn connect(&mut self) -> Result<(), WsaError> {
        match self.stage {
            Stage::Bound | Stage::Fresh => {
                self.stage = Stage::Connecting;
                Ok(())
            }
            Stage::Connected | Stage::Reset => Err(WsaError::IsConn),
            Stage::Connecting | Stage::Failed | Stage::Listening => Err(WsaError::Inval),
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] unless the socket listens.
    pub fn accept(&self) -> Result<(), WsaError> {
        if self.stage == Stage::Listening { Ok(()) } else { Err(WsaError::Inval) }
    }

    /// Sends, receives or shuts down.
    ///
    /// # Errors
    ///
    /// [`WsaError::NotConn`] unless the socket is connected.
    pub fn transfer(&self) -> Result<(), WsaError> {
        match self.stage {
            Stage::Connected | Stage::Reset => Ok(()),
            _ => Err(WsaError::NotConn),
        }
    }

    /// Queries what protects the socket (SPEC 3, 7).
    ///
    /// # Errors
    ///
    /// [`WsaError::NotConn`] before there is a connection, [`WsaError::ConnReset`] after the
    /// peer has reset it.
    pub fn query(&self) -> Result<(), WsaError> {
        match self.stage {
            Stage::Connected => Ok(()),
            Stage::Reset => Err(WsaError::ConnReset),
            _ => Err(WsaError::NotConn),
        }
    }

    /// Records that the socket has a local address.
    pub fn completed_bind(&mut self) {
        self.stage = Stage::Bound;
    }

    /// Records that the socket listens.
    pub fn completed_listen(&mut self) {
        self.stage = Stage::Listening;
    }

    /// Records how the connection came out.
    pub fn completed_connect(&mut self, secured_or_allowed: bool) {
        self.stage = if secured_or_allowed { Stage::Connected } else { Stage::Failed };
    }

    /// Records that the peer has reset the connection.
    pub fn completed_reset(&mut self) {
        self.stage = Stage::Reset;
    }

    /// Returns how far the socket has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns whether the socket is to be secured: security was set, or a name was (SPEC 5.4).
    pub fn is_secured(&self) -> bool {
        self.security_set || self.named
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Lifecycle, SocketKind, Stage};
    use crate::WsaError;

    fn anyone() -> SocketAddr {
        "0.0.0.0:0".parse().unwrap()
    }

    fn connected(kind: SocketKind) -> Lifecycle {
        let mut life = Lifecycle::new(kind);
        life.connect().unwrap();
        life.completed_connect(true);
        life
    }

    #[test]
    fn spec_4_1_security_is_set_once_and_first() {
        let mut life = Lifecycle::new(SocketKind::Stream);
        assert_eq!(life.set_security(), Ok(()));
        assert_eq!(life.set_security(), Err(WsaError::Inval));
        let mut bound = Lifecycle::new(SocketKind::Datagram);
        bound.completed_bind();
        assert_eq!(bound.set_security(), Err(WsaError::Inval));
    }

    #[test]
    fn spec_3_no_security_or_name_on_a_connected_socket() {
        for kind in [SocketKind::Stream, SocketKind::Datagram] {
            let mut life = connected(kind);
            assert_eq!(life.set_security(), Err(WsaError::IsConn));
            assert_eq!(
                life.set_peer_target_name("192.0.2.1:1".parse().unwrap()),
                Err(WsaError::IsConn)
            );
        }
    }

    #[test]
    fn spec_5_1_zero_address_is_for_streams() {
        assert_eq!(Lifecycle::new(SocketKind::Stream).set_peer_target_name(anyone()), Ok(()));
        assert_eq!(
            Lifecycle::new(SocketKind::Datagram).set_peer_target_name(anyone()),
            Err(WsaError::Inval)
        );
    }

    #[test]
    fn spec_5_4_a_name_secures() {
        let mut life = Lifecycle::new(SocketKind::Stream);
        assert!(!life.is_secured());
        life.set_peer_target_name(anyone()).unwrap();
        assert!(life.is_secured());
    }

    #[test]
    fn spec_5_6_names_on_listeners() {
        let mut life = Lifecycle::new(SocketKind::Stream);
        life.completed_bind();
        life.listen().unwrap();
        life.completed_listen();
        assert_eq!(life.set_peer_target_name("192.0.2.1:0".parse().unwrap()), Ok(()));
        assert!(Lifecycle::accepted(&life).is_secured(), "spec 4.9: inherited");
        assert_eq!(Lifecycle::accepted(&life).stage(), Stage::Connected);
    }

    #[test]
    fn spec_6_delete_on_streams_before_connect_only() {
        assert_eq!(connected(SocketKind::Stream).delete_peer_target_name(), Err(WsaError::IsConn));
        assert_eq!(connected(SocketKind::Datagram).delete_peer_target_name(), Ok(()));
    }

    #[test]
    fn spec_7_query_needs_a_connection() {
        let mut life = Lifecycle::new(SocketKind::Stream);
        assert_eq!(life.query(), Err(WsaError::NotConn));
        life.connect().unwrap();
        life.completed_connect(false);
        assert_eq!(life.query(), Err(WsaError::NotConn));
        let mut life = connected(SocketKind::Stream);
        assert_eq!(life.query(), Ok(()));
        life.completed_reset();
        assert_eq!(life.query(), Err(WsaError::ConnReset));
    }

    #[test]
    fn a_refused_operation_changes_nothing() {
        let mut life = Lifecycle::new(SocketKind::Datagram);
        assert!(life.set_peer_target_name(anyone()).is_err());
        assert!(!life.is_secured());
        assert_eq!(life.listen(), Err(WsaError::OpNotSupp));
        assert_eq!(life.accept(), Err(WsaError::Inval));
        assert_eq!(life.stage(), Stage::Fresh);
    }
}
