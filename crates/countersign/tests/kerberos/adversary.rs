//! Peers that mean harm, and programs that ask for much.

use std::io::{self, Read, Write};
use std::net::TcpListener as Plain;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Credentials, QueryTemplate, SaFields, SecuritySettings};
use countersign::{Context, Socket, TcpListener, TcpStream};
use countersign_lab::{Leaf, Realm};

use crate::world::{
    OTHER, ROOT, SERVICE, Server, asking, context, in_own_realm, in_realm, round_trip, serving,
    serving_from,
};

/// A program may ask that a connection ends when the policy would not have it made any more. One
/// under the policy that made it goes on.
#[test]
fn a_connection_by_ticket_goes_on_under_the_policy_that_made_it() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let stream = server.meet(&client, SERVICE).unwrap();
        round_trip(&stream);
        let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
        stream.query_with(&template).unwrap();
        round_trip(&stream);
    });
}

/// The same where no policy speaks of Kerberos, and the program gave credentials.
#[test]
fn a_connection_by_password_goes_on_until_policy_turns_kerberos_off() {
    in_own_realm(
        |kdc| kdc.administer("addprinc -pw correct-horse carol\n"),
        |realm| {
            let server = Server::start(&context(&serving(realm, "")));
            let home = tempfile::tempdir().unwrap();
            let file = home.path().join("policy.toml");
            std::fs::write(&file, "").unwrap();
            let builder = Context::builder().policy_file(&file).anchors(ROOT.anchors());
            let client = builder.build().unwrap();
            let credentials =
                Credentials::new("carol".into(), "EXAMPLE.TEST".into(), "correct-horse".into());
            let mut socket = Socket::stream(&client, server.address).unwrap();
            let settings = SecuritySettings::default().with_credentials(credentials);
            socket.set_security(Some(settings)).unwrap();
            socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
            socket.connect(server.address).unwrap();
            let stream = socket.into_stream().unwrap();
            let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
            stream.query_with(&template).unwrap();
            round_trip(&stream);
            let follow = |policy: &str| {
                let before = client.generation();
                std::fs::write(&file, policy).unwrap();
                let deadline = Instant::now() + Duration::from_secs(20);
                while client.generation() == before {
                    assert!(Instant::now() < deadline, "it was not taken");
                    thread::sleep(Duration::from_millis(100));
                }
                stream.query_with(&template).map(drop)
            };
            follow("# as before\n").unwrap();
            round_trip(&stream);
            let why = follow("kerberos.client = 'off'\n").unwrap_err().to_string();
            assert!(why.contains("Kerberos, which is off by now"), "{why}");
        },
    );
}

/// What a program learned of a peer by its ticket ends with what let the ticket count.
#[test]
fn a_connection_by_ticket_ends_with_the_rules_that_let_it_in() {
    in_realm(|realm| {
        for (end, is_ended) in [
            ("server = 'prefer'\n# as before", false),
            ("server = 'off'", true),
            ("server = 'prefer'\nrealms = ['OTHER.TEST']", true),
            ("server = 'prefer'\nencryption-types = ['aes256-sha1']", false),
            ("server = 'prefer'\nencryption-types = ['aes128-sha1']", true),
            ("server = 'prefer'\n[[allow]]\npeers = ['bob@EXAMPLE.TEST']", true),
            (&*format!("server = 'prefer'\nservices = ['{OTHER}', '{SERVICE}']"), false),
            (&*format!("server = 'prefer'\nservices = ['{OTHER}']"), true),
        ] {
            let outcome = under_other_rules(realm, end);
            assert_eq!(outcome.is_err(), is_ended, "{end}: {outcome:?}");
        }
    });
}

/// Changes the rules of a server that has let alice in, and returns how its reads go then.
fn under_other_rules(realm: &Realm, rules: &str) -> io::Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("policy.toml");
    std::fs::write(&file, serving_from(&realm.file("both"), "")).unwrap();
    let issued = ROOT.issue(Leaf::new().dns("db1.example.test"));
    let builder = Context::builder().policy_file(&file).anchors(ROOT.anchors());
    let ours = builder.credential(issued.credential()).build().unwrap();
    let listener = TcpListener::bind_with(&ours, "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let client = context(&asking(realm, "alice", ""));
    let name = SERVICE.parse().unwrap();
    let connecting =
        thread::spawn(move || TcpStream::connect_with(&client, address, &name).unwrap());
    let (server, _) = listener.accept().unwrap();
    let mut client = connecting.join().unwrap();
    let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
    server.query_with(&template).unwrap();
    std::fs::write(&file, serving_from(&realm.file("both"), rules)).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        let _ = client.write_all(b"x");
        (&server).read_exact(&mut [0; 1])?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A server that sends without end in the middle of the proof has its turn and no more, also at
/// a client that does not wait.
#[test]
fn a_server_that_floods_in_the_proof_does_not_keep_a_non_blocking_client() {
    in_realm(|realm| {
        let plain = Plain::bind("127.0.0.1:0").unwrap();
        let address = plain.local_addr().unwrap();
        let flood = thread::spawn(move || {
            let (mut socket, _) = plain.accept().unwrap();
            let mut tls = crate::middle::as_server();
            while tls.is_handshaking() {
                tls.complete_io(&mut socket).unwrap();
            }
            let mut message = vec![0, 1, 0xff, 0, b'R'];
            message.resize(0x1ff00, 0);
            let started = Instant::now();
            for byte in message {
                for _ in 0..30 {
                    let _ = tls.refresh_traffic_keys();
                }
                tls.writer().write_all(&[byte]).unwrap();
                while tls.wants_write() {
                    if tls.write_tls(&mut socket).is_err() {
                        return started.elapsed();
                    }
                }
                if started.elapsed() > Duration::from_secs(12) {
                    break;
                }
            }
            started.elapsed()
        });
        let client = context(&asking(realm, "alice", "[limits]\nhandshake-timeout-ms = 2000\n"));
        let mut socket = Socket::stream(&client, address).unwrap();
        socket.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut slowest = Duration::ZERO;
        let started = Instant::now();
        let mut outcome = socket.connect(address);
        while outcome.as_ref().is_err_and(|error| error.is_would_block())
            && started.elapsed() < Duration::from_secs(5)
        {
            thread::sleep(Duration::from_millis(5));
            let before = Instant::now();
            outcome = socket.finish_connect();
            slowest = slowest.max(before.elapsed());
        }
        drop(socket);
        let took = flood.join().unwrap();
        eprintln!("one call took {slowest:?}, the flood {took:?}, {outcome:?}");
        assert!(slowest < Duration::from_secs(1), "one call took {slowest:?}");
    });
}
