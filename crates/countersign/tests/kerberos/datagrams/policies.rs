//! Keys and rules that change under a socket that goes on.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, KerberosFailure, QueryTemplate, SaFields};
use countersign::{Context, Error, UdpSocket};
use countersign_lab::Leaf;

use super::{Echo, evidence, meet, round_trip};
use crate::world::{
    PATIENCE, ROOT, SERVICE, asking, context, failure, in_own_realm, in_realm, peer, serving,
    serving_from,
};

/// Tries until it works.
#[track_caller]
fn eventually(server: &Echo, client: &Context) -> UdpSocket {
    let started = Instant::now();
    loop {
        match server.meet(client, SERVICE) {
            Ok(socket) => return socket,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// A context of this policy file, with a certificate.
fn following(file: &Path, name: &str) -> Context {
    let issued = ROOT.issue(Leaf::new().dns(name));
    let builder = Context::builder().policy_file(file).anchors(ROOT.anchors());
    builder.credential(issued.credential()).build().unwrap()
}

#[test]
fn a_new_key_is_taken_without_a_restart_and_the_old_one_goes_on() {
    in_own_realm(
        |_| {},
        |realm| {
            let server = Echo::start(&context(&serving(realm, "")));
            let old = context(&asking(realm, "alice", ""));
            let live = server.meet(&old, SERVICE).unwrap();
            round_trip(&live);

            realm.rotate(SERVICE);
            realm.ticket("bob", "fresh", &[]);
            let fresh = context(&asking(realm, "fresh", ""));
            let why = failure(server.meet(&fresh, SERVICE));
            assert!(matches!(why, KerberosFailure::RefusedByPeer { .. }), "{why}");
            round_trip(&server.meet(&old, SERVICE).unwrap());

            // As administrators do it: the new key is added to the file.
            realm.keytab("db1", &[SERVICE]);
            round_trip(&eventually(&server, &fresh));
            round_trip(&server.meet(&old, SERVICE).unwrap());
            round_trip(&live);
        },
    );
}

#[test]
fn a_running_socket_takes_tickets_once_policy_says_so_and_no_more_when_it_does_not() {
    in_own_realm(
        |_| {},
        |realm| {
            let file = realm.path("policy.toml");
            fs::write(&file, "").unwrap();
            let server = Echo::start(&following(&file, "db1.example.test"));
            let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
            let word = |word| asking(realm, "alice", &format!("client = '{word}'\n"));
            let lax = crate::world::showing(&word("prefer"), &laptop);
            let strict = crate::world::showing(&word("require"), &laptop);
            let live = server.meet(&lax, SERVICE).unwrap();
            assert!(peer(&evidence(&live)).ends_with("certificate dNSName"));
            let by_certificate = |result: Result<UdpSocket, Error>| match result {
                Ok(socket) => peer(&evidence(&socket)).ends_with("certificate dNSName"),
                Err(error) => panic!("{error}"),
            };
            assert!(matches!(
                server.meet(&strict, SERVICE).map(drop),
                Err(Error::Handshake { source: HandshakeError::KerberosRequired, .. })
            ));

            fs::write(&file, serving(realm, "")).unwrap();
            round_trip(&eventually(&server, &strict));
            assert!(!by_certificate(server.meet(&lax, SERVICE)));
            // What was there goes on.
            round_trip(&live);

            fs::write(&file, serving(realm, "server = 'require'\n")).unwrap();
            let plain = crate::world::showing("", &laptop);
            let deadline = Instant::now() + PATIENCE;
            while server.meet(&plain, SERVICE).is_ok() {
                assert!(Instant::now() < deadline, "the old policy is still in force");
                thread::sleep(Duration::from_millis(100));
            }
            fs::write(&file, "").unwrap();
            let deadline = Instant::now() + PATIENCE;
            while server.meet(&plain, SERVICE).is_err() {
                assert!(Instant::now() < deadline, "the old policy is still in force");
                thread::sleep(Duration::from_millis(100));
            }
            assert!(by_certificate(server.meet(&lax, SERVICE)));
        },
    );
}

/// What a program learned of a peer by its ticket ends with what let the ticket count.
#[test]
fn an_association_by_ticket_ends_with_the_rules_that_let_it_in() {
    in_realm(|realm| {
        for (end, is_ended) in [
            ("server = 'prefer'\n# as before", false),
            ("server = 'off'", true),
            ("server = 'prefer'\nrealms = ['OTHER.TEST']", true),
            ("server = 'prefer'\n[[allow]]\npeers = ['bob@EXAMPLE.TEST']", true),
        ] {
            let outcome = under_other_rules(realm, end);
            assert_eq!(outcome.is_err(), is_ended, "{end}: {outcome:?}");
        }
    });
}

/// Changes the rules of a server that has let alice in, and returns how it goes on with her.
fn under_other_rules(realm: &countersign_lab::Realm, rules: &str) -> Result<(), Error> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("policy.toml");
    fs::write(&file, serving(realm, "")).unwrap();
    let server =
        UdpSocket::bind_with(&following(&file, "db1.example.test"), "127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let client = context(&asking(realm, "alice", ""));
    let met = thread::spawn(move || {
        let socket = meet(&client, address, SERVICE).unwrap();
        socket.send(b"hello").unwrap();
        socket
    });
    let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
    let _client = met.join().unwrap();
    let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
    server.query_with(&template.at(from)).unwrap();
    fs::write(&file, serving(realm, rules)).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        server.send_to(b"x", from)?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The client's side of the same: whom it knows by ticket it knows no more where tickets count no
/// more, and whom it knows by certificate no more where tickets must.
#[test]
fn an_association_that_we_began_ends_with_our_own_rules() {
    in_realm(|realm| {
        let server = Echo::start(&following(
            &write(realm, "of-server.toml", &serving(realm, "")),
            "db1.example.test",
        ));
        for (before, after, is_ended) in [
            ("require", "require'\n# as before", false),
            ("require", "off", true),
            ("off", "require", true),
        ] {
            let rules = |word: &str| asking(realm, "alice", &format!("client = '{word}'\n"));
            let file = write(realm, "of-client.toml", &rules(before));
            let socket = server.meet(&following(&file, "laptop.example.test"), SERVICE).unwrap();
            let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
            socket.query_with(&template.at(server.address)).unwrap();
            fs::write(&file, rules(after)).unwrap();
            let started = Instant::now();
            let mut outcome = Ok(0);
            while outcome.is_ok() && started.elapsed() < Duration::from_secs(6) {
                outcome = socket.send(b"x");
                thread::sleep(Duration::from_millis(100));
            }
            assert_eq!(outcome.is_err(), is_ended, "{before} to {after}: {outcome:?}");
        }
    });
}

fn write(realm: &countersign_lab::Realm, name: &str, text: &str) -> std::path::PathBuf {
    let path = realm.path(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_keytab_that_is_broken_leaves_the_last_good_one_in_force() {
    in_own_realm(
        |_| {},
        |realm| {
            let context = context(&serving_from(&realm.file("db1"), ""));
            let server = Echo::start(&context);
            let alice = crate::world::context(&asking(realm, "alice", ""));
            round_trip(&server.meet(&alice, SERVICE).unwrap());
            fs::write(realm.path("db1"), "no keytab").unwrap();
            let deadline = Instant::now() + PATIENCE;
            while context.reload_failure().is_none() {
                assert!(Instant::now() < deadline, "nobody noticed");
                thread::sleep(Duration::from_millis(100));
            }
            round_trip(&server.meet(&alice, SERVICE).unwrap());
        },
    );
}

/// A handshake that began when a ticket was not needed does not end without one when it is.
#[test]
fn a_handshake_that_policy_overtakes_begins_anew() {
    in_own_realm(
        |_| {},
        |realm| {
            let file = realm.path("policy.toml");
            let says = |word: &str| asking(realm, "no-such-cache", &format!("client = '{word}'\n"));
            fs::write(&file, says("prefer")).unwrap();
            let client = following(&file, "laptop.example.test");
            let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            let at = server.local_addr().unwrap();
            thread::scope(|scope| {
                let waits = scope.spawn(|| meet(&client, at, SERVICE).map(drop));
                let offers = || {
                    let mut hello = [0; 2048];
                    let count = server.recv(&mut hello).unwrap();
                    let protocol = b"countersign-krb5/1";
                    hello[..count].windows(protocol.len()).any(|it| it == protocol)
                };
                assert!(!offers(), "there is no ticket");
                fs::write(&file, says("require")).unwrap();
                let deadline = Instant::now() + PATIENCE;
                while !offers() {
                    assert!(!waits.is_finished(), "it went on as it began");
                    assert!(Instant::now() < deadline, "the old policy is still in force");
                }
                // Nobody answers.
                assert!(waits.join().unwrap().is_err());
            });
        },
    );
}

/// Who looks for tickets that nobody wants any more greets at once, although the KDC is silent.
#[test]
fn a_look_for_tickets_ends_when_policy_wants_none() {
    let with_carol = |kdc: &countersign_lab::Kdc| {
        crate::silence::with_silent_realm(kdc);
        kdc.add(&["carol@SILENT.TEST"]);
        kdc.keytab("carol", &["carol@SILENT.TEST"]);
    };
    in_own_realm(with_carol, |realm| {
        let silent = crate::silence::silence(realm);
        let server = Echo::start(&crate::world::showing(
            &serving(realm, ""),
            &ROOT.issue(Leaf::new().dns("db1.example.test")),
        ));
        let keys = |word: &str| {
            format!(
                "[kerberos]\nclient = '{word}'\nclient-keytab = '{}'\n\
                 principal = 'carol@SILENT.TEST'\n[limits]\nhandshake-timeout-ms = 15000\n",
                realm.file("carol")
            )
        };
        let file = realm.path("policy.toml");
        fs::write(&file, keys("prefer")).unwrap();
        let client = following(&file, "laptop.example.test");
        let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").unwrap();
        socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        socket.set_nonblocking(true);
        let started = Instant::now();
        let sends = || match socket.send_to(b"hello", server.address) {
            Ok(_) => true,
            Err(error) if error.is_would_block() => false,
            Err(error) => panic!("{error}"),
        };
        assert!(!sends() && server.saw_nobody());
        fs::write(&file, keys("off")).unwrap();
        while !sends() {
            thread::sleep(Duration::from_millis(50));
        }
        let info = socket.query(server.address).unwrap();
        assert!(peer(info.evidence().unwrap()).ends_with("certificate dNSName"));
        assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
        crate::silence::end(silent);
    });
}
