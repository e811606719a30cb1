//! One TLS conversation, as a state machine without a socket.

mod first_bytes;
use first_bytes::{is_client_greeting, looks_like_tls, not_tls};

mod input;

mod judge_anew;
pub use judge_anew::judge_peer_anew;

mod open;

mod outcome;
use outcome::{After, is_first};

mod proof;
pub use proof::{ProofBinding, Proven, join_proof, would_admit};

mod resume;
use resume::{Resuming, shown};

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use countersign_core::{Admission, Asked, Evidence, HandshakeError, Host, KerberosUse, Timestamp};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConnection, Connection, ProtocolVersion, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};

use crate::config::{ClientConfig, ServerConfig};
use crate::error::from_rustls;
use crate::exporter::ExporterSecret;
use crate::handshake::Handshake;
use crate::link::Link;
use crate::record::Pieces;
use crate::resumption::Session;
use crate::scope::{self, Answer, Outcome, Question};

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
/// [`Self::transmit`] gives what goes out. A proof inside the connection, if the peers agreed on one, passes by
/// [`Self::proof_input`] and [`Self::seal_proof`] until [`Self::conclude`]. Plaintext passes by [`Self::seal`] and [`Self::open`],
/// and does so only once `poll` has handed out the [`Evidence`]. Every error is final.
#[derive(Debug)]
pub struct Engine {
    link: Link,
    is_client: bool,
    /// Bytes of the wire that have arrived and are not used; after the handshake, at most what
    /// arrived with the last of it.
    incoming: Vec<u8>,
    /// What protects the connection, from the end of the handshake on until the evidence is out.
    protection: Option<Box<Evidence>>,
    /// What the peer showed in the handshake, to be judged anew.
    chain: Arc<[CertificateDer<'static>]>,
    /// What a proof inside the connection has proved.
    proven: Option<Box<Proven>>,
    /// Bytes of a proof inside the connection that have been opened, and behind them of the
    /// application.
    opened: Vec<u8>,
    exporter: Option<ExporterSecret>,
    /// What a server answers its client with, once that has greeted.
    choice: Option<ServerConfig>,
    question: Arc<Question>,
    answer: Option<Answer>,
    /// Why the peer's certificate does not do, unless a proof inside the connection stands in.
    deferred: Option<HandshakeError>,
    /// What a handshake needs to resume a session, if it may.
    resuming: Option<Box<Resuming>>,
    /// What the tickets of a server are good for, if they are kept.
    session: Option<Box<Session>>,
    /// What part a proof inside the connection has.
    inner_proof: KerberosUse,
    phase: Phase,
    /// Whether [`Self::poll`] has handed out the evidence, also if something failed later.
    is_evidence_out: bool,
    first_bytes: Vec<u8>,
    /// When [`Self::handle_input`] was called last.
    heard: Timestamp,
    /// How many records may still be sealed, if this is TLS 1.2.
    tls12_records: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// TLS is under way.
    Handshaking,
    /// TLS is done, and the proof inside is under way.
    Proving,
    /// So is the proof; the evidence has not been handed out.
    Proved(Box<Evidence>),
    /// The evidence is out.
    Secured,
    Failed(HandshakeError),
}

/// What became of the handshake.
#[non_exhaustive]
#[derive(Debug)]
pub enum Output {
    /// TLS is done, and the peers have agreed on a proof inside the connection: it must be bound
    /// to this, and concluded before anything else. Said once.
    Prove(ProofBinding),
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
    /// Starts as the client that asks for a peer, which proves its name by a certificate.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if the library cannot start.
    pub fn client(
        config: &ClientConfig,
        asked: Asked,
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        Self::client_offering(config, asked, KerberosUse::Off, now)
    }

    /// Starts as the client that asks for a peer, and offers it a proof inside the connection.
    ///
    /// A peer that takes the offer must conclude that proof, and its certificate may be any; with
    /// one that does not, its certificate must do, or the proof is required and the peer refused.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if the library cannot start, or if a proof is to be offered to a
    /// peer without a name.
    pub fn client_offering(
        config: &ClientConfig,
        asked: Asked,
        offer: KerberosUse,
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        let name = server_name(&asked);
        let is_lax = config.is_lax;
        let (config, question, resumes) = match (offer, &asked) {
            (KerberosUse::Off, _) => {
                (&config.plain, Question::IsServer(asked), config.resumes.as_ref())
            }
            (_, Asked::Name { .. }) => (&config.proving, Question::MayBeServer(asked), None),
            _ => {
                let what = "a proof was to be offered to a peer without a name".to_owned();
                return Err(HandshakeError::OurSide { what });
            }
        };
        let question = Arc::new(question);
        let (made, outcome) = scope::enter(Some(&question), now, Outcome::default(), || {
            if is_lax {
                ClientConnection::new(config.clone(), name).map(buffered)
            } else {
                let made = UnbufferedClientConnection::new(config.clone(), name);
                made.map(|connection| Link::Handshake(Box::new(Handshake::client(connection))))
            }
        });
        let link = made.map_err(|error| from_rustls(&error))?;
        let mut engine = Self::new(link, true, question, offer);
        engine.resuming = resumes.map(Resuming::new);
        let _none_refused = engine.keep(outcome);
        // The greeting.
        engine.process(now)?;
        Ok(engine)
    }

