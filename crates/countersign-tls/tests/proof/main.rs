//! Proofs inside the connection: when they are agreed on, what they stand in for, and that nothing
//! passes before they are concluded. The proof itself is a stand-in; who is in the middle is not.

mod prover;
mod second_greeting;

use std::sync::LazyLock;

use countersign_core::{Evidence, HandshakeError, KerberosUse, Mechanism, Proof, ProvedPeer};
use countersign_lab::{Authority, End, Ending, Issued, Leaf, Pair, Scene, Stranger, now};
use countersign_tls::{Engine, Output, PROOF_PROTOCOL, Proven, ServerConfig};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};

use prover::{Conduct, Prover};

const HOST: &str = "db1.example.com";
const SERVICE: &str = "postgres/db1.example.com@EXAMPLE.COM";
const ALICE: &str = "alice@EXAMPLE.COM";
const PREFER: &str = "kerberos.client = 'prefer'\nkerberos.server = 'prefer'";
const REQUIRE: &str = "kerberos.client = 'require'\nkerberos.server = 'require'";
const TLS12_TOO: &str = "tls.danger-allow-tls12 = true\n";

static ROOT: LazyLock<Authority> = LazyLock::new(|| Authority::new("root"));
static SERVER: LazyLock<Issued> = LazyLock::new(|| ROOT.issue(Leaf::new().dns(HOST)));
static MACHINE: LazyLock<Issued> = LazyLock::new(|| ROOT.issue(Leaf::new().dns("laptop.test")));
/// As good as self-signed: nobody believes it.
static NOBODY: LazyLock<Issued> =
    LazyLock::new(|| Authority::new("nobody").issue(Leaf::new().dns(HOST)));

/// Both ends prefer Kerberos; the server's certificate proves nothing.
fn scene() -> Scene {
    Scene::new(&ROOT)
        .server_shows(&NOBODY)
        .asking("postgres/db1.example.com")
        .client_policy(PREFER)
        .server_policy(PREFER)
}

fn provers(scene: &Scene, client: Conduct, server: Conduct) -> Pair<Prover, Prover> {
    let (client, server) =
        (Prover::new(scene.client(), client), Prover::new(scene.server(), server));
    Pair::new(client, server, scene.now())
}

/// Both ends prove who they are.
fn honest(scene: &Scene) -> Ending<Prover, Prover> {
    provers(scene, Conduct::Proves(ALICE, None), Conduct::Proves(SERVICE, None)).handshake()
}

fn proofs(evidence: &Evidence) -> Vec<(String, Proof)> {
    let pair = |it: &ProvedPeer| (it.name().to_string(), it.proof());
    evidence.names().iter().map(pair).collect()
}

fn ticket(name: &str) -> (String, Proof) {
    (name.to_owned(), Proof::KerberosTicket)
}

#[track_caller]
fn refused_by(error: &HandshakeError, alert: &str) {
    assert_eq!(error, &HandshakeError::RefusedByPeer { alert: alert.to_owned() });
}

#[test]
fn a_proof_does_without_any_good_certificate() {
    let ending = honest(&scene());
    let (client, server) = (ending.client.unwrap(), ending.server.unwrap());
    assert_eq!(client.mechanism(), Mechanism::Tls13);
    assert_eq!(client.session(), server.session());
    assert_eq!(proofs(&client), [ticket(SERVICE)]);
    assert_eq!(proofs(&server), [ticket(ALICE)]);
    assert!(client.is_peer_name_verified());
    assert_eq!(server.application().unwrap().name().to_string(), ALICE);
    assert_eq!(client.expires().unwrap().as_secs(), scene().now().as_secs() + 60);
}

