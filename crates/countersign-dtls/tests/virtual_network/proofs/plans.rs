//! What handshakes ask and offer that were begun, or are repeated, after that has changed.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_core::{Asked, HandshakeError, KerberosFailure, KerberosUse};

use super::prover::Conduct;
use super::{ALICE, PREFER};
use crate::clock;
use crate::net::{Net, Weather, World, asked};

const NAME: &str = "one.test";

/// A client and a server that believe each other's certificates and know how to prove themselves.
fn hosts() -> (World, Net, SocketAddr) {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover(world.host("client.test"), "", Conduct::proves(ALICE));
    net.add_prover(world.host(NAME), PREFER, Conduct::proves("host/one.test@EXAMPLE.COM"));
    let peer = net.hosts[1].address;
    (world, net, peer)
}

fn plan_anew(net: &mut Net, planned: Option<(Asked, KerberosUse)>) {
    net.hosts[0].endpoint.plan_anew(clock::now(), &|_| planned.clone());
    net.go_on(0);
}

/// The peer of an association restarts, and has nothing but a certificate; returns whether that is
/// believed.
fn is_taken_after_restart(planned: Option<(Asked, KerberosUse)>) -> bool {
    let (world, mut net, peer) = hosts();
    net.offer(0, 1, NAME, KerberosUse::Off);
    assert!(net.meet(0, 1));
    net.settle();
    let old = net.hosts[0].endpoint.evidence(peer).unwrap().session();
    plan_anew(&mut net, planned);
    let fresh = net.add(world.host(NAME));
    net.hosts[1].address = "198.51.100.1:1".parse().unwrap();
    net.hosts[fresh].address = peer;
    clock::pass(Duration::from_secs(61));
    net.send(0, fresh, b"lost");
    net.run(Duration::from_secs(11), |_| false);
    assert!(net.hosts[0].diary.failed.is_empty(), "nobody waits for a look-out");
    net.hosts[0].endpoint.evidence(peer).unwrap().session() != old
}

#[test]
fn a_look_out_asks_and_offers_what_is_planned_by_then() {
    let plan = |name, offer| Some((asked(name), offer));
    assert!(is_taken_after_restart(plan(NAME, KerberosUse::Off)));
    // It had no ticket before.
    assert!(is_taken_after_restart(plan(NAME, KerberosUse::Prefer)));
    assert!(!is_taken_after_restart(plan(NAME, KerberosUse::Require)));
    assert!(!is_taken_after_restart(plan("two.test", KerberosUse::Off)));
    assert!(!is_taken_after_restart(None));
}

/// What became of a handshake whose plan changed before its first answer.
fn ended(
    offer: KerberosUse,
    planned: Option<(Asked, KerberosUse)>,
) -> (Net, Option<HandshakeError>) {
    let (_world, mut net, _) = hosts();
    net.offer(0, 1, NAME, offer);
    plan_anew(&mut net, planned);
    net.run(Duration::from_secs(30), |net| {
        net.hosts[1].diary.secured.len() == 1 || !net.hosts[0].diary.failed.is_empty()
    });
    net.settle();
    let failed = net.hosts[0].diary.failed.first().map(|(_, _, error)| error.clone());
    (net, failed)
}

#[test]
fn a_handshake_under_way_goes_by_the_plan_that_came_meanwhile() {
    let plan = |name, offer| Some((asked(name), offer));
    let proofs = |net: &Net| net.hosts[0].prover.begun.len();
    let (net, failed) = ended(KerberosUse::Off, plan(NAME, KerberosUse::Require));
    assert_eq!((proofs(&net), failed), (1, None));
    let (net, failed) = ended(KerberosUse::Require, plan(NAME, KerberosUse::Off));
    assert_eq!((proofs(&net), failed), (0, None));
    let (_, failed) = ended(KerberosUse::Off, plan("two.test", KerberosUse::Off));
    assert!(matches!(failed, Some(HandshakeError::WrongPeer { .. })), "{failed:?}");
    let (net, failed) = ended(KerberosUse::Off, None);
    assert!(matches!(failed, Some(HandshakeError::OurSide { .. })), "{failed:?}");
    assert!(net.hosts[0].endpoint.is_empty());
}

/// A proof that is under way is given up, and whoever works on it is told.
#[test]
fn a_proof_that_nobody_wants_any_more_is_over() {
    let (_world, mut net, peer) = hosts();
    net.offer(0, 1, NAME, KerberosUse::Prefer);
    assert!(net.run(Duration::from_secs(9), |net| !net.hosts[0].prover.begun.is_empty()));
    plan_anew(&mut net, Some((asked(NAME), KerberosUse::Require)));
    assert_eq!(net.hosts[0].prover.begun.len(), 1, "it is what is required");
    plan_anew(&mut net, Some((asked(NAME), KerberosUse::Off)));
    assert!(net.meet(0, 1));
    let evidence = net.hosts[0].endpoint.evidence(peer).unwrap();
    assert_eq!(super::proofs(evidence).len(), 1);
    assert_eq!(net.hosts[0].prover.begun.len(), 1);
}

/// The ticket that an association was made with has expired when its peer restarts: who need not
/// show one goes by certificate then, as for a peer that is greeted for the first time.
#[test]
fn a_look_out_without_a_ticket_is_followed_by_one_that_offers_none() {
    for (offer, proofs) in [(KerberosUse::Prefer, 2), (KerberosUse::Require, 3)] {
        let (world, mut net, peer) = hosts();
        net.offer(0, 1, NAME, offer);
        assert!(net.meet(0, 1));
        net.settle();
        let old = net.hosts[0].endpoint.evidence(peer).unwrap().session();
        let certified = Conduct::proves("host/one.test@EXAMPLE.COM");
        let fresh = net.add_prover(world.host(NAME), PREFER, certified);
        net.hosts[1].address = "198.51.100.1:1".parse().unwrap();
        net.hosts[fresh].address = peer;
        clock::pass(Duration::from_secs(61));
        net.send(0, fresh, b"lost");
        assert!(net.run(Duration::from_secs(9), |net| net.hosts[0].prover.begun.len() == 2));
        let (proof, ..) = net.hosts[0].prover.begun[1];
        net.hosts[0].prover.forget(proof);
        let lent = net.hosts[0].endpoint.proof(proof, clock::now()).unwrap();
        let (place, detail) = ("a test".to_owned(), "it expired".to_owned());
        let _told = lent.refuse(KerberosFailure::NoCredentials { place, detail }.into());
        net.go_on(0);
        net.settle();
        clock::pass(Duration::from_secs(61));
        net.send(0, fresh, b"lost too");
        net.run(Duration::from_secs(9), |_| false);
        assert_eq!(net.hosts[0].prover.begun.len(), proofs, "{offer:?}");
        assert_ne!(net.hosts[0].endpoint.evidence(peer).unwrap().session(), old);
        net.send(0, fresh, b"arrives");
        net.settle();
        assert_eq!(super::delivered(&net, fresh), [b"arrives"]);
    }
}
