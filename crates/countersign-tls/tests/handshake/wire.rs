//! What someone on the wire sees and can do: nothing in plain, and nothing but end it.

use countersign_core::{Fault, HandshakeError};
use countersign_lab::{End, Pair};
use countersign_tls::{Engine, Opened, Output};

use crate::{CLIENT, HOST, refused, scene, variant, variants};

/// Something to recognise on the wire, longer than chance would make it.
const MARKER: &[u8] = b"the-eagle-has-landed";

fn secured() -> Pair {
    let mut pair = scene().client_shows(&CLIENT).pair();
    let ending = pair.handshake();
    assert_eq!(variants(&ending), ["ok", "ok"]);
    pair
}

fn holds(wire: &[u8], text: &[u8]) -> bool {
    wire.windows(text.len()).any(|window| window == text)
}

#[test]
fn data_arrives_as_it_was_sent_in_both_directions() {
    let mut pair = secured();
    let data: Vec<u8> = (0..200_000_u32).map(|it| it.to_le_bytes()[1]).collect();
    assert_eq!(pair.client_sends(&data), data.len());
    assert_eq!(pair.server_sends(b"thanks"), 6);
    assert!(pair.server.received == data);
    assert_eq!(pair.client.received, b"thanks");
}

#[test]
fn bytes_may_arrive_one_by_one() {
    let mut pair = scene().client_shows(&CLIENT).pair().byte_by_byte();
    let ending = pair.handshake();
    assert_eq!(ending.client.unwrap().session(), ending.server.unwrap().session());
    assert_eq!(pair.client_sends(MARKER), MARKER.len());
    assert_eq!(pair.server_sends(MARKER), MARKER.len());
    assert_eq!(pair.server.received, MARKER);
    assert_eq!(pair.client.received, MARKER);
    pair.server_closes();
    assert!(pair.client.is_closed);
    assert_eq!(pair.client.failure, None);
}

#[test]
fn no_plaintext_and_no_client_name_is_ever_on_the_wire() {
    let mut pair = secured();
    pair.client_sends(MARKER);
    pair.server_sends(MARKER);
    pair.client_sends(&MARKER.repeat(10_000));
    assert!(holds(&pair.server.received, MARKER) && holds(&pair.client.received, MARKER));
    for wire in [pair.to_server.bytes(), pair.to_client.bytes()] {
        assert!(!holds(wire, MARKER));
        assert!(!holds(wire, b"alice"), "the client's certificate is encrypted");
        assert!(!holds(wire, b"root"), "nor does the server's show, nor whom it believes");
    }
    // The search finds what there is: the name that the client asks for is in the clear.
    assert!(holds(pair.to_server.bytes(), HOST.as_bytes()));
}

#[test]
fn seal_takes_nothing_and_open_gives_nothing_before_the_evidence() {
    let scene = scene();
    let (mut client, mut server) = (scene.client(), scene.server());
    let now = scene.now();
    let mut piece = [0; 64];
    let mut idle = |engine: &mut Engine| {
        assert!(engine.is_handshaking());
        assert_eq!(engine.seal(MARKER), 0);
        assert_eq!(engine.open(&mut piece).unwrap(), Opened::Starved);
    };
    let carry = |from: &mut Engine, to: &mut Engine| {
        let mut wire = Vec::new();
        End::transmit(from, &mut wire);
        assert_eq!(to.handle_input(&wire, now).unwrap(), wire.len());
        assert!(!holds(&wire, MARKER));
    };
    idle(&mut client);
    idle(&mut server);
    carry(&mut client, &mut server);
    // A server of TLS 1.3 could send now, to it knows not whom.
    idle(&mut server);
    carry(&mut server, &mut client);
    // The client has verified everything, and has not said so yet.
    idle(&mut client);
    assert!(matches!(client.poll(now).unwrap(), Output::Secured(_)));
    assert!(matches!(client.poll(now).unwrap(), Output::Wait));
    assert_eq!(client.seal(MARKER), MARKER.len());
    carry(&mut client, &mut server);
    idle(&mut server);
    assert!(matches!(server.poll(now).unwrap(), Output::Secured(_)));
    let mut piece = [0; 64];
    assert_eq!(server.open(&mut piece).unwrap(), Opened::Data(MARKER.len()));
}

