//! The records of a TLS 1.3 conversation whose handshake is over (RFC 8446 section 5).
//!
//! rustls keeps what is hard to get right and rarely used: the handshake, the secrets behind the
//! keys and how each follows from the one before, the tickets (its `KernelConnection`). What is here is the
//! path that every byte takes, because rustls copies and allocates on it: plaintext is sealed straight from
//! the caller's buffer into the one that the socket sends from, and records are opened straight
//! from the buffer that the socket filled into the caller's, or in place where they do not fit.
//!
//! ```text
//!   plaintext ── seal ──▶ Sealer (outgoing batch) ── transmit ──▶ wire
//!   plaintext ◀── open ── Opener ◀────────────────────────────── wire
//!                            │ key updates, tickets, alerts
//!                            ▼
//!                         Secrets (rustls)
//! ```

mod alert;

mod key;

mod open;

mod pieces;
pub(crate) use pieces::Pieces;

mod post;

mod seal;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod tickets;

use std::io;

use countersign_core::HandshakeError;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ExtractedSecrets};

use crate::Opened;
use crate::error::from_rustls;
use alert::Alert;
use key::Key;
use open::{Opener, Record};
use post::{Message, Messages};
use seal::Sealer;

/// The most plaintext in one record (RFC 8446 section 5.1).
const PLAIN: usize = 1 << 14;

/// Content types (RFC 8446 section 5.1).
mod content {
    pub(super) const ALERT: u8 = 21;
    pub(super) const HANDSHAKE: u8 = 22;
    pub(super) const APPLICATION_DATA: u8 = 23;
}

/// How many records without application data a peer may send in a row: key updates, tickets,
/// warnings, empty ones. Each costs us work and gives the caller nothing.
const IDLE_RECORDS: u32 = 64;

/// What rustls keeps of a conversation.
enum Secrets {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// A direction of the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receive,
    Transmit,
}

impl Secrets {
    /// Returns the key that follows on the present one.
    fn next_key(&mut self, direction: Direction) -> Result<Key, HandshakeError> {
        let next = match (self, direction) {
            (Self::Client(it), Direction::Receive) => it.update_rx_secret(),
            (Self::Client(it), Direction::Transmit) => it.update_tx_secret(),
            (Self::Server(it), Direction::Receive) => it.update_rx_secret(),
            (Self::Server(it), Direction::Transmit) => it.update_tx_secret(),
        };
        let (sequence, secrets) = next.map_err(|error| from_rustls(&error))?;
        Key::new(sequence, &secrets)
    }
}

/// What came of [`Records::open`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How many bytes of the wire were used up.
    pub(crate) wire: usize,
    /// What was found.
    pub(crate) found: Opened,
}

/// The records of one conversation, in both directions.
pub(crate) struct Records {
    secrets: Secrets,
    sealer: Sealer,
    opener: Opener,
    messages: Messages,
    /// Whether tickets are of use, and the last that has arrived.
    wants_tickets: bool,
    ticket: Option<Vec<u8>>,
    /// The peer asked for fresh keys of ours, and has not got them.
    owes_update: bool,
    /// How often the keys of either direction have changed.
    updates: u64,
    /// How many records without application data came in a row.
    idle: u32,
    peer_has_closed: bool,
    has_closed: bool,
    failure: Option<HandshakeError>,
}

impl Records {
    /// Goes on where a client's handshake ended; `waiting` is what it still has to say.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] for a suite that is none of TLS 1.3's AEADs.
    pub(crate) fn client(
        secrets: &ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
        waiting: &[u8],
    ) -> Result<Self, HandshakeError> {
        let limit = confidentiality_limit(kernel.negotiated_cipher_suite())?;
        Self::new(secrets, Secrets::Client(kernel), limit, waiting)
    }

