//! What others on the network can try. Each of these was possible with some library or setting.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_core::HandshakeError;
use countersign_dtls::{Config, Limits, Standing};
use countersign_lab::Leaf;

use crate::clock;
use crate::net::{Dice, Net, Weather, World};

fn pair(net: &mut Net) -> (usize, usize) {
    let world = World::new();
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    assert!(net.meet(client, server));
    net.settle();
    (client, server)
}

/// The last datagram that `from` sent.
fn last(net: &Net, from: usize) -> Vec<u8> {
    let from = net.hosts[from].address;
    net.tape.iter().rev().find(|it| it.0 == from).unwrap().2.clone()
}

fn delivered(net: &Net, host: usize) -> usize {
    net.hosts[host].diary.delivered.len()
}

#[test]
fn a_replayed_datagram_is_delivered_once() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let from = net.hosts[client].address;
    net.send(client, server, b"pay 10");
    let record = last(&net, client);
    net.settle();
    for _ in 0..3 {
        net.inject(from, server, &record);
    }
    assert_eq!(delivered(&net, server), 1);
    for _ in 0..200 {
        net.send(client, server, b"later");
        net.settle();
    }
    net.inject(from, server, &record);
    assert_eq!(delivered(&net, server), 201, "and not when it has left the window either");
}

#[test]
fn a_changed_datagram_is_not_delivered_and_does_no_harm() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let from = net.hosts[client].address;
    net.weather.loss = 100;
    net.send(client, server, b"pay 10");
    let record = last(&net, client);
    let sent = net.sent();
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1;
        net.inject(from, server, &changed);
    }
    assert_eq!(delivered(&net, server), 0);
    assert_eq!(net.sent(), sent, "and not answered");
    net.inject(from, server, &record);
    assert_eq!(delivered(&net, server), 1);
}

#[test]
fn forged_alerts_in_clear_do_not_end_an_association() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let from = net.hosts[client].address;
    for (level, what) in [(2, 40), (2, 0), (1, 0), (1, 90), (2, 48)] {
        let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, level, what];
        net.inject(from, server, &alert);
    }
    net.send(client, server, b"still here");
    net.settle();
    assert_eq!(delivered(&net, server), 1);
}

#[test]
fn forged_handshake_messages_in_clear_do_not_harm_an_association() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let (a, b) = (net.hosts[client].address, net.hosts[server].address);
    let mut dice = Dice::new(5);
    let recorded: Vec<_> = net.tape.iter().map(|it| it.2.clone()).collect();
    for round in 0..20_000_u32 {
        let mut forged = recorded[usize::try_from(round).unwrap() % recorded.len()].clone();
        for _ in 0..dice.below(4) {
            let at = usize::try_from(dice.below(60.min(forged.len() as u64))).unwrap();
            forged[at] = u8::try_from(dice.below(32)).unwrap();
        }
        net.inject(a, server, &forged);
        net.inject(b, client, &forged);
        let ended = net.hosts.iter().find_map(|host| host.diary.closed.first());
        assert!(ended.is_none(), "round {round}: {ended:?} by {forged:02x?}");
    }
    net.settle();
    net.send(client, server, b"still");
    net.send(server, client, b"here");
    net.settle();
    assert_eq!((delivered(&net, server), delivered(&net, client)), (1, 1));
    assert!(net.hosts.iter().all(|host| host.diary.closed.is_empty()));
}

/// libssl 3.0.19 gives an association up for one record that is too short to hold nonce and tag.
#[test]
fn forged_short_records_do_not_end_an_association() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let (a, b) = (net.hosts[client].address, net.hosts[server].address);
    for kind in 19..=25_u8 {
        for (epoch, length) in (0..=2).flat_map(|epoch| (0..50_u8).map(move |it| (epoch, it))) {
            let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 200, 0, length];
            record.extend(vec![1; usize::from(length)]);
            net.inject(a, server, &record);
            net.inject(b, client, &record);
        }
    }
    net.send(client, server, b"still");
    net.send(server, client, b"here");
    net.settle();
    assert_eq!((delivered(&net, server), delivered(&net, client)), (1, 1));
}

