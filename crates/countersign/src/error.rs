//! What can go wrong, and who must act.

use std::io;
use std::net::SocketAddr;

use crate::core::{
    Fault, HandshakeError, KerberosFailure, NameError, PlanError, PolicyError, WsaError,
};
use crate::identity::IdentityError;
use crate::rights::RightsError;

/// Why an operation on a socket failed: what happened (`Display`), who must act
/// ([`Self::fault`]), and what to try ([`Self::hint`]).
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer could not be authenticated, or refused us.
    #[error("{peer}: {source}")]
    Handshake {
        /// Where the peer is.
        peer: SocketAddr,
        /// Why.
        source: HandshakeError,
    },
    /// Our own keys, certificates or anchors cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The operating system refused.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, with the address or path.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Our own tickets or keys cannot be used.
    #[error(transparent)]
    Kerberos(#[from] KerberosFailure),
    /// A text is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A listener has no certificate to show.
    #[error("cannot listen: there is no certificate to prove who we are")]
    NoCertificate,
    /// A listener is to prove itself by Kerberos, and no policy says as which service.
    #[error("cannot listen: Kerberos is to prove who we are, and no service is named")]
    NoService,
    /// The operation is not legal in this state of the socket.
    #[error("cannot {doing}: {why}")]
    Order {
        /// What was tried.
        doing: &'static str,
        /// Why it is not legal now.
        why: &'static str,
        /// The Winsock number for it.
        wsa: WsaError,
    },
    /// Policy and the program's settings leave no way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The policy cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Nobody can act with the rights of the peer.
    #[error(transparent)]
    Rights(#[from] RightsError),
}

impl Error {
    /// Returns who must act for the next attempt to succeed.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Handshake { source, .. } => source.fault(),
            Self::Identity(error) => error.fault(),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::TimedOut => Fault::Peer,
                io::ErrorKind::InvalidInput => Fault::Caller,
                _ => Fault::Host,
            },
            Self::Kerberos(error) => error.fault(),
            Self::Name(error) => error.fault(),
            Self::NoCertificate | Self::NoService => Fault::Host,
            Self::Order { .. } => Fault::Caller,
            Self::Plan(error) => error.fault(),
            Self::Policy(error) => error.fault(),
            Self::Rights(error) => error.fault(),
        }
    }

    /// Returns what to try.
    pub fn hint(&self) -> String {
        match self {
            Self::Handshake { source, .. } => source.hint(),
            Self::Identity(error) => error.hint(),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset => {
                    "the peer ended the connection: what it logged says why"
                }
                io::ErrorKind::ConnectionRefused => {
                    "nothing listens there: check the address and port, and that the server runs"
                }
                io::ErrorKind::AddrInUse => {
                    "another socket holds that port, and a secured one is never shared: stop the \
                     other, or choose another port"
                }
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need root or CAP_NET_BIND_SERVICE"
                }
                io::ErrorKind::TimedOut => "check the route and the firewall, or the time-out",
                io::ErrorKind::NotFound => "check that it exists",
                _ => "run `countersign doctor`",
            }
            .to_owned(),
            Self::Kerberos(error) => error.hint(),
            Self::Name(error) => error.hint().to_owned(),
            Self::NoService => {
                "name the services of this server in the policy: kerberos.services = \
                 [\"class/host\"]"
                    .to_owned()
            }
            Self::NoCertificate => {
                "make one with `countersign identity issue NAME`, or name certificate and key in \
                 the policy's [identity]"
                    .to_owned()
            }
            Self::Order { .. } => {
                "the order is: security, names, bind, then connect or listen".to_owned()
            }
            Self::Plan(error) => error.hint().to_owned(),
            Self::Policy(error) => error.hint().to_owned(),
            Self::Rights(error) => error.hint(),
        }
    }

    /// Returns the Winsock number (SPEC 3).
    pub fn wsa(&self) -> WsaError {
        match self {
            Self::Handshake { source, .. } => source.wsa(),
            Self::Identity(_) | Self::NoCertificate | Self::NoService | Self::Policy(_) => {
                WsaError::Acces
            }
            Self::Kerberos(error) => error.wsa(),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => WsaError::AddrInUse,
                io::ErrorKind::ConnectionAborted => WsaError::ConnAborted,
                io::ErrorKind::ConnectionRefused => WsaError::ConnRefused,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => WsaError::ConnReset,
                io::ErrorKind::InvalidInput => WsaError::Inval,
                io::ErrorKind::NotConnected => WsaError::NotConn,
                io::ErrorKind::PermissionDenied => WsaError::Acces,
                io::ErrorKind::TimedOut => WsaError::TimedOut,
                io::ErrorKind::WouldBlock => WsaError::WouldBlock,
                _ => WsaError::SysCallFailure,
            },
            Self::Name(error) => error.wsa(),
            Self::Order { wsa, .. } => *wsa,
            Self::Plan(error) => error.wsa(),
            Self::Rights(error) => error.wsa(),
        }
    }

    /// Returns whether the operation is under way, or would have had to wait, on a non-blocking
    /// socket.
    pub fn is_would_block(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }
}

impl From<Error> for io::Error {
    /// Keeps the error inside, where `get_ref` and `downcast_ref` find it.
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Handshake { source, .. } => match source {
                HandshakeError::TimedOut { .. }
                | HandshakeError::Kerberos(KerberosFailure::TimedOut { .. }) => {
                    io::ErrorKind::TimedOut
                }
                HandshakeError::Truncated => io::ErrorKind::UnexpectedEof,
                HandshakeError::Changed { .. } | HandshakeError::RefusedByPeer { .. } => {
                    io::ErrorKind::ConnectionAborted
                }
                HandshakeError::Protocol { .. } | HandshakeError::NotTls { .. } => {
                    io::ErrorKind::InvalidData
                }
                _ => io::ErrorKind::PermissionDenied,
            },
            Error::Io { source, .. } => source.kind(),
            Error::Name(_) | Error::Order { .. } | Error::Policy(_) => io::ErrorKind::InvalidInput,
            Error::Identity(_)
            | Error::Kerberos(_)
            | Error::NoCertificate
            | Error::NoService
            | Error::Plan(_)
            | Error::Rights(_) => io::ErrorKind::PermissionDenied,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::Error;
    use crate::core::Fault;

    #[test]
    fn a_peer_that_is_gone_is_at_fault() {
        for kind in
            [ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset]
        {
            let error = Error::io("write")(io::Error::from(kind));
            assert_eq!(error.fault(), Fault::Peer, "{kind}");
            assert!(error.hint().starts_with("the peer ended the connection"), "{kind}");
        }
    }
}
