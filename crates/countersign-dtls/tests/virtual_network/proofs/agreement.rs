//! When a proof is agreed on, and what it stands in for.

use countersign_core::{HandshakeError, KerberosUse, Proof};
use countersign_dtls::{Config, Standing};
use countersign_lab::{Authority, Leaf};

use super::prover::Conduct;
use super::{ALICE, HOST, PREFER, REQUIRE, SERVICE, Scene, nobody, proofs, refused_by, ticket};
use crate::clock;
use crate::net::{Net, Weather, World};

#[test]
fn a_proof_does_without_any_good_certificate() {
    let mut scene = Scene::new();
    assert!(scene.meet(KerberosUse::Prefer));
    let (client, server) = scene.evidence().unwrap();
    assert_eq!(client.session(), server.session());
    assert_eq!((proofs(client), proofs(server)), (vec![ticket(SERVICE)], vec![ticket(ALICE)]));
    assert!(client.is_peer_name_verified());
    let hosts = &scene.net.hosts;
    assert_eq!(hosts[0].prover.bindings, hosts[1].prover.bindings, "both export the same");
    scene.net.send(0, 1, b"ping");
    scene.net.send(1, 0, b"pong");
    scene.net.settle();
    assert_eq!((scene.delivered(1), scene.delivered(0)), (vec![&b"ping"[..]], vec![&b"pong"[..]]));
    assert!(scene.net.hosts.iter().all(|it| it.prover.over.is_empty() && it.endpoint.len() == 1));
    assert_eq!(scene.net.hosts[1].endpoint.half_open(), 0);
}

#[test]
fn certificate_and_ticket_are_both_in_the_evidence_of_both() {
    let world = World::new();
    let (client, server) = (world.host("laptop.test"), world.host(HOST));
    let mut scene = Scene::with(world, client, server, PREFER);
    assert!(scene.meet(KerberosUse::Prefer));
    let (client, server) = scene.evidence().unwrap();
    assert_eq!(client.application().unwrap().proof(), Proof::KerberosTicket);
    assert_eq!(client.machine().unwrap().proof(), Proof::CertificateDnsName);
    assert_eq!(server.application().unwrap().name().to_string(), ALICE);
    assert_eq!(server.machine().unwrap().name().to_string(), "host/laptop.test");
}

/// Whoever answers would learn who we are; and a ticket does without.
#[test]
fn our_certificate_is_not_shown_to_whom_we_do_not_know() {
    for is_known in [false, true] {
        let world = World::new();
        let own =
            world.authority.intermediate("inner authority").issue(Leaf::new().dns("laptop.test"));
        let client =
            Config::new(&world.authority.anchors(), Some(&own.credential()), 1400).unwrap();
        let server = if is_known { world.host(HOST) } else { nobody() };
        let mut scene = Scene::with(world, client, server, PREFER);
        assert!(scene.meet(KerberosUse::Prefer));
        let names = proofs(scene.evidence().unwrap().1).len();
        assert_eq!(names, if is_known { 2 } else { 1 });
        let client = scene.net.hosts[0].address;
        let is_shown = |word: &[u8]| {
            let has_word = |it: &[u8]| it.windows(word.len()).any(|bytes| bytes == word);
            scene.net.tape.iter().any(|(from, _, it)| *from == client && has_word(it))
        };
        assert_eq!(is_shown(b"laptop.test"), is_known, "the leaf");
        assert_eq!(is_shown(b"inner authority"), is_known, "its issuer");
    }
}

#[test]
fn a_certificate_that_does_not_do_adds_no_name() {
    let world = World::new();
    let strange = Authority::new("strange").issue(Leaf::new().dns("evil.test")).credential();
    let client = Config::new(&world.authority.anchors(), Some(&strange), 1400).unwrap();
    let server = world.host(HOST);
    let mut scene = Scene::with(world, client, server, PREFER);
    assert!(scene.meet(KerberosUse::Prefer));
    assert_eq!(proofs(scene.evidence().unwrap().1), [ticket(ALICE)]);
    let world = World::new();
    let (client, server) = (world.client(), world.host("other.test"));
    let mut scene = Scene::with(world, client, server, PREFER);
    assert!(scene.meet(KerberosUse::Prefer));
    assert_eq!(proofs(scene.evidence().unwrap().0), [ticket(SERVICE)], "not the name asked for");
}

#[test]
fn without_agreement_certificates_are_judged_as_ever() {
    // The server takes no part.
    let world = World::new();
    let client = world.host("laptop.test");
    let mut scene = Scene::with(world, client, nobody(), "");
    assert!(!scene.meet(KerberosUse::Prefer));
    assert!(matches!(scene.failure(0), HandshakeError::UntrustedIssuer { .. }));
    refused_by(scene.failure(1), "unknown_ca");
    let world = World::new();
    let (client, server) = (world.host("laptop.test"), world.host("other.test"));
    let mut scene = Scene::with(world, client, server, "");
    assert!(!scene.meet(KerberosUse::Prefer));
    assert!(matches!(scene.failure(0), HandshakeError::WrongPeer { .. }));
    // The client takes none.
    for (offer, policy) in [(KerberosUse::Prefer, ""), (KerberosUse::Off, PREFER)] {
        let world = World::new();
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        let mut scene = Scene::with(world, client, server, policy);
        assert!(scene.meet(offer));
        let (client, server) = scene.evidence().unwrap();
        assert_eq!(client.peer().unwrap().proof(), Proof::CertificateDnsName);
        assert_eq!(server.peer().unwrap().name().to_string(), "host/laptop.test");
        assert!(scene.net.hosts.iter().all(|it| it.prover.begun.is_empty()));
    }
}

