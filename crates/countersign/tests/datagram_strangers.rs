//! Datagrams with OpenSSL and GnuTLS, in both directions, as their command lines speak them.
//!
//! These tools must be there (`cargo xtask setup --tests`); without them the tests fail.

mod world;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use countersign::core::WsaError;
use countersign::{PeerName, UdpSocket};
use countersign_lab::{Leaf, Process};
use tempfile::TempDir;
use world::World;

const PATIENCE: Duration = Duration::from_secs(15);

/// The files of a stranger, who proves `host/NAME`.
struct Files {
    _directory: TempDir,
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(world: &World, name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = world.authority.write(directory.path()).unwrap();
        // A chain of two, so that it is really one.
        let issued = world.authority.intermediate("inner").issue(Leaf::new().dns(name));
        let written = issued.write(directory.path(), "own").unwrap();
        Self { _directory: directory, root, certificate: written.certificate, key: written.key }
    }
}

fn socket(world: &World, name: &str) -> UdpSocket {
    let context = world.showing(Leaf::new().dns(name), "");
    let socket = UdpSocket::bind_with(&context, "127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE));
    socket.set_write_timeout(Some(PATIENCE));
    socket
}

/// A port of UDP that was free a moment ago.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

/// Talks to a server that a stranger plays: a datagram of ours must be said by it, and a line that
/// we give it must come to us.
fn talk_to(mut server: Process, port: u16, world: &World, answers: Answers) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let client = socket(world, "client.test");
    client.set_peer_target_name(address, name("stranger.test")).unwrap();
    let sent = (0..50).any(|_| {
        let sent = client.send_to(b"hello stranger\n", address);
        if let Err(error) = &sent {
            assert_ne!(error.wsa(), WsaError::Acces, "{error}\n{}", server.said());
            thread::sleep(Duration::from_millis(100));
        }
        sent.is_ok()
    });
    assert!(sent, "{}", server.said());
    if answers == Answers::Lines {
        server.wait_for_line("hello stranger", PATIENCE).unwrap();
        server.take_input().unwrap().write_all(b"hello yourself\n").unwrap();
    }
    let mut buffer = [0; 2048];
    let (count, from) = client.recv_from(&mut buffer).unwrap();
    let heard = String::from_utf8_lossy(&buffer[..count]).into_owned();
    assert!(heard.starts_with("hello"), "{heard}");
    assert_eq!(from, address);

    let suspicious = socket(world, "client.test");
    suspicious.set_write_timeout(Some(Duration::from_secs(2)));
    suspicious.set_peer_target_name(address, name("other.test")).unwrap();
    let error = suspicious.send_to(b"hello\n", address).unwrap_err();
    // Servers of one client at a time say nothing to a second one, or have no socket for it.
    let wsa = error.wsa();
    assert!(matches!(wsa, WsaError::Acces | WsaError::TimedOut | WsaError::ConnRefused), "{error}");
}

#[derive(PartialEq)]
enum Answers {
    Echo,
    Lines,
}

