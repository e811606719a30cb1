//! Every way in which a handshake can end is reached here, and one that is forgotten is noticed.

use std::collections::BTreeSet;

use countersign_core::{Fault, HandshakeError};
use countersign_lab::{Authority, Leaf, Pair, Scene, Stranger};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::TLS12;

use crate::{CLIENT, HOST, ROOT, scene, variant};

/// Endings that no pair of engines comes to, and why.
const OUT_OF_REACH: [(&str, &str); 5] = [
    ("Changed", "a program asks for it later, of a connection that is open"),
    ("Kerberos", "the proof inside is opaque to engines; whoever runs it says how it failed"),
    ("OurSide", "no peer can cause it: the library itself would have to fail"),
    ("Overloaded", "an engine is alone; a listener counts its handshakes and gives one up"),
    ("TimedOut", "engines read no clock; whoever drives one gives up, and says so"),
];

#[test]
fn every_ending_is_reached() {
    let mut reached: BTreeSet<String> = endings().iter().map(variant).collect();
    for (name, _) in OUT_OF_REACH {
        assert!(reached.insert(name.to_owned()), "{name} is in reach");
    }
    assert_eq!(reached, listed());
}

#[test]
fn every_ending_is_the_peers_fault_and_says_what_to_try() {
    for ending in endings() {
        assert_eq!(ending.fault(), Fault::Peer, "{ending}");
        assert!(!ending.hint().is_empty());
        let message = ending.to_string();
        assert!(!message.contains(['{', '\n']) && !message.ends_with('.'), "{message}");
    }
}

/// One pair for each ending; what both sides came to.
fn endings() -> Vec<HandshakeError> {
    let leaf = || Leaf::new().dns(HOST);
    let shows = |leaf| Scene::new(&ROOT).server_shows(&ROOT.issue(leaf)).asking(HOST);
    let mut cut = scene().pair();
    cut.to_client.cut(100);
    let mut flipped = scene().pair();
    flipped.to_client.flip(200);
    let mut pairs = vec![
        shows(leaf().authority()).pair(),
        shows(leaf().valid(0, 60)).pair(),
        shows(leaf().valid(4_000_000_000, 4_000_000_060)).pair(),
        shows(leaf().client_only()).pair(),
        shows(Leaf::new().dns("evil.test")).pair(),
        scene().client_trusts(&Authority::new("other")).pair(),
        scene().server_policy("server.client-certificates = 'require'").pair(),
        scene().client_shows(&CLIENT).server_policy("[[allow]]\npeers = ['a@B']").pair(),
        cut,
        flipped,
        scene().client_policy("kerberos.client = 'require'").pair(),
        scene()
            .client_policy("kerberos.client = 'prefer'")
            .server_policy("kerberos.server = 'prefer'")
            .client_trusts(&Authority::new("other"))
            .client_shows(&CLIENT)
            .pair(),
    ];
    let mut endings = Vec::new();
    for pair in &mut pairs {
        let ending = pair.handshake();
        endings.extend(ending.client.err());
        endings.extend(ending.server.err());
    }

    let old = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS12]);
    let mut pair = Pair::new(Stranger::client(old, HOST), scene().server(), scene().now());
    endings.extend(pair.handshake().server.err());

    let greeting = b"220 mail.example ESMTP\r\n";
    endings.extend(scene().client().handle_input(greeting, scene().now()).err());
    endings
}

/// The variants of the error, as its source lists them.
fn listed() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../countersign-core/src/error.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let (_, body) = source.split_once("pub enum HandshakeError {\n").unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    names.map(|line| line.split([',', ' ', '(']).next().unwrap_or_default().to_owned()).collect()
}