    /// Starts as the server for a client at `peer`, who may have the choice between a certificate
    /// and a proof inside the connection, as the admission says.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if the library cannot start, or there is neither a certificate
    /// to show nor another proof.
    pub fn server(
        config: &ServerConfig,
        admission: Arc<Admission>,
        peer: SocketAddr,
    ) -> Result<Self, HandshakeError> {
        let offer = admission.kerberos();
        let question = Arc::new(Question::MayConnect(admission, peer));
        if offer != KerberosUse::Off {
            let link = Link::Greeting(Box::default());
            let choice = Some(config.clone());
            return Ok(Self { choice, ..Self::new(link, false, question, offer) });
        }
        let plain = config.plain.clone().ok_or_else(|| HandshakeError::OurSide {
            what: "there is no certificate to prove who we are".to_owned(),
        })?;
        let link = server_link(plain, config.is_lax).map_err(|error| from_rustls(&error))?;
        let resuming = config.resumes.as_ref().map(Resuming::new);
        Ok(Self { resuming, ..Self::new(link, false, question, offer) })
    }

    fn new(link: Link, is_client: bool, question: Arc<Question>, inner_proof: KerberosUse) -> Self {
        Self {
            link,
            is_client,
            incoming: Vec::new(),
            protection: None,
            chain: shown(None),
            proven: None,
            opened: Vec::new(),
            exporter: None,
            choice: None,
            question,
            answer: None,
            deferred: None,
            resuming: None,
            session: None,
            inner_proof,
            phase: Phase::Handshaking,
            is_evidence_out: false,
            first_bytes: Vec::new(),
            heard: Timestamp::from_secs(0),
            tls12_records: TLS12_RECORDS,
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
            Phase::Handshaking if self.is_tls_done() => {
                match self.leave_tls(now).map_err(|error| self.fail(error))? {
                    After::Prove(binding) => {
                        self.phase = Phase::Proving;
                        Ok(Output::Prove(binding))
                    }
                    After::Judged(evidence) => Ok(self.secured(evidence)),
                }
            }
            Phase::Proved(evidence) => {
                let evidence = evidence.clone();
                Ok(self.secured(evidence))
            }
            _ => Ok(Output::Wait),
        }
    }

    fn secured(&mut self, evidence: Box<Evidence>) -> Output {
        self.phase = Phase::Secured;
        self.is_evidence_out = true;
        self.forget_handshake();
        Output::Secured(evidence)
    }

    /// Gives back what only the handshake needed: ten thousand quiet connections would keep it.
    fn forget_handshake(&mut self) {
        (self.protection, self.answer, self.deferred) = (None, None, None);
        (self.exporter, self.choice) = (None, None);
        self.first_bytes = Vec::new();
        self.incoming.shrink_to_fit();
        self.opened.shrink_to_fit();
    }

    fn is_tls_done(&self) -> bool {
        self.link.common().is_some_and(|common| !common.is_handshaking())
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
        let is_tls12 = matches!(&self.link, Link::Buffered(connection)
            if connection.protocol_version() == Some(ProtocolVersion::TLSv1_2));
        if !is_tls12 {
            let taken = self.link.seal(plain);
            if taken == 0 {
                self.note_record_failure();
            }
            return taken;
        }
        if self.tls12_records == 0 {
            let what = "TLS 1.2 cannot protect more with the keys of one connection".to_owned();
            self.fail(HandshakeError::OurSide { what });
            return 0;
        }
        let records = usize::try_from(self.tls12_records).unwrap_or(usize::MAX);
        let room = plain.len().min(records.saturating_mul(RECORD));
        let taken = self.link.seal(plain.get(..room).unwrap_or_default());
        self.tls12_records -= taken.div_ceil(RECORD) as u64;
        taken
    }

