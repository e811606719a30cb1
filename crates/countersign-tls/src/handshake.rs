//! A handshake of TLS 1.3, up to the point where records are ours.
//!
//! rustls does all of it. It is driven over buffers that we own (its unbuffered interface), because only
//! that way leads to its `KernelConnection`, which keeps the secrets when the records are ours.

use std::io;

use countersign_core::HandshakeError;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};
use rustls::{CommonState, Error};

use crate::error::from_rustls;
use crate::record::Records;

/// A handshake on its way, and what it has to say to the peer.
pub(crate) struct Handshake {
    side: Side,
    outgoing: Vec<u8>,
    sent: usize,
    /// How much of the wire rustls has seen and not used: the beginning of a message.
    seen: usize,
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What came of input.
#[derive(Debug)]
pub(crate) struct Progress {
    /// How many bytes from the front of the wire are done with.
    pub(crate) used: usize,
    /// Why the handshake is over, if it failed.
    pub(crate) result: Result<(), Error>,
}

/// What rustls waits for.
enum Next {
    Again,
    Input,
}

impl Handshake {
    /// Starts as a client; its greeting waits to be transmitted.
    pub(crate) fn client(connection: UnbufferedClientConnection) -> Self {
        Self { side: Side::Client(connection), outgoing: Vec::new(), sent: 0, seen: 0 }
    }

    /// Starts as a server.
    pub(crate) fn server(connection: UnbufferedServerConnection) -> Self {
        Self { side: Side::Server(connection), outgoing: Vec::new(), sent: 0, seen: 0 }
    }

    /// Takes input from the front of `wire`; what it does not use must be there again at the next
    /// call, as this one left it, with more behind it.
    ///
    /// It stops where the handshake is over, so that what follows is left for [`Records`].
    pub(crate) fn process(&mut self, wire: &mut [u8]) -> Progress {
        let mut used = 0;
        let mut end = self.seen.min(wire.len());
        let result = loop {
            let window = wire.get_mut(used..end.max(used)).unwrap_or_default();
            let (discarded, next) = match &mut self.side {
                Side::Client(it) => step(it.process_tls_records(window), &mut self.outgoing),
                Side::Server(it) => step(it.process_tls_records(window), &mut self.outgoing),
            };
            used += discarded;
            end = end.max(used);
            match next {
                Ok(Next::Again) => {}
                Ok(Next::Input) => {
                    if !self.common().is_handshaking() {
                        break Ok(());
                    }
                    // One record more, so that none after the last of the handshake is opened here.
                    match record_length(wire.get(end..).unwrap_or_default()) {
                        Some(length) => end += length,
                        None => break Ok(()),
                    }
                }
                Err(error) => {
                    // The alert for the peer, as far as there is one. rustls remembers where it was in
                    // the window, so that must be there still.
                    let window = wire.get_mut(used..end).unwrap_or_default();
                    let _ = match &mut self.side {
                        Side::Client(it) => {
                            step(it.process_tls_records(window), &mut self.outgoing)
                        }
                        Side::Server(it) => {
                            step(it.process_tls_records(window), &mut self.outgoing)
                        }
                    };
                    break Err(error);
                }
            }
        };
        self.seen = end - used;
        Progress { used, result }
    }

    /// Returns what rustls knows of the connection.
    pub(crate) fn common(&self) -> &CommonState {
        match &self.side {
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    /// Returns whether this end is the client.
    pub(crate) fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Becomes the records of the conversation; what waits to be transmitted comes first.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] unless the handshake is over.
    pub(crate) fn into_records(self) -> Result<Records, HandshakeError> {
        let failed = |error: Error| from_rustls(&error);
        let waiting = self.outgoing.get(self.sent..).unwrap_or_default();
        match self.side {
            Side::Client(it) => {
                let (secrets, kernel) = it.dangerous_into_kernel_connection().map_err(failed)?;
                Records::client(&secrets, kernel, waiting)
            }
            Side::Server(it) => {
                let (secrets, kernel) = it.dangerous_into_kernel_connection().map_err(failed)?;
                Records::server(&secrets, kernel, waiting)
            }
        }
    }

    /// Returns whether something waits for [`Self::transmit`].
    pub(crate) fn wants_transmit(&self) -> bool {
        self.sent < self.outgoing.len() && !self.has_only_tickets()
    }

    /// Returns whether what is left to say is a server's tickets: the last word of a handshake is
    /// the client's, so nothing else is. They are for the records to send ([`Records::server`]).
    fn has_only_tickets(&self) -> bool {
        !self.is_client() && !self.common().is_handshaking()
    }

    /// Writes what waits for the peer, as much as `wire` takes in one call.
    ///
    /// # Errors
    ///
    /// Those of `wire`; nothing is lost.
    pub(crate) fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        if self.has_only_tickets() {
            return Ok(0);
        }
        let waiting = self.outgoing.get(self.sent..).unwrap_or_default();
        let count = wire.write(waiting)?.min(waiting.len());
        self.sent += count;
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
        Ok(count)
    }
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").field("is_client", &self.is_client()).finish_non_exhaustive()
    }
}

/// Does what one state of rustls asks for.
fn step<D>(
    UnbufferedStatus { discard, state }: UnbufferedStatus<'_, '_, D>,
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Next, Error>) {
    let next = match state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut message)) => {
            let size = match message.encode(&mut []) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    required_size
                }
                _ => 0,
            };
            let start = outgoing.len();
            outgoing.resize(start + size, 0);
            match message.encode(outgoing.get_mut(start..).unwrap_or_default()) {
                Ok(written) => {
                    outgoing.truncate(start + written);
                    Ok(Next::Again)
                }
                Err(error) => Err(Error::General(error.to_string())),
            }
        }
        // It waits in a buffer of ours, so rustls may go on.
        Ok(ConnectionState::TransmitTlsData(state)) => {
            state.done();
            Ok(Next::Again)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(Next::Input),
        // The peer ended its direction in the middle of the handshake.
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
            Err(Error::AlertReceived(rustls::AlertDescription::CloseNotify))
        }
        // There is no early data, and no data is looked at here.
        Ok(_) => Err(Error::General("data during the handshake".to_owned())),
    };
    (discard, next)
}

/// Returns the length of the first record of `wire`, if it is whole. What can be none at all is not
/// waited for: rustls gets it, and says what is wrong.
fn record_length(wire: &[u8]) -> Option<usize> {
    /// With the expansion that TLS 1.2 permitted (RFC 5246 section 6.2.3).
    const LARGEST: usize = (1 << 14) + 2048;
    let may_be_record = match wire {
        [] => return None,
        [kind] => (20..=23).contains(kind),
        [kind, major, ..] => (20..=23).contains(kind) && *major == 3,
    };
    match wire {
        _ if !may_be_record => Some(wire.len()),
        [_, _, _, high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            match length {
                1..=LARGEST => (rest.len() >= length).then_some(5 + length),
                _ => Some(wire.len()),
            }
        }
        _ => None,
    }
}
