//! Our records against those of rustls, which knows nothing of ours.

use std::io::{Read, Write};
use std::sync::Arc;

use countersign_core::HandshakeError;
use countersign_lab::{Authority, Leaf, Stranger};
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::UnbufferedServerConnection;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, ConnectionTrafficSecrets, ServerConfig,
    ServerConnection, SupportedCipherSuite,
};

use super::{PLAIN, Records};
use crate::Opened;
use crate::handshake::Handshake;

const SUITES: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];

/// Our end, a stranger, and the bytes on the way.
struct Talk {
    ours: Records,
    theirs: Connection,
    to_us: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum We {
    Connect,
    Listen,
}

fn configs(suite: SupportedCipherSuite) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new("root");
    let issued = authority.issue(Leaf::new().dns("db1.test"));
    let provider =
        || CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
    let mut client = Stranger::client_config(&authority, None, provider(), &[&TLS13]);
    let mut server = Stranger::server_config(&issued, provider(), &[&TLS13]);
    client.enable_secret_extraction = true;
    server.enable_secret_extraction = true;
    (Arc::new(client), Arc::new(server))
}

/// Drives one handshake to its end, with `piece` bytes arriving at once.
fn start(suite: SupportedCipherSuite, we: We, piece: usize) -> Talk {
    let (client, server) = configs(suite);
    let name = "db1.test".try_into().unwrap();
    let (mut ours, mut theirs) = match we {
        We::Connect => (
            Handshake::client(UnbufferedClientConnection::new(client, name).unwrap()),
            Connection::from(ServerConnection::new(server).unwrap()),
        ),
        We::Listen => (
            Handshake::server(UnbufferedServerConnection::new(server).unwrap()),
            Connection::from(ClientConnection::new(client, name).unwrap()),
        ),
    };
    let mut wire = Vec::new();
    let mut arrived = 0;
    loop {
        let progress = ours.process(&mut wire[..arrived]);
        progress.result.unwrap();
        wire.drain(..progress.used);
        arrived -= progress.used;
        while ours.wants_transmit() {
            let mut out = Vec::new();
            ours.transmit(&mut out).unwrap();
            let mut rest = &out[..];
            while !rest.is_empty() {
                theirs.read_tls(&mut rest).unwrap();
                theirs.process_new_packets().unwrap();
            }
        }
        while theirs.wants_write() {
            theirs.write_tls(&mut wire).unwrap();
        }
        if !ours.common().is_handshaking() && !theirs.is_handshaking() {
            break;
        }
        assert!(arrived < wire.len(), "nobody has anything to say");
        arrived = wire.len().min(arrived + piece);
    }
    Talk { ours: ours.into_records().unwrap(), theirs, to_us: wire }
}

impl Talk {
    /// Carries what our end has to say to the stranger, and returns what that read.
    fn carry_ours(&mut self) -> Vec<u8> {
        let mut plain = Vec::new();
        while self.ours.wants_transmit() {
            let mut out = Vec::new();
            self.ours.transmit(&mut out).unwrap();
            let mut rest = &out[..];
            while !rest.is_empty() {
                self.theirs.read_tls(&mut rest).unwrap();
                let state = self.theirs.process_new_packets().unwrap();
                let mut part = vec![0; state.plaintext_bytes_to_read()];
                self.theirs.reader().read_exact(&mut part).unwrap();
                plain.extend(part);
            }
        }
        plain
    }

    /// Takes what the stranger has to say onto the wire.
    fn carry_theirs(&mut self) {
        while self.theirs.wants_write() {
            self.theirs.write_tls(&mut self.to_us).unwrap();
        }
    }

    /// Opens what is on the wire, with room for `room` bytes at once.
    fn open(&mut self, room: usize) -> Result<(Vec<u8>, Opened), HandshakeError> {
        let mut plain = Vec::new();
        loop {
            let mut into = vec![0xa5; room];
            let taken = self.ours.open(&mut self.to_us, &mut into)?;
            self.to_us.drain(..taken.wire);
            match taken.found {
                Opened::Data(count) => plain.extend(&into[..count]),
                end => return Ok((plain, end)),
            }
        }
    }
}

