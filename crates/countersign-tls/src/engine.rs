//! One TLS conversation, as a state machine without a socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use countersign_core::{
    Admission, Asked, Evidence, HandshakeError, Host, Mechanism, PeerName, SessionId, Timestamp,
};
use rustls::{ClientConnection, Connection, ProtocolVersion, ServerConnection};
use rustls_pki_types::ServerName;

use crate::config::{ClientConfig, ServerConfig};
use crate::credential::TrustAnchors;
use crate::error::from_rustls;
use crate::keys;
use crate::scope::{self, Answer, Question};
use crate::verify::{printable, verify_peer};

/// Sealed bytes that may wait to be transmitted, and the size of one write to the socket. Three
/// records: a fourth would pass one loopback segment and the 64 KiB of segmentation offload, which
/// was measured to cost two thirds of the throughput.
const TRANSMIT_LIMIT: usize = 48 * 1024;

/// How many records are sealed with the keys of a TLS 1.2 connection. At 2^24 the library says
/// that it closes, takes plaintext all the same and throws it away; we stop before, with room for
/// its alerts.
const TLS12_RECORDS: u64 = (1 << 24) - (1 << 16);

/// The most plaintext in one record (RFC 5246 section 6.2.1).
const RECORD: usize = 1 << 14;

/// One TLS conversation.
///
/// `handle_*` take what comes from the world, [`Self::poll`] says what became of the handshake,
/// [`Self::transmit`] gives what goes out. Plaintext passes by [`Self::seal`] and [`Self::open`],
/// and does so only once `poll` has handed out the [`Evidence`]. Every error is final.
#[derive(Debug)]
pub struct Engine {
    connection: Connection,
    question: Arc<Question>,
    answer: Option<Answer>,
    phase: Phase,
    /// Whether [`Self::poll`] has handed out the evidence, also if something failed later.
    is_evidence_out: bool,
    first_bytes: Vec<u8>,
    /// How many records may still be sealed, if this is TLS 1.2.
    tls12_records: u64,
    /// How often the traffic keys have changed.
    rekeys: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    Secured,
    Failed(HandshakeError),
}

/// Whether plaintext waits to be opened.
#[derive(PartialEq, Eq)]
enum Plaintext {
    None,
    Waits,
}

/// What became of the handshake.
#[non_exhaustive]
#[derive(Debug)]
pub enum Output {
    /// It is done: the peer is who it must be, and plaintext may flow. Said once.
    Secured(Box<Evidence>),
    /// It needs more input.
    Wait,
}

/// What [`Engine::open`] found.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// The peer said that it will send no more.
    Closed,
    /// This many bytes of plaintext.
    Data(usize),
    /// Nothing before more input.
    Starved,
}

impl Engine {
    /// Starts as the client that asks for a peer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if the library cannot start.
    pub fn client(
        config: &ClientConfig,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        let name = server_name(&asked);
        let question = Arc::new(Question::IsServer(asked));
        let (made, _) =
            scope::enter(Some(&question), now, || ClientConnection::new(config.0.clone(), name));
        Ok(Self::new(made.map_err(|error| from_rustls(&error))?.into(), question))
    }

    /// Starts as the server for a client at `peer`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if the library cannot start.
    pub fn server(
        config: &ServerConfig,
        admission: Arc<Admission>,
        peer: SocketAddr,
    ) -> Result<Self, HandshakeError> {
        let made = ServerConnection::new(config.0.clone()).map_err(|error| from_rustls(&error))?;
        Ok(Self::new(made.into(), Arc::new(Question::MayConnect(admission, peer))))
    }

    fn new(mut connection: Connection, question: Arc<Question>) -> Self {
        connection.set_buffer_limit(Some(TRANSMIT_LIMIT));
        Self {
            connection,
            question,
            answer: None,
            phase: Phase::Handshaking,
            is_evidence_out: false,
            first_bytes: Vec::new(),
            tls12_records: TLS12_RECORDS,
            rekeys: 0,
        }
    }

    /// Takes bytes that arrived from the peer, and returns how many it took. It takes fewer than
    /// all when plaintext waits to be opened, or when the peer has said that it is done.
    ///
    /// # Errors
    ///
    /// Fails when the peer breaks the protocol or proves nothing that we accept. An alert for the
    /// peer may then wait for [`Self::transmit`].
    pub fn handle_input(
        &mut self,
        mut wire: &[u8],
        now: Timestamp,
    ) -> Result<usize, HandshakeError> {
        if let Phase::Failed(error) = &self.phase {
            return Err(error.clone());
        }
        let offered = wire.len();
        if self.phase == Phase::Handshaking && self.first_bytes.len() < FIRST_BYTES {
            let room = FIRST_BYTES - self.first_bytes.len();
            self.first_bytes.extend(wire.iter().take(room));
        }
        while !wire.is_empty() {
            match self.connection.read_tls(&mut wire) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if self.process(now)? == Plaintext::Waits {
                break;
            }
        }
        Ok(offered - wire.len())
    }

