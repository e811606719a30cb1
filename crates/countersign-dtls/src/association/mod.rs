//! An association over libssl.

mod framed;

mod handshake;

mod proof;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use countersign_core::{
    Admission, Asked, HandshakeError, Host, KerberosUse, PeerName, Sid, Timestamp,
};
use countersign_tls::{Proven, Question, TrustAnchors, judge_peer_anew};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslStream};

use self::framed::Framed;
use crate::config::Config;
use crate::engine::{Engine, Moment, Output, SealError};
use crate::error::{NO_APPLICATION_PROTOCOL, from_openssl, our_side};
use crate::gate::Entrant;
use crate::queue::Queue;
use crate::verdict::{self, Verdict};
use crate::{frame, libssl, shape};

/// A conversation with one peer over libssl (DTLS 1.2).
///
/// libssl keeps its retransmission timer on the host's clock (gettimeofday(2)) and takes no other;
/// how long that has to run is what `poll` turns into a deadline on the caller's clock. Everything
/// else here goes by the caller's.
pub struct Association {
    stream: SslStream<Queue>,
    verdict: Verdict,
    asks: Asks,
    /// What part a proof inside the connection has for us.
    offer: KerberosUse,
    /// What there is beside records, from an agreement on a proof on.
    framed: Option<Box<Framed>>,
    phase: Phase,
    outputs: VecDeque<Output>,
    max_datagram_size: usize,
    /// How many bytes have been sealed under the one key that there is.
    sealed: u64,
}

/// What we want to know of the peer.
#[derive(Clone, Debug)]
enum Asks {
    Client(Asked),
    Server(Arc<Admission>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshaking,
    /// The handshake is done, and the proof inside is under way.
    Proving,
    Secured,
    /// The proof has failed, and the peer is being told.
    Refused,
    Over,
}

/// How many records libssl may have to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    One,
    Several,
}

/// The longest plaintext of a record (RFC 6347 section 4.1).
const RECORD: usize = 16_384;
/// How many bytes one key seals: the limit of AES-GCM (RFC 8446 section 5.5), 2^24.5 full records.
/// DTLS 1.2 has no other keys to change to, so the association ends and the next datagram makes
/// another.
const KEY_LIFE: u64 = 1 << 38;
/// What a record adds to its plaintext: header, explicit nonce and tag of AES-GCM.
const OVERHEAD: usize = 13 + 8 + 16;

thread_local! {
    /// Room for one record: libssl would hand a larger one out in two pieces.
    static PLAIN: RefCell<Vec<u8>> = RefCell::new(vec![0; RECORD]);
}

impl Association {
    /// Starts as the client that asks for a peer, which proves its name by a certificate or, if both
    /// want that, by a proof inside the connection.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if libssl cannot start, or if a proof is to be offered to a peer
    /// without a name.
    pub fn client(
        config: &Config,
        asked: Asked,
        offer: KerberosUse,
        now: Moment,
    ) -> Result<Self, HandshakeError> {
        let question = match (offer, &asked) {
            (KerberosUse::Off, _) => Question::IsServer(asked.clone()),
            (_, Asked::Name { .. }) => Question::MayBeServer(asked.clone()),
            _ => {
                let what = "a proof was to be offered to a peer without a name".to_owned();
                return Err(HandshakeError::OurSide { what });
            }
        };
        let verdict = Verdict::new(config.anchors().clone());
        verdict.ask(question, offer);
        let stream = client_stream(config, &asked, offer, &verdict);
        let stream = stream.map_err(|errors| our_side(&errors))?;
        let mut it = Self::new(config, stream, verdict, Asks::Client(asked), offer);
        it.advance(now);
        Ok(it)
    }

    /// Goes on as the server with whoever has passed the gate.
    pub(crate) fn server(
        config: &Config,
        entrant: Entrant,
        admission: Arc<Admission>,
        peer: SocketAddr,
        now: Moment,
    ) -> Self {
        let Entrant { mut stream, verdict, .. } = entrant;
        let offer = match admission.kerberos() {
            KerberosUse::Prefer if !config.proves_by_certificate() => KerberosUse::Require,
            offer => offer,
        };
        verdict.ask(Question::MayConnect(admission.clone(), peer), offer);
        libssl::settings(&mut stream).set_verify(verdict::verify_mode(admission.demand()));
        let mut it = Self::new(config, stream, verdict, Asks::Server(admission), offer);
        it.advance(now);
        it
    }

