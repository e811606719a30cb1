//! `forward`: what plain programs get when the peer is not who it must be.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::plain::Between;
use crate::relays::start_forward;
use crate::session::{PATIENCE, Running, Session};

#[test]
fn a_wrong_peer_closes_the_plain_side_without_a_byte() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let wire = Between::start(server.address());
    let mut forward = start_forward(&session, &wire.at(), "db/localhost");
    let mut client = TcpStream::connect(forward.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"not for everyone").unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let line = forward.logged("refused 127.0.0.1:");
    let expected =
        format!("{}: asked for db/localhost, the peer proved echo/localhost; hint: ", wire.at());
    assert!(line.contains(&expected), "{line}");
    assert_eq!(wire.count(b"not for everyone"), 0);
}

#[test]
fn nobody_there_is_logged_with_a_hint_and_the_next_is_served() {
    let session = Session::with(&[]);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut forward = start_forward(&session, &nobody.to_string(), "db/localhost");
    for _ in 0..2 {
        let mut client = TcpStream::connect(forward.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.read(&mut [0]).unwrap_err();
        let line = forward.logged("refused 127.0.0.1:");
        assert!(
            line.contains("Connection refused (os error 111); hint: nothing listens"),
            "{line}"
        );
    }
}

#[test]
fn an_address_that_others_reach_is_warned_of() {
    let session = Session::with(&[]);
    let mut forward = session.command(&["forward", "--to", "127.0.0.1:1", "--name", "x"]);
    let forward = Running::start(forward.args(["--listen", "0.0.0.0:0"]));
    let warning = "countersign: warning: 0.0.0.0:";
    assert!(forward.log().contains(warning), "{}", forward.log());
    let loopback = start_forward(&session, "127.0.0.1:1", "x");
    assert!(!loopback.log().contains("warning"), "{}", loopback.log());
    assert!(loopback.address().ip().is_loopback());
}

#[test]
fn the_address_is_said_to_programs_too() {
    let session = Session::with(&["echo/localhost"]);
    let server = session.serve("echo/localhost", &["--echo"]);
    let mut forward = session.command(&["forward", "--listen", "0", "--name", "echo/localhost"]);
    let mut forward = Running::spawn(forward.args(["--to", &server.at(), "--json"]));
    let line: serde_json::Value = serde_json::from_str(&forward.wait_for(|_| true)).unwrap();
    assert_eq!(line["event"], "listening");
    assert_eq!(line["to"], server.at());
    let address = line["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(crate::plain::ask(address, b"hello").unwrap(), b"hello");
    let line: serde_json::Value = serde_json::from_str(&forward.wait_for(|_| true)).unwrap();
    assert_eq!(line["event"], "accepted");
    assert_eq!(line["evidence"]["peer"]["name"], "echo/localhost");
}