    /// Has the library look at what it was given.
    fn process(&mut self, now: Timestamp) -> Result<Plaintext, HandshakeError> {
        let connection = &mut self.connection;
        let question = (self.phase == Phase::Handshaking).then_some(&self.question);
        let made = keys::made();
        let (state, outcome) = scope::enter(question, now, || connection.process_new_packets());
        self.note_keys_since(made);
        self.answer = outcome.answer.or_else(|| self.answer.take());
        match state {
            Ok(state) if state.plaintext_bytes_to_read() > 0 => Ok(Plaintext::Waits),
            Ok(_) => Ok(Plaintext::None),
            Err(error) => {
                let error = outcome.refusal.unwrap_or_else(|| self.explain(&error));
                Err(self.fail(error))
            }
        }
    }

    /// Learns that the peer's bytes have ended.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Truncated`] unless the peer said before that it is done: without that
    /// word anyone on the path could have cut the conversation short.
    pub fn handle_end_of_input(&mut self) -> Result<(), HandshakeError> {
        match self.phase.clone() {
            Phase::Failed(error) => Err(error),
            Phase::Handshaking if !self.may_be_tls() => Err(self.fail(not_tls(&self.first_bytes))),
            Phase::Secured if self.peer_has_closed() => Ok(()),
            Phase::Handshaking | Phase::Secured => Err(self.fail(HandshakeError::Truncated)),
        }
    }

    /// Says what became of the handshake; call it after input, until it says [`Output::Wait`].
    ///
    /// # Errors
    ///
    /// Whatever ended the conversation.
    pub fn poll(&mut self, now: Timestamp) -> Result<Output, HandshakeError> {
        match &self.phase {
            Phase::Failed(error) => Err(error.clone()),
            Phase::Handshaking if !self.connection.is_handshaking() => {
                let evidence = self.evidence(now).map_err(|error| self.fail(error))?;
                self.phase = Phase::Secured;
                self.is_evidence_out = true;
                self.first_bytes = Vec::new();
                Ok(Output::Secured(Box::new(evidence)))
            }
            _ => Ok(Output::Wait),
        }
    }