#[test]
fn what_follows_the_last_word_belongs_to_the_application() {
    for stride in [1, usize::MAX] {
        let scene = scene();
        let mut pair =
            provers(&scene, Conduct::Proves(ALICE, None), Conduct::Proves(SERVICE, None));
        pair.client.end.eager = b"hello";
        if stride == 1 {
            pair = pair.byte_by_byte();
        }
        pair.handshake().server.unwrap();
        assert_eq!(pair.server.received, b"hello");
        pair.server_sends(b"welcome");
        assert_eq!(pair.client.received, b"welcome");
        pair.client_closes();
        assert!(pair.server.is_closed && pair.server.failure.is_none());
    }
}

#[test]
fn certificate_and_ticket_are_both_in_the_evidence_of_both() {
    let ending = honest(&scene().server_shows(&SERVER).client_shows(&MACHINE));
    let (client, server) = (ending.client.unwrap(), ending.server.unwrap());
    assert_eq!(client.application().unwrap().proof(), Proof::KerberosTicket);
    assert_eq!(client.machine().unwrap().proof(), Proof::CertificateDnsName);
    assert_eq!(server.application().unwrap().name().to_string(), ALICE);
    assert_eq!(server.machine().unwrap().name().to_string(), "host/laptop.test");
}

#[test]
fn a_certificate_that_does_not_do_adds_no_name() {
    let strange = Authority::new("strange").issue(Leaf::new().dns("evil.test"));
    let ending = honest(&scene().server_shows(&SERVER).client_shows(&strange));
    assert_eq!(proofs(&ending.server.unwrap()), [ticket(ALICE)]);
    let other = ROOT.issue(Leaf::new().dns("other.test"));
    let ending = honest(&scene().server_shows(&other));
    assert_eq!(proofs(&ending.client.unwrap()), [ticket(SERVICE)], "another name than asked");
}

#[test]
fn our_certificate_is_not_shown_to_whom_we_do_not_know() {
    for more in ["", TLS12_TOO] {
        let policy = format!("{more}{PREFER}");
        let ending = honest(&scene().client_shows(&MACHINE).client_policy(&policy));
        let error = ending.client.unwrap_err();
        assert!(matches!(&error, HandshakeError::CertificateWithheld { why }
            if matches!(**why, HandshakeError::UntrustedIssuer { .. })));
        // It is told what is wrong with it, and not who we are.
        refused_by(&ending.server.unwrap_err(), "unknown_ca");
    }
}

#[test]
fn without_a_certificate_a_ticket_does_where_the_servers_does_not() {
    let scene = scene().client_shows(&MACHINE);
    let config = scene.client_config().without_certificate();
    let client =
        Engine::client_offering(&config, scene.asked(), KerberosUse::Prefer, now()).unwrap();
    let client = Prover::new(client, Conduct::Proves(ALICE, None));
    let server = Prover::new(scene.server(), Conduct::Proves(SERVICE, None));
    let ending = Pair::new(client, server, now()).handshake();
    assert_eq!(proofs(&ending.client.unwrap()), [ticket(SERVICE)]);
    assert_eq!(proofs(&ending.server.unwrap()), [ticket(ALICE)]);
    // Nor does one that is good get to see it.
    let good = scene.server_shows(&SERVER);
    let plain = Engine::client(&config, good.asked(), now()).unwrap();
    let server = Prover::new(good.server_policy("").server(), Conduct::Silent);
    let plain = Prover::new(plain, Conduct::Silent);
    let ending = Pair::new(plain, server, now()).handshake();
    ending.client.unwrap();
    assert_eq!(proofs(&ending.server.unwrap()), []);
}

/// Where no ticket will follow, there is nothing to come back for.
#[test]
fn a_bad_certificate_is_the_reason_where_no_proof_is_agreed_on() {
    for (policy, more) in [(PREFER, ""), (PREFER, TLS12_TOO), (REQUIRE, "")] {
        let scene = scene().client_shows(&MACHINE).server_policy("");
        let ending = honest(&scene.client_policy(&format!("{more}{policy}")));
        let error = ending.client.unwrap_err();
        match policy {
            REQUIRE => assert_eq!(error, HandshakeError::KerberosRequired),
            _ => assert!(matches!(error, HandshakeError::UntrustedIssuer { .. }), "{error}"),
        }
        refused_by(&ending.server.unwrap_err(), "unknown_ca");
    }
}

