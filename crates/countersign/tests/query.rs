//! Queries: what they answer, what they cost, and connections that end when the answer changes.

mod world;

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener as Plain;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{QueryTemplate, SaFields, TokenAccess, WsaError};
use countersign::{Context, Error, Socket, TcpListener, TcpStream};
use countersign_lab::{Leaf, Process};
use world::{World, db1, pair, socket_to};

const IDS: fn() -> QueryTemplate = || QueryTemplate::default().with_sa_ids();

fn ids(stream: &TcpStream) -> (u64, u64) {
    let ids = stream.query_with(&IDS()).unwrap().ids().unwrap();
    (ids.session, ids.traffic_keys)
}

#[track_caller]
fn passes(from: &TcpStream, to: &TcpStream, bytes: &[u8]) {
    let (mut from, mut to) = (from, to);
    from.write_all(bytes).unwrap();
    let mut got = vec![0; bytes.len()];
    to.read_exact(&mut got).unwrap();
    assert_eq!(got, bytes);
}

/// Says whether an error tells that the connection was ended as the program had asked.
#[track_caller]
fn was_ended(error: &io::Error) {
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted, "{error}");
    assert!(error.to_string().contains("as the program had asked"), "{error}");
}

#[test]
fn spec_7_2_the_zero_template_answers_with_flags_only() {
    let (client, _server) = pair(&World::new());
    let answer = client.query_with(&QueryTemplate::default()).unwrap();
    assert_eq!(answer.flags().bits(), 3);
    assert!(answer.evidence().is_none() && answer.ids().is_none());
    let asked = QueryTemplate::default().with_tokens(TokenAccess::QUERY);
    let answer = client.query_with(&asked).unwrap();
    assert_eq!(answer.application().unwrap().name(), &db1());
    // A certificate that was issued for a service speaks for nobody else on its host.
    assert!(answer.machine().is_none());
}

#[test]
fn spec_7_3_a_certificate_of_a_host_is_its_machine() {
    let world = World::new();
    let listener =
        TcpListener::bind_with(&world.showing(Leaf::new().dns("db1.test"), ""), "127.0.0.1:0")
            .unwrap();
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    let client = world.connect(address).unwrap();
    let asked = QueryTemplate::default().with_tokens(TokenAccess::QUERY | TokenAccess::DUPLICATE);
    let answer = client.query_with(&asked).unwrap();
    assert_eq!(answer.machine().unwrap().name(), answer.evidence().unwrap().peer().unwrap().name());
    assert!(answer.application().is_none());
    let answer = server.join().unwrap().query_with(&asked).unwrap();
    assert!(answer.application().is_none() && answer.machine().is_none(), "an anonymous client");
}

#[test]
fn spec_7_4_both_ends_have_one_session_id_and_each_change_of_keys_another_id() {
    let (client, server) = pair(&World::new());
    let before = (ids(&client), ids(&server));
    assert_eq!(before.0.0, before.1.0, "MmSaId is the same at both ends");
    for (one, other) in [(&client, &server), (&server, &client)] {
        let (mine, theirs) = (ids(one), ids(other));
        one.change_keys().unwrap();
        assert_ne!(ids(one).1, mine.1, "at once at the end that changes them");
        passes(one, other, b"under new keys");
        assert_ne!(ids(other).1, theirs.1);
        passes(other, one, b"in both directions");
        assert_eq!((ids(one).0, ids(other).0), (mine.0, theirs.0));
        let settled = (ids(one), ids(other));
        passes(one, other, b"and then they stay");
        assert_eq!(settled, (ids(one), ids(other)));
    }
}

