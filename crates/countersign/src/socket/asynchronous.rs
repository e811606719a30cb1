//! What an event loop must know of a socket that is being connected.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Socket, State};
use crate::core::{HandshakeError, KerberosFailure};
use crate::{Context, Error};

impl Socket {
    /// Returns the context that the socket goes by.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Goes by this handle of its context from now on.
    pub(crate) fn replace_context(&mut self, context: Context) {
        if let State::Listener(listener) = &mut self.state {
            listener.replace_context(context.clone());
        }
        self.context = context;
    }

    /// Returns until when to wait for a connection whose present stage began at `entered`;
    /// `None` is for ever.
    pub(crate) fn stage_deadline(&self, entered: Instant) -> Option<Instant> {
        let limits = self.context.current().policy.limits();
        let handshake_time = self.handshake_timeout.unwrap_or(limits.handshake_timeout);
        match &self.state {
            State::Preparing(preparing, _) => preparing.started.checked_add(handshake_time),
            State::Handshaking(handshake, ..) | State::Working(handshake, ..) => {
                handshake.deadline(handshake_time, limits.insecure_after)
            }
            _ => entered.checked_add(self.connect_timeout.unwrap_or(limits.connect_timeout)),
        }
    }

    /// Acts on a deadline that is over. As [`Self::finish_connect`], since a peer that cannot do
    /// security may still be met in clear, if that is permitted.
    pub(crate) fn expire(&mut self, address: SocketAddr) -> Result<(), Error> {
        let policy = self.context.current().policy.limits().handshake_timeout;
        let after = self.handshake_timeout.unwrap_or(policy);
        match std::mem::replace(&mut self.state, State::Spent) {
            State::Preparing(..) => {
                self.or_refused(address, Err(KerberosFailure::TimedOut { after }))
            }
            State::Handshaking(handshake, ..) | State::Working(handshake, ..) => {
                self.settle(handshake.give_up(HandshakeError::TimedOut { after }), address)?;
                self.finish_connect()
            }
            _ => {
                let doing = format!("connect to {address}");
                self.or_failed(Err(Error::io(doing)(io::ErrorKind::TimedOut.into())))
            }
        }
    }
}
