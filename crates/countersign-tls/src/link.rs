//! What an engine talks through, from the greeting on.

use std::io;

use countersign_core::HandshakeError;
use rustls::server::Acceptor;
use rustls::{AlertDescription, CommonState, Connection, Error};

use crate::config::PROOF_PROTOCOL;
use crate::error::from_rustls;
use crate::exporter::ExporterSecret;
use crate::handshake::Handshake;
use crate::record::Records;

/// What there is of a conversation.
///
/// A handshake that can only come to TLS 1.3 is followed by records of ours. Where policy lets in TLS
/// 1.2, rustls carries the records too: what is old and rare is not worth code of ours.
#[derive(Debug)]
pub(crate) enum Link {
    /// No client has greeted yet.
    Greeting(Box<Greeting>),
    /// A handshake of TLS 1.3.
    Handshake(Box<Handshake>),
    /// What follows on it.
    Records(Box<Records>),
    /// A connection of whatever version, carried by rustls.
    Buffered(Box<Connection>),
    /// It ended before there were keys; these bytes tell the peer why.
    Ended(Vec<u8>),
}

/// A server's look at what the client offers, before it chooses what to answer with.
///
/// A server that offers a proof inside the connection must do so: with a protocol of its own
/// configured, rustls would refuse clients that offer others only (RFC 7301 section 3.2), and
/// browsers do.
#[derive(Default)]
pub(crate) struct Greeting {
    acceptor: Acceptor,
    /// How much of the wire it has seen.
    seen: usize,
}

impl Greeting {
    /// Looks at the wire, of which nothing is used; returns whether the client offers a proof inside
    /// the connection, `None` until its greeting is whole.
    ///
    /// # Errors
    ///
    /// Why it is none, and the alert for the client.
    pub(crate) fn look(&mut self, wire: &[u8]) -> Result<Option<bool>, (Error, Vec<u8>)> {
        let mut fresh = wire.get(self.seen..).unwrap_or_default();
        while !fresh.is_empty() && matches!(self.acceptor.read_tls(&mut fresh), Ok(1..)) {}
        self.seen = wire.len() - fresh.len();
        let accepted = self.acceptor.accept().map_err(|(error, mut alert)| {
            let mut words = Vec::new();
            // It writes into memory.
            let _ = alert.write_all(&mut words);
            (error, words)
        })?;
        Ok(accepted.map(|accepted| {
            let offered = accepted.client_hello().alpn();
            offered.is_some_and(|mut offered| offered.any(|it| it == PROOF_PROTOCOL))
        }))
    }
}

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Greeting")
    }
}

/// A fatal alert from a side that has sealed nothing yet (RFC 8446 section 6).
pub(crate) fn alert_in_clear(alert: AlertDescription) -> Vec<u8> {
    vec![0x15, 3, 3, 0, 2, 2, alert.into()]
}

impl Link {
    /// Returns what rustls knows of the connection, while it carries it.
    pub(crate) fn common(&self) -> Option<&CommonState> {
        match self {
            Self::Handshake(handshake) => Some(handshake.common()),
            Self::Buffered(connection) => Some(connection),
            _ => None,
        }
    }

    /// Exports keying material for `label`, with an empty context.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if there is none to export.
    pub(crate) fn export<const SIZE: usize>(
        &self,
        secret: Option<&ExporterSecret>,
        label: &[u8],
    ) -> Result<[u8; SIZE], HandshakeError> {
        let suite = self.common().and_then(|common| common.negotiated_cipher_suite());
        match (self, secret, suite) {
            (Self::Buffered(connection), ..) => connection
                .export_keying_material([0; SIZE], label, None)
                .map_err(|error| from_rustls(&error)),
            (Self::Handshake(_), Some(secret), Some(suite)) => secret.export(suite, label),
            _ => {
                let what = "there is nothing to export keying material from".to_owned();
                Err(HandshakeError::OurSide { what })
            }
        }
    }

    /// Takes plaintext to protect, and returns how much of it was taken.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> usize {
        match self {
            Self::Records(records) => records.seal(plain),
            Self::Buffered(connection) => {
                io::Write::write(&mut connection.writer(), plain).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Tells the peer that we will send no more.
    pub(crate) fn close(&mut self) {
        match self {
            Self::Records(records) => records.close(),
            Self::Buffered(connection) => connection.send_close_notify(),
            _ => {}
        }
    }

    /// Ends records of ours with a peer that is not let in, and tells it; rustls tells only of its
    /// own reasons.
    pub(crate) fn refuse(&mut self, error: HandshakeError) {
        match self {
            Self::Records(records) => records.refuse(error),
            other => other.close(),
        }
    }

    pub(crate) fn wants_transmit(&self) -> bool {
        match self {
            Self::Greeting(_) => false,
            Self::Handshake(handshake) => handshake.wants_transmit(),
            Self::Records(records) => records.wants_transmit(),
            Self::Buffered(connection) => connection.wants_write(),
            Self::Ended(words) => !words.is_empty(),
        }
    }

    pub(crate) fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        match self {
            Self::Greeting(_) => Ok(0),
            Self::Handshake(handshake) => handshake.transmit(wire),
            Self::Records(records) => records.transmit(wire),
            Self::Buffered(connection) => connection.write_tls(wire),
            Self::Ended(words) => {
                let count = wire.write(words)?;
                words.drain(..count.min(words.len()));
                Ok(count)
            }
        }
    }
}