#[test]
fn spec_7_4_a_change_of_keys_ends_a_connection_that_was_asked_to() {
    let (client, server) = pair(&World::new());
    let template = IDS().aborting_on(SaFields::QM_SA_ID);
    server.query_with(&template).unwrap();
    passes(&client, &server, b"before");
    passes(&server, &client, b"before");
    client.change_keys().unwrap();
    // The peer may notice while it still writes.
    let _ = (&client).write_all(b"after");
    let mut after = [0; 16];
    was_ended(&(&server).read(&mut after).unwrap_err());
    assert_eq!(after, [0; 16], "not a byte that came under the new keys");
    was_ended(&(&server).read(&mut after).unwrap_err());
    was_ended(&(&server).write(b"x").unwrap_err());
    let error = server.query_with(&template).unwrap_err();
    assert_eq!(error.wsa(), WsaError::ConnAborted, "{error}");
    assert_eq!(server.query().unwrap_err().wsa(), WsaError::ConnAborted);
    // The client is told, and not that it was cut off by somebody.
    assert_eq!((&client).read(&mut after).unwrap(), 0);
}

#[test]
fn spec_7_4_a_change_that_we_make_ends_it_too() {
    let (client, server) = pair(&World::new());
    client.query_with(&IDS().aborting_on(SaFields::QM_SA_ID)).unwrap();
    client.change_keys().unwrap();
    was_ended(&(&client).write(b"x").unwrap_err());
    assert_eq!((&server).read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn spec_7_4_a_latch_on_the_session_does_not_mind_new_keys() {
    let (client, server) = pair(&World::new());
    server.query_with(&IDS().aborting_on(SaFields::MM_SA_ID)).unwrap();
    client.change_keys().unwrap();
    passes(&client, &server, b"still here");
    passes(&server, &client, b"still here");
}

/// Another program changes keys: `K` on a line of its own makes OpenSSL's client do so.
#[test]
fn spec_7_4_openssls_change_of_keys_is_noticed() {
    let world = World::new();
    let files = tempfile::tempdir().unwrap();
    let root = world.authority.write(files.path()).unwrap();
    for is_latched in [false, true] {
        let listener = world.listener("");
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &listener.local_addr().to_string()]);
        command.arg("-CAfile").arg(&root);
        let mut client = Process::start(&mut command).unwrap();
        let mut input = client.take_input().unwrap();
        let (stream, _) = listener.accept().unwrap();
        let before = ids(&stream);
        if is_latched {
            stream.query_with(&IDS().aborting_on(SaFields::QM_SA_ID)).unwrap();
        }
        let mut line = [0; 6];
        input.write_all(b"first\n").unwrap();
        (&stream).read_exact(&mut line).unwrap();
        assert_eq!((&line, ids(&stream)), (b"first\n", before));
        client.wait_for_line("Verify return code: 0", Duration::from_secs(10)).unwrap();
        // The command has to be alone in one read of the client's.
        thread::sleep(Duration::from_millis(300));
        input.write_all(b"K\n").unwrap();
        thread::sleep(Duration::from_millis(300));
        input.write_all(b"after\n").unwrap();
        let read = (&stream).read_exact(&mut line);
        if is_latched {
            was_ended(&read.unwrap_err());
        } else {
            read.unwrap_or_else(|error| panic!("{error}\n{}", client.said()));
            assert_eq!(&line, b"after\n");
            assert_eq!(ids(&stream).0, before.0);
            assert_ne!(ids(&stream).1, before.1);
        }
    }
}

/// A server whose rules are in a file.
fn ruled(world: &World, rules: &std::path::Path) -> Context {
    Context::builder()
        .policy_file(rules.to_owned())
        .anchors(world.authority.anchors())
        .credential(world.authority.issue(Leaf::new().service("postgres", "db1.test")).credential())
        .build()
        .unwrap()
}

