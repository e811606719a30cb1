//! `connect`, mostly to `serve --echo`.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::plain::{Between, Service};
use crate::session::{Running, Session, binary};

#[test]
fn a_mebibyte_of_anything_comes_back_as_it_went() {
    let session = Session::with(&["echo/localhost"]);
    let mut server = session.serve("echo/localhost", &["--echo"]);
    let data = binary(1 << 20);
    session
        .run_with(&["connect", "echo/localhost", &server.at()], &data)
        .success()
        .said(&[
            "connected to echo/localhost (certificate SRVName) at 127.0.0.1:",
            "protected by TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768",
        ])
        .wrote(&data);
    let line = server.logged("accepted 127.0.0.1:");
    assert!(
        line.ends_with(": anonymous; TLS 1.3, TLS_AES_256_GCM_SHA384, X25519MLKEM768"),
        "{line}"
    );
}

#[test]
fn a_wrong_name_is_refused_with_both_and_nothing_is_sent() {
    let session = Session::with(&["echo/localhost"]);
    let mut server = session.serve("echo/localhost", &["--echo"]);
    for name in ["http/localhost", "echo/example.com", "localhost", "spiffe://a/b"] {
        let wire = Between::start(server.address());
        session
            .run_with(&["connect", name, &wire.at()], b"not for everyone")
            .ended(3)
            .said(&[name, "the peer proved echo/localhost", "\n  hint: "])
            .wrote("");
        assert_eq!(wire.count(b"not for everyone"), 0);
        server.logged("refused 127.0.0.1:");
    }
}

#[test]
fn an_authority_that_we_do_not_believe_is_named() {
    let (here, there) = (Session::with(&[]), Session::with(&["echo/localhost"]));
    let server = there.serve("echo/localhost", &["--echo"]);
    let connect = ["connect", "echo/localhost", &server.at()];
    here.run(&connect).ended(3).said(&[
        "issued by CN=Countersign local authority",
        "hint: ",
        "countersign identity trust",
    ]);
    // Believed for once, and then for good.
    let file = there.file("authority.pem");
    let trusting = [&connect[..], &["--trust", &file]].concat();
    here.run_with(&trusting, b"hello").success().wrote("hello");
    here.run(&["identity", "trust", &file]).success();
    here.run_with(&connect, b"hello").success().wrote("hello");
}

#[test]
fn only_the_trusted_file_counts_where_one_is_named() {
    let (here, there) = (Session::with(&["echo/localhost"]), Session::with(&[]));
    let server = here.serve("echo/localhost", &["--echo"]);
    let file = there.file("authority.pem");
    here.run(&["connect", "echo/localhost", &server.at(), "--trust", &file])
        .ended(3)
        .said(&["which is not trusted here"]);
}

#[test]
fn programs_get_the_evidence_and_the_sums() {
    let session = Session::with(&["echo/localhost", "alice@EXAMPLE.COM"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let arguments =
        ["connect", "echo/localhost", &server.at(), "--json", "--as", "alice@EXAMPLE.COM"];
    let events = session.run_with(&arguments, b"hello").success().wrote("hello").events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["event"], "connected");
    let evidence = &events[0]["evidence"];
    assert_eq!(evidence["peer"]["name"], "echo/localhost");
    assert_eq!(evidence["peer"]["proof"], "certificate SRVName");
    assert_eq!(evidence["asked"], "echo/localhost");
    assert_eq!(evidence["name_verified"], true);
    assert_eq!(evidence["protocol"], "TLS 1.3");
    assert_eq!(evidence["session"].as_str().unwrap().len(), 32);
    assert_eq!(events[1]["event"], "ended");
    assert_eq!((&events[1]["sent"], &events[1]["received"]), (&5.into(), &5.into()));
}

#[test]
fn refusals_for_programs_are_objects() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let events =
        session.run(&["connect", "db/localhost", &server.at(), "--json"]).ended(3).events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["fault"], "peer");
    assert_eq!(events[0]["wsa"], 10013);
    let error = events[0]["error"].as_str().unwrap();
    assert!(error.contains("asked for db/localhost, the peer proved echo/localhost"), "{error}");
}

#[test]
fn nobody_there_is_the_peers_fault() {
    let session = Session::with(&[]);
    // A port that was free a moment ago, and that nobody is given again so soon.
    let gone = Service::start(|_| ()).address;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_ne!(gone, nobody);
    session.run(&["connect", "localhost", &nobody.to_string()]).ended(3).said(&[
        "cannot connect to 127.0.0.1:",
        "Connection refused",
        "hint: nothing listens there",
    ]);
    session
        .run(&["connect", "localhost", "does-not-exist.invalid:1"])
        .ended(4)
        .said(&["cannot look up does-not-exist.invalid", "hint: check the spelling"]);
}

