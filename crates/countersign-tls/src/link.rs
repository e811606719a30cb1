//! What an engine talks through: a connection of rustls, or before it a server's look at the client.

use std::io;
use std::sync::Arc;

use rustls::server::{Accepted, Acceptor};
use rustls::{Connection, Error, ServerConnection};

use crate::config::PROOF_PROTOCOL;

/// A connection, or what is there before and instead of one.
///
/// A server that offers a proof inside the connection must look at what the client offers before
/// it chooses a configuration: with a protocol of its own configured, rustls would refuse clients
/// that offer others only (RFC 7301 section 3.2), and browsers do.
#[derive(Debug)]
pub(crate) enum Link {
    /// No client has greeted yet.
    Greeting(Greeting),
    /// The conversation is under way.
    Running(Connection),
    /// It ended with the greeting; these bytes tell the client why.
    Ended(Vec<u8>),
}

/// A server's look at the client.
#[derive(Default)]
pub(crate) struct Greeting(Acceptor);

/// What a client offers.
pub(crate) struct Client {
    accepted: Accepted,
    /// Whether it offers a proof inside the connection.
    pub(crate) offers_proof: bool,
}

impl Greeting {
    /// Looks at what has arrived; `None` until it is a whole greeting.
    ///
    /// # Errors
    ///
    /// Why it is none, and the alert for the client.
    pub(crate) fn look(&mut self) -> Result<Option<Client>, (Error, Vec<u8>)> {
        let accepted = self.0.accept().map_err(|(error, mut alert)| {
            let mut words = Vec::new();
            // It writes into memory.
            let _ = alert.write_all(&mut words);
            (error, words)
        })?;
        Ok(accepted.map(|accepted| {
            let offered = accepted.client_hello().alpn();
            let offers_proof =
                offered.is_some_and(|mut offered| offered.any(|it| it == PROOF_PROTOCOL));
            Client { accepted, offers_proof }
        }))
    }
}

impl Client {
    /// Answers the greeting.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and the alert for the client.
    pub(crate) fn answer(
        self,
        config: &Arc<rustls::ServerConfig>,
    ) -> Result<ServerConnection, (Error, Vec<u8>)> {
        self.accepted.into_connection(config.clone()).map_err(|(error, mut alert)| {
            let mut words = Vec::new();
            let _ = alert.write_all(&mut words);
            (error, words)
        })
    }
}

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Greeting")
    }
}

/// Says to a client that no protocol that it offers is spoken here (RFC 7301 section 3.2), before
/// there are any keys: a fatal alert, number 120 (RFC 8446 section 6).
pub(crate) const NO_APPLICATION_PROTOCOL: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 120];

impl Link {
    /// Returns the connection, if there is one.
    pub(crate) fn running(&self) -> Option<&Connection> {
        match self {
            Self::Running(connection) => Some(connection),
            _ => None,
        }
    }

    /// Returns the connection, if there is one.
    pub(crate) fn running_mut(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Running(connection) => Some(connection),
            _ => None,
        }
    }

    /// Takes bytes of the peer.
    pub(crate) fn read(&mut self, wire: &mut &[u8]) -> io::Result<usize> {
        match self {
            Self::Greeting(greeting) => greeting.0.read_tls(wire),
            Self::Running(connection) => connection.read_tls(wire),
            Self::Ended(_) => Ok(0),
        }
    }

    pub(crate) fn wants_transmit(&self) -> bool {
        match self {
            Self::Greeting(_) => false,
            Self::Running(connection) => connection.wants_write(),
            Self::Ended(words) => !words.is_empty(),
        }
    }

    pub(crate) fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        match self {
            Self::Greeting(_) => Ok(0),
            Self::Running(connection) => connection.write_tls(wire),
            Self::Ended(words) => {
                let count = wire.write(words)?;
                words.drain(..count.min(words.len()));
                Ok(count)
            }
        }
    }
}