#[test]
fn who_requires_a_proof_turns_others_away_and_tells_them() {
    let with = |policy: &str| {
        let world = World::new();
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        Scene::with(world, client, server, policy)
    };
    let mut scene = with("");
    assert!(!scene.meet(KerberosUse::Require));
    assert_eq!(scene.failure(0), &HandshakeError::KerberosRequired);
    refused_by(scene.failure(1), "no_application_protocol");
    let mut scene = with(REQUIRE);
    assert!(!scene.meet(KerberosUse::Off));
    assert_eq!(scene.failure(1), &HandshakeError::KerberosRequired);
    refused_by(scene.failure(0), "no_application_protocol");
    assert!(with(REQUIRE).meet(KerberosUse::Require));
}

#[test]
fn a_server_without_a_certificate_serves_who_proves_and_refuses_others() {
    let world = World::new();
    let own = Authority::new("nobody").issue(Leaf::new().dns(HOST)).credential();
    let config = Config::for_proofs_only(&world.authority.anchors(), &own, 1400).unwrap();
    assert!(config.can_serve() && !config.proves_by_certificate());
    let client = world.host("laptop.test");
    assert!(Scene::with(world, client.clone(), config.clone(), PREFER).meet(KerberosUse::Prefer));
    let mut scene = Scene::with(World::new(), client.clone(), config.clone(), PREFER);
    assert!(!scene.meet(KerberosUse::Off));
    assert_eq!(scene.failure(1), &HandshakeError::KerberosRequired);
    let mut scene = Scene::with(World::new(), client, config, "");
    assert!(!scene.meet(KerberosUse::Prefer), "and nobody where it takes no part in proofs");
    assert!(scene.net.hosts[1].diary.secured.is_empty());
    assert!(matches!(scene.failure(1), HandshakeError::OurSide { .. }), "which is its own fault");
    let client = scene.net.hosts[0].address;
    let shown = |(_, to, it): &(_, _, Vec<u8>)| *to == client && it.len() > 200;
    assert!(!scene.net.tape.iter().any(shown), "its certificate is not shown");
}

#[test]
fn admission_is_judged_over_the_names_of_both() {
    let with = |allow: &str| {
        let world = World::new();
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        let mut scene = Scene::with(world, client, server, &format!("{PREFER}\n{allow}"));
        scene.net.hosts[1].prover.group = Some("S-1-5-21-1-2-3-513");
        scene
    };
    for allowed in [
        "[[allow]]\npeers = ['alice@EXAMPLE.COM']",
        "[[allow]]\npeers = ['laptop.test']",
        "[[allow]]\npeers = []\ngroups = ['S-1-5-21-1-2-3-513']",
        "server.client-certificates = 'require'",
    ] {
        assert!(with(allowed).meet(KerberosUse::Prefer), "{allowed}");
    }
    for refused in [
        "[[allow]]\npeers = ['bob@EXAMPLE.COM']",
        "[[allow]]\npeers = []\ngroups = ['S-1-5-21-1-2-3-512']",
    ] {
        let mut scene = with(refused);
        assert!(!scene.meet(KerberosUse::Prefer));
        let error = scene.failure(1);
        assert!(matches!(error, HandshakeError::NotAllowed { .. }), "{refused}: {error}");
        assert!(error.to_string().contains("alice@EXAMPLE.COM, host/laptop.test"), "{error}");
        // The client was done before, and is told all the same.
        let (_, told) = &scene.net.hosts[0].diary.closed[0];
        refused_by(told.as_ref().unwrap(), "access_denied");
    }
}

/// A certificate may prove more names beside a ticket, and need not be there.
#[test]
fn who_has_a_ticket_needs_no_certificate_where_one_is_required() {
    for (demand, names) in [("require", 2), ("request", 2), ("none", 1)] {
        let policy = format!("{PREFER}\nserver.client-certificates = '{demand}'");
        let world = World::new();
        let (client, server) = (world.client(), world.host(HOST));
        assert!(Scene::with(world, client, server, &policy).meet(KerberosUse::Prefer), "{demand}");
        let world = World::new();
        let (client, server) = (world.host("laptop.test"), world.host(HOST));
        let mut scene = Scene::with(world, client, server, &policy);
        assert!(scene.meet(KerberosUse::Prefer), "{demand}");
        assert_eq!(proofs(scene.evidence().unwrap().1).len(), names, "{demand}");
    }
}

#[test]
fn whoever_proves_another_name_is_refused() {
    for name in ["postgres/db2.test@EXAMPLE.COM", "http/db1.test@EXAMPLE.COM", "db1.test", ALICE] {
        let mut scene = Scene::new();
        scene.net.hosts[1].prover.conduct = Conduct::proves(name);
        assert!(!scene.meet(KerberosUse::Prefer));
        assert!(matches!(scene.failure(0), HandshakeError::WrongPeer { .. }), "{name}");
        // This prover looks at the name after its last word, and the server learns of it then.
        let (_, told) = &scene.net.hosts[1].diary.closed[0];
        refused_by(told.as_ref().unwrap(), "access_denied");
        let server = scene.net.hosts[1].address;
        assert_eq!(scene.net.hosts[0].endpoint.standing(server), Standing::Stranger);
    }
}

#[test]
fn an_offer_needs_a_name() {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let client = net.add(world.client());
    let made = net.hosts[client].endpoint.connect_offering(
        "192.0.2.9:1".parse().unwrap(),
        countersign_core::Asked::AnyTrusted,
        KerberosUse::Prefer,
        None,
        clock::now(),
    );
    assert!(matches!(made, Err(HandshakeError::OurSide { .. })));
    assert!(net.hosts[client].endpoint.is_empty());
}
