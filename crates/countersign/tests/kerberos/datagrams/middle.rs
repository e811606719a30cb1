//! A machine in the middle that ends DTLS on both sides and passes the proof on. On both it speaks
//! our protocol; it has a certificate, and no key of the realm unless a test gives it one.

use std::net::{SocketAddr, UdpSocket as Plain};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{
    Admission, Asked, AskedFrom, HandshakeError, KerberosFailure, KerberosRefusal, KerberosUse,
    TargetTable, Timestamp,
};
use countersign_dtls::{Arrival, Config, Endpoint, Event, Limits, Moment, ProofId};
use countersign_kerberos::{AcceptorCredential, Channel, Exchange, Terms};
use countersign_lab::Leaf;

use super::{Echo, meet, round_trip};
use crate::world::{
    OTHER, PATIENCE, ROOT, SERVICE, asking, context, failure, in_realm, policy, serving,
    serving_from,
};

/// One side of the relay: an endpoint of ours that speaks with one peer.
struct Leg {
    socket: Plain,
    endpoint: Endpoint,
    admission: Arc<Admission>,
    proof: Option<(ProofId, [u8; 32])>,
    is_over: bool,
}

impl Leg {
    fn new() -> Self {
        let socket = Plain::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mallory = ROOT.issue(Leaf::new().dns("mallory.example.test"));
        let (anchors, own) = (ROOT.anchors(), mallory.credential());
        let config = Config::new(&anchors, Some(&own), Config::DEFAULT_MTU).unwrap();
        let endpoint = Endpoint::new(config, Limits::default(), Instant::now()).unwrap();
        let anywhere = "127.0.0.1:1".parse().unwrap();
        let admission = policy("kerberos.server = 'require'\n").plan_inbound_datagrams(
            None,
            &TargetTable::default(),
            anywhere,
            anywhere,
        );
        let admission = Arc::new(admission.unwrap());
        Self { socket, endpoint, admission, proof: None, is_over: false }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Greets a peer as a client that offers a proof.
    fn greet(&mut self, peer: SocketAddr, asked: &str) {
        let (name, from) = (asked.parse().unwrap(), AskedFrom::Program(peer));
        let asked = Asked::Name { name, from };
        let now = now();
        let offer = KerberosUse::Require;
        self.endpoint.connect_offering(peer, asked, offer, None, now).unwrap();
    }

    /// Moves datagrams, and returns the bytes of the proof that came.
    fn turn(&mut self) -> Vec<u8> {
        let now = now();
        let mut datagram = [0; 2048];
        while let Ok((count, from)) = self.socket.recv_from(&mut datagram) {
            let admission = self.admission.clone();
            let arrival = Arrival { from, to: None };
            let admit = move |_: Arrival| Some(admission.clone());
            self.endpoint.handle_datagram(arrival, &datagram[..count], now, &admit);
        }
        if self.endpoint.next_deadline().is_some_and(|at| at <= now.instant) {
            self.endpoint.handle_timeout(now);
        }
        let mut bytes = Vec::new();
        if let Some((id, _)) = self.proof
            && let Some(mut inside) = self.endpoint.proof(id, now)
        {
            bytes = inside.input().to_vec();
            inside.consume(bytes.len());
        }
        self.flush();
        bytes
    }

    /// Passes bytes of a proof on.
    fn pass(&mut self, bytes: &[u8]) {
        if let Some((id, _)) = self.proof
            && let Some(mut inside) = self.endpoint.proof(id, now())
        {
            assert_eq!(inside.seal(bytes), bytes.len(), "a token is shorter than the window");
        }
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(event) = self.endpoint.poll() {
            match event {
                Event::Transmit { to, datagram, .. } => {
                    let _ = self.socket.send_to(&datagram, to);
                }
                Event::Prove { proof, binding, .. } => {
                    self.proof = Some((proof, binding.exported()));
                }
                Event::Failed { .. } | Event::Closed { .. } | Event::ProofOver { .. } => {
                    self.is_over = true;
                }
                Event::Secured { .. } => panic!("somebody believed the machine in the middle"),
                _ => {}
            }
        }
    }
}

fn now() -> Moment {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Moment { instant: Instant::now(), time: Timestamp::from_secs(since) }
}

/// What was overheard, in either direction.
#[derive(Debug, Default)]
struct Heard {
    forth: Vec<u8>,
    back: Vec<u8>,
}

/// Stands between one client and the server, and passes on what `forge` makes of what the client
/// says.
fn relay(
    server: SocketAddr,
    asked: &'static str,
    forge: impl Fn(&mut Vec<u8>) + Send + 'static,
) -> (SocketAddr, Receiver<Heard>) {
    let (say, heard) = mpsc::channel();
    let mut left = Leg::new();
    let address = left.address();
    thread::spawn(move || {
        let mut right = Leg::new();
        let mut all = Heard::default();
        let deadline = Instant::now() + PATIENCE;
        let mut held = Vec::new();
        while !left.is_over && Instant::now() < deadline {
            let came = left.turn();
            all.forth.extend(&came);
            held.extend(came);
            if left.proof.is_some() && right.endpoint.is_empty() && !right.is_over {
                right.greet(server, asked);
                right.flush();
            }
            // The whole request, so that it can be changed.
            if right.proof.is_some() && is_whole(&held) {
                forge(&mut held);
                right.pass(&held);
                held.clear();
            }
            let back = right.turn();
            all.back.extend(&back);
            left.pass(&back);
            thread::sleep(Duration::from_millis(1));
        }
        let _ = say.send(all);
    });
    (address, heard)
}

/// Returns whether these are a whole message: a length, one byte, and that much.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((length, _)) = bytes.split_first_chunk::<4>() else { return false };
    bytes.len() >= 5 + u32::from_be_bytes(*length) as usize
}

