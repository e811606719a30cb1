//! What those in the middle can try.

use std::time::Duration;

use countersign_core::{HandshakeError, KerberosUse};
use countersign_dtls::{Limits, Side};

use super::prover::Conduct;
use super::{ALICE, ASKED, HOST, PREFER, SERVICE, nobody};
use crate::net::{Dice, Net, Weather, World};

/// The proof's bytes are copied between two associations: the victim's with the attacker, and the
/// attacker's with the real server. What each is bound to differs.
#[test]
fn a_machine_in_the_middle_can_take_the_offer_but_not_prove() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let victim = net.add_prover(world.client(), "", Conduct::proves(ALICE));
    let middle = net.add_prover(nobody(), PREFER, Conduct::Relays);
    let second = net.add_prover(world.client(), "", Conduct::Relays);
    let real = net.add_prover(nobody(), PREFER, Conduct::proves(SERVICE));
    net.offer(victim, middle, ASKED, KerberosUse::Require);
    net.offer(second, real, ASKED, KerberosUse::Require);
    for _ in 0..20 {
        net.run(Duration::from_millis(100), |_| false);
        let heard = std::mem::take(&mut net.hosts[middle].prover.heard);
        net.hosts[second].prover.given.extend(heard);
        let heard = std::mem::take(&mut net.hosts[second].prover.heard);
        net.hosts[middle].prover.given.extend(heard);
        net.go_on(middle);
        net.go_on(second);
    }
    let (_, end) = &net.hosts[real].prover.ends[0];
    assert_eq!(end, &Err(HandshakeError::Protocol { what: "another binding".to_owned() }));
    assert_ne!(net.hosts[victim].prover.bindings, net.hosts[real].prover.bindings);
    net.run(Duration::from_secs(11), |_| false);
    assert!(net.hosts.iter().all(|host| host.diary.secured.is_empty()));
    assert!(net.hosts.iter().all(|host| host.diary.delivered.is_empty()));
}

/// The server's first message is in clear: someone on the way writes into it that the server has
/// agreed, where it has not or was not asked; or strikes that out.
#[test]
fn an_agreement_that_is_forged_or_struck_out_comes_to_nothing() {
    let world = World::new();
    let alpn = {
        let mut extension = vec![0, 16, 0, 21, 0, 19, 18];
        extension.extend(b"countersign-krb5/1");
        extension
    };
    for (offer, policy, is_forged) in [
        (KerberosUse::Off, "", true),
        (KerberosUse::Prefer, "", true),
        (KerberosUse::Require, "", true),
        (KerberosUse::Prefer, PREFER, false),
        (KerberosUse::Require, PREFER, false),
    ] {
        let mut net = Net::new(Weather::fair(), 1);
        let mut limits = Limits::default();
        limits.handshake_timeout = Duration::from_secs(5);
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        let client = net.add_prover_with(client, limits, "", Conduct::proves(ALICE));
        let server = net.add_prover_with(server, limits, policy, Conduct::proves(SERVICE));
        let forge = alpn.clone();
        net.on_the_way = Some(Box::new(move |datagram| forge_hello(datagram, &forge, is_forged)));
        net.offer(client, server, ASKED, offer);
        net.run(Duration::from_secs(20), |_| false);
        for host in [client, server] {
            let host = &net.hosts[host];
            assert!(host.diary.secured.is_empty(), "{offer:?} {policy}: {:?}", host.diary);
            assert!(host.prover.begun.is_empty(), "{offer:?} {policy}");
        }
        assert!(net.changed > 0, "{offer:?} {policy}: nothing was changed");
    }
}

