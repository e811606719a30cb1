//! A hundred thousand hostile inputs: noise, and real handshakes that were altered at every stage.
//!
//! Whatever arrives, an engine answers with an error or waits for more. It never panics, never
//! hangs, never blames this host for what a peer sent, never lets plaintext out early, and never
//! says that it is secured over bytes that were altered. Inputs come from fixed seeds; keys and
//! nonces of the live handshakes are fresh each time.

mod hunt;
mod live;
mod mutation;
mod names;
mod records;
mod replayed;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use countersign_core::{HandshakeError, Timestamp};
use countersign_lab::{Authority, End, Issued, Leaf, Scene};
use countersign_tls::Engine;

use crate::mutation::Random;

const HOST: &str = "db1.example.com";
/// A policy that opens the parsers of TLS 1.2 too.
const LAX: &str = "tls.danger-allow-tls12 = true";

/// A policy by which both sides would rather have a proof inside the connection.
const TICKETS: &str = "kerberos.client = 'prefer'\nkerberos.server = 'prefer'";

/// Longest that one call may take: far more than any needs, far less than a hang.
const PATIENCE: Duration = Duration::from_secs(5);

static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));
static SERVER: LazyLock<Issued> = LazyLock::new(|| ROOT.issue(Leaf::new().dns(HOST)));
static CLIENT: LazyLock<Issued> =
    LazyLock::new(|| ROOT.issue(Leaf::new().kerberos("EXAMPLE.COM", &["alice"])));

fn scene(policy: &str) -> Scene {
    let scene = Scene::new(&ROOT).server_shows(&SERVER).client_shows(&CLIENT).asking(HOST);
    scene.client_policy(policy).server_policy(policy)
}

/// What an engine made of its input.
#[derive(Debug, Default)]
struct Outcome {
    is_secured: bool,
    failure: Option<HandshakeError>,
    plain: Vec<u8>,
}

/// Gives `wire` to an engine in pieces of random size, and checks what must hold at every step.
fn feed(engine: &mut Engine, wire: &[u8], now: Timestamp, random: &mut Random) -> Outcome {
    // Nobody feeds an engine that has failed, so this one is secured if it is done.
    let mut outcome = Outcome { is_secured: !engine.is_handshaking(), ..Outcome::default() };
    let mut rest = wire;
    while !rest.is_empty() && outcome.failure.is_none() {
        let piece = match random.below(4) {
            0 => 1 + random.below(rest.len()),
            _ => rest.len(),
        };
        let before = Instant::now();
        let opened = outcome.plain.len();
        let mut is_deaf = false;
        match engine.handle_input(&rest[..piece], now) {
            Ok(taken) => {
                is_deaf = taken == 0;
                rest = &rest[taken..];
            }
            Err(error) => outcome.failure = Some(error),
        }
        look(engine, now, &mut outcome);
        // It takes nothing any more when the peer has said that it is done.
        if is_deaf && outcome.plain.len() == opened {
            break;
        }
        assert!(before.elapsed() < PATIENCE, "one call took {:?}", before.elapsed());
    }
    outcome
}

/// Lets an engine learn that its input has ended.
fn finish(engine: &mut Engine, now: Timestamp, outcome: &mut Outcome) {
    if outcome.failure.is_none() {
        outcome.failure = engine.handle_end_of_input().err();
        look(engine, now, outcome);
    }
}

fn look(engine: &mut Engine, now: Timestamp, outcome: &mut Outcome) {
    match End::poll(engine, now) {
        Ok(evidence) => outcome.is_secured |= evidence.is_some(),
        Err(error) => assert_eq!(Some(&error), outcome.failure.as_ref()),
    }
    let before = outcome.plain.len();
    match (End::open(engine, &mut outcome.plain), &outcome.failure) {
        // Records are looked at when they are opened.
        (Err(error), None) => {
            outcome.failure = Some(error.clone());
            assert_eq!(End::poll(engine, now).err(), Some(error), "poll tells another end");
        }
        (opened, failure) => assert_eq!(&opened.err(), failure, "open tells another end"),
    }
    assert!(outcome.is_secured || outcome.plain.len() == before, "plaintext before the evidence");
    assert!(outcome.is_secured || engine.seal(b"early") == 0, "sealed before the evidence");
    if let Some(error) = &outcome.failure {
        assert_eq!(engine.seal(b"late"), 0, "sealed after {error}");
        let is_ours = matches!(error, HandshakeError::OurSide { .. });
        assert!(!is_ours, "blames this host for what the peer sent: {error}");
        assert!(error.to_string().len() < 1000, "a message without end");
    }
}

/// Takes what an engine has to say.
fn said(engine: &mut Engine) -> Vec<u8> {
    let mut wire = Vec::new();
    End::transmit(engine, &mut wire);
    wire
}

/// The name of an error's variant.
fn variant(error: &HandshakeError) -> String {
    format!("{error:?}").split([' ', '(']).next().unwrap().to_owned()
}
