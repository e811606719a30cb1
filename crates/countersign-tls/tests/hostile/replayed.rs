//! Noise, and recorded flights of other handshakes: nobody is ever secured by them.

use countersign_core::{HandshakeError, KerberosUse, Timestamp};
use countersign_lab::{Pair, Scene, Stranger};
use countersign_tls::{ClientConfig, Engine, ServerConfig};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};

use crate::hunt::{Tally, came_to, hunt};
use crate::mutation::{Random, mutate};
use crate::{HOST, LAX, ROOT, SERVER, TICKETS, feed, finish, scene, variant};

const NOISE: usize = 12_000;
const HELLOS: usize = 36_000;
const ANSWERS: usize = 22_000;

/// Engines of both roles, strict and lax, at small cost.
struct Makers {
    scenes: [Scene; 3],
    clients: [ClientConfig; 3],
    servers: [ServerConfig; 3],
}

impl Makers {
    fn new() -> Self {
        let scenes = [scene(""), scene(LAX), scene(TICKETS)];
        let clients = [0, 1, 2].map(|kind: usize| scenes[kind].client_config());
        let servers = [0, 1, 2].map(|kind: usize| scenes[kind].server_config());
        Self { scenes, clients, servers }
    }

    fn client(&self, random: &mut Random) -> Engine {
        let kind = random.below(3);
        let offer = if kind == 2 { KerberosUse::Prefer } else { KerberosUse::Off };
        let asked = self.scenes[0].asked();
        Engine::client_offering(&self.clients[kind], asked, offer, self.now()).unwrap()
    }

    fn server(&self, random: &mut Random) -> Engine {
        let peer = Scene::CLIENT.parse().unwrap();
        let kind = random.below(3);
        Engine::server(&self.servers[kind], self.scenes[kind].admission(), peer).unwrap()
    }

    fn now(&self) -> Timestamp {
        self.scenes[0].now()
    }
}

/// Every byte that each side of some handshakes transmitted: those of clients, those of servers.
fn recorded() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    let mut pair = scene("").pair();
    pair.handshake().client.unwrap();
    clients.push(pair.to_server.bytes().to_vec());
    servers.push(pair.to_client.bytes().to_vec());
    let classical = CryptoProvider { kx_groups: vec![kx_group::SECP384R1], ..default_provider() };
    for (provider, version) in [(classical, &TLS13), (default_provider(), &TLS12)] {
        let server = Stranger::server_config(&SERVER, provider.clone(), &[version]);
        let scene = scene(LAX);
        // The group that the client offers no share of makes the server ask again.
        let mut pair = Pair::new(scene.client(), Stranger::server(server), scene.now());
        pair.handshake().client.unwrap();
        servers.push(pair.to_client.bytes().to_vec());
        clients.push(pair.to_server.bytes().to_vec());
        let client = Stranger::client_config(&ROOT, None, provider, &[version]);
        let mut pair = Pair::new(Stranger::client(client, HOST), scene.server(), scene.now());
        pair.handshake().server.unwrap();
        clients.push(pair.to_server.bytes().to_vec());
        servers.push(pair.to_client.bytes().to_vec());
    }
    (clients, servers)
}

/// Gives `wire` to an engine that no live peer answers, and says what became of it.
fn end(engine: &mut Engine, wire: &[u8], now: Timestamp, random: &mut Random) -> String {
    let mut outcome = feed(engine, wire, now, random);
    finish(engine, now, &mut outcome);
    assert!(!outcome.is_secured, "secured without a peer");
    variant(&outcome.failure.expect("it has ended"))
}

#[test]
fn noise_is_refused_or_waited_over() {
    let makers = Makers::new();
    let tally = hunt(0x6e6f_6973, NOISE, move |random| {
        let count = random.below(600);
        let mut wire = random.bytes(count);
        // Every other time it begins like a record, and every fourth like a handshake message.
        let kinds = random.below(4);
        if kinds >= 2 && wire.len() >= 9 {
            wire[0] = *random.pick(&[0x14, 0x15, 0x16, 0x16, 0x17]);
            wire[1..3].copy_from_slice(b"\x03\x03");
            let length = u16::try_from(random.below(wire.len() + 8)).unwrap();
            wire[3..5].copy_from_slice(&length.to_be_bytes());
        }
        if kinds == 3 && wire.len() >= 9 {
            wire[5] = *random.pick(&[1, 2, 4, 8, 11, 13, 15, 20, 24]);
            wire[6..8].fill(0);
        }
        let is_client = random.below(2) == 0;
        let mut engine = if is_client { makers.client(random) } else { makers.server(random) };
        end(&mut engine, &wire, makers.now(), random)
    });
    came_to(&tally, &["NotTls", "Protocol", "RefusedByPeer", "Truncated"]);
}

#[test]
fn altered_hello_secures_no_server() {
    let makers = Makers::new();
    let (clients, _) = recorded();
    let tally = hunt(0x6865_6c6c, HELLOS, move |random| {
        let recorded = random.pick(&clients);
        let wire = mutate(recorded, random);
        end(&mut makers.server(random), &wire, makers.now(), random)
    });
    came_to(&tally, &["NotTls", "NothingShared", "Protocol", "Truncated"]);
    check_reach(&tally, HELLOS);
}

#[test]
fn altered_answer_secures_no_client() {
    let makers = Makers::new();
    let (_, servers) = recorded();
    let tally = hunt(0x616e_7377, ANSWERS, move |random| {
        let recorded = random.pick(&servers);
        let wire = mutate(recorded, random);
        end(&mut makers.client(random), &wire, makers.now(), random)
    });
    came_to(&tally, &["NotTls", "NothingShared", "Protocol", "Truncated"]);
    check_reach(&tally, ANSWERS);
}

#[test]
fn recorded_handshake_secures_nobody_unaltered_either() {
    let makers = Makers::new();
    let (clients, servers) = recorded();
    let random = &mut Random::new(1);
    for wire in &clients {
        end(&mut makers.server(random), wire, makers.now(), random);
    }
    for wire in &servers {
        end(&mut makers.client(random), wire, makers.now(), random);
    }
}

/// Most inputs must get past the first look: were nearly all ended by one check at the door,
/// nothing behind it would have been tried.
#[track_caller]
fn check_reach(tally: &Tally, count: usize) {
    let most = tally.values().max().unwrap();
    assert!(*most < count * 9 / 10, "{tally:?}");
    let blames = variant(&HandshakeError::OurSide { what: String::new() });
    assert!(!tally.contains_key(&blames));
}
