//! Peers that offer other things than we do: versions, suites, groups, sessions to resume.

use std::sync::Arc;

use countersign_core::{Evidence, HandshakeError, Mechanism};
use countersign_lab::{Authority, End, Ending, Issued, Leaf, Pair, Scene, Stranger};
use countersign_tls::Engine;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, ClientConfig, Error, HandshakeKind, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::{CLIENT, HOST, ROOT, SERVER, refused, scene, variant};

const ALLOW_TLS12: &str = "tls.danger-allow-tls12 = true";
const FORBID_TLS12: &str = "tls.danger-allow-tls12 = true\nrequire.tls13 = true";

type Versions<'a> = &'a [&'static SupportedProtocolVersion];

fn servers(issued: &Issued, provider: CryptoProvider, versions: Versions<'_>) -> ServerConfig {
    Stranger::server_config(issued, provider, versions)
}

fn clients(provider: CryptoProvider, versions: Versions<'_>) -> ClientConfig {
    Stranger::client_config(&ROOT, Some(&CLIENT), provider, versions)
}

fn groups(groups: &[&'static dyn SupportedKxGroup]) -> CryptoProvider {
    CryptoProvider { kx_groups: groups.to_vec(), ..default_provider() }
}

/// Our client meets a stranger.
fn as_client(scene: &Scene, server: impl Into<Arc<ServerConfig>>) -> Ending<Engine, Stranger> {
    Pair::new(scene.client(), Stranger::server(server), scene.now()).handshake()
}

/// Our server meets a stranger.
fn as_server(scene: &Scene, client: impl Into<Arc<ClientConfig>>) -> Ending<Stranger, Engine> {
    Pair::new(Stranger::client(client, HOST), scene.server(), scene.now()).handshake()
}

fn heard(alert: AlertDescription) -> Error {
    Error::AlertReceived(alert)
}

#[test]
fn stranger_of_our_time_is_as_good_as_ourselves() {
    let evidence = as_client(&scene(), servers(&SERVER, default_provider(), &[&TLS13])).client;
    assert_eq!(evidence.unwrap().mechanism(), Mechanism::Tls13);
    let evidence = as_server(&scene(), clients(default_provider(), &[&TLS13])).server.unwrap();
    assert_eq!(evidence.peer().unwrap().name().to_string(), "alice@EXAMPLE.COM");
}

#[test]
fn tls_1_2_is_refused_by_default_and_where_policy_requires_1_3() {
    for policy in ["", FORBID_TLS12] {
        let scene = scene().client_policy(policy).server_policy(policy);
        let ending = as_client(&scene, servers(&SERVER, default_provider(), &[&TLS12]));
        assert_eq!(ending.client.unwrap_err(), refused("protocol_version"));
        let ending = as_server(&scene, clients(default_provider(), &[&TLS12]));
        assert_eq!(variant(&ending.server.unwrap_err()), "NothingShared");
        assert_eq!(ending.client.unwrap_err(), heard(AlertDescription::ProtocolVersion));
    }
}

#[test]
fn tls_1_2_is_taken_where_policy_opts_in_and_only_from_those_who_lack_1_3() {
    let scene = scene().client_policy(ALLOW_TLS12).server_policy(ALLOW_TLS12);
    let check = |evidence: Evidence, mechanism, suite: &str| {
        assert_eq!(evidence.mechanism(), mechanism);
        assert_eq!(evidence.cipher_suite(), suite);
    };
    let (old, new) = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384");
    let ending = as_client(&scene, servers(&SERVER, default_provider(), &[&TLS12]));
    check(ending.client.unwrap(), Mechanism::Tls12, old);
    let ending = as_server(&scene, clients(default_provider(), &[&TLS12]));
    let evidence = ending.server.unwrap();
    assert_eq!(evidence.peer().unwrap().name().to_string(), "alice@EXAMPLE.COM");
    assert_eq!(evidence.key_exchange(), "X25519");
    check(evidence, Mechanism::Tls12, old);
    check(scene.pair().handshake().client.unwrap(), Mechanism::Tls13, new);
}

#[test]
fn names_and_rules_are_the_same_in_tls_1_2() {
    let scene = scene().client_policy(ALLOW_TLS12);
    let evil = ROOT.issue(Leaf::new().dns("evil.test"));
    let ending = as_client(&scene, servers(&evil, default_provider(), &[&TLS12]));
    assert_eq!(variant(&ending.client.unwrap_err()), "WrongPeer");
    assert_eq!(ending.server.unwrap_err(), heard(AlertDescription::BadCertificate));
    let other = Authority::new("other").issue(Leaf::new().dns(HOST));
    let ending = as_client(&scene, servers(&other, default_provider(), &[&TLS12]));
    assert_eq!(variant(&ending.client.unwrap_err()), "UntrustedIssuer");

    let policy = format!("{ALLOW_TLS12}\n[[allow]]\npeers = ['bob@EXAMPLE.COM']");
    let scene = scene.server_policy(&policy);
    let ending = as_server(&scene, clients(default_provider(), &[&TLS12]));
    assert_eq!(variant(&ending.server.unwrap_err()), "NotAllowed");
    assert_eq!(ending.client.unwrap_err(), heard(AlertDescription::AccessDenied));
    let anonymous = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS12]);
    let ending = as_server(&scene, anonymous);
    assert_eq!(variant(&ending.server.unwrap_err()), "NoCertificate");
}

