//! An association over libssl.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use countersign_core::{
    Admission, Asked, ClientCertificates, Evidence, HandshakeError, Host, Mechanism, SessionId,
    Timestamp,
};
use countersign_tls::{Question, TrustAnchors, verify_peer};
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509Ref;
use rustls_pki_types::CertificateDer;

use crate::config::Config;
use crate::engine::{Engine, Moment, Output, SealError};
use crate::error::{from_openssl, our_side};
use crate::gate::Entrant;
use crate::libssl;
use crate::queue::Queue;
use crate::shape;
use crate::verdict::Verdict;

/// A conversation with one peer over libssl (DTLS 1.2).
///
/// libssl keeps its retransmission timer on the host's clock (gettimeofday(2)) and takes no other;
/// how long that has to run is what `poll` turns into a deadline on the caller's clock. Everything
/// else here goes by the caller's.
pub struct Association {
    stream: SslStream<Queue>,
    verdict: Verdict,
    asks: Asks,
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
    Secured,
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
    /// Starts as the client that asks for a peer.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if libssl cannot start.
    pub fn client(config: &Config, asked: Asked, now: Moment) -> Result<Self, HandshakeError> {
        let verdict = Verdict::new(config.anchors().clone());
        verdict.ask(Question::IsServer(asked.clone()));
        let stream = client_stream(config, &asked, &verdict).map_err(|errors| our_side(&errors))?;
        let mut it = Self::new(config, stream, verdict, Asks::Client(asked));
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
        verdict.ask(Question::MayConnect(admission.clone(), peer));
        libssl::settings(&mut stream).set_verify(match admission.demand() {
            ClientCertificates::None => SslVerifyMode::NONE,
            ClientCertificates::Request => SslVerifyMode::PEER,
            _ => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        });
        let mut it = Self::new(config, stream, verdict, Asks::Server(admission));
        it.advance(now);
        it
    }

    fn new(config: &Config, stream: SslStream<Queue>, verdict: Verdict, asks: Asks) -> Self {
        Self {
            stream,
            verdict,
            asks,
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
            self.collect();
            match result {
                Ok(()) => match self.evidence(now) {
                    Ok(evidence) => {
                        self.phase = Phase::Secured;
                        self.outputs.push_back(Output::Secured(Box::new(evidence)));
                    }
                    Err(error) => return self.abandon(error),
                },
                Err(error) if is_starved(&error) => return,
                Err(error) => return self.fail(error.ssl_error()),
            }
        }
        if self.phase == Phase::Secured {
            // Records that came before their time wait in libssl.
            self.open(Records::Several);
        }
    }

    /// Takes the plaintext of what has arrived.
    fn open(&mut self, records: Records) {
        PLAIN.with_borrow_mut(|plain| self.open_into(plain, records));
        self.collect();
    }

