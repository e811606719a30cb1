//! Proofs, short and long, through loss, duplication, reordering and narrow paths.

use std::time::Duration;

use countersign_core::KerberosUse;
use countersign_dtls::{Config, Limits};
use countersign_lab::{Authority, Leaf};

use super::prover::Conduct;
use super::{ALICE, ASKED, SERVICE};
use crate::net::{Dice, Net, Weather, World};

/// A client without a certificate, and a server with one that nobody believes.
fn configs(mtu: u16) -> (Config, Config) {
    let world = World::new();
    let nobody = Authority::new("nobody").issue(Leaf::new().dns("db1.test"));
    let server = Config::new(&world.authority.anchors(), Some(&nobody.credential()), mtu);
    (world.config(None, mtu), server.unwrap())
}

fn survives(weather: Weather, configs: &(Config, Config), bytes: usize, seed: u64) -> Duration {
    let mut net = Net::new(weather, seed);
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(600);
    let proves = |name| Conduct::Proves { name, bytes, thinks: Duration::ZERO };
    let client = net.add_prover_with(configs.0.clone(), limits, "", proves(ALICE));
    let policy = "kerberos.server = 'require'";
    let server = net.add_prover_with(configs.1.clone(), limits, policy, proves(SERVICE));
    let start = crate::clock::now().instant;
    net.offer(client, server, ASKED, KerberosUse::Require);
    // The client is secured first, and sends at once: what comes early waits.
    let (a, b) = (net.hosts[client].address, net.hosts[server].address);
    let is_first =
        net.run(Duration::from_secs(300), |net| net.hosts[client].endpoint.evidence(b).is_some());
    assert!(is_first, "{weather:?} {bytes} seed {seed}: {:?}", net.hosts[client].diary);
    for round in 0..6_u8 {
        for size in [1, 64, 400] {
            net.send(client, server, &vec![round; size]);
        }
    }
    assert!(net.meet(client, server), "{weather:?} {bytes} seed {seed}: {:?}", net.hosts[1].diary);
    let took = crate::clock::now().instant - start;
    let id = |host: usize, peer| net.hosts[host].endpoint.evidence(peer).unwrap().session();
    assert_eq!(id(client, b), id(server, a), "both compute one session id");
    assert_eq!(net.hosts[client].prover.bindings, net.hosts[server].prover.bindings);
    for _ in 0..3 {
        net.send(server, client, &[9; 400]);
    }
    net.settle();
    for (host, sent) in [(server, 18), (client, 3)] {
        let mut got: Vec<_> = net.hosts[host].diary.delivered.iter().map(|(_, it)| it).collect();
        let whole = got.len();
        assert!(got.iter().all(|it| [1, 64, 400].contains(&it.len())));
        assert!(got.iter().all(|it| it.iter().all(|byte| *byte == it[0])));
        assert!(weather.loss > 0 || whole == sent, "{weather:?} seed {seed}: {whole} of {sent}");
        got.sort();
        let mut distinct = got.clone();
        distinct.dedup();
        assert!(host == client || distinct.len() == whole, "seed {seed}: something came twice");
    }
    assert!(net.tape.iter().all(|(_, _, it)| it.len() <= weather.mtu), "larger than the path");
    assert!(net.hosts.iter().all(|host| host.prover.over.is_empty()));
    took
}

#[test]
fn matrix_of_loss_duplication_reordering_and_mtu() {
    let mut seed = 0;
    for mtu in [512, 900, 1200, 1500] {
        let configs = configs(mtu);
        for loss in [0, 5, 10, 20, 30] {
            for duplication in [0, 20] {
                for reordering in [0, 30] {
                    let weather = Weather { loss, duplication, reordering, mtu: mtu.into() };
                    for bytes in [0, 1500, 20 * 1024] {
                        seed += 1;
                        survives(weather, &configs, bytes, seed);
                    }
                }
            }
        }
    }
}