    /// Goes on where a server's handshake ended; `waiting` goes with what it says next.
    ///
    /// # Errors
    ///
    /// As [`Self::client`].
    pub(crate) fn server(
        secrets: &ExtractedSecrets,
        kernel: KernelConnection<ServerConnectionData>,
        waiting: &[u8],
    ) -> Result<Self, HandshakeError> {
        let limit = confidentiality_limit(kernel.negotiated_cipher_suite())?;
        let mut records = Self::new(secrets, Secrets::Server(kernel), limit, waiting)?;
        // What a server has left to say is a ticket (the client has spoken last). Sent at once, it
        // would cost a packet, wake the client for nothing, and reset the connection of one that
        // says something and leaves without listening.
        records.sealer.hold_back();
        Ok(records)
    }

    fn new(
        secrets: &ExtractedSecrets,
        keeper: Secrets,
        limit: u64,
        waiting: &[u8],
    ) -> Result<Self, HandshakeError> {
        let ExtractedSecrets { tx: (sent, ours), rx: (received, theirs) } = secrets;
        Ok(Self {
            sealer: Sealer::new(Key::new(*sent, ours)?, limit, waiting),
            opener: Opener::new(Key::new(*received, theirs)?),
            secrets: keeper,
            messages: Messages::default(),
            wants_tickets: false,
            ticket: None,
            owes_update: false,
            updates: 0,
            idle: 0,
            peer_has_closed: false,
            has_closed: false,
            failure: None,
        })
    }