/// Meets whoever is there as a client that would rather use a ticket.
fn met(realm: &countersign_lab::Realm, at: SocketAddr) -> KerberosFailure {
    let limits = "client = 'prefer'\n[limits]\nhandshake-timeout-ms = 4000\n";
    failure(meet(&context(&asking(realm, "alice", limits)), at, SERVICE))
}

#[test]
fn relaying_the_proof_fails_on_both_sides() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        // The way is good without the machine.
        round_trip(&server.meet(&context(&asking(realm, "alice", "")), SERVICE).unwrap());
        server.saw().unwrap();

        let (address, heard) = relay(server.address, SERVICE, |_| {});
        let why = met(realm, address);
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::BindingMismatch, .. }
            ),
            "{why}"
        );
        let theirs = server.saw().unwrap_err();
        assert_eq!(theirs, HandshakeError::Kerberos(KerberosFailure::BindingMismatch));
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert!(!heard.forth.is_empty() && !heard.back.is_empty(), "it did take part");
        let text = String::from_utf8_lossy(&heard.forth);
        assert!(!text.contains("alice"), "who the client is stays in the ticket");
    });
}

/// The service in a ticket is in clear, and nothing protects it: who changes it has gained nothing.
#[test]
fn a_relay_that_names_another_service_in_the_ticket_gains_nothing() {
    in_realm(|realm| {
        let other = format!("services = ['{OTHER}']\n");
        let policy = serving_from(&realm.file("both"), &other);
        let server = Echo::start(&context(&policy));
        // In the message of ours, in the ticket, and in both.
        let (ours, theirs) = ("postgres/db1.example.test", "HTTP/web.example.test");
        for (in_message, in_ticket) in [(true, false), (false, true), (true, true)] {
            let (address, heard) = relay(server.address, OTHER, move |bytes| {
                let start = 7 + ours.len() + "@EXAMPLE.TEST".len();
                let request = std::mem::take(bytes);
                let mut token = request[start..].to_vec();
                if in_ticket {
                    for bit in [b"postgres".as_slice(), b"db1.example.test"] {
                        let at = token.windows(bit.len()).position(|it| it == bit);
                        token[at.expect("it is in clear")] ^= 1;
                    }
                }
                let asked = if in_message { theirs } else { ours };
                let asked = format!("{asked}@EXAMPLE.TEST");
                let length = (2 + asked.len() + token.len()) as u32;
                bytes.extend(length.to_be_bytes());
                bytes.push(b'T');
                bytes.extend((asked.len() as u16).to_be_bytes());
                bytes.extend(asked.as_bytes());
                bytes.extend(token);
            });
            let why = met(realm, address);
            assert!(matches!(&why, KerberosFailure::RefusedByPeer { .. }), "{why}");
            let theirs = server.saw().unwrap_err();
            assert!(matches!(&theirs, HandshakeError::Kerberos(_)), "{theirs}");
            assert!(!heard.recv_timeout(PATIENCE).unwrap().forth.is_empty());
        }
    });
}

