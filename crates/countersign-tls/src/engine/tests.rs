//! What only the inside can show.

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