/// A server that has nothing to be known by does not ask who others are.
#[test]
fn a_server_without_a_certificate_asks_for_none() {
    let scene = scene().client_shows(&MACHINE);
    let config = ServerConfig::for_proofs_only(&NOBODY.credential());
    let address = Scene::CLIENT.parse().unwrap();
    let engine = Engine::server(&config, scene.admission(), address).unwrap();
    let server = Prover::new(engine, Conduct::Proves(SERVICE, None));
    let client = Prover::new(scene.client(), Conduct::Proves(ALICE, None));
    let ending = Pair::new(client, server, now()).handshake();
    assert_eq!(proofs(&ending.client.unwrap()), [ticket(SERVICE)]);
    assert_eq!(proofs(&ending.server.unwrap()), [ticket(ALICE)]);
}

#[test]
fn without_agreement_certificates_are_judged_as_ever() {
    let plain_server = scene().server_policy("");
    let error = honest(&plain_server).client.unwrap_err();
    assert!(matches!(error, HandshakeError::UntrustedIssuer { .. }), "{error}");
    let wrong = ROOT.issue(Leaf::new().dns("other.test"));
    let error = honest(&plain_server.clone().server_shows(&wrong)).client.unwrap_err();
    assert!(matches!(error, HandshakeError::WrongPeer { .. }), "{error}");
    let good = honest(&plain_server.server_shows(&SERVER)).client.unwrap();
    assert_eq!(good.peer().unwrap().proof(), Proof::CertificateDnsName);
    let plain_client = scene().server_shows(&SERVER).client_policy("");
    let ending = honest(&plain_client);
    assert_eq!(ending.client.unwrap().peer().unwrap().proof(), Proof::CertificateDnsName);
    assert_eq!(ending.server.unwrap().names(), []);
}

#[test]
fn who_requires_a_proof_turns_others_away() {
    let ending = honest(&scene().server_shows(&SERVER).server_policy("").client_policy(REQUIRE));
    assert_eq!(ending.client.unwrap_err(), HandshakeError::KerberosRequired);
    let ending = honest(&scene().server_shows(&SERVER).client_policy("").server_policy(REQUIRE));
    assert_eq!(ending.server.unwrap_err(), HandshakeError::KerberosRequired);
    refused_by(&ending.client.unwrap_err(), "no_application_protocol");
    honest(&scene().client_policy(REQUIRE).server_policy(REQUIRE)).client.unwrap();
}

#[test]
fn a_server_without_a_certificate_serves_who_proves_and_refuses_others() {
    let scene = scene();
    let config = ServerConfig::for_proofs_only(&NOBODY.credential());
    assert!(!config.proves_by_certificate());
    let address = Scene::CLIENT.parse().unwrap();
    let server = || {
        let engine = Engine::server(&config, scene.admission(), address).unwrap();
        Prover::new(engine, Conduct::Proves(SERVICE, None))
    };
    let client = Prover::new(scene.client(), Conduct::Proves(ALICE, None));
    Pair::new(client, server(), now()).handshake().client.unwrap();
    let plain = Prover::new(scene.clone().client_policy("").client(), Conduct::Silent);
    let ending = Pair::new(plain, server(), now()).handshake();
    assert_eq!(ending.server.unwrap_err(), HandshakeError::KerberosRequired);
    let off = scene.clone().server_policy("").admission();
    assert!(matches!(Engine::server(&config, off, address), Err(HandshakeError::OurSide { .. })));
}

