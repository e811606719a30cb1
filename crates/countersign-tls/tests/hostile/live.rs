//! Live handshakes of which one flight is altered on the way, at every stage, and records after
//! them. Whoever says that it is secured had everything arrive whole.

use std::sync::Arc;

use countersign_core::{Admission, Asked, KerberosUse, Timestamp};
use countersign_lab::{End, Scene, Stranger};
use countersign_tls::{ClientConfig, Engine, ServerConfig};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::TLS12;

use crate::hunt::{came_to, hunt};
use crate::mutation::{Random, mutate};
use crate::records::arrives_whole;
use crate::{LAX, Outcome, SERVER, TICKETS, feed, finish, said, scene, variant};

const FLIGHTS: usize = 18_000;
const OLD_FLIGHTS: usize = 5_000;
const OFFERS: usize = 9_000;
const RECORDS: usize = 7_000;

/// What both sides are made from.
struct Makers {
    client: ClientConfig,
    server: ServerConfig,
    admission: Arc<Admission>,
    asked: Asked,
    now: Timestamp,
}

impl Makers {
    fn new(scene: &Scene) -> Self {
        Self {
            client: scene.client_config(),
            server: scene.server_config(),
            admission: scene.admission(),
            asked: scene.asked(),
            now: scene.now(),
        }
    }

    fn client(&self) -> Engine {
        Engine::client(&self.client, self.asked.clone(), self.now).unwrap()
    }

    fn server(&self) -> Engine {
        let peer = Scene::CLIENT.parse().unwrap();
        Engine::server(&self.server, self.admission.clone(), peer).unwrap()
    }
}

/// A flight on its way: perhaps altered, and whether it arrives whole.
fn send(sent: &[u8], alter: bool, random: &mut Random) -> (Vec<u8>, bool) {
    let arrived = if alter { mutate(sent, random) } else { sent.to_vec() };
    let whole = arrives_whole(sent, &arrived);
    (arrived, whole)
}

fn ending(outcome: &Outcome) -> String {
    outcome.failure.as_ref().map_or_else(|| "ok".to_owned(), variant)
}

#[test]
fn flight_that_is_altered_secures_nobody() {
    let makers = Makers::new(&scene(""));
    let tally = hunt(0x666c_6967, FLIGHTS, move |random| {
        let now = makers.now;
        let (mut client, mut server) = (makers.client(), makers.server());
        let stage = random.below(3);

        let (wire, whole) = send(&said(&mut client), stage == 0, random);
        let mut outcome = feed(&mut server, &wire, now, random);
        assert!(!outcome.is_secured);

        let (wire, answer_whole) = send(&said(&mut server), stage == 1, random);
        let answered = feed(&mut client, &wire, now, random);
        assert!(!answered.is_secured || (whole && answer_whole), "an altered answer was believed");

        let (wire, last_whole) = send(&said(&mut client), stage == 2, random);
        if outcome.failure.is_none() {
            outcome = feed(&mut server, &wire, now, random);
        }
        let all_whole = whole && answer_whole && last_whole;
        assert!(!outcome.is_secured || all_whole, "an altered handshake was believed");
        finish(&mut server, now, &mut outcome);
        format!("{stage} {} {} {}", answered.is_secured, outcome.is_secured, ending(&outcome))
    });
    // Some alterations alter nothing, or only add what follows: those are believed, so that what
    // was checked above was not checked in vain.
    came_to(&tally, &["0 true true Truncated", "1 true true Truncated", "2 true true Truncated"]);
    came_to(&tally, &["0 false false Protocol", "2 true false Protocol", "2 true false Truncated"]);
    came_to(&tally, &["0 false false NothingShared", "1 false false RefusedByPeer"]);
}

