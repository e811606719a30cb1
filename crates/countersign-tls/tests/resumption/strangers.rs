//! Peers of rustls as it comes, which keep and give out sessions by rules of their own.

use std::io::Write as _;
use std::sync::Arc;

use countersign_core::HandshakeError;
use countersign_lab::{End, Leaf, Pair, Stranger};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup, ServerConfig};
use rustls_pki_types::ServerName;

use crate::{CLIENT, HOST, NONE, REQUIRE, ROOT, SERVER, Town, names, scene, variant};

fn clients() -> Arc<ClientConfig> {
    Arc::new(Stranger::client_config(&ROOT, Some(&CLIENT), default_provider(), &[&TLS13]))
}

fn servers() -> ServerConfig {
    Stranger::server_config(&SERVER, default_provider(), &[&TLS13])
}

#[test]
fn stranger_resumes_with_our_server() {
    let town = Town::new(&scene().server_policy(REQUIRE));
    let config = clients();
    let kinds = [(); 3].map(|()| {
        let client = Stranger::client(config.clone(), HOST);
        let mut pair = Pair::new(client, town.server(), town.now);
        let ending = pair.handshake();
        pair.server_sends(b"and some data");
        assert_eq!(pair.client.received, b"and some data");
        assert_eq!(pair.client.end.tickets(), 1);
        let evidence = ending.server.unwrap();
        assert_eq!(names(&evidence), ["alice@EXAMPLE.COM"]);
        let kind = ending.client.unwrap();
        assert_eq!(evidence.is_resumed(), kind == HandshakeKind::Resumed);
        kind
    });
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
}

#[test]
fn our_client_resumes_with_a_stranger() {
    let mut stateless = servers();
    stateless.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    for config in [servers(), stateless] {
        let config = Arc::new(config);
        let town = Town::new(&scene());
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
            let mut pair = Pair::new(town.client(), Stranger::server(config.clone()), town.now);
            let ending = pair.handshake();
            assert_eq!(ending.server.unwrap(), expected);
            let evidence = ending.client.unwrap();
            assert_eq!(evidence.is_resumed(), expected == HandshakeKind::Resumed);
            assert_eq!(names(&evidence), [format!("host/{HOST}")]);
            assert_eq!(pair.server_sends(b"after the tickets"), 17);
            assert_eq!(pair.client.received, b"after the tickets");
        }
    }
}

#[test]
fn known_chain_is_of_no_use_without_its_key() {
    let town = Town::mutual();
    town.meets_in_full();
    // Both have verified each other's chain, and know it by now.
    let mut thief = ROOT.issue(Leaf::new().dns(HOST));
    thief.chain.clone_from(&SERVER.chain);
    let mut town = Town { now: town.now, ..town };
    town.asks("http/db1.example.com");
    let config = Stranger::server_config(&thief, default_provider(), &[&TLS13]);
    let mut pair = Pair::new(town.client(), Stranger::server(config), town.now);
    let error = pair.handshake().client.unwrap_err();
    let why = "the peer does not hold its private key".to_owned();
    assert_eq!(error, HandshakeError::BadCertificate { why: why.clone() });
    let mut thief = ROOT.issue(Leaf::new().kerberos("EXAMPLE.COM", &["alice"]));
    thief.chain.clone_from(&CLIENT.chain);
    let config = Stranger::client_config(&ROOT, Some(&thief), default_provider(), &[&TLS13]);
    let mut pair = Pair::new(Stranger::client(config, HOST), town.server(), town.now);
    let error = pair.handshake().server.unwrap_err();
    assert_eq!(error, HandshakeError::BadCertificate { why });
}

#[test]
fn second_greeting_resumes_as_the_first_would() {
    // The client offers no share of this group, so the server asks for another greeting.
    let provider = || CryptoProvider { kx_groups: vec![kx_group::SECP384R1], ..default_provider() };
    let config = Arc::new(Stranger::server_config(&SERVER, provider(), &[&TLS13]));
    let town = Town::new(&scene());
    for is_resumed in [false, true, true] {
        let mut pair = Pair::new(town.client(), Stranger::server(config.clone()), town.now);
        let evidence = pair.handshake().client.unwrap();
        assert_eq!(evidence.key_exchange(), "secp384r1");
        assert_eq!(evidence.is_resumed(), is_resumed);
        pair.server_sends(b"x");
    }
    // And our server asks so, of a client that begins with a group that we do not take.
    let groups = vec![kx_group::MLKEM768, kx_group::SECP384R1];
    let provider = CryptoProvider { kx_groups: groups, ..default_provider() };
    let config = Stranger::client_config(&ROOT, Some(&CLIENT), provider, &[&TLS13]);
    let config = Arc::new(config);
    let town = Town::new(&scene().server_policy(REQUIRE));
    for is_resumed in [false, true, true] {
        let client = Stranger::client(config.clone(), HOST);
        let mut pair = Pair::new(client, town.server(), town.now);
        let evidence = pair.handshake().server.unwrap();
        assert_eq!(names(&evidence), ["alice@EXAMPLE.COM"]);
        assert_eq!(evidence.is_resumed(), is_resumed);
        pair.server_sends(b"x");
    }
}