#[test]
fn as_long_a_proof_as_there_may_be() {
    for mtu in [512, 1400, Config::MAX_MTU] {
        let configs = configs(mtu);
        for (loss, duplication, reordering) in [(0, 0, 0), (5, 5, 20), (20, 10, 30)] {
            let weather = Weather { loss, duplication, reordering, mtu: mtu.into() };
            let took = survives(weather, &configs, 128 * 1024, u64::from(mtu) + loss);
            // Both send as much, one after the other, and a round takes 20 ms.
            let bound = if loss == 0 { 3 } else { 100 };
            assert!(took < Duration::from_secs(bound), "{weather:?}: {took:?}");
        }
    }
}

#[test]
fn thousands_of_random_seeds() {
    let paths: Vec<_> = [512, 700, 1100, 1400].map(configs).into_iter().collect();
    for seed in 20_000..21_500 {
        let mut dice = Dice::new(seed);
        let path = &paths[usize::try_from(dice.below(4)).unwrap()];
        let weather = Weather {
            loss: dice.below(31),
            duplication: dice.below(31),
            reordering: dice.below(51),
            mtu: path.0.mtu().into(),
        };
        let bytes = usize::try_from(dice.below(6000)).unwrap();
        survives(weather, path, bytes, seed);
    }
}

/// The client's last word never arrives: the client, which is done, does not stay so for ever.
#[test]
fn a_client_whose_last_word_never_arrives_is_not_left_alone_with_it() {
    let (client, server) = configs(1400);
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add_prover(client, "", Conduct::proves(ALICE));
    let server = net.add_prover(server, "kerberos.server = 'require'", Conduct::proves(SERVICE));
    net.offer(client, server, ASKED, KerberosUse::Require);
    let peer = net.hosts[server].address;
    net.run(Duration::from_secs(5), |net| net.hosts[client].endpoint.evidence(peer).is_some());
    net.weather.loss = 100;
    net.lose_all();
    net.send(client, server, b"into the dark");
    net.run(Duration::from_secs(20), |_| false);
    let (_, error) = &net.hosts[client].diary.closed[0];
    assert!(matches!(error, Some(countersign_core::HandshakeError::TimedOut { .. })));
    assert!(net.hosts.iter().all(|host| host.endpoint.is_empty()));
    assert!(net.hosts[server].diary.delivered.is_empty());
}

/// The longest name, a hello with the offer, the narrowest path.
#[test]
fn the_hello_with_the_offer_is_one_datagram_on_the_narrowest_path() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add_prover(world.config(None, Config::MIN_MTU), "", Conduct::proves(ALICE));
    let server = world.config(Some(Leaf::new().dns(&longest)), Config::MIN_MTU);
    let name: &'static str = Box::leak(format!("host/{longest}@EXAMPLE.COM").into_boxed_str());
    let server = net.add_prover(server, "kerberos.server = 'require'", Conduct::proves(name));
    net.offer(client, server, &longest, KerberosUse::Require);
    assert!(net.meet(client, server), "{:?}", net.hosts[0].diary);
    assert!(net.tape.iter().all(|(_, _, it)| it.len() <= usize::from(Config::MIN_MTU)));
}

#[test]
fn what_a_datagram_holds_is_one_byte_less_and_all_of_it() {
    for mtu in [512, 1000, 1500] {
        let (client, server) = configs(mtu);
        let mut net = Net::new(Weather::fair(), 1);
        let client = net.add_prover(client, "", Conduct::proves(ALICE));
        let server =
            net.add_prover(server, "kerberos.server = 'require'", Conduct::proves(SERVICE));
        net.offer(client, server, ASKED, KerberosUse::Require);
        assert!(net.meet(client, server));
        net.settle();
        let peer = net.hosts[server].address;
        let most = net.hosts[client].endpoint.max_datagram_size(peer).unwrap();
        assert_eq!(most, usize::from(mtu) - 37 - 1);
        net.send(client, server, &vec![1; most]);
        net.settle();
        assert_eq!(net.hosts[server].diary.delivered[0].1.len(), most);
        assert_eq!(net.tape.last().unwrap().2.len(), usize::from(mtu));
        let over = net.hosts[client].endpoint.send(peer, &vec![1; most + 1], crate::clock::now());
        assert_eq!(over, Err(countersign_dtls::SendError::Size { fits: most }));
    }
}