    /// Takes plaintext to protect, and returns how much of it was taken: no more than one batch
    /// beside what still waits to be transmitted, and none after an end.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> usize {
        self.seal_pieces(Pieces::one(plain))
    }

    /// As [`Self::seal`], of plaintext in several slices.
    pub(crate) fn seal_pieces(&mut self, mut plain: Pieces<'_>) -> usize {
        if self.has_closed || self.failure.is_some() {
            return 0;
        }
        let mut taken = 0;
        while !plain.is_empty() && self.sealer.has_room() {
            let sealed = match self.refresh_if_due() {
                Ok(()) => self.sealer.seal_data(&mut plain),
                Err(error) => Err(error),
            };
            match sealed {
                Ok(count) => taken += count,
                Err(error) => {
                    self.failure = Some(error);
                    break;
                }
            }
        }
        taken
    }

    /// Opens what has arrived in `wire`, as much as fits into `into`. If nothing fits, it goes on to
    /// where application data begins.
    ///
    /// What [`Taken::wire`] says must be taken off the front of the wire; the rest must be there at
    /// the next call as this one left it, since a record that did not fit is in it, opened.
    ///
    /// # Errors
    ///
    /// Whatever ended the conversation; plaintext that arrived before is handed out first.
    pub(crate) fn open(
        &mut self,
        wire: &mut [u8],
        into: &mut [u8],
    ) -> Result<Taken, HandshakeError> {
        let mut used = 0;
        let mut filled = 0;
        let found = loop {
            if filled == into.len() && (filled > 0 || self.opener.has_rest()) {
                break Opened::Data(filled);
            }
            let rest = wire.get_mut(used..).unwrap_or_default();
            let room = into.get_mut(filled..).unwrap_or_default();
            if let Some(count) = self.opener.take_rest(rest, room) {
                used += count.wire;
                filled += count.plain;
                continue;
            }
            if let Some(error) = &self.failure {
                if filled > 0 {
                    break Opened::Data(filled);
                }
                return Err(error.clone());
            }
            if self.peer_has_closed {
                break if filled > 0 { Opened::Data(filled) } else { Opened::Closed };
            }
            match self.opener.next(rest, room) {
                Ok(None) => {
                    break if filled > 0 { Opened::Data(filled) } else { Opened::Starved };
                }
                Ok(Some((count, record))) => {
                    used += count;
                    match self.handle(record) {
                        Ok(count) => filled += count,
                        Err(alert) => self.fail(alert),
                    }
                }
                Err(alert) => self.fail(alert),
            }
        };
        Ok(Taken { wire: used, found })
    }

    /// Acts on a record, and returns how much plaintext it brought.
    fn handle(&mut self, record: Record<'_>) -> Result<usize, Alert> {
        match record {
            Record::Data(0) if !self.opener.has_rest() => self.note_idle()?,
            Record::Data(count) => {
                self.idle = 0;
                self.messages.check_whole()?;
                return Ok(count);
            }
            Record::Alert(body) => {
                self.messages.check_whole()?;
                self.note_idle()?;
                match alert::read(body)? {
                    alert::Read::CloseNotify => self.peer_has_closed = true,
                    alert::Read::Warning => {}
                    alert::Read::Fatal(error) => self.failure = Some(error),
                }
            }
            Record::Handshake(body) => {
                self.note_idle()?;
                self.messages.take(body)?;
                while let Some(message) = self.messages.next()? {
                    match message {
                        Message::KeyUpdate { asks_for_ours } => {
                            self.messages.check_whole()?;
                            let key = self.next_key(Direction::Receive)?;
                            self.opener.replace_key(key);
                            self.owes_update |= asks_for_ours;
                        }
                        Message::Ticket(ticket) if matches!(self.secrets, Secrets::Client(_)) => {
                            self.note_ticket(ticket);
                        }
                        Message::Ticket(_) => {
                            return Err(Alert::unexpected("a ticket, which servers send"));
                        }
                    }
                }
            }
        }
        Ok(0)
    }

    /// Lets tickets be kept from now on.
    pub(crate) fn want_tickets(&mut self) {
        self.wants_tickets = true;
    }

    fn note_ticket(&mut self, ticket: Vec<u8>) {
        /// Ours with a client's chain in it have up to 16 KiB, and come back in a greeting.
        const LARGEST: usize = 17 * 1024;
        // Who says that it is good for no time wants it thrown away, which rustls does not (RFC
        // 8446 section 4.6.1).
        let is_good_for_no_time = ticket.starts_with(&[0; 4]);
        if self.wants_tickets && ticket.len() <= LARGEST && !is_good_for_no_time {
            self.ticket = Some(ticket);
        }
    }

    /// Returns whether there is a ticket to take.
    pub(crate) fn has_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    /// Takes the last ticket that has arrived.
    pub(crate) fn take_ticket(&mut self) -> Option<Vec<u8>> {
        self.ticket.take()
    }

    /// Lets rustls make a session of a ticket; one that cannot be read ends the conversation.
    pub(crate) fn remember(&mut self, ticket: &[u8]) {
        let Secrets::Client(kernel) = &mut self.secrets else { return };
        if kernel.handle_new_session_ticket(ticket).is_err() && self.failure.is_none() {
            self.fail(Alert::malformed("a ticket"));
        }
    }

    fn note_idle(&mut self) -> Result<(), Alert> {
        self.idle += 1;
        if self.idle > IDLE_RECORDS {
            return Err(Alert::unexpected("many records in a row that carry no data"));
        }
        Ok(())
    }

    fn next_key(&mut self, direction: Direction) -> Result<Key, Alert> {
        self.updates += 1;
        self.secrets.next_key(direction).map_err(Alert::internal)
    }

    /// Changes our key if the peer asked for that, or if the present one has protected what it may.
    fn refresh_if_due(&mut self) -> Result<(), HandshakeError> {
        if self.owes_update || self.sealer.is_key_worn() {
            self.refresh()?;
        }
        Ok(())
    }

    /// Changes our key, and asks the peer to change its own.
    ///
    /// # Errors
    ///
    /// As [`Self::refresh`]; whatever ended the conversation.
    pub(crate) fn request_update(&mut self) -> Result<(), HandshakeError> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        if self.has_closed {
            let what = "a direction that is still open".to_owned();
            return Err(HandshakeError::NothingShared { what });
        }
        self.sealer.seal(content::HANDSHAKE, &post::KEY_UPDATE_BOTH)?;
        self.change_own_key()
    }

    /// Changes our key, and tells the peer (KeyUpdate, RFC 8446 section 4.6.3).
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if that cannot be.
    pub(crate) fn refresh(&mut self) -> Result<(), HandshakeError> {
        self.sealer.seal(content::HANDSHAKE, &post::KEY_UPDATE)?;
        self.change_own_key()
    }

    fn change_own_key(&mut self) -> Result<(), HandshakeError> {
        self.updates += 1;
        self.sealer.replace_key(self.secrets.next_key(Direction::Transmit)?);
        self.owes_update = false;
        Ok(())
    }

    /// Ends the conversation, and tells the peer why.
    fn fail(&mut self, Alert { code, error }: Alert) {
        self.opener.forget_rest();
        if !self.has_closed {
            self.has_closed = true;
            // The error is the same if it cannot be told.
            let _ = self.sealer.seal(content::ALERT, &alert::fatal(code));
        }
        self.failure = Some(error);
    }

    /// Ends the conversation with a peer that is not let in, and tells it (access_denied).
    pub(crate) fn refuse(&mut self, error: HandshakeError) {
        self.fail(Alert { code: AlertDescription::AccessDenied.into(), error });
    }

    /// Tells the peer that we will send no more (close_notify).
    pub(crate) fn close(&mut self) {
        if !self.has_closed && self.failure.is_none() {
            self.has_closed = true;
            if let Err(error) = self.sealer.seal(content::ALERT, &alert::CLOSE_NOTIFY) {
                self.failure = Some(error);
            }
        }
    }

    /// Ends our direction, and takes back what has not gone out.
    pub(crate) fn abort(&mut self) {
        if self.sealer.forget_data() {
            self.has_closed = true;
        } else {
            self.close();
        }
    }

    /// Returns why the conversation ended, if something failed.
    pub(crate) fn failure(&self) -> Option<&HandshakeError> {
        self.failure.as_ref()
    }

    /// Returns whether the peer said that it will send no more.
    pub(crate) fn peer_has_closed(&self) -> bool {
        self.peer_has_closed
    }

    /// Returns whether [`Self::open`] has something to say without more of the wire: the rest of a
    /// record, the end, an error.
    pub(crate) fn has_more(&self) -> bool {
        self.opener.has_rest() || self.peer_has_closed || self.failure.is_some()
    }

    /// Returns how often the keys have changed, of either direction.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Returns whether something waits for [`Self::transmit`].
    pub(crate) fn wants_transmit(&self) -> bool {
        !self.sealer.is_empty() || (self.owes_update && !self.has_closed && self.failure.is_none())
    }

    /// Writes what waits for the peer, as much as `wire` takes in one call.
    ///
    /// # Errors
    ///
    /// Those of `wire`; nothing is lost.
    pub(crate) fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        // Answered once however often it is asked, so that a peer that asks and does not read
        // makes nothing grow.
        if self.sealer.is_empty()
            && self.owes_update
            && !self.has_closed
            && let Err(error) = self.refresh()
        {
            self.owes_update = false;
            self.failure = Some(error);
        }
        self.sealer.transmit(wire)
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("updates", &self.updates)
            .field("peer_has_closed", &self.peer_has_closed)
            .field("has_closed", &self.has_closed)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Returns how many records one key may protect: what the suite allows (RFC 8446 section 5.5), and
/// never so many that the sequence number comes near its end.
fn confidentiality_limit(suite: rustls::SupportedCipherSuite) -> Result<u64, HandshakeError> {
    const FAR: u64 = 1 << 48;
    match suite.tls13() {
        Some(suite) => Ok(suite.common.confidentiality_limit.min(FAR)),
        None => Err(HandshakeError::OurSide { what: "no suite of TLS 1.3".to_owned() }),
    }
}
