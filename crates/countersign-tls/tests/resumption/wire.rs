//! What somebody on the path can do with sessions: nothing but end a connection.

use std::sync::Arc;

use countersign_core::HandshakeError;
use countersign_lab::{End, Leaf, Pair, Stranger};
use countersign_tls::Engine;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::TLS13;

use crate::{
    CLIENT, HOST, NONE, REQUIRE, ROOT, Town, both, offers_session, scene, ticket, variant,
};

/// Takes what an engine has to say.
fn said(engine: &mut Engine) -> Vec<u8> {
    let mut wire = Vec::new();
    End::transmit(engine, &mut wire);
    wire
}

#[test]
fn altered_bits_are_found_wherever_they_are() {
    let town = Town::mutual();
    town.meets_in_full();
    let mut pair = town.pair();
    pair.handshake();
    let lengths = [pair.to_server.bytes().len(), pair.to_client.bytes().len()];
    pair.server_sends(b"x");
    for (side, length) in lengths.into_iter().enumerate() {
        for at in (0..length).step_by(7) {
            // Brings a ticket: the last try has used one up.
            both(town.meet());
            let mut pair = town.pair();
            if side == 0 { &mut pair.to_server } else { &mut pair.to_client }.flip(at);
            pair.run();
            assert!(offers_session(pair.to_server.bytes()));
            let [client, server] = [pair.client.secured.is_some(), pair.server.secured.is_some()];
            let failed = pair.client.failure.is_some() || pair.server.failure.is_some();
            let wire = if side == 0 { &pair.to_server } else { &pair.to_client };
            // Only the version of a record is not protected (RFC 8446 section 5.1).
            assert!(
                is_version_of_record(wire.bytes(), at) || !client || !server || failed,
                "byte {at} of {side} was altered, and nobody noticed"
            );
        }
    }
}

fn is_version_of_record(wire: &[u8], wanted: usize) -> bool {
    let mut at = 0;
    while at + 5 <= wire.len() {
        if wanted == at + 1 || wanted == at + 2 {
            return true;
        }
        at += 5 + usize::from(u16::from_be_bytes([wire[at + 3], wire[at + 4]]));
    }
    false
}

#[test]
fn a_recorded_greeting_opens_nothing() {
    let town = Town::mutual();
    town.meets_in_full();
    let mut pair = town.pair();
    pair.handshake().server.unwrap();
    let recorded = pair.to_server.bytes().to_vec();
    assert!(offers_session(&recorded));
    for _ in 0..3 {
        let mut server = town.server();
        let mut rest = &recorded[..];
        let outcome = loop {
            match server.handle_input(rest, town.now) {
                Ok(taken) if taken < rest.len() => rest = &rest[taken..],
                other => break other,
            }
        };
        // The Finished of another key exchange.
        assert_eq!(variant(&outcome.unwrap_err()), "Protocol");
        assert!(server.is_handshaking() || End::poll(&mut server, town.now).is_err());
        assert_eq!(server.seal(b"secret"), 0);
    }
}

#[test]
fn stolen_ticket_is_worth_nothing_without_its_secret() {
    let town = Town::mutual();
    town.meets_in_full();
    let mut alice = town.client();
    let hers = said(&mut alice);
    // Mallory has a certificate too, and puts her ticket in the place of his own. Signatures of
    // ECDSA differ by a byte or two, so he needs a few until the sizes are the same.
    let mut own = (0..100).map(|_| {
        let mallory = ROOT.issue(Leaf::new().kerberos("EXAMPLE.COM", &["malic"]));
        let config = Stranger::client_config(&ROOT, Some(&mallory), default_provider(), &[&TLS13]);
        greeting_of_stranger(&town, &Arc::new(config))
    });
    let mut own = own.find(|own| ticket(own).len() == ticket(&hers).len()).unwrap();
    let mut server = town.server();
    let to = ticket(&own);
    own[to].copy_from_slice(&hers[ticket(&hers)]);
    assert_eq!(server.handle_input(&own, town.now).unwrap_err(), incorrect_binder());
    assert_eq!(server.seal(b"secret"), 0);
}

#[test]
fn stolen_ticket_of_an_anonymous_client_neither() {
    // All of these tickets have one size.
    let town = Town::new(&scene().server_policy(NONE));
    let config = Arc::new(Stranger::client_config(&ROOT, None, default_provider(), &[&TLS13]));
    town.meets_in_full();
    let hers = said(&mut town.client());
    let mut own = greeting_of_stranger(&town, &config);
    let to = ticket(&own);
    own[to].copy_from_slice(&hers[ticket(&hers)]);
    assert_eq!(town.server().handle_input(&own, town.now).unwrap_err(), incorrect_binder());
}

fn incorrect_binder() -> HandshakeError {
    HandshakeError::Protocol { what: "incorrect binder".to_owned() }
}

/// What a stranger greets with after one connection, which brought it a session.
fn greeting_of_stranger(town: &Town, config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut pair = Pair::new(Stranger::client(config.clone(), HOST), town.server(), town.now);
    pair.handshake().server.unwrap();
    pair.server_sends(b"x");
    let mut greeting = Vec::new();
    Stranger::client(config.clone(), HOST).transmit(&mut greeting);
    greeting
}

#[test]
fn ticket_says_nothing_to_who_listens() {
    let town = Town::new(&scene().client_shows(&CLIENT).server_policy(REQUIRE));
    town.meets_in_full();
    let greeting = said(&mut town.client());
    let sealed = &greeting[ticket(&greeting)];
    for told in [&b"alice"[..], b"EXAMPLE.COM", HOST.as_bytes()] {
        assert!(!sealed.windows(told.len()).any(|it| it == told));
    }
}