/// Answers as a service would that holds the key asked for and does not look at channel bindings: it
/// gives out what Kerberos itself calls a valid answer. What it does not give is our confirmation.
fn careless(
    credential: AcceptorCredential,
    forge: impl Fn(&mut Vec<u8>) + Send + 'static,
) -> (SocketAddr, Sender<()>) {
    let (stop, stopped) = mpsc::channel();
    let mut leg = Leg::new();
    let address = leg.address();
    thread::spawn(move || {
        let mut exchange = None;
        while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            let came = leg.turn();
            if let Some((_, binding)) = leg.proof {
                let exchange = exchange.get_or_insert_with(|| {
                    let channel = Channel::new(binding);
                    Exchange::accept(credential.clone(), channel, Terms::default())
                });
                exchange.handle_input(&came);
                if let Some(work) = exchange.take_work() {
                    exchange.finish(work.run());
                }
                let mut answer = Vec::new();
                exchange.transmit(&mut answer);
                if !answer.is_empty() {
                    forge(&mut answer);
                    leg.pass(&answer);
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    (address, stop)
}

#[test]
fn an_answer_that_kerberos_calls_valid_is_nothing_without_the_confirmation() {
    in_realm(|realm| {
        let services = [SERVICE.parse().unwrap()];
        let keys = || AcceptorCredential::load(Some(&realm.file("db1")), &services).unwrap();
        // The confirmation is the first part of the answer, of which two bytes say the length.
        let (address, _stop) = careless(keys(), |answer| {
            assert_eq!(answer[4], b'R');
            answer[7 + 20] ^= 1;
        });
        let why = met(realm, address);
        assert!(matches!(&why, KerberosFailure::ConfirmationFailed { .. }), "{why}");
        // And none at all is no proof either.
        let (none, _stop) = careless(keys(), |answer| {
            let length = usize::from(u16::from_be_bytes([answer[5], answer[6]]));
            let token = answer.split_off(7 + length);
            answer.clear();
            answer.extend((2 + token.len() as u32).to_be_bytes());
            answer.extend([b'R', 0, 0]);
            answer.extend(token);
        });
        let why = met(realm, none);
        assert!(matches!(&why, KerberosFailure::ConfirmationFailed { .. }), "{why}");
    });
}

#[test]
fn a_machine_in_the_middle_that_only_takes_the_offer_gets_nothing() {
    in_realm(|realm| {
        for answer in [&b""[..], b"\0\0\0\x01T", b"\xff\xff\xff\xff", b"welcome"] {
            let mut leg = Leg::new();
            let address = leg.address();
            let (stop, stopped) = mpsc::channel::<()>();
            let mallory = thread::spawn(move || {
                let mut heard = Vec::new();
                while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                    let came = leg.turn();
                    if !came.is_empty() && heard.is_empty() {
                        leg.pass(answer);
                    }
                    heard.extend(came);
                    thread::sleep(Duration::from_millis(1));
                }
                heard
            });
            let policy = asking(realm, "alice", "client = 'prefer'\n");
            let client = context(&format!("{policy}[limits]\nhandshake-timeout-ms = 1000\n"));
            let error = meet(&client, address, SERVICE).unwrap_err();
            assert!(matches!(error, countersign::Error::Handshake { .. }), "{error}");
            drop(stop);
            assert!(!mallory.join().unwrap().is_empty());
        }
    });
}