fn text(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn both_roles_and_all_suites_talk_to_a_stranger() {
    for suite in SUITES {
        for we in [We::Connect, We::Listen] {
            for piece in [1, 7, usize::MAX / 2] {
                let mut talk = start(suite, we, piece);
                for size in [1, 100, PLAIN - 1, PLAIN, PLAIN + 1, 100_000] {
                    let sent = text(size);
                    let mut received = Vec::new();
                    let mut rest = &sent[..];
                    while !rest.is_empty() {
                        let taken = talk.ours.seal(rest);
                        assert!(taken > 0);
                        rest = &rest[taken..];
                        received.extend(talk.carry_ours());
                    }
                    assert!(received == sent, "{suite:?} {we:?} {size}");

                    let mut rest = &sent[..];
                    let mut received = Vec::new();
                    while !rest.is_empty() {
                        let taken = talk.theirs.writer().write(rest).unwrap();
                        rest = &rest[taken..];
                        talk.carry_theirs();
                        received.extend(talk.open(1 + size / 3).unwrap().0);
                    }
                    assert!(received == sent, "{suite:?} {we:?} {size} back");
                }
            }
        }
    }
}

/// Any sizes of writes, pieces of the wire and rooms for plaintext give the same bytes.
#[test]
fn however_bytes_are_cut_they_are_the_same() {
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..30 {
        let mut talk = start(SUITES[random(3)], We::Listen, usize::MAX / 2);
        let mut pending = std::mem::take(&mut talk.to_us);
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        for step in 0..60 {
            match random(8) {
                0..3 => {
                    let size = [1, 50, 1_000, 20_000][random(4)];
                    let piece = text(1 + random(size));
                    talk.theirs.writer().write_all(&piece).unwrap();
                    sent.extend(piece);
                    while talk.theirs.wants_write() {
                        talk.theirs.write_tls(&mut pending).unwrap();
                    }
                }
                3 if step % 7 == 0 => talk.theirs.refresh_traffic_keys().unwrap(),
                4 => talk.ours.refresh().unwrap(),
                _ => {}
            }
            let arrives = random(pending.len() + 1);
            talk.to_us.extend(pending.drain(..arrives));
            let mut into = vec![0; random(30_000)];
            let taken = talk.ours.open(&mut talk.to_us, &mut into).unwrap();
            talk.to_us.drain(..taken.wire);
            if let Opened::Data(count) = taken.found {
                received.extend(&into[..count]);
            }
            assert!(talk.carry_ours().is_empty());
        }
        while talk.theirs.wants_write() {
            talk.theirs.write_tls(&mut pending).unwrap();
        }
        talk.to_us.append(&mut pending);
        received.extend(talk.open(5_000).unwrap().0);
        assert!(received == sent, "other bytes");
    }
}

#[test]
fn keys_change_when_either_side_wants_it_and_when_they_are_worn() {
    for we in [We::Connect, We::Listen] {
        let mut talk = start(SUITES[1], we, usize::MAX / 2);
        for round in 0..5 {
            // rustls asks for ours too.
            talk.theirs.refresh_traffic_keys().unwrap();
            talk.theirs.writer().write_all(b"after").unwrap();
            talk.carry_theirs();
            assert_eq!(talk.open(100).unwrap().0, b"after");
            let before = talk.ours.updates();
            assert!(talk.ours.wants_transmit(), "{round}");
            assert!(talk.carry_ours().is_empty());
            assert_eq!(talk.ours.updates(), before + 1);
            assert_eq!(talk.ours.seal(b"hello"), 5);
            assert_eq!(talk.carry_ours(), b"hello");
        }
        talk.ours.sealer.wear_out();
        let before = talk.ours.updates();
        assert_eq!(talk.ours.seal(b"with a new key"), 14);
        assert_eq!(talk.carry_ours(), b"with a new key");
        assert_eq!(talk.ours.updates(), before + 1);
    }
}

#[test]
fn a_peer_that_asks_for_keys_without_end_costs_one_answer_and_is_refused() {
    let mut talk = start(SUITES[1], We::Listen, usize::MAX / 2);
    // Tickets go with the first word.
    assert_eq!(talk.ours.seal(b"x"), 1);
    assert_eq!(talk.carry_ours(), b"x");
    for _ in 0..super::IDLE_RECORDS {
        talk.theirs.refresh_traffic_keys().unwrap();
        talk.carry_theirs();
        assert_eq!(talk.open(100).unwrap().1, Opened::Starved);
    }
    talk.theirs.refresh_traffic_keys().unwrap();
    talk.carry_theirs();
    let error = talk.open(100).unwrap_err();
    assert!(matches!(&error, HandshakeError::Protocol { what } if what.contains("in a row")));
    // The alert, and no answer for each of them.
    let mut out = Vec::new();
    talk.ours.transmit(&mut out).unwrap();
    assert!(out.len() < 100, "{}", out.len());
    assert!(!talk.ours.wants_transmit());
}

#[test]
fn an_end_is_said_and_heard() {
    for we in [We::Connect, We::Listen] {
        let mut talk = start(SUITES[0], we, usize::MAX / 2);
        talk.theirs.writer().write_all(b"last words").unwrap();
        talk.theirs.send_close_notify();
        talk.carry_theirs();
        assert_eq!(talk.open(100).unwrap(), (b"last words".to_vec(), Opened::Closed));
        assert!(talk.ours.peer_has_closed());
        assert_eq!(talk.ours.seal(b"still"), 5, "the other direction is open");
        talk.ours.close();
        assert_eq!(talk.ours.seal(b"more"), 0);
        assert_eq!(talk.carry_ours(), b"still");
        assert!(talk.theirs.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn whatever_is_changed_on_the_way_ends_the_conversation_and_gives_no_byte() {
    for at in [0, 1, 3, 4, 5, 20, 119, 120] {
        for room in [10, 50_000] {
            let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
            talk.open(10).unwrap();
            talk.theirs.writer().write_all(&text(100)).unwrap();
            talk.carry_theirs();
            let length = talk.to_us.len();
            talk.to_us[at.min(length - 1)] ^= 1;
            let outcome = talk.open(room);
            match (at, outcome) {
                // A longer record is waited for.
                (3 | 4, Ok((plain, Opened::Starved))) => assert!(plain.is_empty()),
                (_, Err(HandshakeError::Protocol { .. })) => {
                    assert_eq!(talk.ours.seal(b"x"), 0);
                    assert!(talk.ours.wants_transmit(), "the alert");
                    assert!(talk.ours.open(&mut [], &mut [0; 10]).is_err(), "it stays so");
                }
                (at, other) => panic!("byte {at}: {other:?}"),
            }
        }
    }
}

#[test]
fn records_that_are_repeated_left_out_or_swapped_are_refused() {
    for case in 0..3 {
        let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
        talk.open(10).unwrap();
        let mut records = Vec::new();
        for text in [b"one", b"two"] {
            talk.theirs.writer().write_all(text).unwrap();
            let mut record = Vec::new();
            talk.theirs.write_tls(&mut record).unwrap();
            records.push(record);
        }
        talk.to_us = match case {
            0 => [&records[0][..], &records[0]].concat(),
            1 => records[1].clone(),
            _ => [&records[1][..], &records[0]].concat(),
        };
        assert!(talk.open(100).is_err(), "{case}");
    }
}

#[test]
fn what_no_peer_may_send_is_refused() {
    let sealed = |kind: u8, body: &[u8]| {
        let mut talk = start(SUITES[1], We::Listen, usize::MAX / 2);
        // It talks to itself: both directions get one key.
        let key = || {
            let (key, iv) = (AeadKey::from([7; 32]), Iv::from([1; 12]));
            super::Key::new(0, &ConnectionTrafficSecrets::Aes256Gcm { key, iv }).unwrap()
        };
        talk.ours.sealer = super::Sealer::new(key(), u64::MAX, &[]);
        talk.ours.opener = super::Opener::new(key());
        talk.ours.sealer.seal(kind, body).unwrap();
        let mut wire = Vec::new();
        talk.ours.transmit(&mut wire).unwrap();
        talk.to_us = wire;
        talk.open(100).map(|(plain, end)| {
            assert!(plain.is_empty());
            end
        })
    };
    let refused = |kind: u8, body: &[u8], word: &str| match sealed(kind, body) {
        Err(HandshakeError::Protocol { what }) => assert!(what.contains(word), "{what}"),
        other => panic!("{kind} {body:?}: {other:?}"),
    };
    refused(0, b"", "zeros");
    refused(20, &[1], "type 20");
    refused(24, &[1], "type 24");
    refused(21, &[2], "alert");
    refused(21, &[2, 0, 0], "alert");
    refused(22, b"", "empty piece");
    refused(22, &[1, 0, 0, 0], "no place");
    refused(22, &[24, 0, 0, 1, 2], "no known kind");
    refused(22, &[24, 0, 0, 2, 0, 0], "cannot be read");
    refused(22, &[24, 0, 0, 1, 0, 24], "in the middle");
    refused(22, &[4, 1, 0, 1], "far too large");
    assert_eq!(sealed(23, b"").unwrap(), Opened::Starved);
    assert_eq!(sealed(21, &[1, 90]).unwrap(), Opened::Starved);
    assert_eq!(sealed(21, &[1, 0]).unwrap(), Opened::Closed);
    assert_eq!(sealed(22, &[24, 0]).unwrap(), Opened::Starved, "the rest of it may come");
    match sealed(21, &[2, 40]) {
        Err(HandshakeError::RefusedByPeer { alert }) => assert_eq!(alert, "handshake_failure"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_in_clear_or_too_large_are_refused_at_once() {
    for wire in [
        &[21, 3, 3, 0, 2, 2, 40][..],
        &[22, 3, 3],
        &[20, 3, 3, 0, 1, 1],
        b"G",
        &[23, 3, 3, 0x41, 1],
        &[23, 3, 3, 0, 16],
    ] {
        let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
        talk.open(10).unwrap();
        talk.to_us = wire.to_vec();
        let error = talk.open(100).unwrap_err();
        assert!(matches!(error, HandshakeError::Protocol { .. }), "{wire:?}: {error}");
    }
}

#[test]
fn what_has_not_gone_out_is_taken_back() {
    let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
    talk.ours.abort();
    assert!(talk.carry_ours().is_empty());
    assert!(talk.theirs.process_new_packets().unwrap().peer_has_closed(), "nothing waited");

    let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
    assert_eq!(talk.ours.seal(b"not to be sent"), 14);
    talk.ours.abort();
    assert!(!talk.ours.wants_transmit());
    assert_eq!(talk.ours.seal(b"more"), 0);
}

#[test]
fn quiet_conversations_hold_no_buffers() {
    let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
    talk.carry_ours();
    assert_eq!(talk.ours.seal(&text(40_000)), 40_000);
    assert_eq!(talk.carry_ours().len(), 40_000);
    assert_eq!(talk.ours.sealer.held(), 0);
}

/// Data in the middle of a handshake message is refused whole, also where it does not fit.
#[test]
fn data_in_the_middle_of_a_message_gives_no_byte_whatever_the_room() {
    for room in [1, 3, 8, 100] {
        let mut talk = start(SUITES[1], We::Listen, usize::MAX / 2);
        let key = || {
            let (key, iv) = (AeadKey::from([7; 32]), Iv::from([1; 12]));
            super::Key::new(0, &ConnectionTrafficSecrets::Aes256Gcm { key, iv }).unwrap()
        };
        talk.ours.sealer = super::Sealer::new(key(), u64::MAX, &[]);
        talk.ours.opener = super::Opener::new(key());
        talk.ours.sealer.seal(22, &[24, 0]).unwrap();
        talk.ours.sealer.seal(23, b"12345678").unwrap();
        let mut wire = Vec::new();
        talk.ours.transmit(&mut wire).unwrap();
        let mut into = vec![0; room];
        let outcome = talk.ours.open(&mut wire, &mut into);
        assert!(outcome.is_err(), "{room}: {outcome:?} {into:?}");
    }
}

/// Whoever does not bring the wire back as it was gets nothing, and not what was in his buffer.
#[test]
fn a_rest_that_is_not_brought_back_is_not_made_up() {
    let mut talk = start(SUITES[1], We::Connect, usize::MAX / 2);
    talk.open(10).unwrap();
    talk.theirs.writer().write_all(b"12345678").unwrap();
    talk.carry_theirs();
    let mut into = [0xa5; 3];
    let taken = talk.ours.open(&mut talk.to_us, &mut into).unwrap();
    assert_eq!((taken.found, &into), (Opened::Data(3), b"123"));
    let mut into = [0xa5; 3];
    let taken = talk.ours.open(&mut [], &mut into);
    assert!(matches!(&taken, Ok(taken) if taken.found == Opened::Starved), "{taken:?} {into:?}");
    talk.to_us.drain(..8);
    assert_eq!(talk.open(3).unwrap().0, b"45678");
}