    fn new(
        config: &Config,
        stream: SslStream<Queue>,
        verdict: Verdict,
        asks: Asks,
        offer: KerberosUse,
    ) -> Self {
        Self {
            stream,
            verdict,
            asks,
            offer,
            framed: None,
            phase: Phase::Handshaking,
            outputs: VecDeque::new(),
            max_datagram_size: usize::from(config.mtu()).saturating_sub(OVERHEAD).min(RECORD),
            sealed: 0,
        }
    }

    /// Returns the random by which a client's attempt is told from the next.
    pub(crate) fn client_random(&self) -> [u8; 32] {
        let mut random = [0; 32];
        self.stream.ssl().client_random(&mut random);
        random
    }

    /// Lets libssl go as far as what has arrived takes it.
    fn advance(&mut self, now: Moment) {
        if self.phase == Phase::Handshaking {
            self.verdict.set_now(now.time);
            let result = self.stream.do_handshake();
            // The hello of a client arrives whole, so it is known what it offers.
            let goes_on = result.as_ref().err().is_none_or(is_starved);
            if let (true, Err(error)) = (goes_on, self.check_offer()) {
                return self.turn_away(error);
            }
            match result {
                Ok(()) => {
                    self.collect();
                    if let Err(error) = self.leave_handshake(now) {
                        return self.abandon(error);
                    }
                }
                Err(error) if is_starved(&error) => return self.collect(),
                Err(error) => return self.fail(error.ssl_error()),
            }
        }
        if self.phase != Phase::Over {
            // Records that came before their time wait in libssl.
            self.open(Records::Several, now);
        }
    }

    /// Takes the plaintext of what has arrived.
    fn open(&mut self, records: Records, now: Moment) {
        PLAIN.with_borrow_mut(|plain| self.open_into(plain, records, now));
        self.collect();
    }

    fn open_into(&mut self, plain: &mut [u8], records: Records, now: Moment) {
        while self.phase != Phase::Over {
            match self.stream.ssl_read(plain) {
                Ok(count) => {
                    let datagram = plain.get(..count).unwrap_or_default();
                    if self.framed.is_some() {
                        self.handle_frame(datagram, now);
                    } else {
                        self.outputs.push_back(Output::Deliver(datagram.to_vec()));
                    }
                    if records == Records::One {
                        return;
                    }
                }
                Err(error) if is_starved(&error) => return,
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => {
                    let _answered = self.stream.shutdown();
                    self.collect();
                    return self.end(Ok(()));
                }
                Err(error) => return self.fail(error.ssl_error()),
            }
        }
    }

    /// Protects one record's plaintext.
    fn write(&mut self, plain: &[u8]) -> Result<(), SealError> {
        self.sealed += u64::try_from(plain.len() + OVERHEAD).unwrap_or(u64::MAX);
        if self.sealed > KEY_LIFE {
            self.close();
            return Err(SealError::NoKeys);
        }
        let result = self.stream.ssl_write(plain);
        self.collect();
        result.map(|_| ()).map_err(|error| {
            self.fail(error.ssl_error());
            SealError::NoKeys
        })
    }

    /// Takes what libssl wants to have sent.
    fn collect(&mut self) {
        while let Some(datagram) = self.stream.get_mut().leave() {
            self.outputs.push_back(Output::Transmit(datagram));
        }
    }

    fn fail(&mut self, errors: Option<&ErrorStack>) {
        let refusal = self.verdict.refusal().filter(|_| self.phase == Phase::Handshaking);
        if let Some(error @ HandshakeError::KerberosRequired) = refusal {
            return self.turn_away(error);
        }
        self.collect();
        self.end(Err(refusal.unwrap_or_else(|| from_openssl(errors))));
    }

    /// Ends a handshake with a peer that takes no part in Kerberos; libssl has no alert for that
    /// where we find it out.
    fn turn_away(&mut self, error: HandshakeError) {
        let unsent = self.stream.get_mut().leave();
        let alert =
            unsent.and_then(|unsent| shape::alert_instead_of(&unsent, NO_APPLICATION_PROTOCOL));
        self.stream.get_mut().clear();
        self.outputs.extend(alert.map(Output::Transmit));
        self.end(Err(error));
    }

    /// Ends a handshake that libssl thinks good and we do not.
    fn abandon(&mut self, error: HandshakeError) {
        let _told = self.stream.shutdown();
        self.collect();
        self.end(Err(error));
    }

    fn end(&mut self, how: Result<(), HandshakeError>) {
        if self.phase != Phase::Over {
            self.phase = Phase::Over;
            self.outputs.push_back(Output::Closed(how));
        }
    }
}

impl Engine for Association {
    fn handle_datagram(&mut self, datagram: &[u8], now: Moment) {
        match self.phase {
            Phase::Over => {}
            Phase::Handshaking => {
                self.stream.get_mut().arrive(datagram);
                self.advance(now);
            }
            Phase::Proving | Phase::Secured | Phase::Refused => {
                self.stream.get_mut().arrive(datagram);
                let is_one = shape::is_one_record(datagram);
                self.open(if is_one { Records::One } else { Records::Several }, now);
            }
        }
    }

