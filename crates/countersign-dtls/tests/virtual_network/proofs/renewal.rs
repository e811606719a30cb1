//! Associations that rest on a proof, and what may take their place.

use std::time::Duration;

use countersign_core::{HandshakeError, KerberosUse, SaFields};
use countersign_dtls::{Limits, Side};

use super::prover::Conduct;
use super::{ALICE, ASKED, PREFER, REQUIRE, SERVICE, Scene, nobody};
use crate::clock;
use crate::net::{Net, Weather, World};

/// The ticket expires, the rules change: an association is judged anew by what it rests on.
#[test]
fn an_association_by_proof_is_judged_anew_by_it() {
    use std::sync::Arc;

    use countersign_core::{Policy, SecuritySettings, ServerPlan, TargetTable, Timestamp};
    use countersign_dtls::Moment;
    use countersign_tls::Question;

    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Prefer));
    let now = clock::now();
    let later = Moment { time: Timestamp::from_secs(now.time.as_secs() + 61), ..now };
    let anchors = scene.world.authority.anchors();
    let [client, server] = [0, 1].map(|host| scene.net.hosts[host].address);
    let asks = |name: &str| Question::IsServer(crate::net::asked(name));
    let at_client = &scene.net.hosts[0].endpoint;
    at_client.judge_anew(server, &asks(ASKED), &anchors, now).unwrap();
    assert!(matches!(
        at_client.judge_anew(server, &asks("http/db1.test"), &anchors, now),
        Err(HandshakeError::WrongPeer { .. })
    ));
    assert!(matches!(
        at_client.judge_anew(server, &asks(ASKED), &anchors, later),
        Err(HandshakeError::Kerberos(_))
    ));
    let admits = |policy: &str| {
        let policy = Policy::parse(policy, "test").unwrap();
        let (settings, names) = (SecuritySettings::default(), TargetTable::default());
        match policy.plan_server(Some(&settings), &names, server) {
            Ok(ServerPlan::Tls { admission, .. }) => {
                Question::MayConnect(Arc::new(admission), client)
            }
            other => panic!("{other:?}"),
        }
    };
    let at_server = &scene.net.hosts[1].endpoint;
    let judge = |policy| at_server.judge_anew(client, &admits(policy), &anchors, now);
    judge("[[allow]]\npeers = ['alice@EXAMPLE.COM']").unwrap();
    let bob = judge("[[allow]]\npeers = ['bob@EXAMPLE.COM']");
    assert!(matches!(bob, Err(HandshakeError::NotAllowed { .. })));
}

#[test]
fn both_begin_at_once_and_one_association_remains() {
    let world = World::new();
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_secs(600);
    for seed in 0..150 {
        let mut dice = crate::net::Dice::new(seed);
        let weather = Weather {
            loss: dice.below(25),
            duplication: dice.below(20),
            reordering: dice.below(50),
            mtu: 1500,
        };
        let mut net = Net::new(weather, seed);
        let names = ["postgres/one.test@EXAMPLE.COM", "postgres/two.test@EXAMPLE.COM"];
        for name in names {
            let thinks = Duration::from_millis(dice.below(300));
            let conduct = Conduct::Proves { name, bytes: 1500, thinks };
            net.add_prover_with(world.host("some.test"), limits, PREFER, conduct);
        }
        net.offer(0, 1, "postgres/two.test", KerberosUse::Require);
        net.offer(1, 0, "postgres/one.test", KerberosUse::Require);
        assert!(net.meet(0, 1), "seed {seed}: {:?} {:?}", net.hosts[0].diary, net.hosts[1].diary);
        net.weather = Weather::fair();
        net.settle();
        let (a, b) = (net.hosts[0].address, net.hosts[1].address);
        let evidence = |host: usize, peer| net.hosts[host].endpoint.evidence(peer).unwrap();
        assert_eq!(evidence(0, b).session(), evidence(1, a).session(), "seed {seed}");
        assert_eq!(evidence(0, b).application().unwrap().name().to_string(), names[1]);
        assert_eq!(evidence(1, a).application().unwrap().name().to_string(), names[0]);
        net.send(0, 1, b"ping");
        net.send(1, 0, b"pong");
        net.settle();
        assert_eq!(net.hosts[1].diary.delivered, [(a, b"ping".to_vec())], "seed {seed}");
        assert_eq!(net.hosts[0].diary.delivered, [(b, b"pong".to_vec())], "seed {seed}");
    }
}

/// A peer that restarted is looked for with what it was asked before: another proof.
#[test]
fn a_restarted_peer_is_noticed_by_another_proof() {
    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Require));
    let old = scene.evidence().unwrap().0.session();
    let peer = scene.net.hosts[1].address;
    let fresh = scene.net.add_prover(nobody(), REQUIRE, Conduct::proves(SERVICE));
    scene.net.hosts[1].address = "198.51.100.1:1".parse().unwrap();
    scene.net.hosts[fresh].address = peer;
    clock::pass(Duration::from_secs(61));
    scene.net.send(0, fresh, b"lost");
    scene.net.run(Duration::from_secs(11), |net| net.hosts[fresh].diary.secured.len() == 1);
    scene.net.settle();
    assert_ne!(scene.net.hosts[0].endpoint.evidence(peer).unwrap().session(), old);
    scene.net.send(0, fresh, b"arrives");
    scene.net.settle();
    assert_eq!(scene.delivered(fresh), [b"arrives"]);
    let begun = &scene.net.hosts[0].prover.begun;
    assert!(
        begun.len() == 2 && begun.iter().all(|(_, at, side)| (*at, *side) == (peer, Side::Ours))
    );
}