#[test]
fn a_half_open_handshake_keeps_no_large_records() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    let from = net.hosts[client].address;
    net.run(Duration::from_secs(5), |net| net.hosts[server].endpoint.half_open() == 1);
    let mut record = vec![23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0x3f, 0];
    record.extend([0; 0x3f00]);
    for number in 0..100 {
        record[10] = number;
        net.inject(from, server, &record);
    }
    assert!(net.meet(client, server), "and comes to its end");
}

#[test]
fn data_in_clear_is_never_delivered() {
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = pair(&mut net);
    let from = net.hosts[client].address;
    let mut record = vec![23, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 5];
    record.extend(b"clear");
    net.inject(from, server, &record);
    net.inject("203.0.113.1:5".parse().unwrap(), server, &record);
    assert_eq!(delivered(&net, server), 0);
    assert_eq!(net.hosts[server].endpoint.len(), 1);
}

#[test]
fn garbage_gets_no_answer() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let server = net.add(world.host("one.test"));
    let mut dice = Dice::new(7);
    for round in 0..20_000_u16 {
        let mut junk: Vec<u8> =
            (0..dice.below(300)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        if round % 2 == 0 && junk.len() > 13 {
            // Half of it has a good header.
            junk[0] = 20 + u8::try_from(dice.below(4)).unwrap();
            junk[1..3].copy_from_slice(&[254, 253]);
            junk[3..5].copy_from_slice(&[0, u8::try_from(dice.below(2)).unwrap()]);
            let rest = u16::try_from(junk.len() - 13).unwrap();
            junk[11..13].copy_from_slice(&rest.to_be_bytes());
        }
        net.inject(SocketAddr::from(([203, 0, 113, 1], round)), server, &junk);
    }
    assert_eq!(net.sent(), 0);
    assert!(net.hosts[server].endpoint.is_empty());
}

#[test]
fn a_cookie_is_good_for_its_address_and_attempt_and_time_alone() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    // The hello with the cookie is recorded, and does not arrive.
    net.connect(client, "192.0.2.2:1000", "one.test");
    let from = net.hosts[client].address;
    net.run(Duration::from_secs(5), |net| net.tape.iter().filter(|it| it.0 == from).count() == 2);
    let with_cookie = last(&net, client);
    assert_eq!(net.hosts[server].endpoint.half_open(), 0);

    let other = SocketAddr::new(from.ip(), 2000);
    net.inject(other, server, &with_cookie);
    net.inject("203.0.113.1:1000".parse().unwrap(), server, &with_cookie);
    let mut another_attempt = with_cookie.clone();
    another_attempt[13 + 12 + 2] ^= 1;
    net.inject(from, server, &another_attempt);
    assert_eq!(net.hosts[server].endpoint.half_open(), 0, "not elsewhere, not for another");
    clock::pass(Duration::from_secs(121));
    net.inject(from, server, &with_cookie);
    assert_eq!(net.hosts[server].endpoint.half_open(), 0, "not later");
}

#[test]
fn a_restarted_peer_replaces_the_old_association_once_it_is_authenticated() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    assert!(net.meet(client, server));
    let from = net.hosts[client].address;
    let session = |net: &Net| net.hosts[server].endpoint.evidence(from).unwrap().session();
    let old = session(&net);

    // It forgets everything and begins anew from the same address.
    let again = net.add(world.host("client.test"));
    net.hosts[client].address = "198.51.100.1:1".parse().unwrap();
    net.hosts[again].address = from;
    net.connect(again, "192.0.2.2:1000", "one.test");
    assert!(net.meet(again, server));
    assert_ne!(session(&net), old);
    net.send(again, server, b"new");
    net.send(server, again, b"answer");
    net.settle();
    assert_eq!((delivered(&net, server), delivered(&net, again)), (1, 1));
    assert_eq!(net.hosts[server].endpoint.len(), 1);
}

