//! The sockets on tokio, with peers that we did not write: OpenSSL, GnuTLS and curl.

mod world;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use countersign::core::{HandshakeError, Mechanism, QueryTemplate};
use countersign::tokio::{Incoming, TcpListener, TcpStream};
use countersign::{Error, PeerName};
use countersign_lab::{Leaf, Process, free_port};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use world::{World, db1};

const PATIENCE: Duration = Duration::from_secs(30);

/// A world whose authority and certificates are files too.
struct Town {
    world: World,
    home: TempDir,
}

impl Town {
    fn new() -> Self {
        let (world, home) = (World::new(), TempDir::new().unwrap());
        std::fs::write(home.path().join("authority.pem"), world.authority.pem()).unwrap();
        let server = Leaf::new().service("postgres", "db1.test").dns("db1.test");
        world.authority.issue(server).write(home.path(), "server").unwrap();
        let user = Leaf::new().user_principal("alice@EXAMPLE.COM");
        world.authority.issue(user).write(home.path(), "user").unwrap();
        Self { world, home }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    async fn listener(&self, policy: &str) -> TcpListener {
        TcpListener::bind_with(&self.world.server(policy), "127.0.0.1:0").await.unwrap()
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).current_dir(self.home()).stdin(Stdio::null());
        command
    }

