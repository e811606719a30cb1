//! Peers that we did not write, at a server that offers Kerberos, and such a client at theirs.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use countersign::core::HandshakeError;
use countersign::{Error, Incoming, TcpListener};
use countersign_lab::{Leaf, Process, Realm, free_port};

use crate::world::{
    PATIENCE, ROOT, SERVICE, Server, asking, context, in_realm, peer, serving, showing,
};

const HOST: &str = "db1.example.test";

/// Runs a stranger that gets `input`, and returns what it wrote and whether all was well.
fn run(command: &mut Command, input: &[u8]) -> (String, bool) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (said, output.status.success())
}

fn s_client(at: SocketAddr, authority: &Path, more: &[&str]) -> Command {
    let mut client = Command::new("timeout");
    client.args(["20", "openssl", "s_client", "-connect", &at.to_string(), "-servername", HOST]);
    client.args(["-verify_hostname", HOST, "-verify_return_error", "-ign_eof", "-CAfile"]);
    client.arg(authority).args(more);
    client
}

/// A page for whoever asks, over a server that would rather see tickets.
fn page(realm: &Realm) -> SocketAddr {
    let issued = ROOT.issue(Leaf::new().dns(HOST));
    let context = showing(&serving(realm, ""), &issued);
    let listener = TcpListener::bind_with(&context, "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    thread::spawn(move || {
        while let Ok(incoming) = listener.next_event() {
            let Incoming::Accepted(mut stream, _) = incoming else { continue };
            assert!(stream.evidence().unwrap().names().is_empty());
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nserved");
        }
    });
    address
}

#[test]
fn openssl_and_curl_reach_a_server_that_would_take_tickets() {
    in_realm(|realm| {
        let directory = tempfile::tempdir().unwrap();
        let authority = ROOT.write(directory.path()).unwrap();
        let address = page(realm);
        for alpn in [&[][..], &["-alpn", "h2"], &["-alpn", "h2,http/1.1"], &["-alpn", "x"]] {
            let mut client = s_client(address, &authority, alpn);
            let (said, _) = run(&mut client, b"GET / HTTP/1.0\r\n\r\n");
            assert!(said.contains("served"), "{alpn:?}: {said}");
        }
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--cacert"]);
        curl.arg(&authority).args(["--resolve", &format!("{HOST}:{}:127.0.0.1", address.port())]);
        let (said, is_well) = run(curl.arg(format!("https://{HOST}:{}/", address.port())), b"");
        assert!(is_well && said == "served", "{said}");
    });
}

#[test]
fn openssl_that_names_our_protocol_without_knowing_it_is_refused() {
    in_realm(|realm| {
        let directory = tempfile::tempdir().unwrap();
        let authority = ROOT.write(directory.path()).unwrap();
        let issued = ROOT.issue(Leaf::new().dns(HOST));
        let server = Server::start(&showing(&serving(realm, ""), &issued));
        let alpn = ["-alpn", "countersign-krb5/1"];
        let mut client = s_client(server.address, &authority, &alpn);
        run(&mut client, b"GET / HTTP/1.0\r\n\r\n");
        let why = server.saw().unwrap_err();
        assert!(matches!(why, HandshakeError::Kerberos(_)), "{why}");
        // Nor is there a way back to TLS 1.2 with it.
        let mut old = s_client(server.address, &authority, &[alpn[0], alpn[1], "-tls1_2"]);
        let (said, is_well) = run(&mut old, b"");
        assert!(!is_well && said.contains("protocol version"), "{said}");
        assert!(matches!(server.saw(), Err(HandshakeError::NothingShared { .. })));
    });
}

/// Starts `openssl s_server`, which repeats every line backwards.
fn s_server(directory: &Path, more: &[&str]) -> (SocketAddr, Process) {
    let files = ROOT.issue(Leaf::new().dns(HOST)).write(directory, "server").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &address.to_string(), "-rev", "-cert"]);
    command.arg(files.certificate).arg("-key").arg(files.key).args(more);
    let mut process = Process::start(&mut command).unwrap();
    process.wait_for_port(address, PATIENCE).unwrap();
    (address, process)
}

#[test]
fn a_client_that_prefers_kerberos_reaches_openssl_by_its_certificate() {
    in_realm(|realm| {
        let directory = tempfile::tempdir().unwrap();
        let (address, _server) = s_server(directory.path(), &[]);
        let connect = |policy: &str| {
            let client = context(&asking(realm, "alice", policy));
            countersign::TcpStream::connect_with(&client, address, &SERVICE.parse().unwrap())
        };
        let mut stream = connect("client = 'prefer'\n").unwrap();
        assert!(peer(stream.evidence().unwrap()).ends_with("certificate dNSName"));
        stream.write_all(b"olleh\n").unwrap();
        let mut back = [0; 6];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello\n");
        // It serves one at a time.
        drop(stream);
        let error = connect("client = 'require'\n").unwrap_err();
        assert!(
            matches!(error, Error::Handshake { source: HandshakeError::KerberosRequired, .. }),
            "{error}"
        );
        let other = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let wrong = "postgres/db2.example.test".parse().unwrap();
        let error = countersign::TcpStream::connect_with(&other, address, &wrong).unwrap_err();
        assert!(
            matches!(error, Error::Handshake { source: HandshakeError::WrongPeer { .. }, .. }),
            "{error}"
        );
    });
}

#[test]
fn a_server_that_insists_on_its_own_protocols_says_so() {
    in_realm(|realm| {
        let directory = tempfile::tempdir().unwrap();
        let (address, _server) = s_server(directory.path(), &["-alpn", "h2"]);
        let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let name = SERVICE.parse().unwrap();
        match countersign::TcpStream::connect_with(&client, address, &name) {
            Ok(stream) => assert!(peer(stream.evidence().unwrap()).ends_with("dNSName")),
            Err(error) => {
                assert!(error.to_string().contains("no_application_protocol"), "{error}");
                assert!(error.hint().contains("kerberos.client"), "{}", error.hint());
            }
        }
    });
}

#[test]
fn openssl_that_takes_the_offer_without_knowing_it_is_refused() {
    in_realm(|realm| {
        let directory = tempfile::tempdir().unwrap();
        let (address, _server) = s_server(directory.path(), &["-alpn", "countersign-krb5/1"]);
        let limits = "client = 'prefer'\n[limits]\nhandshake-timeout-ms = 1500\n";
        let client = context(&asking(realm, "alice", limits));
        let name = SERVICE.parse().unwrap();
        // Its certificate would do; but a proof that was begun is final.
        let error = countersign::TcpStream::connect_with(&client, address, &name).unwrap_err();
        assert!(matches!(error, Error::Handshake { .. }), "{error}");
    });
}