#[test]
fn an_impostor_at_the_same_address_does_not_harm_the_old_association() {
    let world = World::new();
    let evil = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    assert!(net.meet(client, server));
    let from = net.hosts[client].address;
    let session = net.hosts[server].endpoint.evidence(from).unwrap().session();

    // It can even read what is sent to that address, and so has the cookie.
    let impostor = net.add(evil.config(Some(Leaf::new().dns("client.test")), 1400));
    let elsewhere = "198.51.100.1:1".parse().unwrap();
    net.hosts[client].address = elsewhere;
    net.hosts[impostor].address = from;
    net.hosts[impostor]
        .endpoint
        .connect(
            "192.0.2.2:1000".parse().unwrap(),
            countersign_core::Asked::AnyTrusted,
            clock::now(),
        )
        .unwrap();
    net.run(Duration::from_secs(20), |_| false);
    assert_eq!(
        net.hosts[impostor].endpoint.standing(net.hosts[server].address),
        Standing::Stranger
    );

    net.hosts[impostor].address = elsewhere;
    net.hosts[client].address = from;
    assert_eq!(net.hosts[server].endpoint.evidence(from).unwrap().session(), session);
    net.send(client, server, b"still here");
    net.settle();
    assert_eq!(delivered(&net, server), 1);
}

#[test]
fn a_forged_refusal_during_the_handshake_is_survived() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    let peer = net.hosts[server].address;
    net.inject(peer, client, &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]);
    assert!(net.meet(client, server));
}

#[test]
fn a_forged_cookie_during_the_handshake_is_survived() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    let peer = net.hosts[server].address;
    let mut forged = vec![22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23];
    forged.extend([3, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 11, 254, 255, 8]);
    forged.extend(b"a cookie");
    net.inject(peer, client, &forged);
    assert!(net.meet(client, server));
}

#[test]
fn mutated_handshakes_crash_nobody_and_secure_nothing_false() {
    let world = World::new();
    let configs = (world.host("client.test"), world.host("one.test"));
    let mut dice = Dice::new(3);
    let mut met = 0;
    for seed in 0..1500 {
        let mut net = Net::new(Weather::fair(), seed);
        let (client, server) = (net.add(configs.0.clone()), net.add(configs.1.clone()));
        net.connect(client, "192.0.2.2:1000", "one.test");
        for _ in 0..10 {
            net.run(Duration::from_millis(12), |_| false);
            let Some((from, to, datagram)) = net.tape.last().cloned() else { continue };
            let mut changed = datagram;
            for _ in 0..=dice.below(3) {
                let at = usize::try_from(dice.below(changed.len() as u64)).unwrap();
                changed[at] = u8::try_from(dice.below(256)).unwrap();
            }
            if dice.below(4) == 0 {
                changed.truncate(usize::try_from(dice.below(changed.len() as u64)).unwrap());
            }
            let host = net.hosts.iter().position(|host| host.address == to).unwrap();
            net.inject(from, host, &changed);
        }
        net.run(Duration::from_secs(1), |_| false);
        let (a, b) = (net.hosts[client].address, net.hosts[server].address);
        let ids = (net.hosts[client].endpoint.evidence(b), net.hosts[server].endpoint.evidence(a));
        if let (Some(one), Some(other)) = ids {
            assert_eq!(one.session(), other.session());
            met += 1;
        }
        assert!(net.hosts.iter().all(|host| host.diary.delivered.is_empty()));
    }
    assert!(met > 100, "only {met} handshakes got through");
}

#[test]
fn a_chain_without_end_is_refused() {
    let world = World::new();
    let mut inner = world.authority.intermediate("link 0");
    for number in 1..60 {
        inner = inner.intermediate(&*format!("link {number}"));
    }
    let credential = inner.issue(Leaf::new().dns("one.test")).credential();
    let server = Config::new(&world.authority.anchors(), Some(&credential), 1400).unwrap();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.host("client.test"));
    net.add_with(server, Limits::default(), "");
    net.connect(client, "192.0.2.2:1000", "one.test");
    net.run(Duration::from_secs(15), |_| false);
    let (_, _, error) = &net.hosts[client].diary.failed[0];
    assert!(matches!(error, HandshakeError::Protocol { .. }), "{error}");
}
