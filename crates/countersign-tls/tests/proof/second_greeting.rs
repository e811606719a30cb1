//! A client that greets twice, because it has sent no key share the first time, and does not say the
//! same twice. No library does that, so it is made here by hand, as RFC 8446 has it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use countersign_core::HandshakeError;
use countersign_lab::{Scene, now};
use countersign_tls::{Engine, Output, PROOF_PROTOCOL};

use crate::{PREFER, SERVER, scene};

/// What is said of a proof in each of the two greetings.
struct Greetings {
    first: bool,
    second: bool,
}

/// Returns what a server makes of a client that greets like this, and is flawless otherwise.
fn greet(server: &mut Engine, greetings: &Greetings) -> Result<Output, HandshakeError> {
    let mut client = Client::default();
    let first = client_hello(&[0, 0], greetings.first);
    let retry = client.exchange(server, &first)?;
    // Only the hash of the first greeting is in the transcript (section 4.4.1).
    let hash = sha256(&first);
    client.transcript = [&[0xfe, 0, 0, 32], &hash[..], &retry].concat();
    assert_eq!(retry[6..10], RETRY_RANDOM, "it asks for a key share");

    let key = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
    let public = key.compute_public_key().unwrap();
    let share = [&[0, 36, 0, 29, 0, 32], public.as_ref()].concat();
    let second = client_hello(&share, greetings.second);
    client.transcript.extend(&second);
    let hello = client.exchange(server, &second)?;
    client.transcript.extend(&hello);
    let theirs = UnparsedPublicKey::new(&X25519, key_share(&hello));
    let shared = agree_ephemeral(key, theirs, (), |secret| Ok(secret.to_vec())).unwrap();
    client.finish(server, &shared)?;
    server.poll(now())
}

#[test]
fn an_offer_that_is_taken_back_in_a_second_greeting_is_refused() {
    let scene = scene().server_shows(&SERVER);
    let server = |scene: &Scene| scene.server();
    let outcome = |first, second| greet(&mut server(&scene), &Greetings { first, second });
    let constant = outcome(true, true);
    assert!(matches!(constant, Ok(Output::Prove(_))), "{constant:?}");
    let plain = outcome(false, false);
    assert!(matches!(plain, Ok(Output::Secured(_))), "{plain:?}");
    let taken_back = outcome(true, false).unwrap_err();
    assert!(
        matches!(&taken_back, HandshakeError::Protocol { what } if what.contains("took that back")),
        "{taken_back}"
    );
    // One that comes late is none: the server was known by its certificate by then.
    match outcome(false, true) {
        Ok(Output::Secured(evidence)) => assert!(evidence.names().is_empty()),
        other => panic!("{other:?}"),
    }
    // Who requires a proof has none without the first.
    let strict = scene.server_policy(&PREFER.replace("server = 'prefer'", "server = 'require'"));
    for (first, second) in [(false, true), (true, false)] {
        let error = greet(&mut server(&strict), &Greetings { first, second }).unwrap_err();
        let is_refused =
            matches!(error, HandshakeError::KerberosRequired | HandshakeError::Protocol { .. });
        assert!(is_refused, "{error}");
    }
}

/// Random of a ServerHello that is a HelloRetryRequest, its first bytes (section 4.1.3).
const RETRY_RANDOM: [u8; 4] = [0xcf, 0x21, 0xad, 0x74];
const TLS_CHACHA20_POLY1305_SHA256: [u8; 2] = [0x13, 0x03];
const SERVER_HELLO: u8 = 2;
const FINISHED: u8 = 20;
const CERTIFICATE_REQUEST: u8 = 13;

#[derive(Default)]
struct Client {
    /// All handshake messages so far.
    transcript: Vec<u8>,
    /// What the server has sent and is not looked at yet.
    inbound: Vec<u8>,
}

impl Client {
    /// Sends a greeting, and returns the server's.
    fn exchange(
        &mut self,
        server: &mut Engine,
        greeting: &[u8],
    ) -> Result<Vec<u8>, HandshakeError> {
        server.handle_input(&record(22, greeting), now())?;
        server.poll(now())?;
        while server.wants_transmit() {
            server.transmit(&mut self.inbound).unwrap();
        }
        let (kind, body) = self.next_record();
        assert_eq!((kind, body[0]), (22, SERVER_HELLO), "{body:02x?}");
        Ok(body)
    }

