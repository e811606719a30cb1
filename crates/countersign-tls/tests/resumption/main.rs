//! Sessions that are resumed: only where a full handshake would come to the same, and judged anew.
//!
//! A session that may not be resumed is not an error: it leads to a full handshake, which says what
//! is to be said.

mod client;
mod server;
mod strangers;
mod wire;

use std::sync::{Arc, LazyLock};

use countersign_core::{Admission, Asked, AskedFrom, Evidence, HandshakeError, Timestamp};
use countersign_lab::{Authority, End, Ending, Issued, Leaf, Pair, Scene};
use countersign_tls::{ClientConfig, Engine, ServerConfig};

const HOST: &str = "db1.example.com";
const HOUR: u64 = 60 * 60;

const REQUIRE: &str = "server.client-certificates = 'require'";
const REQUEST: &str = "server.client-certificates = 'request'";
const NONE: &str = "server.client-certificates = 'none'";

static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));
static SERVER: LazyLock<Issued> = LazyLock::new(|| ROOT.issue(Leaf::new().dns(HOST)));
static CLIENT: LazyLock<Issued> =
    LazyLock::new(|| ROOT.issue(Leaf::new().kerberos("EXAMPLE.COM", &["alice"])));

/// A client and a server of one generation each, which meet again and again.
struct Town {
    client: ClientConfig,
    server: ServerConfig,
    asked: Asked,
    admission: Arc<Admission>,
    now: Timestamp,
}

impl Town {
    fn new(scene: &Scene) -> Self {
        Self {
            client: scene.client_config(),
            server: scene.server_config(),
            asked: scene.asked(),
            admission: scene.admission(),
            now: scene.now(),
        }
    }

    /// Both prove their names.
    fn mutual() -> Self {
        Self::new(&scene().client_shows(&CLIENT).server_policy(REQUIRE))
    }

    fn later(&mut self, secs: u64) {
        self.now = Timestamp::from_secs(self.now.as_secs() + secs);
    }

    /// Lets the client ask for this name, and nothing else of it changes.
    fn asks(&mut self, name: &str) {
        let from = AskedFrom::Program(Scene::SERVER.parse().unwrap());
        self.asked = Asked::Name { name: name.parse().unwrap(), from };
    }

    /// Lets a listener of the same generation admit whom it will.
    fn admits(&mut self, policy: &str) {
        self.admission = scene().server_policy(policy).admission();
    }

    fn client(&self) -> Engine {
        Engine::client(&self.client, self.asked.clone(), self.now).unwrap()
    }

    fn server(&self) -> Engine {
        let peer = Scene::CLIENT.parse().unwrap();
        Engine::server(&self.server, self.admission.clone(), peer).unwrap()
    }

    fn pair(&self) -> Pair {
        Pair::new(self.client(), self.server(), self.now)
    }

    /// Runs a handshake, and lets the server say something, which brings the client its ticket.
    fn meet(&self) -> Ending {
        let mut pair = self.pair();
        let ending = pair.handshake();
        if ending.client.is_ok() && ending.server.is_ok() {
            assert_eq!(pair.server_sends(b"welcome"), 7);
            assert_eq!(pair.client.received, b"welcome");
            assert_eq!(pair.client_sends(b"thanks"), 6);
            assert_eq!(pair.server.received, b"thanks");
        }
        ending
    }

    #[track_caller]
    fn meets_in_full(&self) {
        let [client, server] = both(self.meet());
        assert!(!client.is_resumed() && !server.is_resumed(), "it was resumed");
        assert_eq!([client.authenticated(), server.authenticated()], [self.now; 2]);
    }

    /// Meets again, and returns when the peers had proved themselves.
    #[track_caller]
    fn resumes(&self) -> [Timestamp; 2] {
        let [client, server] = both(self.meet());
        assert!(client.is_resumed() && server.is_resumed(), "it was not resumed");
        assert_eq!([client.since(), server.since()], [self.now; 2]);
        [client.authenticated(), server.authenticated()]
    }

