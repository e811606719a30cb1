//! Handshakes and data through loss, duplication, reordering and narrow paths.

use std::time::Duration;

use countersign_dtls::{Config, Limits};
use countersign_lab::Leaf;

use crate::net::{Dice, Net, Weather, World};

/// A client that shows a chain of two, and a server that does too, so that flights are fragmented.
fn configs(world: &World, mtu: u16) -> (Config, Config) {
    let inner = world.authority.intermediate("inner");
    let anchors = world.authority.anchors();
    let made = |leaf| {
        let credential = inner.issue(leaf).credential();
        Config::new(&anchors, Some(&credential), mtu).unwrap()
    };
    (made(Leaf::new().dns("client.test")), made(Leaf::new().dns("db1.test")))
}

#[track_caller]
fn survives(weather: Weather, configs: &(Config, Config), seed: u64) {
    let mut net = Net::new(weather, seed);
    let limits = long();
    let client = net.add_with(configs.0.clone(), limits, "");
    let server = net.add_with(configs.1.clone(), limits, "");
    net.connect(client, "192.0.2.2:1000", "db1.test");
    let met = net.meet(client, server);
    let diaries: Vec<_> = net.hosts.iter().map(|host| &host.diary).collect();
    assert!(met, "{weather:?} seed {seed}: {diaries:?}");

    let (a, b) = (net.hosts[client].address, net.hosts[server].address);
    let id =
        |net: &Net, host: usize, peer| net.hosts[host].endpoint.evidence(peer).unwrap().session();
    assert_eq!(id(&net, client, b), id(&net, server, a), "both compute one session id");

    // What arrives is what was sent: whole, unchanged, and no more than once.
    let sizes = [1, 64, 400];
    for round in 0..6_u8 {
        for size in sizes {
            net.send(client, server, &vec![round; size]);
            net.send(server, client, &vec![round; size]);
        }
    }
    net.settle();
    for host in [client, server] {
        let mut got: Vec<_> = net.hosts[host].diary.delivered.iter().map(|(_, it)| it).collect();
        let whole = got.len();
        assert!(got.iter().all(|it| sizes.contains(&it.len()) && it.iter().all(|b| *b == it[0])));
        got.sort();
        got.dedup();
        assert_eq!(got.len(), whole, "{weather:?} seed {seed}: something came twice");
        assert!(weather.loss > 0 || whole == 18, "{weather:?} seed {seed}: {whole} of 18");
    }
}

fn long() -> Limits {
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(600);
    limits
}

#[test]
fn matrix_of_loss_duplication_reordering_and_mtu() {
    let world = World::new();
    let mut seed = 0;
    for mtu in [512, 900, 1200, 1500] {
        let configs = configs(&world, mtu);
        for loss in [0, 5, 10, 20, 30] {
            for duplication in [0, 20] {
                for reordering in [0, 30] {
                    let weather = Weather { loss, duplication, reordering, mtu: mtu.into() };
                    for _ in 0..20 {
                        seed += 1;
                        survives(weather, &configs, seed);
                    }
                }
            }
        }
    }
}

#[test]
fn thousands_of_random_seeds() {
    let world = World::new();
    let paths: Vec<_> = [512, 700, 1100, 1400].iter().map(|mtu| configs(&world, *mtu)).collect();
    for seed in 10_000..11_500 {
        let mut dice = Dice::new(seed);
        let path = &paths[usize::try_from(dice.below(4)).unwrap()];
        let weather = Weather {
            loss: dice.below(31),
            duplication: dice.below(31),
            reordering: dice.below(51),
            mtu: path.0.mtu().into(),
        };
        survives(weather, path, seed);
    }
}

#[test]
fn no_datagram_is_larger_than_the_mtu() {
    let world = World::new();
    for mtu in [512, 1000, 1500] {
        let (client, server) = configs(&world, mtu);
        let mut net = Net::new(Weather::fair(), 1);
        let (client, server) = (net.add(client), net.add(server));
        net.connect(client, "192.0.2.2:1000", "db1.test");
        assert!(net.meet(client, server));
        let peer = net.hosts[server].address;
        let most = net.hosts[client].endpoint.max_datagram_size(peer).unwrap();
        net.send(client, server, &vec![1; most]);
        net.settle();
        assert_eq!(net.hosts[server].diary.delivered[0].1.len(), most);
        assert!(net.tape.iter().all(|(_, _, it)| it.len() <= usize::from(mtu)), "{mtu}");
        assert!(net.tape.iter().any(|(_, _, it)| it.len() > usize::from(mtu) - 40), "used: {mtu}");
    }
}

/// Whoever answers a hello without keeping anything cannot put one together from pieces.
#[test]
fn the_hello_for_the_longest_name_is_one_datagram_on_the_narrowest_path() {
    let world = World::new();
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert_eq!(longest.len(), 253);
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.config(None, Config::MIN_MTU));
    let server = net.add_with(
        world.config(Some(Leaf::new().dns(&longest)), Config::MIN_MTU),
        Limits::default(),
        "server.client-certificates = \"none\"",
    );
    net.connect(client, "192.0.2.2:1000", &longest);
    assert!(net.meet(client, server));
    assert!(net.tape.iter().all(|(_, _, it)| it.len() <= usize::from(Config::MIN_MTU)));
}

#[test]
fn both_begin_at_once_and_one_association_remains() {
    let world = World::new();
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let weather = Weather {
            loss: dice.below(25),
            duplication: dice.below(20),
            reordering: dice.below(50),
            mtu: 1500,
        };
        let mut net = Net::new(weather, seed);
        let one = net.add_with(world.host("one.test"), long(), "");
        let two = net.add_with(world.host("two.test"), long(), "");
        net.connect(one, "192.0.2.2:1000", "two.test");
        net.connect(two, "192.0.2.1:1000", "one.test");
        assert!(
            net.meet(one, two),
            "seed {seed}: {:?} {:?}",
            net.hosts[0].diary,
            net.hosts[1].diary
        );
        net.weather = Weather::fair();
        net.settle();
        let (a, b) = (net.hosts[one].address, net.hosts[two].address);
        let id = |host: usize, peer| net.hosts[host].endpoint.evidence(peer).unwrap().session();
        assert_eq!(id(one, b), id(two, a), "seed {seed}");
        net.send(one, two, b"ping");
        net.send(two, one, b"pong");
        net.settle();
        assert_eq!(net.hosts[two].diary.delivered, [(a, b"ping".to_vec())], "seed {seed}");
        assert_eq!(net.hosts[one].diary.delivered, [(b, b"pong".to_vec())], "seed {seed}");
    }
}