/// Adds an extension to the ServerHello in front of a datagram, or takes it away.
fn forge_hello(datagram: &mut Vec<u8>, extension: &[u8], adds: bool) -> bool {
    const HEADER: usize = 13;
    if datagram.len() < HEADER + 12 || datagram[0] != 22 || datagram[HEADER] != 2 {
        return false;
    }
    let record = usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
    let session = usize::from(datagram[HEADER + 12 + 34]);
    let extensions = HEADER + 12 + 35 + session + 3;
    let by = if adds { i32::try_from(extension.len()).unwrap() } else { -25 };
    if adds {
        let end = HEADER + record;
        datagram.splice(end..end, extension.iter().copied());
    } else {
        let at = datagram.windows(extension.len()).position(|it| it == extension);
        let Some(at) = at else { return false };
        datagram.drain(at..at + extension.len());
    }
    assert_eq!(by.unsigned_abs(), u32::try_from(extension.len()).unwrap());
    let mut grow = |at: usize| {
        let before = i32::from(u16::from_be_bytes([datagram[at], datagram[at + 1]]));
        let after = u16::try_from(before + by).unwrap();
        datagram[at..at + 2].copy_from_slice(&after.to_be_bytes());
    };
    grow(11);
    grow(HEADER + 2);
    grow(HEADER + 10);
    grow(extensions);
    true
}

/// A server that took the offer and then says nothing of use is no server by its certificate.
#[test]
fn no_certificate_stands_in_for_a_proof_that_was_begun() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add_prover(world.client(), "", Conduct::proves(ALICE));
    let server = net.add_prover(world.host(HOST), PREFER, Conduct::Silent);
    net.offer(client, server, ASKED, KerberosUse::Prefer);
    net.run(Duration::from_secs(20), |_| false);
    assert_eq!(net.hosts[client].prover.begun.len(), 1, "and it is not begun anew");
    let failed = &net.hosts[client].diary.failed;
    assert!(matches!(failed[..], [(_, Side::Ours, _)]), "{failed:?}");
    assert!(net.hosts.iter().all(|host| host.diary.secured.is_empty()));
}

/// Forgers cannot end a proof that takes long: what they can make is in clear, or was heard before,
/// perhaps by the one to whom it is sent back.
#[test]
fn forged_replayed_and_reflected_datagrams_do_not_harm_a_proof() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let slow = |name| Conduct::Proves { name, bytes: 3000, thinks: Duration::from_secs(2) };
    let client = net.add_prover(world.host("laptop.test"), "", slow(ALICE));
    let server = net.add_prover(world.host(HOST), PREFER, slow(SERVICE));
    let (a, b) = (net.hosts[client].address, net.hosts[server].address);
    net.offer(client, server, ASKED, KerberosUse::Require);
    let mut dice = Dice::new(11);
    for _ in 0..60 {
        net.run(Duration::from_millis(100), |_| false);
        let is_proving = net.hosts.iter().all(|host| !host.prover.begun.is_empty());
        let recorded: Vec<_> = net.tape.iter().map(|it| it.2.clone()).collect();
        for datagram in recorded.iter().rev().take(40).chain(recorded.iter().take(20)) {
            if !is_proving {
                break;
            }
            net.inject(a, server, datagram);
            net.inject(b, client, datagram);
            let mut forged = datagram.clone();
            for _ in 0..=dice.below(3) {
                let at = usize::try_from(dice.below(60.min(forged.len() as u64))).unwrap();
                forged[at] = u8::try_from(dice.below(32)).unwrap();
            }
            net.inject(a, server, &forged);
            net.inject(b, client, &forged);
        }
        for (level, what) in [(2, 40), (1, 0), (2, 49), (1, 100)] {
            let alert = [21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, level, what];
            if is_proving {
                net.inject(a, server, &alert);
                net.inject(b, client, &alert);
            }
        }
    }
    assert!(net.meet(client, server), "{:?} {:?}", net.hosts[0].diary, net.hosts[1].diary);
    assert_eq!(net.hosts[client].prover.bindings, net.hosts[server].prover.bindings);
    assert_eq!(net.hosts[client].prover.begun.len(), 1);
    net.send(client, server, b"here");
    net.settle();
    assert_eq!(net.hosts[server].diary.delivered, [(a, b"here".to_vec())]);
    assert!(net.hosts.iter().all(|it| it.diary.failed.is_empty() && it.diary.closed.is_empty()));
}