#[test]
fn tls_1_2_without_extended_master_secret_is_refused() {
    let scene = scene().client_policy(ALLOW_TLS12).server_policy(ALLOW_TLS12);
    // The client hello of a stranger loses its extension: its type, 23, becomes one that nobody
    // knows. Both would see it in the transcript, but we refuse before.
    let mut pair = Pair::new(
        Stranger::client(clients(default_provider(), &[&TLS12]), HOST),
        scene.server(),
        scene.now(),
    );
    let mut hello = Vec::new();
    pair.client.end.transmit(&mut hello);
    let at = hello.windows(4).rposition(|it| it == [0, 23, 0, 0]).unwrap();
    hello[at] = 0xfa;
    let error = pair.server.end.handle_input(&hello, scene.now()).unwrap_err();
    let what = "extended master secret extension required".to_owned();
    assert_eq!(error, HandshakeError::NothingShared { what });
}

#[test]
fn groups_that_both_have_are_used_and_the_evidence_tells() {
    let scene = scene();
    for (group, name) in [
        (kx_group::X25519MLKEM768, "X25519MLKEM768"),
        (kx_group::X25519, "X25519"),
        (kx_group::SECP256R1, "secp256r1"),
        (kx_group::SECP384R1, "secp384r1"),
    ] {
        let ending = as_client(&scene, servers(&SERVER, groups(&[group]), &[&TLS13]));
        assert_eq!(ending.client.unwrap().key_exchange(), name);
        let ending = as_server(&scene, clients(groups(&[group]), &[&TLS13]));
        assert_eq!(ending.server.unwrap().key_exchange(), name);
    }
}

#[test]
fn nothing_shared_is_said_as_that() {
    let what = |error: HandshakeError| match error {
        HandshakeError::NothingShared { what } => what,
        other => panic!("{other:?}"),
    };
    let ending = as_server(&scene(), clients(groups(&[kx_group::MLKEM768]), &[&TLS13]));
    assert_eq!(what(ending.server.unwrap_err()), "no kx groups in common");
    assert_eq!(ending.client.unwrap_err(), heard(AlertDescription::HandshakeFailure));
    let ending = as_client(&scene(), servers(&SERVER, groups(&[kx_group::MLKEM768]), &[&TLS13]));
    assert_eq!(ending.client.unwrap_err(), refused("handshake_failure"));
}

#[test]
fn client_that_takes_none_of_our_signatures_is_no_fault_of_ours() {
    // Our key is P-256; in TLS 1.2 this client takes signatures of P-384 only.
    let mut provider = default_provider();
    let schemes = provider.signature_verification_algorithms.mapping;
    let only = schemes.iter().find(|it| it.0 == SignatureScheme::ECDSA_NISTP384_SHA384).unwrap();
    provider.signature_verification_algorithms.mapping = std::slice::from_ref(only);
    for (version, policy) in [(&TLS12, ALLOW_TLS12), (&TLS13, "")] {
        let scene = scene().server_policy(policy);
        let ending = as_server(&scene, clients(provider.clone(), &[version]));
        let what = "no signature schemes in common".to_owned();
        assert_eq!(ending.server.unwrap_err(), HandshakeError::NothingShared { what });
    }
}

#[test]
fn every_suite_that_both_have_does() {
    for (suite, name) in [
        (cipher_suite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
        (cipher_suite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
        (cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
    ] {
        let provider = || CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
        let ending = as_client(&scene(), servers(&SERVER, provider(), &[&TLS13]));
        assert_eq!(ending.client.unwrap().cipher_suite(), name);
        let ending = as_server(&scene(), clients(provider(), &[&TLS13]));
        assert_eq!(ending.server.unwrap().cipher_suite(), name);
    }
}

#[test]
fn server_gives_no_session_of_tls_1_2_to_resume() {
    // This client remembers sessions, and asks for the last one each time.
    let config = Arc::new(clients(default_provider(), &[&TLS12]));
    let scene = scene().server_policy(ALLOW_TLS12);
    let server = scene.server_config();
    for _ in 0..3 {
        let client = Stranger::client(config.clone(), HOST);
        let peer = Scene::CLIENT.parse().unwrap();
        let engine = Engine::server(&server, scene.admission(), peer).unwrap();
        let mut pair = Pair::new(client, engine, scene.now());
        assert_eq!(pair.handshake().client.unwrap(), HandshakeKind::Full);
        assert_eq!(pair.server_sends(b"and some data"), 13);
        assert_eq!(pair.client.end.tickets(), 0);
    }
}

#[test]
fn client_takes_no_session_of_tls_1_2_to_resume() {
    // This server hands out tickets.
    let mut config = servers(&SERVER, default_provider(), &[&TLS12]);
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let config = Arc::new(config);
    let scene = scene().client_policy(ALLOW_TLS12);
    let ours = scene.client_config();
    for _ in 0..3 {
        let client = Engine::client(&ours, scene.asked(), scene.now()).unwrap();
        let mut pair = Pair::new(client, Stranger::server(config.clone()), scene.now());
        assert_eq!(pair.handshake().server.unwrap(), HandshakeKind::Full);
        assert_eq!(pair.server_sends(b"after the tickets"), 17);
        assert_eq!(pair.client.received, b"after the tickets");
    }
}

#[test]
fn instrument_sees_a_resumption_where_there_is_one() {
    let server = Arc::new(servers(&SERVER, default_provider(), &[&TLS13]));
    let client = Arc::new(clients(default_provider(), &[&TLS13]));
    let kinds = [(); 2].map(|()| {
        let server = Stranger::server(server.clone());
        let mut pair = Pair::new(Stranger::client(client.clone(), HOST), server, scene().now());
        let kind = pair.handshake().client.unwrap();
        assert!(pair.client.end.tickets() > 0);
        kind
    });
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}