    /// Opens the rest of the server's flight, and answers it.
    fn finish(&mut self, server: &mut Engine, shared: &[u8]) -> Result<(), HandshakeError> {
        let early = hmac_of(&[0; 32], &[0; 32]);
        let derived = expand(&early, "derived", &sha256(b""), 32);
        let secret = hmac_of(&derived, shared);
        let hash = sha256(&self.transcript);
        let ours = expand(&secret, "c hs traffic", &hash, 32);
        let theirs = expand(&secret, "s hs traffic", &hash, 32);
        let mut flight = Vec::new();
        let mut number = 0;
        while !is_finished(&flight) {
            let (kind, mut body) = self.next_record();
            assert_eq!(kind, 23);
            let header = [&[23, 3, 3], &length(body.len())[..]].concat();
            let opened = aead(&theirs)
                .open_in_place(nonce(&theirs, number), Aad::from(header), &mut body)
                .unwrap();
            let end = opened.iter().rposition(|byte| *byte != 0).unwrap();
            assert_eq!(opened[end], 22, "handshake");
            flight.extend(&opened[..end]);
            number += 1;
        }
        self.transcript.extend(&flight);
        let mut answer = Vec::new();
        if messages(&flight).any(|message| message[0] == CERTIFICATE_REQUEST) {
            // None.
            answer.extend([11, 0, 0, 4, 0, 0, 0, 0]);
            self.transcript.extend(&answer);
        }
        let key = expand(&ours, "finished", b"", 32);
        let proof = hmac_of(&key, &sha256(&self.transcript));
        answer.extend([FINISHED, 0, 0, 32]);
        answer.extend(proof);
        answer.push(22);
        let header = [&[23, 3, 3], &length(answer.len() + 16)[..]].concat();
        aead(&ours)
            .seal_in_place_append_tag(nonce(&ours, 0), Aad::from(&header), &mut answer)
            .unwrap();
        server.handle_input(&[header, answer].concat(), now()).map(drop)
    }

    /// Takes the next record that is not there for middleboxes alone (section 5).
    fn next_record(&mut self) -> (u8, Vec<u8>) {
        loop {
            let size = 5 + usize::from(u16::from_be_bytes([self.inbound[3], self.inbound[4]]));
            let record: Vec<u8> = self.inbound.drain(..size).collect();
            if record[0] != 20 {
                return (record[0], record[5..].to_vec());
            }
        }
    }
}

fn client_hello(shares: &[u8], offers_proof: bool) -> Vec<u8> {
    let name = [&[u8::try_from(PROOF_PROTOCOL.len()).unwrap()], PROOF_PROTOCOL].concat();
    let mut extensions = vec![
        (43_u16, vec![2, 3, 4]),
        (10, vec![0, 2, 0, 29]),
        (13, vec![0, 8, 4, 3, 8, 4, 8, 7, 5, 3]),
        (51, shares.to_vec()),
    ];
    if offers_proof {
        extensions.push((16, [&length(name.len())[..], &name].concat()));
    }
    let extensions: Vec<u8> = extensions
        .into_iter()
        .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &length(body.len()), &body].concat())
        .collect();
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0, 2]);
    body.extend(TLS_CHACHA20_POLY1305_SHA256);
    body.extend([1, 0]);
    body.extend(length(extensions.len()));
    body.extend(extensions);
    [&[1, 0], &length(body.len())[..], &body].concat()
}

/// Returns the server's key share, the last 32 bytes of that extension.
fn key_share(hello: &[u8]) -> Vec<u8> {
    let at = hello.windows(8).position(|it| it == [0, 51, 0, 36, 0, 29, 0, 32]).unwrap();
    hello[at + 8..at + 40].to_vec()
}

fn messages(mut flight: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let size = match flight {
            [_, a, b, c, ..] => 4 + usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap(),
            _ => return None,
        };
        let (message, rest) = flight.split_at_checked(size)?;
        flight = rest;
        Some(message)
    })
}

fn is_finished(flight: &[u8]) -> bool {
    messages(flight).last().is_some_and(|message| message[0] == FINISHED)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &length(body.len())[..], body].concat()
}

fn length(of: usize) -> [u8; 2] {
    u16::try_from(of).unwrap().to_be_bytes()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

fn hmac_of(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message).as_ref().to_vec()
}

/// HKDF-Expand-Label (section 7.1), of one hash at most.
fn expand(secret: &[u8], label: &str, context: &[u8], size: u8) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let lengths = [u8::try_from(label.len()).unwrap(), u8::try_from(context.len()).unwrap()];
    let info = [&[0, size, lengths[0]], label.as_bytes(), &lengths[1..], context, &[1]].concat();
    let mut out = hmac_of(secret, &info);
    out.truncate(size.into());
    out
}

fn aead(secret: &[u8]) -> LessSafeKey {
    let key = expand(secret, "key", b"", 32);
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).unwrap())
}

fn nonce(secret: &[u8], number: u8) -> Nonce {
    let mut vector: [u8; 12] = expand(secret, "iv", b"", 12).try_into().unwrap();
    vector[11] ^= number;
    Nonce::assume_unique_for_key(vector)
}
