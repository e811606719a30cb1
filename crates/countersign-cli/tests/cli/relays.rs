//! `serve --to` and `forward`: plain programs on both sides, and a protected connection in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::plain::{Between, Service, answer_then_listen, ask, count_then_answer};
use crate::session::{PATIENCE, Running, Session, binary};

/// plain client → forward → (wire) → serve --to → plain server.
struct Chain {
    session: Session,
    server: Running,
    wire: Between,
    forward: Running,
}

impl Chain {
    fn before(service: &str) -> Self {
        let session = Session::with(&["db/localhost"]);
        let server = session.serve("db/localhost", &["--to", service]);
        let wire = Between::start(server.address());
        let forward = start_forward(&session, &wire.at(), "db/localhost");
        Self { session, server, wire, forward }
    }
}

pub(crate) fn start_forward(session: &Session, to: &str, name: &str) -> Running {
    let mut forward = session.command(&["forward", "--listen", "0", "--to", to, "--name", name]);
    Running::start(&mut forward)
}

#[test]
fn a_plain_client_reaches_a_plain_server_and_the_wire_shows_nothing() {
    let service = Service::start(count_then_answer);
    let mut chain = Chain::before(&service.at());
    let mut question = b"a needle in the haystack".to_vec();
    question.extend(binary(1 << 20));
    let answer = ask(chain.forward.address(), &question).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), format!("got {} bytes\n", question.len()));
    assert!(service.outcome() == question);
    let line = chain.forward.logged("accepted 127.0.0.1:");
    assert!(line.contains("db/localhost (certificate SRVName); TLS 1.3, "), "{line}");
    chain.server.logged("accepted 127.0.0.1:");
    assert_eq!(chain.wire.count(b"a needle in the haystack"), 0);
}

#[test]
fn an_end_of_the_server_leaves_the_other_direction_open() {
    let service = Service::start(answer_then_listen);
    let chain = Chain::before(&service.at());
    let mut client = TcpStream::connect(chain.forward.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello and goodbye\n");
    client.write_all(b"one more thing").unwrap();
    drop(client);
    assert_eq!(service.outcome(), b"one more thing");
}

#[test]
fn a_cut_in_between_reaches_both_plain_ends_as_a_reset() {
    let service = Service::start(|mut client| {
        let mut received = Vec::new();
        client.read_to_end(&mut received).map_err(|error| error.kind())
    });
    let mut chain = Chain::before(&service.at());
    let mut client = TcpStream::connect(chain.forward.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"half a sentence").unwrap();
    chain.server.logged("accepted ");
    chain.wire.cut();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(service.outcome(), Err(std::io::ErrorKind::ConnectionReset));
    chain.forward.logged("broken ");
    chain.server.logged("broken ");
}

#[test]
fn a_plain_server_that_breaks_off_is_no_end_for_the_client() {
    let service = Service::start(|client| {
        // Closing over what was not read resets the connection (tcp(7)).
        let mut byte = [0];
        client.peek(&mut byte).unwrap();
        drop(client);
    });
    let session = Session::with(&["db/localhost"]);
    let mut server = session.serve("db/localhost", &["--to", &service.at()]);
    let mut connect = session.command(&["connect", "db/localhost", &server.at()]);
    let mut connect = Running::spawn(connect.stdin(Stdio::piped()));
    let mut stdin = connect.stdin();
    stdin.write_all(b"question").unwrap();
    assert_eq!(connect.ended(), Some(3), "{}", connect.log());
    let line = server.logged("broken ");
    assert!(line.contains(&format!("cannot receive from {}", service.at())), "{line}");
}

#[test]
fn a_service_that_is_not_there_breaks_the_connection() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let chain = Chain::before(&nobody.to_string());
    let mut server = chain.server;
    chain.session.run(&["connect", "db/localhost", &server.at()]).ended(3);
    let line = server.logged("broken ");
    assert!(line.contains(&format!("cannot connect to {nobody}: Connection refused")), "{line}");
}
