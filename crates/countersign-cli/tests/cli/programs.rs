//! `serve --exec`: a program for each client, which learns who it is.

use std::io::Write;
use std::process::Stdio;

use crate::plain::Between;
use crate::session::{Running, Session, binary};

const SHOW_PEER: &str = "echo \"${COUNTERSIGN_PEER-nobody}, ${COUNTERSIGN_PROOF-nothing}, \
                         ${COUNTERSIGN_PEER_ADDRESS%:*}\"";

#[test]
fn the_program_learns_who_the_client_is() {
    let session = Session::with(&["hello/localhost", "alice@EXAMPLE.COM"]);
    let mut server = session.command(&["serve", "hello/localhost", "--listen", "0", "--exec"]);
    // What the server itself inherited speaks of somebody else.
    server.args(["sh", "-c", SHOW_PEER]).env("COUNTERSIGN_PEER", "root@EXAMPLE.COM");
    let server = Running::start(server.env("COUNTERSIGN_PROOF", "none"));
    let connect = ["connect", "hello/localhost", &server.at()];
    session.run(&connect).success().wrote("nobody, nothing, 127.0.0.1\n");
    session
        .run(&[&connect[..], &["--as", "alice@EXAMPLE.COM"]].concat())
        .success()
        .wrote("alice@EXAMPLE.COM, certificate KRB5PrincipalName, 127.0.0.1\n");
}

#[test]
fn ends_go_through_in_both_directions() {
    let session = Session::with(&["sum/localhost"]);
    // It answers only once it has read the end.
    let server = session.serve("sum/localhost", &["--exec", "wc", "-c"]);
    let data = binary(1 << 20);
    let counted = session.run_with(&["connect", "sum/localhost", &server.at()], &data).success();
    assert_eq!(counted.text().trim(), (1 << 20).to_string());
}

#[test]
fn options_of_the_program_are_its_own() {
    let session = Session::with(&["sum/localhost"]);
    let server = session.serve("sum/localhost", &["--once", "--exec", "tr", "--delete", "a"]);
    let connect = ["connect", "sum/localhost", &server.at()];
    session.run_with(&connect, b"banana").success().wrote("bnn");
}

#[test]
fn a_program_need_not_read_everything() {
    let session = Session::with(&["hello/localhost"]);
    let server = session.serve("hello/localhost", &["--exec", "echo", "hello"]);
    for size in [0, 100, 1 << 20] {
        let connect = ["connect", "hello/localhost", &server.at()];
        session.run_with(&connect, &binary(size)).success().wrote("hello\n");
    }
}

#[test]
fn the_program_ends_with_its_client() {
    let session = Session::with(&["wait/localhost"]);
    let mut server = session
        .serve("wait/localhost", &["--once", "--exec", "sh", "-c", "echo ready; exec sleep 1000"]);
    let wire = Between::start(server.address());
    let mut connect = session.command(&["connect", "wait/localhost", &wire.at()]);
    let mut connect = Running::spawn(connect.stdin(Stdio::piped()));
    let mut stdin = connect.stdin();
    stdin.write_all(b"x").unwrap();
    connect.logged("ready");
    wire.cut();
    // Had the program not been ended, the server would wait for it.
    assert_eq!(server.ended(), Some(3), "{}", server.log());
}

#[test]
fn a_program_that_is_not_there_breaks_the_connection() {
    let session = Session::with(&["hello/localhost"]);
    let mut server = session.serve("hello/localhost", &["--exec", "./not-there"]);
    session.run(&["connect", "hello/localhost", &server.at()]).ended(3);
    let line = server.logged("broken ");
    assert!(line.contains("cannot start ./not-there: No such file or directory"), "{line}");
}