#[test]
fn admission_is_judged_over_the_names_of_both() {
    let with = |allow: &str| {
        let policy = format!("{PREFER}\n{allow}");
        scene().server_shows(&SERVER).client_shows(&MACHINE).server_policy(&policy)
    };
    for allowed in [
        "[[allow]]\npeers = ['alice@EXAMPLE.COM']",
        "[[allow]]\npeers = ['laptop.test']",
        "[[allow]]\npeers = []\ngroups = ['S-1-5-21-1-2-3-513']",
        "server.client-certificates = 'require'",
    ] {
        let member = Conduct::Proves(SERVICE, Some("S-1-5-21-1-2-3-513"));
        let scene = with(allowed);
        let server = provers(&scene, Conduct::Proves(ALICE, None), member).handshake().server;
        assert!(server.is_ok(), "{allowed}: {server:?}");
    }
    for refused in [
        "[[allow]]\npeers = ['bob@EXAMPLE.COM']",
        "[[allow]]\npeers = []\ngroups = ['S-1-5-21-1-2-3-512']",
    ] {
        let member = Conduct::Proves(SERVICE, Some("S-1-5-21-1-2-3-513"));
        let scene = with(refused);
        let mut pair = provers(&scene, Conduct::Proves(ALICE, None), member);
        pair.client.end.eager = b"hello";
        let error = pair.handshake().server.unwrap_err();
        assert!(matches!(error, HandshakeError::NotAllowed { .. }), "{refused}: {error}");
        assert!(error.to_string().contains("alice@EXAMPLE.COM, host/laptop.test"), "{error}");
        assert_eq!(pair.server.received, b"");
    }
}

#[test]
fn whoever_proves_another_name_is_refused() {
    for name in [
        "postgres/db2.example.com@EXAMPLE.COM",
        "http/db1.example.com@EXAMPLE.COM",
        "db1.example.com",
        ALICE,
    ] {
        let scene = scene();
        let pair = || provers(&scene, Conduct::Proves(ALICE, None), Conduct::Proves(name, None));
        let error = pair().handshake().client.unwrap_err();
        assert!(matches!(error, HandshakeError::WrongPeer { .. }), "{name}: {error}");
    }
    let elsewhere = scene().asking("postgres/db1.example.com@OTHER.TEST");
    assert!(matches!(honest(&elsewhere).client, Err(HandshakeError::WrongPeer { .. })));
}

#[test]
fn nothing_passes_before_the_proof() {
    for conduct in [Conduct::Silent, Conduct::SkipsTheProof] {
        let scene = scene();
        let mut pair = provers(&scene, Conduct::Proves(ALICE, None), conduct);
        pair.run();
        assert!(pair.client.secured.is_none() && pair.client.failure.is_none());
        assert_eq!(pair.client_sends(b"secret"), 0);
        assert_eq!(pair.server_sends(b"answer"), 0);
        pair.run();
        assert_eq!((&pair.client.received[..], &pair.server.received[..]), (&b""[..], &b""[..]));
        assert!(pair.client.end.engine.is_handshaking() && pair.client.end.engine.has_heard());
    }
}

#[test]
fn an_end_in_the_middle_is_a_truncation() {
    let scene = scene();
    let closes = provers(&scene, Conduct::Proves(ALICE, None), Conduct::Closes).handshake();
    assert_eq!(closes.client.unwrap_err(), HandshakeError::Truncated);
    let mut pair = provers(&scene, Conduct::Proves(ALICE, None), Conduct::Silent);
    pair.run();
    pair.to_client.end();
    pair.run();
    assert_eq!(pair.client.failure, Some(HandshakeError::Truncated));
    assert_eq!(pair.client_sends(b"secret"), 0);
}

