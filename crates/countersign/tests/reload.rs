//! Files are read again when they change: as one generation, as a checked pair, the last good one
//! kept, live connections untouched.

mod world;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::SessionId;
use countersign::{Context, TcpListener, TcpStream};
use countersign_lab::{Authority, Issued, Leaf};
use world::{World, db1};

/// A server whose certificate, key and anchors are files that a policy file names.
struct Server {
    context: Context,
    address: SocketAddr,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let policy = directory.join("policy.toml");
        fs::write(
            &policy,
            "[identity]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
             [trust]\nanchors = [\"trusted.d\"]\n",
        )
        .unwrap();
        let context = Context::builder().policy_file(policy).build().unwrap();
        let listener = TcpListener::bind_with(&context, "127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        Self { context, address }
    }

    /// Waits until a look at the files has come to `condition`.
    fn until(&self, condition: impl Fn(&Context) -> bool) {
        let start = Instant::now();
        while !condition(&self.context) {
            assert!(start.elapsed() < Duration::from_secs(10), "it never happened");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn echo(stream: &mut TcpStream) -> SessionId {
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream.evidence().unwrap().session()
}

fn issue(world: &World, until: u64) -> Issued {
    world.authority.issue(Leaf::new().service("postgres", "db1.test").valid(1_700_000_000, until))
}

fn expiry(world: &World, server: &Server) -> u64 {
    let stream = world.connect(server.address).unwrap();
    stream.evidence().unwrap().expires().unwrap().as_secs()
}

#[test]
fn a_renewed_certificate_is_shown_to_new_clients_and_live_ones_stay() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("trusted.d")).unwrap();
    world.authority.write(&home.path().join("trusted.d")).unwrap();
    issue(&world, 3_000_000_000).write(home.path(), "server").unwrap();
    let server = Server::start(home.path());
    let mut live = world.connect(server.address).unwrap();
    let session = echo(&mut live);
    assert_eq!(expiry(&world, &server), 3_000_000_000);

    issue(&world, 3_100_000_000).write(home.path(), "server").unwrap();
    server.until(|context| {
        let own = context.credential().unwrap();
        own.not_after().as_secs() == 3_100_000_000
    });
    assert_eq!(expiry(&world, &server), 3_100_000_000);
    assert_eq!(echo(&mut live), session, "the live one goes on");
    assert!(server.context.reload_failure().is_none());
}

#[test]
fn half_of_a_renewal_changes_nothing_until_the_other_half_is_there() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("trusted.d")).unwrap();
    world.authority.write(&home.path().join("trusted.d")).unwrap();
    issue(&world, 3_000_000_000).write(home.path(), "server").unwrap();
    let server = Server::start(home.path());

    let next = issue(&world, 3_100_000_000);
    fs::write(home.path().join("server.pem"), next.chain_pem()).unwrap();
    server.until(|context| context.reload_failure().is_some());
    let failure = server.context.reload_failure().unwrap().to_string();
    assert!(failure.contains("does not belong to"), "{failure}");
    assert_eq!(expiry(&world, &server), 3_000_000_000, "the last good generation serves");

    fs::write(home.path().join("server.key"), next.key_pem()).unwrap();
    server.until(|context| context.reload_failure().is_none());
    assert_eq!(expiry(&world, &server), 3_100_000_000);

    // A policy that cannot be read changes nothing either.
    fs::write(home.path().join("policy.toml"), "[trust]\nanchor = []\n").unwrap();
    server.until(|context| context.reload_failure().is_some());
    let failure = server.context.reload_failure().unwrap().to_string();
    assert!(failure.contains("line 2, column 1: unknown field `anchor`"), "{failure}");
    assert_eq!(expiry(&world, &server), 3_100_000_000);
}

#[test]
fn new_anchors_count_from_the_next_client_on() {
    let world = World::new();
    let newcomer = Authority::new("newcomer");
    let home = tempfile::tempdir().unwrap();
    let trusted = home.path().join("trusted.d");
    fs::create_dir(&trusted).unwrap();
    world.authority.write(&trusted).unwrap();
    issue(&world, 3_000_000_000).write(home.path(), "server").unwrap();
    let server = Server::start(home.path());

    let client = Context::builder()
        .anchors(world.authority.anchors())
        .credential(newcomer.issue(Leaf::new().kerberos("A", &["alice"])).credential())
        .build()
        .unwrap();
    let mut refused = TcpStream::connect_with(&client, server.address, &db1()).unwrap();
    let error = refused.read(&mut [0]).unwrap_err().to_string();
    assert!(error.contains("unknown_ca"), "{error}");

    fs::write(trusted.join("newcomer.pem"), newcomer.pem()).unwrap();
    server.until(|context| context.anchors() == 2);
    echo(&mut TcpStream::connect_with(&client, server.address, &db1()).unwrap());
}