#[test]
fn early_data_is_neither_offered_nor_taken() {
    // This server offers it.
    let mut config = servers();
    config.max_early_data_size = 4096;
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(32);
    let config = Arc::new(config);
    let town = Town::new(&scene());
    for _ in 0..2 {
        let mut pair = Pair::new(town.client(), Stranger::server(config.clone()), town.now);
        pair.handshake();
        assert_eq!(crate::extension(pair.to_server.bytes(), crate::EARLY_DATA), None);
        pair.server_sends(b"x");
    }
    assert!(town.offers());
    // This client would send some.
    let mut config = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS13]);
    config.enable_early_data = true;
    let config = Arc::new(config);
    let town = Town::new(&scene().server_policy(NONE));
    for _ in 0..2 {
        let client = Stranger::client(config.clone(), HOST);
        let mut pair = Pair::new(client, town.server(), town.now);
        pair.handshake().server.unwrap();
        // Our tickets do not say that any is taken (RFC 8446 section 4.2.10).
        assert_eq!(crate::extension(pair.to_server.bytes(), crate::EARLY_DATA), None);
        pair.server_sends(b"x");
    }
}

/// Keeps what a client keeps, and says of every ticket that it is good for early data.
#[derive(Debug)]
struct Hasty(ClientSessionMemoryCache);

impl ClientSessionStore for Hasty {
    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut value = self.0.take_tls13_ticket(name)?;
        value._private_set_max_early_data_size(1_000);
        Some(value)
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(name, value);
    }

    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}
}

#[test]
fn early_data_that_is_sent_all_the_same_is_thrown_away() {
    let town = Town::new(&scene().server_policy(NONE));
    let mut config = Stranger::client_config(&ROOT, None, default_provider(), &[&TLS13]);
    config.enable_early_data = true;
    config.resumption = Resumption::store(Arc::new(Hasty(ClientSessionMemoryCache::new(8))));
    let config = Arc::new(config);
    let mut pair = Pair::new(Stranger::client(config.clone(), HOST), town.server(), town.now);
    pair.handshake().server.unwrap();
    pair.server_sends(b"x");
    let name = ServerName::try_from(HOST).unwrap();
    let (mut client, mut server) = (ClientConnection::new(config, name).unwrap(), town.server());
    client.early_data().unwrap().write_all(b"words that anybody could say again").unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    assert!(crate::offers_session(&wire));
    assert!(crate::extension(&wire, crate::EARLY_DATA).is_some());
    let mut plain = Vec::new();
    let mut secured = None;
    for _ in 0..3 {
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let taken = server.handle_input(&wire, town.now).unwrap();
        wire.drain(..taken);
        if let Some(evidence) = End::poll(&mut server, town.now).unwrap() {
            secured = Some(evidence);
        }
        End::open(&mut server, &mut plain).unwrap();
        let mut answer = Vec::new();
        End::transmit(&mut server, &mut answer);
        client.read_tls(&mut &answer[..]).unwrap();
        client.process_new_packets().unwrap();
    }
    assert!(secured.unwrap().is_resumed() && !client.is_early_data_accepted());
    assert_eq!(plain, b"");
    client.writer().write_all(b"said once").unwrap();
    client.write_tls(&mut wire).unwrap();
    server.handle_input(&wire, town.now).unwrap();
    End::open(&mut server, &mut plain).unwrap();
    assert_eq!(plain, b"said once");
}

#[test]
fn stranger_that_keeps_its_session_does_not_get_past_other_rules() {
    let mut town = Town::new(&scene().server_policy(REQUIRE));
    let config = clients();
    let meet = |town: &Town| {
        let client = Stranger::client(config.clone(), HOST);
        let mut pair = Pair::new(client, town.server(), town.now);
        let ending = pair.handshake();
        pair.server_sends(b"x");
        ending.server
    };
    meet(&town).unwrap();
    town.admits("[[allow]]\npeers = ['bob@EXAMPLE.COM']");
    assert_eq!(variant(&meet(&town).unwrap_err()), "NotAllowed");
}

#[test]
fn session_that_the_server_knows_no_more_costs_nothing() {
    let town = Town::new(&scene());
    let first = Arc::new(servers());
    let mut pair = Pair::new(town.client(), Stranger::server(first), town.now);
    pair.handshake();
    pair.server_sends(b"x");
    let other = Arc::new(servers());
    let mut pair = Pair::new(town.client(), Stranger::server(other), town.now);
    let evidence = pair.handshake().client.unwrap();
    assert!(crate::offers_session(pair.to_server.bytes()) && !evidence.is_resumed());
}