#[test]
fn no_flight_altered_or_not_does_without_the_proof_that_was_agreed_on() {
    let scene = scene(TICKETS);
    let (client_config, server_config) = (scene.client_config(), scene.server_config());
    let (admission, asked, now) = (scene.admission(), scene.asked(), scene.now());
    let tally = hunt(0x7469_636b, OFFERS, move |random| {
        let (asked, offer) = (asked.clone(), KerberosUse::Prefer);
        let mut client = Engine::client_offering(&client_config, asked, offer, now).unwrap();
        let peer = Scene::CLIENT.parse().unwrap();
        let mut server = Engine::server(&server_config, admission.clone(), peer).unwrap();
        let stage = random.below(4);
        let (wire, _) = send(&said(&mut client), stage == 0, random);
        let mut outcome = feed(&mut server, &wire, now, random);
        let (wire, _) = send(&said(&mut server), stage == 1, random);
        let mut answered = feed(&mut client, &wire, now, random);
        let (wire, _) = send(&said(&mut client), stage == 2, random);
        if outcome.failure.is_none() {
            outcome = feed(&mut server, &wire, now, random);
        }
        assert!(!answered.is_secured && !outcome.is_secured, "nobody has proved anything");
        finish(&mut client, now, &mut answered);
        finish(&mut server, now, &mut outcome);
        format!("{stage} {} {}", ending(&answered), ending(&outcome))
    });
    came_to(&tally, &["3 Truncated Truncated", "0 RefusedByPeer Protocol", "2 Truncated Protocol"]);
}

#[test]
fn flight_of_tls_1_2_that_is_altered_secures_nobody() {
    let scene = scene(LAX);
    let makers = Makers::new(&scene);
    let stranger = Arc::new(Stranger::server_config(&SERVER, default_provider(), &[&TLS12]));
    let tally = hunt(0x6f6c_6474, OLD_FLIGHTS, move |random| {
        let now = makers.now;
        let (mut client, mut server) = (makers.client(), Stranger::server(stranger.clone()));
        let stage = random.below(2);
        let mut all_whole = true;
        let mut outcome = Outcome::default();
        for flight in 0..2 {
            let mut wire = said(&mut client);
            while !wire.is_empty() {
                match server.handle_input(&wire, now) {
                    Ok(taken) if taken > 0 => drop(wire.drain(..taken)),
                    _ => break,
                }
            }
            wire.clear();
            server.transmit(&mut wire);
            let altered = if flight == stage { mutate(&wire, random) } else { wire.clone() };
            // In TLS 1.2 the type of an encrypted record is not inside, and change_cipher_spec
            // means something.
            all_whole &= altered.starts_with(&wire) || arrives_whole(&wire, &altered);
            if outcome.failure.is_none() {
                outcome = feed(&mut client, &altered, now, random);
            }
            assert!(!outcome.is_secured || all_whole, "an altered handshake was believed");
        }
        finish(&mut client, now, &mut outcome);
        format!("{stage} {} {}", outcome.is_secured, ending(&outcome))
    });
    came_to(&tally, &["0 false Protocol", "0 false Truncated", "1 false Protocol"]);
    came_to(&tally, &["0 true Truncated", "0 false BadCertificate", "1 false Truncated"]);
}

#[test]
fn record_that_is_altered_gives_nothing_but_what_was_sent() {
    let makers = Makers::new(&scene(""));
    let tally = hunt(0x7265_636f, RECORDS, move |random| {
        let now = makers.now;
        let (mut client, mut server) = (makers.client(), makers.server());
        for _ in 0..2 {
            feed(&mut server, &said(&mut client), now, &mut Random::new(1));
            feed(&mut client, &said(&mut server), now, &mut Random::new(1));
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        let mut sent = Vec::new();
        for _ in 0..1 + random.below(3) {
            let count = 1 + random.below(400);
            let plain = random.bytes(count);
            assert_eq!(client.seal(&plain), plain.len());
            sent.extend(plain);
        }
        let is_closed = random.below(2) == 0;
        if is_closed {
            client.close();
        }
        let flight = said(&mut client);
        let (wire, whole) = send(&flight, true, random);
        let mut outcome = feed(&mut server, &wire, now, random);
        finish(&mut server, now, &mut outcome);
        assert!(sent.starts_with(&outcome.plain), "altered data was handed out");
        assert!(whole || !is_closed || outcome.failure.is_some(), "a lost end went unnoticed");
        format!("{} {}", outcome.plain.len() == sent.len(), ending(&outcome))
    });
    came_to(&tally, &["true ok", "true Truncated", "false Truncated", "false Protocol"]);
}