#[test]
fn a_connection_that_is_cut_is_no_end() {
    let session = Session::with(&["echo/localhost"]);
    let mut server = session.serve("echo/localhost", &["--echo"]);
    let wire = Between::start(server.address());
    let mut connect = session.command(&["connect", "echo/localhost", &wire.at()]);
    let mut connect = Running::spawn(connect.stdin(Stdio::piped()));
    let mut stdin = connect.stdin();
    stdin.write_all(b"half a sentence\n").unwrap();
    connect.logged("half a sentence");
    wire.cut();
    assert_eq!(connect.ended(), Some(3));
    assert!(
        connect.log().contains("the connection ended, and the peer had not said that it was done"),
        "{}",
        connect.log()
    );
    server.logged("broken 127.0.0.1:");
}

#[test]
fn the_end_of_the_peer_ends_us_whatever_stdin_does() {
    let session = Session::with(&["bye/localhost"]);
    let server = session.serve("bye/localhost", &["--exec", "echo", "goodbye"]);
    let mut connect = session.command(&["connect", "bye/localhost", &server.at()]);
    let mut connect = Running::spawn(connect.stdin(Stdio::piped()));
    let _kept_open = connect.stdin();
    connect.logged("goodbye");
    assert_eq!(connect.ended(), Some(0));
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let mut connect = session.command(&["connect", "echo/localhost", &server.at()]);
    connect.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut connect = connect.spawn().unwrap();
    let mut stdin = connect.stdin.take().unwrap();
    let sender = std::thread::spawn(move || while stdin.write_all(&[b'x'; 4096]).is_ok() {});
    let mut first = [0];
    connect.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = connect.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panic") && !stderr.contains("countersign:"), "{stderr}");
    sender.join().unwrap();
}

#[test]
fn a_silent_server_is_given_up() {
    let session = Session::with(&[]);
    let silent = Service::start(|mut client| {
        client.read(&mut [0; 1]).is_ok_and(|_| {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).is_ok()
        })
    });
    let started = Instant::now();
    session
        .run(&["connect", "localhost", &silent.at(), "--timeout-ms", "300"])
        .ended(3)
        .said(&["the peer did not finish the handshake within 300 ms", "hint: "]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_plain_server_gets_no_byte_of_ours_and_its_words_cannot_harm() {
    let session = Session::with(&[]);
    let plain = Service::start(|mut client| {
        let _ = client.read(&mut [0; 4096]).unwrap();
        client.write_all(b"\x1b[2J\x1b]0;owned\x07 220 ready\r\n").unwrap();
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest);
    });
    let wire = Between::start(plain.address);
    let refused = session.run_with(&["connect", "localhost", &wire.at()], b"not for everyone");
    let refused = refused.ended(3).said(&["the peer does not speak TLS", "hint: check the port"]);
    assert!(!refused.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", refused.stderr);
    assert_eq!(wire.count(b"not for everyone"), 0);
}

#[test]
fn cleartext_needs_the_word_danger_and_is_said_aloud() {
    let session = Session::with(&[]);
    // It does not understand the greeting, and hangs up; the second time it is spoken to in clear.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let _ = first.read(&mut [0; 4096]).unwrap();
        first.write_all(b"what?\n").unwrap();
        drop(first);
        let (mut second, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        second.read_to_end(&mut received).unwrap();
        second.write_all(b"well then\n").unwrap();
        received
    });
    session
        .run_with(&["connect", "localhost", &address, "--danger-allow-insecure"], b"hello")
        .success()
        .said(&["connected to anyone (cleartext)", "protected by nothing"])
        .wrote("well then\n");
    assert_eq!(server.join().unwrap(), b"hello");
}

#[test]
fn policy_wins_over_options() {
    let session = Session::with(&[]);
    session.write("policy.toml", b"require = { security = true, tls13 = true }\n");
    let plain = Service::start(|mut client| client.write_all(b"220 ready\r\n").is_ok());
    session
        .run(&[
            "connect",
            "localhost",
            &plain.at(),
            "--policy",
            "policy.toml",
            "--danger-allow-insecure",
            "--danger-allow-tls12",
        ])
        .ended(3)
        .said(&[
            "policy requires security, so --danger-allow-insecure has no effect",
            "policy requires TLS 1.3, so --danger-allow-tls12 has no effect",
            "the peer does not speak TLS",
        ]);
}
