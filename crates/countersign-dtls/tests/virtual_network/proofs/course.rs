//! How a proof goes: nothing passes before its end, which comes in its time.

use std::time::Duration;

use countersign_core::{HandshakeError, KerberosUse};
use countersign_dtls::{SendError, Standing};

use super::prover::Conduct;
use super::{ALICE, ASKED, SERVICE, Scene, refused_by};
use crate::clock;

#[test]
fn nothing_passes_before_the_proof_and_its_time_is_the_handshakes() {
    let mut scene = Scene::new();
    scene.net.hosts[1].prover.conduct = Conduct::Silent;
    scene.net.offer(0, 1, ASKED, KerberosUse::Require);
    scene.net.run(Duration::from_secs(5), |_| false);
    let [client, server] = [0, 1].map(|host| scene.net.hosts[host].address);
    assert_eq!(scene.net.hosts[1].endpoint.half_open(), 1);
    for (host, peer) in [(0, server), (1, client)] {
        let endpoint = &mut scene.net.hosts[host].endpoint;
        assert_eq!(endpoint.send(peer, b"early", clock::now()), Err(SendError::NotSecured));
        assert_eq!(endpoint.standing(peer), Standing::Pending);
        assert!(endpoint.evidence(peer).is_none());
    }
    scene.net.run(Duration::from_secs(6), |_| false);
    for host in [0, 1] {
        assert!(matches!(
            scene.failure(host),
            HandshakeError::TimedOut { .. } | HandshakeError::Truncated
        ));
        assert_eq!(scene.net.hosts[host].prover.over.len(), 1);
        assert!(scene.net.hosts[host].endpoint.is_empty());
    }
    let timed_out =
        |it: &crate::net::Host| matches!(it.diary.failed[0].2, HandshakeError::TimedOut { .. });
    assert!(scene.net.hosts.iter().any(timed_out));
}

/// A KDC that is silent for long: only this association waits, nobody repeats anything meanwhile,
/// and what others say passes.
#[test]
fn who_thinks_for_long_keeps_nobody_sending_and_nobody_else_waiting() {
    let mut scene = Scene::new();
    let slow = Conduct::Proves { name: ALICE, bytes: 700, thinks: Duration::from_secs(8) };
    let slow = scene.net.add_prover(scene.world.client(), "", slow);
    scene.net.offer(slow, 1, ASKED, KerberosUse::Require);
    scene.net.run(Duration::from_secs(1), |_| false);
    assert!(scene.meet(KerberosUse::Require), "another comes and goes");
    let before = scene.net.sent();
    scene.net.run(Duration::from_secs(6), |_| false);
    assert!(scene.net.hosts[slow].diary.secured.is_empty());
    assert_eq!(scene.net.sent(), before, "nothing is repeated while one side thinks");
    scene.net.run(Duration::from_secs(3), |_| false);
    assert_eq!(scene.net.hosts[slow].diary.secured.len(), 1);
    let slow = scene.net.hosts[slow].address;
    assert!(scene.net.hosts[1].endpoint.evidence(slow).is_some());
}

#[test]
fn a_proof_that_is_over_cannot_be_concluded_nor_harm_the_next() {
    let mut scene = Scene::new();
    scene.net.hosts[0].prover.conduct = Conduct::Silent;
    scene.net.offer(0, 1, ASKED, KerberosUse::Prefer);
    scene.net.run(Duration::from_secs(1), |net| !net.hosts[1].prover.begun.is_empty());
    scene.net.settle();
    let (stale, ..) = scene.net.hosts[1].prover.begun[0];
    // The client's program ends, and another takes its address.
    let fresh = scene.net.add_prover(scene.world.client(), "", Conduct::Silent);
    scene.net.hosts[fresh].address = scene.net.hosts[0].address;
    scene.net.hosts[0].address = "198.51.100.1:1".parse().unwrap();
    scene.net.offer(fresh, 1, ASKED, KerberosUse::Prefer);
    scene.net.run(Duration::from_secs(2), |net| net.hosts[1].prover.begun.len() == 2);
    scene.net.settle();
    assert_eq!(scene.net.hosts[1].prover.over, [stale]);
    let (next, ..) = scene.net.hosts[1].prover.begun[1];
    let endpoint = &mut scene.net.hosts[1].endpoint;
    assert!(endpoint.proof(stale, clock::now()).is_none());
    assert_eq!(endpoint.proof(next, clock::now()).unwrap().input(), b"");
    assert_eq!(endpoint.half_open(), 1);
}

