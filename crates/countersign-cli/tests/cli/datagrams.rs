//! `--udp`: datagrams there and back, and none for whoever has another name.

use std::net::UdpSocket;
use std::process::Stdio;
use std::thread;

use crate::session::{PATIENCE, Running, Session};

const CLIENT: &str = "alice@EXAMPLE.COM";

fn session() -> Session {
    Session::with(&["echo/localhost", CLIENT])
}

fn plain() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A plain UDP service that answers everything; returns where.
fn answer() -> String {
    let service = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = service.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = service.recv_from(&mut buffer) {
            let answer = [b"got ", &buffer[..count]].concat();
            service.send_to(&answer, from).unwrap();
        }
    });
    at
}

fn forward(session: &Session, to: &str, name: &str, more: &[&str]) -> Running {
    let mut command = session.command(&["forward", "--udp", "--listen", "0", "--as", CLIENT]);
    Running::start(command.args(["--to", to, "--name", name]).args(more))
}

#[test]
fn each_line_is_a_datagram_and_comes_back() {
    let session = session();
    let mut server = session.serve("echo/localhost", &["--udp", "--echo"]);
    let at = server.at();
    let connect = ["connect", "echo/localhost", &at, "--udp", "--as", CLIENT];
    session.run_with(&connect, b"one\ntwo\nthree").success().wrote("one\ntwo\nthree").said(&[
        "connected to echo/localhost (certificate SRVName) at ",
        "protected by DTLS 1.2, ",
    ]);
    let line = server.logged("accepted 127.0.0.1:");
    assert!(line.contains(": alice@EXAMPLE.COM (certificate KRB5PrincipalName); DTLS"), "{line}");
    // More than one datagram holds.
    let long = vec![b'x'; 5000];
    session.run_with(&connect, &long).success().wrote(long);
}

#[test]
fn a_wrong_name_is_refused_with_both_names() {
    let session = session();
    let server = session.serve("echo/localhost", &["--udp", "--echo"]);
    session
        .run_with(&["connect", "db/localhost", &server.at(), "--udp", "--as", CLIENT], b"secret")
        .ended(3)
        .wrote("")
        .said(&["asked for db/localhost, the peer proved echo/localhost", "hint: "]);
}

#[test]
fn who_shows_no_certificate_is_not_served() {
    let session = session();
    for service in [&["--udp", "--echo"][..], &["--udp", "--to", &answer()]] {
        let mut server = session.serve("echo/localhost", service);
        let connect = ["connect", "echo/localhost", &server.at(), "--udp"];
        session.run_with(&connect, b"hello").ended(3).wrote("").said(&["the peer refused us"]);
        server.logged("refused 127.0.0.1:");
    }
}

#[test]
fn a_client_of_a_service_that_was_idle_is_forgotten_and_makes_room() {
    let session = session();
    let more = ["--udp", "--to", &answer(), "--idle-ms", "4000", "--max-connections", "1"];
    let mut server = session.serve("echo/localhost", &more);
    let at = server.at();
    let connect = ["connect", "echo/localhost", &at, "--udp", "--as", CLIENT, "--linger-ms", "800"];
    session.run_with(&connect, b"one").success().wrote("got one");
    // The first still has its lane.
    session.run_with(&connect, b"two").success().wrote("");
    server.logged("countersign: warning: 1 clients are served");
    let served =
        (0..50).any(|_| session.run_with(&connect, b"three").success().text() == "got three");
    assert!(served);
}

#[test]
fn plain_programs_reach_a_plain_service() {
    let session = session();
    let server = session.serve("echo/localhost", &["--udp", "--to", &answer()]);
    let mut forward = forward(&session, &server.at(), "echo/localhost", &[]);
    let (one, two) = (plain(), plain());
    let mut buffer = [0; 2048];
    for round in 0..3 {
        for (socket, text) in [(&one, "one"), (&two, "two")] {
            let text = format!("{text} {round}");
            socket.send_to(text.as_bytes(), forward.address()).unwrap();
            let (count, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(String::from_utf8_lossy(&buffer[..count]), format!("got {text}"));
            assert_eq!(from, forward.address());
        }
    }
    for socket in [one, two] {
        forward.logged(&format!("accepted {}: echo/localhost ", socket.local_addr().unwrap()));
    }
}

#[test]
fn who_was_idle_is_forgotten_and_makes_room() {
    let session = session();
    let server = session.serve("echo/localhost", &["--udp", "--echo"]);
    let more = ["--idle-ms", "300", "--max-connections", "1"];
    let mut forward = forward(&session, &server.at(), "echo/localhost", &more);
    let mut buffer = [0; 64];
    let (one, two) = (plain(), plain());
    one.send_to(b"one", forward.address()).unwrap();
    one.recv_from(&mut buffer).unwrap();
    two.send_to(b"two", forward.address()).unwrap();
    forward.logged("countersign: warning: 1 programs are served");
    two.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let is_served = || {
        two.send_to(b"two", forward.address()).unwrap();
        two.recv_from(&mut [0; 64]).is_ok()
    };
    assert!((0..100).any(|_| is_served()));
}

#[test]
fn a_wrong_peer_gets_nothing_of_a_plain_program() {
    let session = session();
    let server = session.serve("echo/localhost", &["--udp", "--echo"]);
    let mut forward = forward(&session, &server.at(), "db/localhost", &[]);
    let socket = plain();
    socket.send_to(b"not for everyone", forward.address()).unwrap();
    let line = forward.logged("refused 127.0.0.1:");
    assert!(line.contains("asked for db/localhost, the peer proved echo/localhost"), "{line}");
    socket.set_nonblocking(true).unwrap();
    socket.recv_from(&mut [0; 64]).unwrap_err();
}

#[test]
fn what_is_for_streams_is_refused() {
    let session = session();
    let serve = |more: &[&str]| {
        let start = ["serve", "echo/localhost", "--listen", "0", "--udp"];
        session.run(&[&start, more].concat()).ended(2)
    };
    serve(&["--exec", "cat"]).said(&["--exec cannot be used with --udp", "hint: ", "--to"]);
    serve(&["--echo", "--once"]).said(&["--once cannot be used with --udp"]);
    let connect = ["connect", "echo/localhost", "127.0.0.1:1"];
    for danger in ["--danger-allow-insecure", "--danger-allow-tls12"] {
        let said = format!("{danger} cannot be used with --udp");
        session.run(&[&connect[..], &["--udp", danger]].concat()).ended(2).said(&[&said]);
    }
    session.run(&[&connect[..], &["--linger-ms", "1"]].concat()).ended(2).said(&["--udp"]);
}

#[test]
fn it_waits_for_answers_while_stdin_is_open() {
    let session = session();
    let server = session.serve("echo/localhost", &["--udp", "--echo"]);
    let at = server.at();
    let mut connect = session.command(&["connect", "echo/localhost", &at, "--udp"]);
    let connect = connect.args(["--as", CLIENT, "--linger-ms", "0"]).stdin(Stdio::piped());
    let mut connect = Running::spawn(connect);
    let mut stdin = connect.stdin();
    std::io::Write::write_all(&mut stdin, b"hello\n").unwrap();
    connect.wait_for(|line| line == "hello");
    drop(stdin);
    assert_eq!(connect.ended(), Some(0));
}