    /// Takes plaintext to protect, and returns how much of it was taken: none before the evidence
    /// is out, and no more than fits beside what still waits to be transmitted.
    ///
    /// In TLS 1.2, which has no fresh keys to go on with, the conversation fails when the keys have
    /// protected as much as they may; [`Self::poll`] then says so.
    pub fn seal(&mut self, plain: &[u8]) -> usize {
        if self.phase != Phase::Secured {
            return 0;
        }
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_2) {
            let made = keys::made();
            let taken = io::Write::write(&mut self.connection.writer(), plain).unwrap_or(0);
            self.note_keys_since(made);
            return taken;
        }
        if self.tls12_records == 0 {
            let what = "TLS 1.2 cannot protect more with the keys of one connection".to_owned();
            self.fail(HandshakeError::OurSide { what });
            return 0;
        }
        let records = usize::try_from(self.tls12_records).unwrap_or(usize::MAX);
        let room = plain.len().min(records.saturating_mul(RECORD));
        let plain = plain.get(..room).unwrap_or_default();
        let taken = io::Write::write(&mut self.connection.writer(), plain).unwrap_or(0);
        self.tls12_records -= taken.div_ceil(RECORD) as u64;
        taken
    }

    /// Hands out plaintext that has arrived.
    ///
    /// # Errors
    ///
    /// Whatever ended the conversation; plaintext that arrived before is handed out first, if the
    /// evidence was.
    pub fn open(&mut self, into: &mut [u8]) -> Result<Opened, HandshakeError> {
        if !self.is_evidence_out {
            return match &self.phase {
                Phase::Failed(error) => Err(error.clone()),
                _ => Ok(Opened::Starved),
            };
        }
        match io::Read::read(&mut self.connection.reader(), into) {
            Ok(0) if into.is_empty() => Ok(Opened::Data(0)),
            Ok(0) => Ok(Opened::Closed),
            Ok(count) => Ok(Opened::Data(count)),
            Err(_) => match &self.phase {
                Phase::Failed(error) => Err(error.clone()),
                _ => Ok(Opened::Starved),
            },
        }
    }

    /// Writes what waits for the peer, as much as `wire` takes in one call.
    ///
    /// # Errors
    ///
    /// Those of `wire`; nothing is lost, and what was not taken still waits.
    pub fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        self.connection.write_tls(wire)
    }

    /// Returns whether something waits for [`Self::transmit`].
    pub fn wants_transmit(&self) -> bool {
        self.connection.wants_write()
    }

    /// Changes the traffic keys of both directions (KeyUpdate, RFC 8446 section 4.6.3): ours with
    /// the next record, the peer's as soon as it has heard of it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NothingShared`] in TLS 1.2, which cannot; otherwise as the library.
    pub fn change_keys(&mut self) -> Result<(), HandshakeError> {
        if self.connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            let what = "TLS 1.2 has no way to change keys".to_owned();
            return Err(HandshakeError::NothingShared { what });
        }
        let made = keys::made();
        let changed = self.connection.refresh_traffic_keys();
        self.note_keys_since(made);
        changed.map_err(|error| from_rustls(&error))
    }

    /// Returns how often the traffic keys have changed, in either direction.
    pub fn rekeys(&self) -> u64 {
        self.rekeys
    }

    /// Returns what was asked of the peer.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Judges the peer's certificate once more, as if it were shown now, for this question and
    /// these anchors.
    ///
    /// # Errors
    ///
    /// Why the connection would not be made.
    pub fn judge_anew(
        &self,
        question: &Question,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<(), HandshakeError> {
        match (self.connection.peer_certificates(), question) {
            (Some(chain), _) => verify_peer(anchors, chain, question, now).map(|_| ()),
            (None, Question::MayConnect(admission, _)) if admission.admits_anonymous() => Ok(()),
            (None, _) => Err(HandshakeError::NoCertificate),
        }
    }

    /// Ends the conversation: the peer is told that we send no more, and nothing that it sent is
    /// handed out any more.
    pub fn abort(&mut self, why: HandshakeError) {
        self.connection.send_close_notify();
        self.is_evidence_out = false;
        self.fail(why);
    }

    /// Tells the peer that we will send no more (close_notify).
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Returns whether the handshake is still under way.
    pub fn is_handshaking(&self) -> bool {
        self.phase == Phase::Handshaking
    }

    /// Returns whether what the peer has sent could be TLS; nothing yet could.
    pub fn may_be_tls(&self) -> bool {
        self.first_bytes.is_empty()
            || (looks_like_tls(&self.first_bytes)
                && !(self.is_client() && is_client_greeting(&self.first_bytes)))
    }

    /// Returns whether this end is the client.
    pub fn is_client(&self) -> bool {
        matches!(self.connection, Connection::Client(_))
    }

    /// Returns whether the peer has sent any byte during the handshake.
    pub fn has_heard(&self) -> bool {
        !self.first_bytes.is_empty()
    }

    /// Counts the keys made since, unless they are the first.
    fn note_keys_since(&mut self, made: u64) {
        if self.phase == Phase::Secured {
            self.rekeys += keys::made().wrapping_sub(made);
        }
    }

    fn peer_has_closed(&mut self) -> bool {
        self.connection.process_new_packets().is_ok_and(|state| state.peer_has_closed())
    }

    fn fail(&mut self, error: HandshakeError) -> HandshakeError {
        self.phase = Phase::Failed(error.clone());
        error
    }

    fn explain(&self, error: &rustls::Error) -> HandshakeError {
        match self.phase {
            Phase::Handshaking if !self.may_be_tls() => not_tls(&self.first_bytes),
            _ => from_rustls(error),
        }
    }

    /// Puts together what holds now.
    fn evidence(&self, now: Timestamp) -> Result<Evidence, HandshakeError> {
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        let mechanism = match self.connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Mechanism::Tls13,
            Some(ProtocolVersion::TLSv1_2) => Mechanism::Tls12,
            _ => return Err(missing("protocol version")),
        };
        let suite = self
            .connection
            .negotiated_cipher_suite()
            .map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"))
            .ok_or_else(|| missing("cipher suite"))?;
        let group = self
            .connection
            .negotiated_key_exchange_group()
            .map(|group| format!("{:?}", group.name()))
            .ok_or_else(|| missing("key exchange"))?;
        let session = self
            .connection
            .export_keying_material([0; 16], SessionId::EXPORTER_LABEL, None)
            .map_err(|error| from_rustls(&error))?;
        let evidence =
            Evidence::new(mechanism, suite, group, SessionId::from_exported(session), now);

        match (&*self.question, &self.answer) {
            (Question::IsServer(asked), Some(answer)) => {
                let asked = match asked {
                    Asked::Name { name, .. } => Some(name.clone()),
                    _ => None,
                };
                if asked.is_some() && asked.as_ref() != answer.names.first().map(|n| n.name()) {
                    let same = |asked: &PeerName| satisfied(asked, answer);
                    if !asked.as_ref().is_some_and(same) {
                        return Err(missing("proof of the name that was asked for"));
                    }
                }
                Ok(evidence.with_peer(asked, answer.names.clone(), Some(answer.expires)))
            }
            (Question::IsServer(_), None) => Err(missing("verified server")),
            (Question::MayConnect(..), Some(answer)) => {
                Ok(evidence.with_peer(None, answer.names.clone(), Some(answer.expires)))
            }
            (Question::MayConnect(admission, _), None) if admission.admits_anonymous() => {
                Ok(evidence)
            }
            (Question::MayConnect(..), None) => Err(HandshakeError::NoCertificate),
        }
    }
}

