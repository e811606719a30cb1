//! Files are read again when they change: as one generation, as a checked pair, the last good one
//! kept, live connections untouched.

mod world;

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{ClientCertificates, SessionId};
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

const STRICT: &str =
    "[server]\nclient-certificates = \"require\"\n[[allow]]\npeers = [\"alice@A\"]\n";

/// A context over a policy file of its own, which demands much.
fn strict(home: &Path) -> (Context, PathBuf) {
    let policy = home.join("policy.toml");
    fs::write(&policy, STRICT).unwrap();
    let anchors = Authority::new("any").anchors();
    let context =
        Context::builder().optional_policy_file(&policy).anchors(anchors).build().unwrap();
    (context, policy)
}

fn is_strict(context: &Context) -> bool {
    let policy = context.policy();
    policy.client_certificates() == ClientCertificates::Require && !policy.allow().is_empty()
}

#[test]
fn a_policy_that_is_being_written_is_not_taken_before_it_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let (context, policy) = strict(home.path());
    // As an editor or a slow copy does: truncated, then filled piece by piece.
    let whole = format!("{STRICT}# {}\n", "x".repeat(60));
    let start = Instant::now();
    let mut length = 0;
    while start.elapsed() < Duration::from_secs(4) {
        fs::write(&policy, &whole[..length]).unwrap();
        length = (length + 1).min(whole.len());
        assert!(is_strict(&context), "after {length} bytes");
        thread::sleep(Duration::from_millis(50));
    }
    // A whole one is taken when it is at rest, also one that demands less.
    fs::write(&policy, "").unwrap();
    let start = Instant::now();
    while is_strict(&context) {
        assert!(start.elapsed() < Duration::from_secs(10), "it is never taken");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn a_policy_that_is_gone_stays_in_force() {
    let home = tempfile::tempdir().unwrap();
    let (context, policy) = strict(home.path());
    fs::remove_file(&policy).unwrap();
    let start = Instant::now();
    while context.reload_failure().is_none() {
        assert!(start.elapsed() < Duration::from_secs(10), "it is never noticed");
        thread::sleep(Duration::from_millis(50));
    }
    let failure = context.reload_failure().unwrap().to_string();
    assert!(failure.starts_with("cannot read the policy "), "{failure}");
    assert!(failure.contains("policy.toml: No such file"), "{failure}");
    assert!(is_strict(&context));

    fs::write(&policy, STRICT).unwrap();
    while context.reload_failure().is_some() {
        assert!(start.elapsed() < Duration::from_secs(20), "it is never taken back");
        thread::sleep(Duration::from_millis(50));
    }
    assert!(is_strict(&context));
}

#[test]
fn what_failed_is_tried_again_though_the_files_are_the_same() {
    const THIS: &str = "what_failed_is_tried_again_though_the_files_are_the_same";
    // In a process of its own, since it uses up all file descriptors.
    if env::var_os("MAY_EXHAUST").is_none() {
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -n 64; exec \"$0\" --exact {THIS}")])
            .arg(env::current_exe().unwrap())
            .env("MAY_EXHAUST", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let generation = |name: &str, authorities: &[&Authority]| {
        let directory = home.path().join(name);
        fs::create_dir(&directory).unwrap();
        let pem: String = authorities.iter().map(|one| one.pem()).collect();
        fs::write(directory.join("ca.pem"), pem).unwrap();
        fs::write(directory.join("policy.toml"), "[trust]\nanchors = [\"ca.pem\"]\n").unwrap();
    };
    generation("one", &[&old]);
    generation("two", &[&old, &new]);
    let link = home.path().join("now");
    let point = |to: &str| {
        symlink(to, home.path().join("next")).unwrap();
        fs::rename(home.path().join("next"), &link).unwrap();
    };
    point("one");
    thread::sleep(Duration::from_millis(2200));
    let context = Context::builder().policy_file(link.join("policy.toml")).build().unwrap();
    point("two");
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(context.anchors(), 1);
    let failure = context.reload_failure().unwrap().to_string();
    assert!(failure.contains("Too many open files"), "{failure}");
    drop(held);
    let start = Instant::now();
    while context.anchors() != 2 || context.reload_failure().is_some() {
        assert!(start.elapsed() < Duration::from_secs(10), "it is never tried again");
        thread::sleep(Duration::from_millis(50));
    }
}