#[test]
fn engine_that_failed_before_its_evidence_gives_out_no_plaintext() {
    let scene = scene();
    let (mut client, mut server) = (scene.client(), scene.server());
    let now = scene.now();
    let mut wire = Vec::new();
    End::transmit(&mut client, &mut wire);
    server.handle_input(&wire, now).unwrap();
    wire.clear();
    End::transmit(&mut server, &mut wire);
    client.handle_input(&wire, now).unwrap();
    assert!(matches!(client.poll(now).unwrap(), Output::Secured(_)));
    // The last flight, data, and a record that nobody made arrive together.
    client.seal(MARKER);
    wire.clear();
    End::transmit(&mut client, &mut wire);
    wire.extend(b"\x17\x03\x03\x00\x20");
    wire.extend([7; 32]);
    let mut rest = wire.as_slice();
    let error = loop {
        match server.handle_input(rest, now) {
            Ok(0) => break server.handle_end_of_input().unwrap_err(),
            Ok(taken) => rest = &rest[taken..],
            Err(error) => break error,
        }
    };
    let mut piece = [0; 64];
    assert_eq!(server.open(&mut piece), Err(error.clone()));
    assert_eq!(server.poll(now).unwrap_err(), error);
    assert_eq!(piece, [0; 64]);
    assert_eq!(server.seal(MARKER), 0);
}

#[test]
fn end_that_was_announced_is_no_truncation() {
    let mut pair = secured();
    pair.client_sends(MARKER);
    pair.client_closes();
    assert_eq!(pair.server.received, MARKER);
    assert!(pair.server.is_closed);
    assert_eq!(pair.server.failure, None);
    // The other direction goes on.
    assert_eq!(pair.server_sends(MARKER), MARKER.len());
    assert_eq!(pair.client.received, MARKER);
    pair.server_closes();
    assert!(pair.client.is_closed);
    assert_eq!(pair.client.failure, None);
}

#[test]
fn end_that_was_not_announced_is_a_truncation() {
    let mut pair = secured();
    pair.client_sends(MARKER);
    pair.to_server.end();
    pair.run();
    assert_eq!(pair.server.received, MARKER, "what arrived, arrived");
    assert!(!pair.server.is_closed);
    assert_eq!(pair.server.failure, Some(HandshakeError::Truncated));
}

#[test]
fn record_cut_in_the_middle_is_a_truncation_and_gives_nothing() {
    let mut pair = secured();
    pair.to_server.cut(pair.to_server.bytes().len() + 10);
    pair.client_sends(MARKER);
    assert_eq!(pair.server.received, b"");
    assert_eq!(pair.server.failure, Some(HandshakeError::Truncated));
}

#[test]
fn handshake_cut_anywhere_is_a_truncation_on_both_sides() {
    let whole = secured();
    let (up, down) = (whole.to_server.bytes().len(), whole.to_client.bytes().len());
    // Signatures differ in length by a few bytes from one handshake to the next.
    for at in (0..down - 16).step_by(37) {
        let mut pair = scene().client_shows(&CLIENT).pair();
        pair.to_client.cut(at);
        assert_eq!(variants(&pair.handshake()), ["Truncated", "Truncated"], "{at} of {down}");
    }
    for at in (0..up - 16).step_by(37) {
        let mut pair = scene().client_shows(&CLIENT).pair();
        pair.to_server.cut(at);
        assert_eq!(variants(&pair.handshake()), ["Truncated", "Truncated"], "{at} of {up}");
    }
}

