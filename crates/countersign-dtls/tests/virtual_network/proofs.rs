//! Proofs inside associations: when they are agreed on, what they stand in for, and that nothing
//! passes before they are concluded.

use std::time::Duration;

use countersign_core::{Evidence, HandshakeError, KerberosUse, Proof};
use countersign_dtls::{Config, Limits, SendError, Side, Standing};
use countersign_lab::{Authority, Leaf};

use crate::clock;
use crate::net::{Net, Weather, World};
use crate::prover::Conduct;

const HOST: &str = "db1.test";
const ASKED: &str = "postgres/db1.test";
const SERVICE: &str = "postgres/db1.test@EXAMPLE.COM";
const ALICE: &str = "alice@EXAMPLE.COM";
const PREFER: &str = "kerberos.server = 'prefer'";
const REQUIRE: &str = "kerberos.server = 'require'";

/// A client and a server that prove themselves to each other, in fair weather.
struct Scene {
    world: World,
    net: Net,
    client: usize,
    server: usize,
}

/// A certificate as good as self-signed: nobody believes it.
fn nobody() -> Config {
    let nobody = Authority::new("nobody").issue(Leaf::new().dns(HOST));
    let anchors = Authority::new("nobody else").anchors();
    Config::new(&anchors, Some(&nobody.credential()), 1400).unwrap()
}

impl Scene {
    /// The server's certificate proves nothing, and the client has none.
    fn new() -> Self {
        let world = World::new();
        let client = world.client();
        Self::with(world, client, nobody(), PREFER)
    }

    fn with(world: World, client: Config, server: Config, policy: &str) -> Self {
        let mut net = Net::new(Weather::fair(), 1);
        let client = net.add_prover(client, "", Conduct::proves(ALICE));
        let server = net.add_prover(server, policy, Conduct::proves(SERVICE));
        Self { world, net, client, server }
    }

    fn meet(&mut self, offer: KerberosUse) -> bool {
        self.net.offer(self.client, self.server, ASKED, offer);
        self.net.run(Duration::from_secs(30), |net| {
            net.hosts.iter().any(|host| !host.diary.failed.is_empty())
                || net.hosts[1].diary.secured.len() == 1
        });
        self.net.settle();
        self.evidence().is_some()
    }

    fn evidence(&self) -> Option<(&Evidence, &Evidence)> {
        let [client, server] = [self.client, self.server].map(|it| &self.net.hosts[it]);
        let one = client.endpoint.evidence(server.address)?;
        Some((one, server.endpoint.evidence(client.address)?))
    }

    fn failure(&self, host: usize) -> &HandshakeError {
        let diary = &self.net.hosts[host].diary;
        &diary.failed.first().unwrap_or_else(|| panic!("nothing failed: {diary:?}")).2
    }

    fn delivered(&self, host: usize) -> Vec<&[u8]> {
        self.net.hosts[host].diary.delivered.iter().map(|(_, it)| &it[..]).collect()
    }
}

fn proofs(evidence: &Evidence) -> Vec<(String, Proof)> {
    evidence.names().iter().map(|it| (it.name().to_string(), it.proof())).collect()
}

fn ticket(name: &str) -> (String, Proof) {
    (name.to_owned(), Proof::KerberosTicket)
}

#[track_caller]
fn refused_by(error: &HandshakeError, alert: &str) {
    assert_eq!(error, &HandshakeError::RefusedByPeer { alert: alert.to_owned() });
}

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