#[test]
fn a_machine_in_the_middle_can_take_the_offer_but_not_prove() {
    let scene = scene();
    // The victim, and what the attacker shows it: our protocol, and a certificate of its own.
    let mut left = provers(&scene, Conduct::Proves(ALICE, None), Conduct::Relays);
    // The attacker as the client of the real server.
    let mut right = provers(&scene, Conduct::Relays, Conduct::Proves(SERVICE, None));
    for _ in 0..8 {
        left.run();
        right.run();
        right.client.end.given.append(&mut left.server.end.taken);
        left.server.end.given.append(&mut right.client.end.taken);
        // It has something to give only when it looks.
        let _ = (left.server.end.poll(now()), right.client.end.poll(now()));
    }
    let error = right.server.failure.expect("the real server refuses");
    assert_eq!(error, HandshakeError::Protocol { what: "another binding".to_owned() });
    assert!(left.client.secured.is_none() && right.server.secured.is_none());
    assert_eq!(left.client_sends(b"secret"), 0);
}

#[test]
fn clients_that_offer_other_protocols_are_undisturbed() {
    let scene = scene().server_shows(&SERVER);
    for (offers, is_plain) in [
        (vec![&b"h2"[..], b"http/1.1"], true),
        (vec![], true),
        (vec![b"countersign-krb5/2"], true),
        (vec![b"h2", PROOF_PROTOCOL], false),
    ] {
        let mut client = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS13]);
        client.alpn_protocols = offers.iter().map(|it| it.to_vec()).collect();
        let client = Stranger::client(client, HOST);
        let server = Prover::new(scene.server(), Conduct::Proves(SERVICE, None));
        let mut pair = Pair::new(client, server, scene.now());
        pair.run();
        assert_eq!(pair.server.secured.is_some(), is_plain, "{offers:?}");
        assert!(pair.client.secured.is_some() && pair.server.failure.is_none(), "{offers:?}");
    }
}

#[test]
fn there_are_no_proofs_in_tls_1_2() {
    let old = scene().client_policy(&format!("{TLS12_TOO}{PREFER}"));
    let mut server = Stranger::server_config(&SERVER, default_provider(), &[&TLS12]);
    server.alpn_protocols = vec![PROOF_PROTOCOL.to_vec()];
    let client = || Prover::new(old.client(), Conduct::Proves(ALICE, None));
    let ending = Pair::new(client(), Stranger::server(server), old.now()).handshake();
    let error = ending.client.unwrap_err();
    assert!(matches!(error, HandshakeError::Protocol { .. }), "{error}");

    // Nor is a verdict deferred: the alert goes out at once.
    let untrusted = Stranger::server_config(&NOBODY, default_provider(), &[&TLS12]);
    let ending = Pair::new(client(), Stranger::server(untrusted), old.now()).handshake();
    assert!(matches!(ending.client, Err(HandshakeError::UntrustedIssuer { .. })));
    assert!(matches!(ending.server, Err(rustls::Error::AlertReceived(_))));

    let trusted = Stranger::server_config(&SERVER, default_provider(), &[&TLS12]);
    let ending = Pair::new(client(), Stranger::server(trusted), old.now()).handshake();
    assert_eq!(ending.client.unwrap().mechanism(), Mechanism::Tls12);

    let scene = scene().server_shows(&SERVER).server_policy(&format!("{TLS12_TOO}{PREFER}"));
    let mut config = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS12]);
    config.alpn_protocols = vec![PROOF_PROTOCOL.to_vec()];
    let server = Prover::new(scene.server(), Conduct::Proves(SERVICE, None));
    let ending = Pair::new(Stranger::client(config, HOST), server, scene.now()).handshake();
    let error = ending.server.unwrap_err();
    assert!(matches!(error, HandshakeError::NothingShared { .. }), "{error}");
}

#[test]
fn a_proof_counts_only_while_it_is_under_way() {
    let scene = scene().server_shows(&SERVER).client_policy("").server_policy("");
    let mut pair = scene.pair();
    let proved = ProvedPeer::vouch(SERVICE.parse().unwrap(), Proof::KerberosTicket);
    let early = pair.client.end.conclude(Proven::new(proved.clone(), None), now());
    assert!(matches!(early, Err(HandshakeError::OurSide { .. })));
    let mut pair = scene.pair();
    pair.handshake().client.unwrap();
    let late = pair.client.end.conclude(Proven::new(proved, None), now());
    assert!(matches!(late, Err(HandshakeError::OurSide { .. })));
    assert!(!matches!(pair.client.end.poll(now()), Ok(Output::Secured(_))));
    assert_eq!(pair.client.end.seal_proof(b"x"), 0);
}

