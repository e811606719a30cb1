//! What a socket needs whose descriptor and clock are someone else's.

use std::os::fd::OwnedFd;
use std::time::Instant;

use countersign_sys::{Exclusive, Progress};

use super::{Socket, State};
use crate::core::{HandshakeError, KerberosFailure, Lifecycle, SocketKind, TargetTable, WsaError};
use crate::{Context, Error, TcpListener};

impl Socket {
    /// Takes over a TCP socket that was made elsewhere: fresh, bound, or listening. Nothing is
    /// secured until security or a name is set.
    ///
    /// # Errors
    ///
    /// [`Error::Order`] with `WSAEISCONN` if it has a peer; [`Error::Io`] if it is no TCP socket.
    pub fn adopt(context: &Context, descriptor: OwnedFd) -> Result<Self, Error> {
        let failed = || Error::io("take over a socket");
        let adopted = countersign_sys::adopt(descriptor).map_err(failed())?;
        let mut life = Lifecycle::new(SocketKind::Stream);
        let state = match adopted.progress {
            Progress::Connected => {
                let why = "the socket is connected";
                return Err(Error::Order {
                    doing: "take over a socket",
                    why,
                    wsa: WsaError::IsConn,
                });
            }
            Progress::Fresh => State::Open(adopted.socket, None),
            Progress::Bound => {
                life.completed_bind();
                State::Open(adopted.socket, Some(Exclusive::ALREADY))
            }
            Progress::Listening => {
                life.completed_listen();
                let names = TargetTable::default();
                let socket = adopted.socket.into();
                State::Listener(TcpListener::new(socket, context.clone(), None, names)?)
            }
        };
        let is_bound = !matches!(adopted.progress, Progress::Fresh);
        let mut socket = Self::new(context, life, None, state);
        socket.local = is_bound.then_some(adopted.local);
        Ok(socket)
    }

    /// Returns when what is under way on a non-blocking socket has taken as long as it may;
    /// [`Self::expire`] then does what a blocking one would do. `None` is never.
    pub fn deadline(&self) -> Option<Instant> {
        let limits = self.context.current().policy.limits();
        match &self.state {
            State::Connecting(..) => {
                let time = self.connect_timeout.unwrap_or(limits.connect_timeout);
                self.started?.checked_add(time)
            }
            State::Preparing(preparing, _) => {
                let time = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
                preparing.started.checked_add(time)
            }
            State::Handshaking(handshake, ..) | State::Working(handshake, ..) => {
                let time = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
                handshake.deadline(time, limits.insecure_after)
            }
            _ => None,
        }
    }

    /// Ends what is under way on a non-blocking socket because its time is over. With
    /// `ALLOW_INSECURE`, a peer that never said a word counts as one that cannot do security, and
    /// a connection in clear is then under way.
    ///
    /// # Errors
    ///
    /// As [`Self::finish_connect`].
    pub fn expire(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.state, State::Spent) {
            State::Connecting(_, address, _) => {
                let source = std::io::ErrorKind::TimedOut.into();
                let doing = format!("connect to {address}");
                self.or_failed(Err(Error::Io { doing, source }))
            }
            State::Preparing(_, address) => {
                let limits = self.context.current().policy.limits();
                let after = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
                self.or_refused(address, Err(KerberosFailure::TimedOut { after }))
            }
            State::Handshaking(handshake, _, address) | State::Working(handshake, _, address) => {
                let limits = self.context.current().policy.limits();
                let after = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
                self.settle(handshake.give_up(HandshakeError::TimedOut { after }), address)
            }
            other => {
                self.state = other;
                Ok(())
            }
        }
    }

    /// Returns whether there is a connection.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Stream(_))
    }

    /// Returns whether it listens.
    pub fn is_listening(&self) -> bool {
        matches!(self.state, State::Listener(_))
    }
}
