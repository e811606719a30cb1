//! The four examples, as their heads say to build and run them, against each other and against strangers.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use countersign::{Context, Policy, TcpListener, UdpSocket};

use super::build::{Way, compile_with, example, said};
use super::world::World;

const FLAGS: &[&str] =
    &["-fshort-wchar", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

fn build(world: &World, name: &str) -> PathBuf {
    compile_with(&example(name), FLAGS, world.path())
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server of the example; returns its port.
fn server(world: &World, policy: &Path, clients: u32) -> (Running, u16) {
    let program = build(world, "tcp_server.c");
    let mut command = world.command(&program, Way::Sanitized, policy);
    command.args(["0", &clients.to_string()]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says its port");
    let port = line.trim().rsplit(' ').next().and_then(|port| port.parse().ok());
    (Running(child), port.unwrap_or_else(|| panic!("no port in {line:?}")))
}

/// A context of this process that proves a name and trusts the world's authority.
fn context(world: &World, name: &str) -> Context {
    let text = format!("[identity]\nname = \"{name}\"\n");
    let policy = Policy::parse(&text, "the test").expect("a policy");
    Context::builder().policy(policy).store(world.store()).build().expect("a context")
}

/// A server in this process that echoes, as the service.
fn echo(world: &World, name: &str) -> SocketAddr {
    let context = context(world, name);
    let listener = TcpListener::bind_with(&context, "127.0.0.1:0").expect("a port");
    let address = listener.local_addr();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    address
}

fn datagram_echo(world: &World, name: &str) -> SocketAddr {
    let context = context(world, name);
    let socket = UdpSocket::bind_with(&context, "127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        loop {
            if let Ok((count, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..count], from);
            }
        }
    });
    address
}

/// Runs a client and returns whether it succeeded and what it said.
fn client(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("it runs");
    assert_ne!(output.status.code(), Some(98), "{}", said(&output));
    (output.status.success(), said(&output))
}

const ALICE: &str = "[identity]\nname = \"alice@EXAMPLE.COM\"\n";

#[test]
fn tcp_client_reaches_whom_it_asks_for_and_nobody_else() {
    let world = World::new();
    let program = build(&world, "tcp_client.c");
    let policy = world.policy("alice", ALICE);
    let server = echo(&world, "postgres/localhost");
    let run = |service: &str| {
        let mut command = world.command(&program, Way::Sanitized, &policy);
        let port = server.port().to_string();
        client(command.args([service, "localhost", "127.0.0.1", &port, "grüß dich"]))
    };
    let (reached, text) = run("postgres");
    assert!(reached && text.contains("connected to postgres/localhost, encrypted"), "{text}");
    assert!(text.contains("grüß dich"), "{text}");
    let (reached, text) = run("http");
    assert!(!reached && text.contains("WSAConnect: error 10013"), "{text}");
    assert!(text.contains("asked for http/localhost"), "{text}");
}

#[test]
fn overlapped_client_gets_every_line_back() {
    let world = World::new();
    let program = build(&world, "overlapped_client.c");
    let policy = world.policy("alice", ALICE);
    let server = echo(&world, "postgres/localhost");
    let mut command = world.command(&program, Way::Sanitized, &policy);
    let port = server.port().to_string();
    let (done, text) = client(command.args(["postgres/localhost", "127.0.0.1", &port, "100"]));
    assert!(done && text.contains("100 lines, 792 bytes sent, 792 received"), "{text}");
    assert!(!text.contains("the last receive ended with"), "{text}");
}

#[test]
fn udp_client_with_several_names() {
    let world = World::new();
    let program = build(&world, "udp_client.c");
    let policy = world.policy("alice", ALICE);
    let metrics = datagram_echo(&world, "statsd/metrics.test").port().to_string();
    let http = datagram_echo(&world, "http/localhost").port().to_string();
    let run = |second: &str| {
        let mut command = world.command(&program, Way::Sanitized, &policy);
        let first = ["statsd/metrics.test", "127.0.0.1", &metrics];
        client(command.args(first).args([second, "127.0.0.1", &http]))
    };
    let (done, text) = run("http/localhost");
    assert!(done, "{text}");
    assert!(text.contains("statsd/metrics.test answered 4 bytes"), "{text}");
    assert!(text.contains("http/localhost answered 4 bytes"), "{text}");
    // The second peer is someone else: it gets nothing, and the first is served.
    let (done, text) = run("syslog/logs.test");
    assert!(!done && text.contains("statsd/metrics.test answered 4 bytes"), "{text}");
    assert!(text.contains("nothing was sent to syslog/logs.test: error 10013"), "{text}");
}

/// Needs root, as a server that takes on the rights of others does anywhere.
#[test]
fn tcp_server_reads_with_the_rights_of_its_client() {
    // SAFETY-free: the id of this process is in a file of proc(5).
    let status = std::fs::read_to_string("/proc/self/status").expect("readable");
    let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !is_root {
        println!("not run: impersonation of another account needs root");
        return;
    }
    let world = World::new();
    // The account must reach the files, and the directory of a test is its maker's.
    let shared =
        tempfile::Builder::new().prefix("countersign-").tempdir_in("/tmp").expect("a directory");
    let mode = |path: &Path, mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
    };
    mode(shared.path(), 0o755);
    let (open, shut) = (shared.path().join("open"), shared.path().join("shut"));
    std::fs::write(&open, "for everyone").expect("written");
    std::fs::write(&shut, "for root").expect("written");
    mode(&open, 0o644);
    mode(&shut, 0o600);

    let policy = world.policy(
        "server",
        "[identity]\nname = \"postgres/localhost\"\n\
         [server]\nclient-certificates = \"require\"\n\
         [[account]]\npeer = \"alice@EXAMPLE.COM\"\naccount = \"nobody\"\n",
    );
    let (mut server, port) = server(&world, &policy, 3);
    let program = build(&world, "tcp_client.c");
    let ask = |who: &str, path: &Path| {
        let policy = world.policy("client", &format!("[identity]\nname = \"{who}\"\n"));
        let mut command = world.command(&program, Way::Sanitized, &policy);
        let port = port.to_string();
        command.args(["postgres", "localhost", "127.0.0.1", &port]).arg(path);
        client(&mut command)
    };
    let (done, text) = ask("alice@EXAMPLE.COM", &open);
    assert!(done && text.contains("for everyone"), "{text}");
    let (done, text) = ask("alice@EXAMPLE.COM", &shut);
    assert!(done && text.contains("Permission denied") && !text.contains("for root"), "{text}");
    let (done, text) = ask("mallory@EXAMPLE.COM", &open);
    assert!(done && text.contains("you have no account here"), "{text}");
    let status = server.0.wait().expect("it ends after three clients");
    let mut said = String::new();
    server.0.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("WSAImpersonateSocketPeer: error"), "{said}");
}