/// An impostor that answers a look-out with a proof that does not do ends nothing.
#[test]
fn a_look_out_whose_proof_fails_ends_nothing() {
    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Require));
    let old = scene.evidence().unwrap().0.session();
    let peer = scene.net.hosts[1].address;
    let liar = Conduct::proves("postgres/evil.test@EXAMPLE.COM");
    let impostor = scene.net.add_prover(nobody(), REQUIRE, liar);
    let away = "198.51.100.1:1".parse().unwrap();
    (scene.net.hosts[1].address, scene.net.hosts[impostor].address) = (away, peer);
    clock::pass(Duration::from_secs(61));
    scene.net.send(0, impostor, b"lost");
    scene.net.run(Duration::from_secs(11), |_| false);
    assert_eq!(scene.net.hosts[0].prover.ends.len(), 2);
    assert!(scene.net.hosts[0].prover.ends[1].1.is_err());
    (scene.net.hosts[1].address, scene.net.hosts[impostor].address) = (peer, away);
    scene.net.send(0, 1, b"still here");
    scene.net.settle();
    assert_eq!(scene.delivered(1), [b"still here"]);
    assert_eq!(scene.delivered(impostor), Vec::<&[u8]>::new());
    assert_eq!(scene.evidence().unwrap().0.session(), old);
    assert!(
        scene.net.hosts[0].diary.failed.is_empty() && scene.net.hosts[0].diary.closed.is_empty()
    );
}

/// A peer that has begun a proof is there, even if nothing comes of that in time: our own KDC may be
/// silent.
#[test]
fn a_suspicion_is_not_confirmed_by_a_proof_that_takes_too_long() {
    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Require));
    scene.net.hosts[0].prover.conduct = Conduct::Silent;
    clock::pass(Duration::from_secs(2));
    let peer = scene.net.hosts[1].address;
    assert!(!scene.net.hosts[0].endpoint.unreachable(peer, clock::now()));
    scene.net.tick(0);
    scene.net.run(Duration::from_secs(11), |_| false);
    assert_eq!(scene.net.hosts[0].prover.over.len(), 1, "it looked");
    scene.net.send(0, 1, b"still here");
    scene.net.settle();
    assert_eq!(scene.delivered(1), [b"still here"]);
    assert!(scene.net.hosts[0].diary.closed.is_empty());
}

/// What came before its proof was concluded does not stand in the way of the last word.
#[test]
fn a_session_that_may_not_take_the_place_of_another_is_told_so() {
    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Require));
    let [client, server] = [0, 1].map(|host| scene.net.hosts[host].address);
    let endpoint = &mut scene.net.hosts[1].endpoint;
    assert!(endpoint.watch(client, SaFields::QM_SA_ID));
    let thinks = Duration::from_millis(300);
    scene.net.hosts[1].prover.conduct = Conduct::Proves { name: SERVICE, bytes: 0, thinks };
    let fresh = scene.net.add_prover(scene.world.client(), "", Conduct::proves(ALICE));
    scene.net.hosts[0].address = "198.51.100.1:1".parse().unwrap();
    scene.net.hosts[fresh].address = client;
    scene.net.offer(fresh, 1, ASKED, KerberosUse::Require);
    assert!(scene.net.run(Duration::from_secs(9), |net| {
        net.hosts[fresh].endpoint.evidence(server).is_some()
    }));
    scene.net.send(fresh, 1, b"early");
    scene.net.settle();
    scene.net.run(Duration::from_secs(1), |_| false);
    let closed = &scene.net.hosts[1].diary.closed;
    assert!(matches!(closed[..], [(_, Some(HandshakeError::Changed { .. }))]), "{closed:?}");
    assert_eq!(scene.net.hosts[fresh].diary.closed, [(server, None)]);
}

/// Whoever packs a server's messages anew, so that none of them stands first, makes no attempt begin
/// again whose proof has begun.
#[test]
fn a_proof_is_not_begun_again_because_a_cookie_came_first() {
    let (mut limits, world) = (Limits::default(), World::new());
    limits.handshake_timeout = Duration::from_secs(60);
    let mut net = Net::new(Weather::fair(), 1);
    net.add_prover_with(world.client(), limits, "", Conduct::proves(ALICE));
    let thinks = Duration::from_secs(6);
    let server = Conduct::Proves { name: SERVICE, bytes: 0, thinks };
    net.add_prover_with(nobody(), limits, PREFER, server);
    net.on_the_way = Some(Box::new(|datagram| {
        let is_servers =
            datagram[0] == 22 && datagram[4] == 0 && matches!(datagram[13], 2 | 11..=14);
        if is_servers {
            // A message (11, certificate) whose turn has been, and so nothing.
            let nothing = [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 50, 0, 12, 11][..], &[0; 11]];
            datagram.splice(0..0, nothing.concat());
        }
        is_servers
    }));
    net.offer(0, 1, ASKED, KerberosUse::Require);
    assert!(net.meet(0, 1), "{:?} {:?}", net.hosts[0].diary, net.hosts[1].diary);
    assert!(net.changed > 0);
    assert_eq!(net.hosts[0].prover.begun.len(), 1);
}