    /// Runs it beside the tasks of a test.
    async fn run(&self, program: &str, words: &[&str]) -> Output {
        let mut command = self.command(program, words);
        let running = tokio::task::spawn_blocking(move || command.output());
        let ended = timeout(PATIENCE, running).await.expect("it ends in time").unwrap();
        ended.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    async fn s_client(&self, at: SocketAddr, name: &str, more: &[&str]) -> Output {
        let at = at.to_string();
        let words = ["s_client", "-connect", &at, "-servername", name, "-verify_hostname", name];
        let more = [&["-CAfile", "authority.pem", "-verify_return_error", "-quiet"], more].concat();
        self.run("openssl", &[&words, &more[..]].concat()).await
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Accepts one, and says `words` to it.
async fn greet(listener: &TcpListener, words: &[u8]) -> Incoming {
    let mut event = timeout(PATIENCE, listener.next_event()).await.expect("somebody").unwrap();
    if let Incoming::Accepted(stream, _) = &mut event {
        stream.write_all(words).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    event
}

#[track_caller]
fn refused(event: Incoming) -> HandshakeError {
    match event {
        Incoming::Refused(refusal) => refusal.error,
        other => panic!("it was accepted: {other:?}"),
    }
}

#[tokio::test]
async fn openssl_reaches_a_listener_by_its_name_and_by_no_other() {
    let town = Town::new();
    let listener = town.listener("").await;
    let at = listener.local_addr();
    let (output, event) =
        tokio::join!(town.s_client(at, "db1.test", &[]), greet(&listener, b"hello stranger\n"));
    assert_eq!(output.stdout, b"hello stranger\n", "{}", said(&output));
    let Incoming::Accepted(stream, _) = event else { panic!("{event:?}") };
    assert_eq!(stream.evidence().unwrap().mechanism(), Mechanism::Tls13);

    let (output, event) =
        tokio::join!(town.s_client(at, "mail.test", &[]), greet(&listener, b"not for everyone"));
    assert!(output.stdout.is_empty() && !output.status.success(), "{}", said(&output));
    assert!(matches!(refused(event), HandshakeError::RefusedByPeer { .. }));

    let (output, event) =
        tokio::join!(town.s_client(at, "db1.test", &["-tls1_2"]), greet(&listener, b"old"));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    assert!(matches!(refused(event), HandshakeError::NothingShared { .. }));
}

#[tokio::test]
async fn openssl_proves_a_user_to_a_listener_that_asks_for_one() {
    let town = Town::new();
    let listener = town.listener("[[allow]]\npeers = ['*@EXAMPLE.COM']\n").await;
    let at = listener.local_addr();
    let with = ["-cert", "user.pem", "-key", "user.key"];
    let (output, event) =
        tokio::join!(town.s_client(at, "db1.test", &with), greet(&listener, b"hello alice\n"));
    assert_eq!(output.stdout, b"hello alice\n", "{}", said(&output));
    let Incoming::Accepted(stream, _) = event else { panic!("{event:?}") };
    let alice: PeerName = "alice@EXAMPLE.COM".parse().unwrap();
    assert_eq!(stream.evidence().unwrap().peer().unwrap().name(), &alice);

    let (output, event) =
        tokio::join!(town.s_client(at, "db1.test", &[]), greet(&listener, b"who?"));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    assert!(matches!(refused(event), HandshakeError::NoCertificate));
}

#[tokio::test]
async fn gnutls_reaches_a_listener_by_its_name_and_by_no_other() {
    let town = Town::new();
    let listener = town.listener("").await;
    let port = listener.local_addr().port().to_string();
    for (name, is_ours) in [("db1.test", true), ("mail.test", false)] {
        let sni = format!("--sni-hostname={name}");
        let verify = format!("--verify-hostname={name}");
        let words = ["--x509cafile=authority.pem", &sni, &verify, "-p", &port, "127.0.0.1"];
        let (output, _) =
            tokio::join!(town.run("gnutls-cli", &words), greet(&listener, b"hello stranger\n"));
        let heard = said(&output).contains("hello stranger");
        assert_eq!(heard, is_ours, "{name}: {}", said(&output));
    }
}

#[tokio::test]
async fn curl_gets_a_page_from_a_listener() {
    let town = Town::new();
    let listener = town.listener("").await;
    let port = listener.local_addr().port();
    let serving = async {
        let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let body = vec![b'p'; 300_000];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let (to, url) = (format!("db1.test:{port}:127.0.0.1"), format!("https://db1.test:{port}/page"));
    let words = ["-sS", "--noproxy", "*", "--cacert", "authority.pem", "--resolve", &to, &url];
    let (output, request) = tokio::join!(town.run("curl", &words), serving);
    assert!(output.status.success() && output.stdout == [b'p'; 300_000], "{}", said(&output));
    assert!(request.starts_with("GET /page HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn openssl_that_changes_its_keys_is_understood_and_a_kill_is_no_end() {
    let town = Town::new();
    let listener = town.listener("").await;
    let at = listener.local_addr().to_string();
    // Without -quiet, lines that are K or k change keys.
    let words =
        ["s_client", "-connect", &at, "-servername", "db1.test", "-CAfile", "authority.pem"];
    let mut client = Process::start(&mut town.command("openssl", &words)).unwrap();
    let mut input = client.take_input().unwrap();
    let (mut stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let keys = |stream: &TcpStream| {
        let template = QueryTemplate::default().with_sa_ids();
        stream.get_ref().query_with(&template).unwrap().ids().unwrap().traffic_keys
    };
    let before = keys(&stream);
    for (line, word) in [("one\n", ""), ("two\n", "K\n"), ("three\n", "k\n")] {
        for text in [word, line] {
            if !text.is_empty() {
                input.write_all(text.as_bytes()).unwrap();
                // Two lines that arrive together are one text for it.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        let mut got = vec![0; line.len()];
        timeout(PATIENCE, stream.read_exact(&mut got)).await.expect("a line").unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), line);
        // What goes back is sealed with keys that it knows.
        stream.write_all(format!("heard {line}").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        client.wait_for_line(&format!("heard {}", line.trim()), PATIENCE).unwrap();
    }
    assert_ne!(keys(&stream), before, "its keys have changed");
    drop(client);
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
}

/// Starts a server of OpenSSL that answers each line turned round.
fn s_server(town: &Town, more: &[&str]) -> (Process, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let port = address.port().to_string();
    let words = ["s_server", "-accept", &port, "-cert", "server.pem", "-key", "server.key", "-rev"];
    let mut command = town.command("openssl", &[&words, more].concat());
    let mut server = Process::start(&mut command).unwrap();
    server.wait_for_line("ACCEPT", PATIENCE).unwrap();
    (server, address)
}

#[tokio::test]
async fn a_stream_reaches_openssl_by_the_name_of_its_certificate_and_by_no_other() {
    let town = Town::new();
    let (_server, address) = s_server(&town, &[]);
    let context = town.world.client();
    let mut stream = TcpStream::connect_with(&context, address, &db1()).await.unwrap();
    for round in 0..3 {
        stream.write_all(b"desrever\n").await.unwrap();
        stream.flush().await.unwrap();
        let mut back = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut back)).await.expect("an answer").unwrap();
        assert_eq!(&back, b"reversed\n");
        // It answers with new keys of its own, too.
        stream.get_ref().change_keys().unwrap();
        assert!(round < 3);
    }
    drop(stream);
    for wrong in ["db1.test", "postgres/db2.test", "http/db1.test"] {
        let wrong: PeerName = wrong.parse().unwrap();
        let error = TcpStream::connect_with(&context, address, &wrong).await.unwrap_err();
        let Error::Handshake { source: HandshakeError::WrongPeer { .. }, .. } = error else {
            panic!("{wrong}: {error}")
        };
    }
}

#[tokio::test]
async fn a_stream_reaches_gnutls_and_tells_its_end_from_a_kill() {
    let town = Town::new();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let port = address.port().to_string();
    let words = ["--echo", "--port", &port, "--disable-client-cert"];
    let files = ["--x509certfile=server.pem", "--x509keyfile=server.key"];
    let mut command = town.command("gnutls-serv", &[&words[..], &files].concat());
    let mut server = Process::start(&mut command).unwrap();
    server.wait_for_line("Echo Server listening on IPv4", PATIENCE).unwrap();
    let context = town.world.client();
    let mut stream = TcpStream::connect_with(&context, address, &db1()).await.unwrap();
    stream.write_all(b"hello\n").await.unwrap();
    stream.flush().await.unwrap();
    let mut back = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut back)).await.expect("an answer").unwrap();
    assert_eq!(&back, b"hello\n");
    drop(server);
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
}