    /// As [`Self::seal`], of plaintext that lies in several slices; it fills records across them.
    pub fn seal_vectored(&mut self, plain: &[IoSlice<'_>]) -> usize {
        match (&mut self.link, &self.phase) {
            (Link::Records(records), Phase::Secured) => {
                let taken = records.seal_pieces(Pieces::of(plain));
                if taken == 0 {
                    self.note_record_failure();
                }
                taken
            }
            _ => {
                let first = plain.iter().find(|slice| !slice.is_empty());
                first.map_or(0, |slice| self.seal(slice))
            }
        }
    }

    /// Writes what waits for the peer, as much as `wire` takes in one call.
    ///
    /// # Errors
    ///
    /// Those of `wire`; nothing is lost, and what was not taken still waits.
    pub fn transmit(&mut self, wire: &mut dyn io::Write) -> io::Result<usize> {
        self.link.transmit(wire)
    }

    /// Returns whether something waits for [`Self::transmit`].
    pub fn wants_transmit(&self) -> bool {
        self.link.wants_transmit()
    }

    /// Tells the peer that we will send no more (close_notify).
    pub fn close(&mut self) {
        self.link.close();
    }

    /// Changes the traffic keys of both directions (KeyUpdate, RFC 8446 section 4.6.3): ours at
    /// once, the peer's as soon as it has heard of it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NothingShared`] in TLS 1.2, which cannot, and before the evidence is out;
    /// [`HandshakeError::OurSide`] if rustls has no keys.
    pub fn change_keys(&mut self) -> Result<(), HandshakeError> {
        let nothing = |what: &str| HandshakeError::NothingShared { what: what.to_owned() };
        match (&mut self.link, &self.phase) {
            (Link::Records(records), Phase::Secured) => records.request_update(),
            (Link::Buffered(connection), Phase::Secured)
                if connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) =>
            {
                connection.refresh_traffic_keys().map_err(|error| from_rustls(&error))
            }
            (_, Phase::Failed(error)) => Err(error.clone()),
            _ => Err(nothing("a way to change keys")),
        }
    }

    /// Returns how often the traffic keys have changed, in either direction. A connection that
    /// rustls carries, because policy lets in TLS 1.2, does not tell.
    pub fn rekeys(&self) -> u64 {
        match &self.link {
            Link::Records(records) => records.updates(),
            _ => 0,
        }
    }

    /// Returns what was asked of the peer.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Ends the conversation: the peer is told that we send no more, and nothing that it sent is
    /// handed out any more. What was sealed and has not gone out goes no more; the peer is told
    /// nothing then, and finds the end.
    pub fn abort(&mut self, why: HandshakeError) {
        match &mut self.link {
            Link::Records(records) => records.abort(),
            link => link.close(),
        }
        self.is_evidence_out = false;
        self.fail(why);
    }

    /// Returns whether the handshake is still under way, the proof inside included.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshaking | Phase::Proving | Phase::Proved(_))
    }

    /// Returns whether what the peer has sent could be TLS; nothing yet could.
    pub fn may_be_tls(&self) -> bool {
        self.first_bytes.is_empty()
            || (looks_like_tls(&self.first_bytes)
                && !(self.is_client() && is_client_greeting(&self.first_bytes)))
    }

    /// Returns whether this end is the client.
    pub fn is_client(&self) -> bool {
        self.is_client
    }

    /// Returns whether the peer has sent any byte during the handshake.
    pub fn has_heard(&self) -> bool {
        !self.first_bytes.is_empty()
    }

    fn peer_has_closed(&mut self) -> bool {
        match &mut self.link {
            Link::Records(records) => {
                // It may have been among the last bytes.
                if let Ok(taken) = records.open(&mut self.incoming, &mut []) {
                    self.incoming.drain(..taken.wire);
                }
                records.peer_has_closed()
            }
            Link::Buffered(connection) => {
                connection.process_new_packets().is_ok_and(|state| state.peer_has_closed())
            }
            _ => false,
        }
    }

    fn record_failure(&self) -> Option<HandshakeError> {
        match &self.link {
            Link::Records(records) => records.failure().cloned(),
            _ => None,
        }
    }

    fn note_record_failure(&mut self) {
        if let Some(error) = self.record_failure() {
            self.fail(error);
        }
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
}

/// A connection that rustls carries.
fn buffered(connection: impl Into<Connection>) -> Link {
    let mut connection = connection.into();
    connection.set_buffer_limit(Some(TRANSMIT_LIMIT));
    Link::Buffered(Box::new(connection))
}

/// Starts what a server answers with.
fn server_link(config: Arc<rustls::ServerConfig>, is_lax: bool) -> Result<Link, rustls::Error> {
    if is_lax {
        return ServerConnection::new(config).map(buffered);
    }
    let connection = UnbufferedServerConnection::new(config)?;
    Ok(Link::Handshake(Box::new(Handshake::server(connection))))
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
mod tests;