#[test]
fn a_long_proof_passes_in_pieces_and_no_more_waits_than_fits() {
    let scene = scene();
    let mut pair = provers(&scene, Conduct::Silent, Conduct::Silent);
    pair.run();
    let (mut client, mut server) = (pair.client.end.engine, pair.server.end.engine);
    let long: Vec<u8> = (0..200_000_u32).map(|i| i.to_be_bytes()[3]).collect();
    let (mut sealed, mut got) = (0, Vec::new());
    while got.len() < long.len() {
        let taken = client.seal_proof(&long[sealed..]);
        assert!(taken <= 48 * 1024, "{taken} bytes at once");
        sealed += taken;
        assert_eq!(client.seal_proof(b""), 0);
        let mut wire = Vec::new();
        while client.wants_transmit() {
            client.transmit(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let used = server.handle_input(rest, now()).unwrap();
            rest = &rest[used..];
            let chunk = server.proof_input().unwrap().to_vec();
            // A few bytes at a time do as well.
            let count = chunk.len().min(5_000);
            server.consume_proof(count);
            got.extend_from_slice(&chunk[..count]);
            assert!(used + count > 0, "it is stuck");
        }
        loop {
            let chunk = server.proof_input().unwrap().to_vec();
            if chunk.is_empty() {
                break;
            }
            server.consume_proof(chunk.len());
            got.extend(chunk);
        }
    }
    assert!(got == long);
    assert_eq!(server.open(&mut [0; 16]), Ok(countersign_tls::Opened::Starved));
}

#[test]
fn an_offer_needs_a_name() {
    let scene = scene().asking_anyone();
    let made =
        Engine::client_offering(&scene.client_config(), scene.asked(), KerberosUse::Prefer, now());
    assert!(matches!(made, Err(HandshakeError::OurSide { .. })));
}

#[test]
fn plain_text_is_told_from_tls_before_any_choice() {
    let mut server = scene().server();
    let error = server.handle_input(b"GET / HTTP/1.0\r\n\r\n", now()).unwrap_err();
    assert!(matches!(error, HandshakeError::NotTls { .. }), "{error}");
}

/// A client is done before its server is, and reads plaintext: only an alert can tell it.
#[test]
fn a_client_that_is_refused_after_its_proof_is_told() {
    let scene = scene().server_policy(&format!("{PREFER}\n[[allow]]\npeers = ['bob@EXAMPLE.COM']"));
    let mut pair = provers(&scene, Conduct::Proves(ALICE, None), Conduct::Proves(SERVICE, None));
    pair.run();
    assert!(matches!(pair.server.failure, Some(HandshakeError::NotAllowed { .. })));
    refused_by(pair.client.failure.as_ref().expect("the client is told"), "access_denied");
}

/// A server whose certificate is judged late is told before it takes us for a client.
#[test]
fn a_server_that_is_refused_late_is_told_in_time() {
    let plain = scene().server_policy("");
    for (scene, alert) in [
        (plain.clone(), "unknown_ca"),
        (plain.clone().server_shows(&ROOT.issue(Leaf::new().dns("x.test"))), "bad_certificate"),
        (plain.clone().server_shows(&SERVER).client_policy(REQUIRE), "no_application_protocol"),
        (plain.client_policy(&format!("{TLS12_TOO}{PREFER}")), "unknown_ca"),
    ] {
        let mut pair =
            provers(&scene, Conduct::Proves(ALICE, None), Conduct::Proves(SERVICE, None));
        pair.run();
        assert!(pair.client.failure.is_some());
        assert!(pair.server.secured.is_none(), "the server believes that all is well");
        refused_by(pair.server.failure.as_ref().unwrap(), alert);
    }
}