#[test]
fn spec_7_4_a_policy_that_does_not_let_the_peer_in_any_more_ends_it() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("policy.toml");
    let allow = |who: &str| format!("[[allow]]\npeers = [\"{who}\"]\n");
    fs::write(&rules, allow("*.test")).unwrap();
    let listener = TcpListener::bind_with(&ruled(&world, &rules), "127.0.0.1:0").unwrap();
    let connect = || {
        let client = world.showing(Leaf::new().dns("client.test"), "");
        let address = listener.local_addr();
        let stream =
            thread::spawn(move || TcpStream::connect_with(&client, address, &db1()).unwrap());
        let accepted = listener.accept().unwrap().0;
        (stream.join().unwrap(), accepted)
    };
    let ((latched_client, latched), (free_client, free)) = (connect(), connect());
    latched.query_with(&IDS().aborting_on(SaFields::MM_SA_ID)).unwrap();
    // Rules that still let it in change nothing.
    fs::write(&rules, allow("client.test")).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        passes(&latched_client, &latched, b"x");
        thread::sleep(Duration::from_millis(100));
    }
    fs::write(&rules, allow("other.test")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(15);
    let why = loop {
        assert!(Instant::now() < deadline, "it never ended");
        let _ = (&latched_client).write_all(b"x");
        if let Err(error) = (&latched).read(&mut [0; 1]) {
            break error;
        }
        thread::sleep(Duration::from_millis(50));
    };
    was_ended(&why);
    assert!(why.to_string().contains("under the policy as it is now"), "{why}");
    assert!(why.to_string().contains("client.test"), "{why}");
    // Who did not ask for it goes on (live connections keep their generation).
    passes(&free_client, &free, b"as before");
}

#[test]
fn spec_3_before_there_is_a_connection() {
    let world = World::new();
    let listening = Plain::bind("127.0.0.1:0").unwrap();
    let socket = socket_to(&world.client(), listening.local_addr().unwrap(), None);
    assert_eq!(socket.query_with(&IDS()).unwrap_err().wsa(), WsaError::NotConn);
}

#[test]
fn spec_7_4_a_failed_socket_keeps_the_reason() {
    let world = World::new();
    let address = world.echo_server();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_peer_target_name(address, "postgres/other.test".parse().unwrap()).unwrap();
    let error = socket.connect(address).unwrap_err();
    assert_eq!(error.wsa(), WsaError::Acces);
    let zero = QueryTemplate::default();
    assert_eq!(socket.query_with(&zero).unwrap_err().wsa(), WsaError::NotConn);
    for _ in 0..2 {
        let answer = socket.query_with(&IDS()).unwrap();
        assert_eq!((answer.flags().bits(), answer.ids()), (0, None));
        let reason = answer.negotiation_error().unwrap();
        assert_eq!(reason.wsa().number(), 10013);
        assert!(reason.to_string().contains("asked for postgres/other.test"), "{reason}");
    }
}

#[test]
fn spec_3_a_reset_is_known_without_a_read() {
    let (client, server) = pair(&World::new());
    (&server).write_all(b"unread").unwrap();
    // A socket that is closed over bytes that nobody read resets its connection.
    let descriptor = std::os::fd::AsFd::as_fd(&client).try_clone_to_owned().unwrap();
    let linger = Some(Duration::ZERO);
    rustix::net::sockopt::set_socket_linger(&descriptor, linger).unwrap();
    drop((client, descriptor));
    let deadline = Instant::now() + Duration::from_secs(5);
    let error: Error = loop {
        match server.query_with(&QueryTemplate::default()) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline),
        }
    };
    assert_eq!(error.wsa(), WsaError::ConnReset, "{error}");
    assert_eq!(server.query().unwrap_err().wsa(), WsaError::ConnReset);
}

/// A thread that waits for bytes holds no lock that a query needs.
#[test]
fn spec_7_6_a_query_does_not_wait_for_a_thread_that_reads() {
    let (client, _server) = pair(&World::new());
    let reader = client.clone();
    thread::spawn(move || (&reader).read(&mut [0; 1]));
    thread::sleep(Duration::from_millis(100));
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        for fields in [SaFields::NONE, SaFields::MM_SA_ID, SaFields::QM_SA_ID] {
            let template = IDS().with_tokens(TokenAccess::QUERY).aborting_on(fields);
            for _ in 0..1000 {
                client.query_with(&template).unwrap();
            }
        }
        done.send(())
    });
    is_done.recv_timeout(Duration::from_secs(5)).unwrap();
}