#[test]
fn flipped_bit_in_a_record_gives_nothing() {
    // The five bytes of the header, and every byte of the record.
    for at in 0..5 + MARKER.len() + 17 {
        let mut pair = secured();
        pair.to_server.flip(pair.to_server.bytes().len() + at);
        pair.client_sends(MARKER);
        pair.to_server.end();
        pair.run();
        // Type and version in the header are ignored, since the true type is inside (RFC 8446
        // sections 5.1 and 5.2): altering them alters nothing.
        if at < 3 && pair.server.received == MARKER {
            continue;
        }
        assert_eq!(pair.server.received, b"", "byte {at}");
        let failure = variant(pair.server.failure.as_ref().unwrap());
        assert!(["Protocol", "Truncated"].contains(&failure.as_str()), "byte {at}: {failure}");
    }
}

#[test]
fn altered_record_is_told_to_the_one_who_sent_it() {
    let mut pair = secured();
    pair.to_server.flip(pair.to_server.bytes().len() + 10);
    pair.client_sends(MARKER);
    let what = "a record was altered on the way, or made with another key".to_owned();
    assert_eq!(pair.server.failure, Some(HandshakeError::Protocol { what }));
    assert_eq!(pair.client.failure, Some(refused("bad_record_mac")));
    assert_eq!(pair.client_sends(MARKER), 0);
    assert_eq!(pair.server_sends(MARKER), 0);
}

#[test]
fn record_that_is_played_again_gives_nothing() {
    let mut pair = secured();
    let before = pair.to_server.bytes().len();
    pair.client_sends(MARKER);
    let record = pair.to_server.bytes()[before..].to_vec();
    assert_eq!(pair.server.end.handle_input(&record, pair.now), Ok(record.len()));
    let error = pair.server.end.open(&mut [0; 100]).unwrap_err();
    assert_eq!(variant(&error), "Protocol");
    assert_eq!(pair.server.received, MARKER);
}

/// What a client makes of an answer, and a server of a greeting, that is no TLS.
#[track_caller]
fn check_not_tls(bytes: &[u8], shown: &str) {
    let scene = scene();
    for mut engine in [scene.client(), scene.server()] {
        let result =
            engine.handle_input(bytes, scene.now()).and_then(|_| engine.handle_end_of_input());
        let what = format!("sent \"{shown}\"");
        assert_eq!(result, Err(HandshakeError::NotTls { what }));
        assert!(engine.has_heard() && !engine.may_be_tls());
        assert!(matches!(engine.poll(scene.now()), Err(HandshakeError::NotTls { .. })));
    }
}

#[test]
fn what_is_no_tls_is_shown() {
    check_not_tls(b"220 mail.example ESMTP\r\n", "220 mail.example ESMTP");
    check_not_tls(
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad Request",
    );
    check_not_tls(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1");
    check_not_tls(b"SSH-2.0-OpenSSH_9.9\r\n", "SSH-2.0-OpenSSH_9.9");
    check_not_tls(b"E", "E");
    check_not_tls(
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}/",
    );
    check_not_tls(b"\x16\x02\x00\x00\x01\x00", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    check_not_tls(b"\x1b[31mred", "\u{fffd}[31mred");
    check_not_tls(&[b'x'; 5000], &"x".repeat(40));
}

#[test]
fn silence_and_half_a_record_are_no_answer_of_another_kind() {
    let scene = scene();
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x03\x01\x00\x02"] {
        for mut engine in [scene.client(), scene.server()] {
            engine.handle_input(bytes, scene.now()).unwrap();
            assert!(engine.may_be_tls());
            assert_eq!(engine.handle_end_of_input(), Err(HandshakeError::Truncated));
            assert_eq!(engine.has_heard(), !bytes.is_empty());
        }
    }
}

#[test]
fn every_error_is_final() {
    let scene = scene();
    let mut engine = scene.client();
    let error = engine.handle_input(b"220 mail.example ESMTP\r\n", scene.now()).unwrap_err();
    assert_eq!(error.fault(), Fault::Peer);
    assert_eq!(engine.handle_input(b"\x16\x03\x03", scene.now()), Err(error.clone()));
    assert_eq!(engine.handle_end_of_input(), Err(error.clone()));
    assert_eq!(engine.open(&mut [0; 8]), Err(error.clone()));
    assert_eq!(engine.poll(scene.now()).unwrap_err(), error);
    assert_eq!(engine.seal(MARKER), 0);
    assert!(!engine.is_handshaking());
}