    fn handle_timeout(&mut self, now: Moment) {
        if self.phase != Phase::Handshaking {
            if let Some(framed) = &mut self.framed {
                framed.outbound.handle_timeout(now.instant);
                self.send_parts(now);
            }
            return;
        }
        match libssl::handle_timeout(&mut self.stream) {
            Ok(()) => {
                self.collect();
                self.advance(now);
            }
            Err(errors) => self.fail(Some(&errors)),
        }
    }

    fn seal(&mut self, plain: &[u8]) -> Result<(), SealError> {
        if self.phase != Phase::Secured {
            return Err(SealError::NoKeys);
        }
        if plain.is_empty() || plain.len() > self.max_datagram_size {
            return Err(SealError::Size);
        }
        if self.framed.is_none() {
            return self.write(plain);
        }
        PLAIN.with_borrow_mut(|room| match room.get_mut(..=plain.len()) {
            Some(room) => {
                if let Some((kind, datagram)) = room.split_first_mut() {
                    *kind = frame::DATA;
                    datagram.copy_from_slice(plain);
                }
                self.write(room)
            }
            None => Err(SealError::Size),
        })
    }

    fn close(&mut self) {
        if matches!(self.phase, Phase::Proving | Phase::Secured | Phase::Refused) {
            let _told = self.stream.shutdown();
            self.collect();
        }
        self.end(Ok(()));
    }

    fn proof_input(&self) -> &[u8] {
        match (&self.framed, self.phase) {
            (Some(framed), Phase::Proving) => framed.inbound.ready(),
            _ => &[],
        }
    }

    fn consume_proof(&mut self, count: usize) {
        if let (Some(framed), Phase::Proving) = (&mut self.framed, self.phase) {
            framed.inbound.consume(count);
        }
    }

    fn seal_proof(&mut self, bytes: &[u8], now: Moment) -> usize {
        self.deliver_proof(bytes, now)
    }

    fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError> {
        self.foreseen(name, groups)
    }

    fn conclude(&mut self, proven: Proven, now: Moment) -> Result<(), HandshakeError> {
        self.conclude_proof(proven, now)
    }

    fn refuse(&mut self, now: Moment) {
        self.refuse_proof(now);
    }

    fn owes_proof(&self) -> bool {
        self.framed.as_ref().is_some_and(|framed| !framed.outbound.is_empty())
    }

    fn poll(&mut self, now: Moment) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        // Once that is done, libssl repeats its last flight when it is asked for it.
        let left = (self.phase == Phase::Handshaking).then(|| libssl::timeout(&self.stream));
        let parts = self.framed.as_ref().filter(|_| self.phase != Phase::Over);
        let parts = parts.and_then(|framed| framed.outbound.due());
        Output::Wait(first(left.flatten().map(|left| now.instant + left), parts))
    }

    fn judge_anew(
        &self,
        question: &Question,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<(), HandshakeError> {
        let chain = handshake::chain(self.stream.ssl())?;
        let proven = self.framed.as_ref().and_then(|framed| framed.proven.as_deref());
        judge_peer_anew(&chain, proven, question, anchors, now)
    }

    fn max_datagram_size(&self) -> usize {
        self.max_datagram_size
    }
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("asks", &self.asks)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

fn client_stream(
    config: &Config,
    asked: &Asked,
    offer: KerberosUse,
    verdict: &Verdict,
) -> Result<SslStream<Queue>, ErrorStack> {
    let mut ssl = Ssl::new(config.client())?;
    ssl.set_connect_state();
    ssl.set_mtu(u32::from(config.mtu()))?;
    if offer != KerberosUse::Off {
        ssl.set_alpn_protos(&verdict::proof_protocols())?;
    }
    libssl::set_backoff(&mut ssl);
    verdict.judge_peer_of(&mut ssl);
    if let Asked::Name { name, .. } = asked
        && let Some(Host::Dns(host)) = name.host()
    {
        ssl.set_hostname(host)?;
    }
    SslStream::new(ssl, Queue::default())
}

/// Returns whether libssl only needs another datagram. It says so in two ways: that it wants to
/// read, or, after some records that it threw away, that something failed, without saying what.
fn is_starved(error: &openssl::ssl::Error) -> bool {
    error.code() == ErrorCode::WANT_READ
        || (error.code() == ErrorCode::SYSCALL && error.ssl_error().is_none())
}

/// The moment that is due first.
pub(crate) fn first(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