    /// Meets again, after a full handshake that fails on both sides like this.
    #[track_caller]
    fn refuses(&self, expected: [&str; 2]) {
        let mut pair = self.pair();
        let ending = pair.handshake();
        let failures = [ending.client.unwrap_err(), ending.server.unwrap_err()];
        assert_eq!(failures.each_ref().map(variant), expected, "{failures:?}");
        // The server was about to show its certificate, so nothing was resumed.
        assert!(pair.server.secured.is_none());
    }

    /// Returns whether the client would offer a session.
    fn offers(&self) -> bool {
        let mut pair = self.pair();
        pair.handshake();
        offers_session(pair.to_server.bytes())
    }
}

fn scene() -> Scene {
    Scene::new(&ROOT).server_shows(&SERVER).asking(HOST)
}

#[track_caller]
fn both(ending: Ending) -> [Evidence; 2] {
    [ending.client.unwrap(), ending.server.unwrap()]
}

/// The name of an error's variant.
fn variant(error: &HandshakeError) -> String {
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}

fn names(evidence: &Evidence) -> Vec<String> {
    evidence.names().iter().map(|proved| proved.name().to_string()).collect()
}

/// Where the extension of this type lies in a greeting, without its type and length (RFC 8446
/// section 4.1.2).
fn extension(greeting: &[u8], wanted: u16) -> Option<std::ops::Range<usize>> {
    let number = |at: usize| usize::from(u16::from_be_bytes([greeting[at], greeting[at + 1]]));
    // Record and message headers, version, random; then what has a length of its own.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(greeting[at]);
    at += 2 + number(at);
    at += 1 + usize::from(greeting[at]);
    let end = at + 2 + number(at);
    at += 2;
    while at < end {
        let (kind, length) = (number(at), number(at + 2));
        if kind == usize::from(wanted) {
            return Some(at + 4..at + 4 + length);
        }
        at += 4 + length;
    }
    None
}

const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;

fn offers_session(greeting: &[u8]) -> bool {
    extension(greeting, PRE_SHARED_KEY).is_some()
}

/// Where the one ticket of a greeting lies.
fn ticket(greeting: &[u8]) -> std::ops::Range<usize> {
    let at = extension(greeting, PRE_SHARED_KEY).expect("it offers a session").start;
    let length = usize::from(u16::from_be_bytes([greeting[at + 2], greeting[at + 3]]));
    at + 4..at + 4 + length
}

#[test]
fn second_connection_resumes_the_first_and_says_since_when_the_peer_is_proved() {
    let mut town = Town::mutual();
    let first = both(town.meet());
    let made = town.now;
    town.later(60);
    let mut pair = town.pair();
    let second = both(pair.handshake());
    assert!(offers_session(pair.to_server.bytes()));
    for (first, second) in first.iter().zip(&second) {
        assert!(!first.is_resumed() && second.is_resumed());
        assert_eq!([first.authenticated(), second.authenticated()], [made; 2]);
        assert_eq!([first.since(), second.since()], [made, town.now]);
        assert_eq!(names(first), names(second));
        assert_eq!(first.asked(), second.asked());
        assert_eq!(first.expires(), second.expires());
        assert_eq!(first.key_exchange(), second.key_exchange(), "a fresh one each time");
        assert_ne!(first.session(), second.session(), "each connection is its own");
    }
    assert_eq!(second[0].session(), second[1].session());
    assert!(second[0].is_peer_name_verified());
    assert_eq!(names(&second[1]), ["alice@EXAMPLE.COM"]);
    // No certificate went over the wire again.
    assert!(pair.to_client.bytes().len() < 2_000, "{}", pair.to_client.bytes().len());
    assert_eq!(extension(pair.to_server.bytes(), EARLY_DATA), None);
}

#[test]
fn anonymous_clients_resume_too() {
    for policy in [NONE, REQUEST] {
        let town = Town::new(&scene().server_policy(policy));
        town.meets_in_full();
        let [_, server] = both(town.meet());
        assert!(server.is_resumed());
        assert_eq!(server.peer(), None);
    }
}