/// Serves one client that a stranger plays: its line must come here, and the answer be said by it.
fn serve(world: &World, client: impl FnOnce(u16) -> Command) {
    let server = socket(world, "server.test");
    let port = server.local_addr().unwrap().port();
    let mut client = Process::start(&mut client(port)).unwrap();
    let mut input = client.take_input().unwrap();
    let writer = thread::spawn(move || {
        // A client reads its input once it is connected; before that some read it away.
        for _ in 0..100 {
            if input.write_all(b"hello server\n").and_then(|()| input.flush()).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    let mut buffer = [0; 2048];
    let received = server.recv_from(&mut buffer);
    let (count, from) = received.unwrap_or_else(|error| panic!("{error}\n{}", client.said()));
    assert!(String::from_utf8_lossy(&buffer[..count]).contains("hello server"));
    let info = server.query(from).unwrap();
    assert_eq!(info.evidence().unwrap().peer().unwrap().name(), &name("stranger.test"));
    server.send_to(b"hello client\n", from).unwrap();
    client.wait_for_line("hello client", PATIENCE).unwrap();
    drop(client);
    writer.join().unwrap();
}

#[test]
fn openssl_s_server() {
    for listen in [false, true] {
        let world = World::new();
        let (files, port) = (Files::of(&world, "stranger.test"), free_port());
        let mut command = Command::new("openssl");
        command.args(["s_server", "-dtls1_2", "-quiet", "-Verify", "3", "-verify_return_error"]);
        if listen {
            command.arg("-listen");
        }
        command.args(["-accept", &format!("127.0.0.1:{port}"), "-mtu", "1200"]);
        command.arg("-cert").arg(&files.certificate).arg("-cert_chain").arg(&files.certificate);
        command.arg("-key").arg(&files.key).arg("-CAfile").arg(&files.root);
        talk_to(Process::start(&mut command).unwrap(), port, &world, Answers::Lines);
    }
}

#[test]
fn openssl_s_client() {
    let world = World::new();
    let files = Files::of(&world, "stranger.test");
    serve(&world, |port| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-dtls1_2", "-quiet", "-verify_return_error"]);
        command.args(["-verify_hostname", "server.test", "-mtu", "1200"]);
        command.args(["-connect", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&files.certificate).arg("-cert_chain").arg(&files.certificate);
        command.arg("-key").arg(&files.key).arg("-CAfile").arg(&files.root);
        command
    });
}

#[test]
fn gnutls_serv() {
    let world = World::new();
    let (files, port) = (Files::of(&world, "stranger.test"), free_port());
    let mut command = Command::new("gnutls-serv");
    command.args(["--udp", "--echo", "--require-client-cert", "--verify-client-cert"]);
    command.args(["--mtu", "1200", "--port", &port.to_string()]);
    command.arg("--x509certfile").arg(&files.certificate);
    command.arg("--x509keyfile").arg(&files.key).arg("--x509cafile").arg(&files.root);
    talk_to(Process::start(&mut command).unwrap(), port, &world, Answers::Echo);
}

#[test]
fn gnutls_cli() {
    let world = World::new();
    let files = Files::of(&world, "stranger.test");
    serve(&world, |port| {
        let mut command = Command::new("gnutls-cli");
        command.args(["--udp", "--mtu", "1200", "--port", &port.to_string()]);
        command.args(["--verify-hostname", "server.test"]);
        command.arg("--x509certfile").arg(&files.certificate);
        command.arg("--x509keyfile").arg(&files.key).arg("--x509cafile").arg(&files.root);
        command.arg("127.0.0.1");
        command
    });
}

/// The value of RFC 5705 that both sides derive without a context is the same one.
#[test]
fn session_id_is_what_openssl_exports() {
    let world = World::new();
    let files = Files::of(&world, "stranger.test");
    let server = socket(&world, "server.test");
    let port = server.local_addr().unwrap().port();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-dtls1_2", "-connect", &format!("127.0.0.1:{port}")]);
    command.args(["-keymatexport", "EXPORTER-countersign-session-id", "-keymatexportlen", "16"]);
    command.arg("-cert").arg(&files.certificate).arg("-cert_chain").arg(&files.certificate);
    command.arg("-key").arg(&files.key).arg("-CAfile").arg(&files.root);
    let mut client = Process::start(&mut command).unwrap();
    let mut input = client.take_input().unwrap();
    input.write_all(b"hello server\n").unwrap();
    let (_, from) = server.recv_from(&mut [0; 100]).unwrap();
    let session = server.query(from).unwrap().evidence().unwrap().session().to_string();
    let line = client.wait_for_line("Keying material:", PATIENCE).unwrap();
    assert_eq!(line.trim().trim_start_matches("Keying material: ").to_lowercase(), session);
}

/// Strangers that offer only what we do not take get nothing.
#[test]
fn old_versions_and_suites_without_aead_are_refused() {
    let world = World::new();
    let files = Files::of(&world, "stranger.test");
    let cases: [&[&str]; 3] = [
        &["-dtls1"],
        &["-dtls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"],
        &["-dtls1_2", "-sigalgs", "ECDSA+SHA1"],
    ];
    for case in cases {
        let server = socket(&world, "server.test");
        server.set_read_timeout(Some(Duration::from_secs(2)));
        let port = server.local_addr().unwrap().port();
        let mut command = Command::new("openssl");
        command.arg("s_client").args(case).args(["-connect", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&files.certificate).arg("-cert_chain").arg(&files.certificate);
        command.arg("-key").arg(&files.key).arg("-CAfile").arg(&files.root);
        let mut client = Process::start(&mut command).unwrap();
        let mut input = client.take_input().unwrap();
        input.write_all(b"hello server\n").unwrap();
        assert!(server.recv_from(&mut [0; 100]).unwrap_err().is_would_block(), "{case:?}");
    }
}

/// OpenSSL's client cuts a hello that is larger than its MTU, and nobody who keeps nothing for
/// strangers can put it together: neither OpenSSL's stateless server (DTLSv1_listen(3)) nor ours.
/// It is left without an answer, and what does fit is served.
#[test]
fn a_hello_in_pieces_is_left_alone_and_a_whole_one_is_served() {
    let world = World::new();
    let files = Files::of(&world, "stranger.test");
    let label = "a".repeat(60);
    let long = format!("{label}.{label}.{label}.test");
    for (mtu, is_served) in [("300", false), ("600", true)] {
        let server = socket(&world, &long);
        server.set_read_timeout(Some(if is_served { PATIENCE } else { Duration::from_secs(3) }));
        let port = server.local_addr().unwrap().port();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-dtls1_2", "-quiet", "-servername", &long, "-mtu", mtu]);
        command.args(["-connect", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&files.certificate).arg("-cert_chain").arg(&files.certificate);
        command.arg("-key").arg(&files.key).arg("-CAfile").arg(&files.root);
        let mut client = Process::start(&mut command).unwrap();
        let mut input = client.take_input().unwrap();
        input.write_all(b"hello server\n").unwrap();
        let received = server.recv_from(&mut [0; 100]);
        assert_eq!(received.is_ok(), is_served, "{mtu}: {received:?} {}", client.said());
    }
}