    fn open_into(&mut self, plain: &mut [u8], records: Records) {
        loop {
            match self.stream.ssl_read(plain) {
                Ok(count) => {
                    let datagram = plain.get(..count).unwrap_or_default().to_vec();
                    self.outputs.push_back(Output::Deliver(datagram));
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

    /// Takes what libssl wants to have sent.
    fn collect(&mut self) {
        while let Some(datagram) = self.stream.get_mut().leave() {
            self.outputs.push_back(Output::Transmit(datagram));
        }
    }

    fn fail(&mut self, errors: Option<&ErrorStack>) {
        self.collect();
        let refusal = self.verdict.refusal().filter(|_| self.phase == Phase::Handshaking);
        self.end(Err(refusal.unwrap_or_else(|| from_openssl(errors))));
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

    /// Puts together what holds now, and holds it to every condition once more.
    fn evidence(&self, now: Moment) -> Result<Evidence, HandshakeError> {
        let ssl = self.stream.ssl();
        let missing = |what: &str| HandshakeError::OurSide { what: format!("no {what}") };
        if ssl.version2() != Some(SslVersion::DTLS1_2) || ssl.session_reused() {
            return Err(missing("new session of DTLS 1.2"));
        }
        if ssl.extms_support() != Some(true) {
            let what = "the peer has no extended master secret (RFC 7627)".to_owned();
            return Err(HandshakeError::NothingShared { what });
        }
        let suite = ssl.current_cipher().and_then(|cipher| cipher.standard_name());
        let suite = suite.ok_or_else(|| missing("cipher suite"))?.to_owned();
        let group = libssl::negotiated_group(&self.stream).map_or("ECDHE", group_name).to_owned();
        let mut session = [0; 16];
        let label = std::str::from_utf8(SessionId::EXPORTER_LABEL).unwrap_or_default();
        ssl.export_keying_material(&mut session, label, None)
            .map_err(|errors| our_side(&errors))?;
        let session = SessionId::from_exported(session);
        let evidence = Evidence::new(Mechanism::Dtls12, suite, group, session, now.time);

        match (&self.asks, self.verdict.found()) {
            (_, Some(Err(refusal))) => Err(refusal),
            (Asks::Client(asked), Some(Ok(answer))) => {
                let asked = match asked {
                    Asked::Name { name, .. } => Some(name.clone()),
                    _ => None,
                };
                Ok(evidence.with_peer(asked, answer.names, Some(answer.expires)))
            }
            (Asks::Client(_), None) => Err(missing("verified server")),
            (Asks::Server(_), Some(Ok(answer))) => {
                Ok(evidence.with_peer(None, answer.names, Some(answer.expires)))
            }
            (Asks::Server(admission), None) if admission.admits_anonymous() => {
                // A certificate that nobody looked at is no certificate.
                match ssl.peer_certificate() {
                    None => Ok(evidence),
                    Some(_) => Err(missing("verified client")),
                }
            }
            (Asks::Server(_), None) => Err(HandshakeError::NoCertificate),
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
            Phase::Secured => {
                self.stream.get_mut().arrive(datagram);
                let is_one = shape::is_one_record(datagram);
                self.open(if is_one { Records::One } else { Records::Several });
            }
        }
    }

    fn handle_timeout(&mut self, now: Moment) {
        if self.phase != Phase::Handshaking {
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

    fn close(&mut self) {
        if self.phase == Phase::Secured {
            let _told = self.stream.shutdown();
            self.collect();
        }
        self.end(Ok(()));
    }

    fn poll(&mut self, now: Moment) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        // Once secured, libssl repeats its last flight when it is asked for it.
        let left = (self.phase == Phase::Handshaking).then(|| libssl::timeout(&self.stream));
        Output::Wait(left.flatten().map(|left| now.instant + left))
    }

    fn judge_anew(
        &self,
        question: &Question,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<(), HandshakeError> {
        let ssl = self.stream.ssl();
        let der = |one: &X509Ref| {
            let der = one.to_der().map(CertificateDer::from);
            der.map_err(|errors| our_side(&errors))
        };
        let Some(leaf) = ssl.peer_certificate() else {
            return match question {
                Question::MayConnect(admission, _) if admission.admits_anonymous() => Ok(()),
                _ => Err(HandshakeError::NoCertificate),
            };
        };
        let leaf = der(&leaf)?;
        // A client's view of the chain begins with the leaf, a server's does not.
        let rest = ssl.peer_cert_chain().into_iter().flatten().map(der);
        let mut chain = vec![leaf];
        for issuer in rest {
            let issuer = issuer?;
            if Some(&issuer) != chain.first() {
                chain.push(issuer);
            }
        }
        verify_peer(anchors, &chain, question, now).map(|_| ())
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
    verdict: &Verdict,
) -> Result<SslStream<Queue>, ErrorStack> {
    let mut ssl = Ssl::new(config.client())?;
    ssl.set_connect_state();
    ssl.set_mtu(u32::from(config.mtu()))?;
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

/// Returns a group by its registered name, from its number in libssl.
fn group_name(number: i32) -> &'static str {
    match number {
        415 => "secp256r1",
        715 => "secp384r1",
        1034 => "X25519",
        _ => "ECDHE",
    }
}

/// The moment that is due first.
pub(crate) fn first(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