#[test]
fn a_client_that_is_refused_after_its_proof_is_told_even_if_the_word_is_lost() {
    let mut scene = Scene::new();
    scene.net.hosts[1].prover.conduct = Conduct::RefusesAtLast(SERVICE);
    scene.net.offer(0, 1, ASKED, KerberosUse::Prefer);
    scene.net.run(Duration::from_secs(5), |net| !net.hosts[0].diary.secured.is_empty());
    scene.net.run(Duration::from_secs(5), |net| !net.hosts[1].diary.failed.is_empty());
    scene.net.lose_all();
    let from = scene.net.hosts[0].address;
    assert_eq!(scene.net.hosts[1].endpoint.standing(from), Standing::Stranger);
    assert_eq!(scene.net.hosts[1].endpoint.half_open(), 1, "and it is counted");
    scene.net.send(0, 1, b"hello");
    scene.net.run(Duration::from_secs(1), |_| false);
    let (_, told) = &scene.net.hosts[0].diary.closed[0];
    refused_by(told.as_ref().unwrap(), "access_denied");
    assert_eq!(scene.delivered(1), Vec::<&[u8]>::new());
    assert!(scene.net.hosts.iter().all(|host| host.endpoint.is_empty()));
    assert_eq!(scene.net.hosts[1].endpoint.half_open(), 0);
}

#[test]
fn a_deadline_of_the_callers_comes_first() {
    let mut scene = Scene::new();
    scene.net.hosts[1].prover.conduct = Conduct::Silent;
    let (peer, now) = (scene.net.hosts[1].address, clock::now());
    let (asked, soon) = (crate::net::asked(ASKED), Some(now.instant + Duration::from_secs(2)));
    let endpoint = &mut scene.net.hosts[0].endpoint;
    endpoint.connect_offering(peer, asked, KerberosUse::Require, soon, now).unwrap();
    scene.net.collect(0);
    scene.net.run(Duration::from_millis(2100), |_| false);
    assert!(matches!(scene.failure(0), HandshakeError::TimedOut { .. }));
    assert_eq!(scene.failure(1), &HandshakeError::Truncated, "and the peer need not wait");
}

/// Before a proof a refusal may be a forger's, and the attempt is repeated; in it, it is not.
#[test]
fn a_proof_that_is_refused_is_not_begun_anew() {
    let mut scene = Scene::new();
    scene.net.hosts[0].prover.conduct = Conduct::Silent;
    scene.net.offer(0, 1, ASKED, KerberosUse::Prefer);
    scene.net.run(Duration::from_secs(1), |net| {
        net.hosts.iter().all(|host| !host.prover.begun.is_empty())
    });
    scene.net.settle();
    let (proof, ..) = scene.net.hosts[1].prover.begun[0];
    scene.net.hosts[1].prover.forget(proof);
    let lent = scene.net.hosts[1].endpoint.proof(proof, clock::now()).unwrap();
    lent.refuse(HandshakeError::KerberosRequired);
    scene.net.collect(1);
    scene.net.run(Duration::from_secs(11), |_| false);
    refused_by(scene.failure(0), "access_denied");
    assert_eq!(scene.net.hosts[0].prover.begun.len(), 1);
    assert!(scene.net.hosts.iter().all(|host| host.endpoint.is_empty()));
}
