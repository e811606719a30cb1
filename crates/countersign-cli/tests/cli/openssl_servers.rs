//! `connect` and `forward` reach a server that we did not write: OpenSSL's `s_server`.

use std::net::SocketAddr;
use std::process::Stdio;

use crate::plain::{Between, ask};
use crate::relays::start_forward;
use crate::session::{Running, Session, finish};

const NAME: &str = "http/www.example.com";

/// `openssl s_server` with a certificate of the session's authority.
struct Server {
    running: Running,
    address: SocketAddr,
}

impl Server {
    /// Starts one that sends every line back in reverse.
    fn reversing(session: &Session, more: &[&str]) -> Self {
        Self::start(session, &[&["-rev"], more].concat())
    }

    fn start(session: &Session, more: &[&str]) -> Self {
        let (chain, key) = session.export(NAME);
        let mut command = session.stranger("openssl");
        command.args(["s_server", "-accept", "127.0.0.1:0", "-cert", &chain, "-key", &key]);
        let mut running = Running::spawn(command.args(more).stdin(Stdio::null()));
        let line = running.logged("ACCEPT ");
        let address = line.split(' ').nth(1).unwrap().parse().unwrap();
        Self { running, address }
    }

    fn at(&self) -> String {
        self.address.to_string()
    }
}

#[test]
fn we_reach_it_by_every_name_that_its_certificate_proves() {
    let session = Session::with(&[NAME]);
    let server = Server::reversing(&session, &[]);
    session
        .run_with(&["connect", NAME, &server.at()], b"hello\n")
        .success()
        .said(&[
            "connected to http/www.example.com (certificate SRVName)",
            "protected by TLS 1.3, ",
        ])
        .wrote("olleh\n");
}

#[test]
fn wrong_names_are_refused_and_nothing_is_sent() {
    let session = Session::with(&[NAME]);
    let mut server = Server::reversing(&session, &[]);
    for name in ["postgres/www.example.com", "www.example.com", "http/example.com"] {
        let wire = Between::start(server.address);
        session
            .run_with(&["connect", name, &wire.at()], b"not for everyone\n")
            .ended(3)
            .wrote("")
            .said(&[name, "the peer proved http/www.example.com", "hint: "]);
        assert_eq!(wire.count(b"not for everyone"), 0);
        server.running.logged("CONNECTION FAILURE");
    }
    assert!(!server.running.log().contains("not for everyone"));
}

#[test]
fn its_authority_must_be_ours() {
    let (here, there) = (Session::with(&[]), Session::with(&[NAME]));
    let server = Server::reversing(&there, &[]);
    let wire = Between::start(server.address);
    here.run_with(&["connect", NAME, &wire.at()], b"not for everyone\n")
        .ended(3)
        .wrote("")
        .said(&["which is not trusted here", "hint: "]);
    assert_eq!(wire.count(b"not for everyone"), 0);
}

#[test]
fn it_may_want_to_know_who_we_are() {
    let session = Session::with(&[NAME, "alice@EXAMPLE.COM"]);
    let demanding = ["-Verify", "1", "-CAfile", "authority.pem", "-verify_return_error"];
    let mut server = Server::reversing(&session, &demanding);
    let connect = ["connect", NAME, &server.at()];
    session
        .run_with(&[&connect[..], &["--as", "alice@EXAMPLE.COM"]].concat(), b"hello\n")
        .success()
        .wrote("olleh\n");
    let line = server.running.logged("Peer certificate: ");
    assert!(line.contains("CN = alice@EXAMPLE.COM"), "{line}");
    session.run_with(&connect, b"hello\n").ended(3).wrote("").said(&[
        "the peer refused us: certificate_required",
        "hint: the peer wants a certificate of ours: name one with --as",
    ]);
}

#[test]
fn it_may_not_believe_our_authority() {
    let (session, other) = (Session::with(&[NAME]), Session::with(&["alice@EXAMPLE.COM"]));
    let demanding = ["-Verify", "1", "-CAfile", "authority.pem", "-verify_return_error"];
    let server = Server::reversing(&session, &demanding);
    let authority = session.file("authority.pem");
    other
        .run_with(
            &["connect", NAME, &server.at(), "--as", "alice@EXAMPLE.COM", "--trust", &authority],
            b"hello\n",
        )
        .ended(3)
        .wrote("")
        .said(&[
            "the peer refused us: unknown_ca",
            "hint: the peer does not trust the authority that issued our certificate",
        ]);
}

#[test]
fn without_tls_1_3_it_is_refused_unless_we_say_danger() {
    let session = Session::with(&[NAME]);
    let server = Server::reversing(&session, &["-tls1_2"]);
    let connect = ["connect", NAME, &server.at()];
    session.run_with(&connect, b"hello\n").ended(3).wrote("").said(&[
        "protocol_version",
        "hint: ",
        "policy may allow TLS 1.2",
    ]);
    session
        .run_with(&[&connect[..], &["--danger-allow-tls12"]].concat(), b"hello\n")
        .success()
        .said(&["protected by TLS 1.2, TLS_ECDHE_"])
        .wrote("olleh\n");
}

#[test]
fn a_plain_browser_reaches_it_through_us() {
    let session = Session::with(&[NAME]);
    let server = Server::start(&session, &["-www"]);
    let forward = start_forward(&session, &server.at(), NAME);
    let mut curl = session.stranger("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*"]);
    let page = finish(curl.arg(format!("http://{}/", forward.at())), b"").success().text();
    assert!(page.contains("Cipher    : TLS_AES_256_GCM_SHA384"), "{page}");
}

#[test]
fn a_plain_browser_gets_nothing_from_a_wrong_peer() {
    let session = Session::with(&[NAME]);
    let server = Server::start(&session, &["-www"]);
    let forward = start_forward(&session, &server.at(), "www.example.com");
    let request = b"GET / HTTP/1.0\r\n\r\n";
    let error = ask(forward.address(), request).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}