/// A proof may say more than was asked: a Kerberos name adds its realm.
fn satisfied(asked: &PeerName, answer: &Answer) -> bool {
    match (asked, answer.names.first().map(|proved| proved.name())) {
        (PeerName::Service(asked), Some(PeerName::Service(proved))) => proved.satisfies(asked),
        _ => false,
    }
}

/// How many of the first bytes are kept for the message that they are not TLS.
const FIRST_BYTES: usize = 40;

/// A TLS record of a handshake begins with its type and version major 3 (RFC 8446 section 5.1).
fn looks_like_tls(first: &[u8]) -> bool {
    match first {
        [kind] => (0x14..=0x17).contains(kind),
        [kind, major, ..] => (0x14..=0x17).contains(kind) && *major == 3,
        [] => false,
    }
}

/// A server that greets as clients do echoes what it hears.
fn is_client_greeting(first: &[u8]) -> bool {
    const HANDSHAKE: u8 = 0x16;
    const CLIENT_HELLO: u8 = 1;
    matches!(first, [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, ..])
}

fn not_tls(first: &[u8]) -> HandshakeError {
    if is_client_greeting(first) {
        return HandshakeError::NotTls { what: "echoed our own greeting".to_owned() };
    }
    let text = String::from_utf8_lossy(first);
    let line = text.lines().next().unwrap_or_default();
    HandshakeError::NotTls { what: format!("sent \"{}\"", printable(line)) }
}

/// The name for server name indication; an address stands for none, since rustls sends none then.
fn server_name(asked: &Asked) -> ServerName<'static> {
    let none = || ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
    match asked {
        Asked::Name { name, .. } => match name.host() {
            Some(Host::Dns(host)) => ServerName::try_from(host.clone()).unwrap_or_else(|_| none()),
            _ => none(),
        },
        _ => none(),
    }
}

#[cfg(test)]
mod tests {
    use countersign_core::{Asked, AskedFrom, HandshakeError, Policy};
    use countersign_lab::{Authority, End, Leaf, Stranger, now};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::version::TLS12;

    use super::{ClientConfig, Engine, Output, RECORD};
    use crate::credential::TrustAnchors;

    /// Moves what waits on either side to the other, and returns what plaintext the server found.
    fn exchange(client: &mut Engine, server: &mut Stranger) -> Vec<u8> {
        let mut plain = Vec::new();
        loop {
            let mut wire = Vec::new();
            while client.wants_transmit() {
                client.transmit(&mut wire).unwrap();
            }
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let taken = server.handle_input(rest, now()).unwrap();
                rest = &rest[taken..];
                server.open(&mut plain).unwrap();
            }
            let mut answer = Vec::new();
            server.transmit(&mut answer);
            if wire.is_empty() && answer.is_empty() {
                return plain;
            }
            client.handle_input(&answer, now()).unwrap();
        }
    }

    #[test]
    fn tls_1_2_ends_before_its_keys_are_used_up_and_nothing_that_was_taken_is_lost() {
        let authority = Authority::new("root");
        let issued = authority.issue(Leaf::new().dns("db1.test"));
        let policy = Policy::parse("[tls]\ndanger-allow-tls12 = true\n", "p").unwrap();
        let anchors = TrustAnchors::new([authority.certificate()]).unwrap();
        let config = ClientConfig::new(&policy, &anchors, None);
        let from = AskedFrom::Program("192.0.2.2:443".parse().unwrap());
        let asked = Asked::Name { name: "db1.test".parse().unwrap(), from };
        let mut client = Engine::client(&config, asked, now()).unwrap();
        client.tls12_records = 4;
        let config = Stranger::server_config(&issued, default_provider(), &[&TLS12]);
        let mut server = Stranger::server(config);
        exchange(&mut client, &mut server);
        assert!(matches!(client.poll(now()), Ok(Output::Secured(_))));

        let mut taken = client.seal(b"x");
        let mut received = exchange(&mut client, &mut server);
        for _ in 0..2 {
            taken += client.seal(&vec![7; 2 * RECORD]);
            received.extend(exchange(&mut client, &mut server));
        }
        assert_eq!(taken, 1 + 3 * RECORD, "four records, one of them with a single byte");
        assert_eq!(client.seal(b"x"), 0);
        let error = client.poll(now()).unwrap_err();
        assert!(matches!(error, HandshakeError::OurSide { .. }), "{error}");
        assert_eq!(received.len(), taken);
    }
}