#[test]
fn no_chain_of_resumptions_is_longer_than_an_hour() {
    let mut town = Town::mutual();
    let made = town.now;
    town.meets_in_full();
    for _ in 0..3 {
        town.later(HOUR / 3 - 10);
        assert_eq!(town.resumes(), [made; 2]);
    }
    town.later(30);
    town.meets_in_full();
    assert_eq!(town.resumes(), [town.now; 2]);
}

#[test]
fn a_clock_that_was_set_back_leads_to_full_handshakes() {
    let mut town = Town::mutual();
    town.later(100);
    town.meets_in_full();
    town.now = Timestamp::from_secs(town.now.as_secs() - 1);
    assert!(!town.offers());
    town.meets_in_full();
    town.later(HOUR + 1);
    town.meets_in_full();
    // The server's alone.
    let [client, server] = [town.client(), town.server()];
    let mut pair = Pair::new(client, server, town.now);
    assert!(pair.handshake().server.unwrap().is_resumed());
    let client = town.client();
    let mut pair = Pair::new(client, town.server(), Timestamp::from_secs(town.now.as_secs() - 1));
    pair.handshake().server.unwrap();
    assert!(!pair.server.secured.as_ref().unwrap().is_resumed());
}

#[test]
fn policy_of_either_side_turns_it_off() {
    let off = "tls.resumption = false\n";
    for (client, server) in [(off, ""), ("", off), (off, off)] {
        let town = Town::new(&scene().client_policy(client).server_policy(server));
        town.meets_in_full();
        assert!(!town.offers());
        town.meets_in_full();
    }
}

#[test]
fn where_tls_1_2_may_come_out_there_are_full_handshakes() {
    let lax = "tls.danger-allow-tls12 = true\n";
    for (client, server) in [(lax, ""), ("", lax), (lax, lax)] {
        let town = Town::new(&scene().client_policy(client).server_policy(server));
        town.meets_in_full();
        assert!(!town.offers());
        town.meets_in_full();
    }
}

#[test]
fn ticket_comes_with_the_first_word_of_the_server_and_not_alone() {
    let town = Town::mutual();
    // Not even before anybody has asked whether the handshake is done.
    let (mut client, mut server) = (town.client(), town.server());
    for _ in 0..2 {
        let mut wire = Vec::new();
        End::transmit(&mut client, &mut wire);
        server.handle_input(&wire, town.now).unwrap();
        wire.clear();
        End::transmit(&mut server, &mut wire);
        client.handle_input(&wire, town.now).unwrap();
        assert!(End::poll(&mut client, town.now).unwrap().is_some() || wire.is_empty());
    }
    assert!(!server.wants_transmit() && server.transmit(&mut Vec::new()).unwrap() == 0);
    assert!(End::poll(&mut server, town.now).unwrap().is_some());
    assert!(!server.wants_transmit());
    let mut pair = town.pair();
    pair.handshake();
    assert!(!pair.server.end.wants_transmit());
    let before = pair.to_client.bytes().len();
    pair.client_sends(b"hello");
    assert_eq!(pair.to_client.bytes().len(), before, "nothing wakes the client");
    assert!(!town.offers());
    pair.server_closes();
    assert!(pair.client.is_closed && pair.client.failure.is_none());
    let mut pair = town.pair();
    pair.handshake();
    pair.server_sends(b"x");
    assert!(town.offers());
}

#[test]
fn the_other_generation_starts_anew() {
    let scene = scene().client_shows(&CLIENT).server_policy(REQUIRE);
    let mut town = Town::new(&scene);
    town.meets_in_full();
    town.resumes();
    // The server's: another has other keys, though nothing in it is different.
    town.server = scene.server_config();
    assert!(town.offers());
    town.meets_in_full();
    town.resumes();
    // The client's.
    town.client = scene.client_config();
    assert!(!town.offers());
    town.meets_in_full();
    town.resumes();
}
