//! Sessions that sockets resume: in every kind of stream, within one generation of files, and with
//! nothing lost where nobody listens.

mod world;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Evidence, Policy, QueryTemplate, SaFields};
use countersign::{Context, Incoming, TcpListener, TcpStream};
use countersign_lab::{Authority, Leaf};
use world::{World, db1};

/// A server that says a word to each client, and then hands out what it knows of it.
fn greeter(context: &Context) -> (SocketAddr, mpsc::Receiver<Evidence>) {
    let listener = TcpListener::bind_with(context, "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            if stream.write_all(b"x").is_ok() {
                let _ = tell.send(stream.evidence().unwrap().clone());
            }
        }
    });
    (address, told)
}

/// Connects, hears the word, and returns what is known then.
fn meet(context: &Context, address: SocketAddr) -> Evidence {
    let mut stream = TcpStream::connect_with(context, address, &db1()).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    stream.evidence().unwrap().clone()
}

#[test]
fn streams_of_one_context_resume_and_say_so() {
    let world = World::new();
    let server = world.server("server.client-certificates = 'require'");
    let alice = Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    let client = world.showing(alice, "");
    let (address, told) = greeter(&server);
    let first = meet(&client, address);
    let second = meet(&client, address);
    assert!(!first.is_resumed() && second.is_resumed());
    assert_eq!(second.authenticated(), first.authenticated());
    assert_eq!(second.names(), first.names());
    assert!(second.is_peer_name_verified());
    assert_ne!(second.session(), first.session());
    let [first, second] = [told.recv().unwrap(), told.recv().unwrap()];
    assert!(!first.is_resumed() && second.is_resumed());
    assert_eq!(second.peer().unwrap().name().to_string(), "alice@EXAMPLE.COM");
    assert_eq!(second.names(), first.names());
    // Another context is another client, of the same files or not.
    assert!(!meet(&world.client_showing_alice(), address).is_resumed());
}

impl World {
    fn client_showing_alice(&self) -> Context {
        self.showing(Leaf::new().kerberos("EXAMPLE.COM", &["alice"]), "")
    }
}

#[test]
fn listeners_of_one_context_share_sessions_and_each_judges_by_its_own_rules() {
    let world = World::new();
    // The port of the stricter one must be known to the policy.
    let port = countersign_lab::free_port();
    let policy = format!(
        "server.client-certificates = 'request'\n\
         [[allow]]\nlisten = '127.0.0.1:{port}'\npeers = ['bob@EXAMPLE.COM']\n"
    );
    let context = world.server(&policy);
    let (anyone, _told) = greeter(&context);
    let strict = TcpListener::bind_with(&context, ("127.0.0.1", port)).unwrap();
    let strict_at = strict.local_addr();
    let refused = thread::spawn(move || match strict.next_event().unwrap() {
        Incoming::Refused(refusal) => refusal.error.to_string(),
        other => panic!("{other:?}"),
    });
    let client = world.client_showing_alice();
    meet(&client, anyone);
    assert!(meet(&client, anyone).is_resumed());
    // The same name, asked for at another place: there is no session for it. A client of another
    // make would offer it (`countersign-tls/tests/resumption/strangers.rs`).
    let stream = TcpStream::connect_with(&client, strict_at, &db1());
    let heard = stream
        .map_err(|error| error.to_string())
        .and_then(|mut stream| stream.read_exact(&mut [0]).map_err(|error| error.to_string()));
    assert!(heard.unwrap_err().contains("access_denied"));
    let why = refused.join().unwrap();
    assert!(why.contains("alice@EXAMPLE.COM is not allowed here"), "{why}");
}

#[test]
fn every_change_of_the_files_makes_both_start_anew() {
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::create_dir(at("trusted.d")).unwrap();
    world.authority.write(&at("trusted.d")).unwrap();
    let issue = |at| {
        let issued = world.authority.issue(Leaf::new().service("postgres", "db1.test"));
        issued.write(at, "own").unwrap();
    };
    issue(home.path());
    let policy = "[identity]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n\
                  [trust]\nanchors = [\"trusted.d\"]\n";
    fs::write(at("policy.toml"), policy).unwrap();
    let context = Context::builder().policy_file(at("policy.toml")).build().unwrap();
    let other = world.client();
    let (address, _told) = greeter(&context);
    let mut generation = context.generation();
    let changes: [&dyn Fn(); 3] = [
        &|| issue(home.path()),
        &|| fs::write(at("policy.toml"), format!("{policy}[limits]\nhandshakes = 99\n")).unwrap(),
        &|| {
            let another = Authority::new("another");
            fs::write(at("trusted.d/another.pem"), another.pem()).unwrap();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        for client in [&context, &other] {
            // Files that were just written are read once more when they are surely at rest.
            let start = Instant::now();
            while !meet(client, address).is_resumed() {
                assert!(start.elapsed() < Duration::from_secs(15), "before change {number}");
            }
        }
        change();
        let start = Instant::now();
        while context.generation() == generation {
            assert!(start.elapsed() < Duration::from_secs(15), "it was never taken");
            thread::sleep(Duration::from_millis(50));
        }
        generation = context.generation();
        // As a client it has another store, as a server other keys.
        assert!(!meet(&context, address).is_resumed(), "after change {number}");
        assert!(!meet(&other, address).is_resumed(), "after change {number}, the server's");
    }
}

#[test]
fn policy_turns_it_off() {
    let world = World::new();
    let off = Policy::parse("tls.resumption = false", "test").unwrap();
    let (address, _told) = greeter(&world.server(""));
    let client = world.with_policy(off);
    for _ in 0..3 {
        assert!(!meet(&client, address).is_resumed());
    }
    let (address, _told) = greeter(&world.server("tls.resumption = false"));
    let client = world.client();
    for _ in 0..3 {
        assert!(!meet(&client, address).is_resumed());
    }
}

#[test]
fn nothing_is_lost_of_a_client_that_writes_and_leaves() {
    // With a ticket that arrives when nobody reads any more, the kernel would answer with a reset,
    // and throw away what the peer has not got yet.
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let data = vec![0x5a; 300_000];
    let size = data.len();
    let reader = thread::spawn(move || {
        for _ in 0..50 {
            let (mut stream, _) = listener.accept().unwrap();
            thread::sleep(Duration::from_millis(2));
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), size);
        }
    });
    let client = world.client();
    for _ in 0..50 {
        let mut stream = TcpStream::connect_with(&client, address, &db1()).unwrap();
        stream.write_all(&data).unwrap();
    }
    reader.join().unwrap();
}

#[test]
fn many_threads_resume_at_once() {
    let world = World::new();
    let server = world.server("");
    let listener = std::sync::Arc::new(TcpListener::bind_with(&server, "127.0.0.1:0").unwrap());
    let address = listener.local_addr();
    for _ in 0..2 {
        let listener = listener.clone();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.write_all(b"x");
            }
        });
    }
    let client = world.client();
    let resumed = thread::scope(|scope| {
        let many = || (0..25).filter(|_| meet(&client, address).is_resumed()).count();
        #[expect(clippy::needless_collect, reason = "all are there before one is waited for")]
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(many)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert!(resumed >= 96, "{resumed} of 100");
}

#[test]
fn resumed_connection_is_latched_like_any_other() {
    // Policy lets alice in, then bob only; the latch finds out from the chain of the session.
    let world = World::new();
    let home = tempfile::tempdir().unwrap();
    let policy = home.path().join("policy.toml");
    let rule = |name: &str| format!("[[allow]]\npeers = ['{name}@EXAMPLE.COM']\n");
    fs::write(&policy, rule("alice")).unwrap();
    let issued = world.authority.issue(Leaf::new().service("postgres", "db1.test"));
    let server = Context::builder()
        .policy_file(&policy)
        .anchors(world.authority.anchors())
        .credential(issued.credential())
        .build()
        .unwrap();
    let listener = TcpListener::bind_with(&server, "127.0.0.1:0").unwrap();
    let address = listener.local_addr();
    let client = world.client_showing_alice();
    let connect = || {
        thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept().unwrap().0);
            let mut client = TcpStream::connect_with(&client, address, &db1()).unwrap();
            let mut server = accepted.join().unwrap();
            server.write_all(b"x").unwrap();
            client.read_exact(&mut [0]).unwrap();
            (client, server)
        })
    };
    drop(connect());
    let (mut client, server_end) = connect();
    assert!(server_end.evidence().unwrap().is_resumed());
    // Whose rights a server may take on is the same, too (SPEC 7.3).
    let token = server_end.peer_token().unwrap();
    assert_eq!(token.principal().to_string(), "alice@EXAMPLE.COM");
    assert!(server_end.machine_token().is_none());
    let ids = QueryTemplate::default().with_sa_ids();
    server_end.query_with(&ids.aborting_on(SaFields::MM_SA_ID)).unwrap();
    fs::write(&policy, rule("bob")).unwrap();
    let start = Instant::now();
    let why = loop {
        assert!(start.elapsed() < Duration::from_secs(15), "it was never ended");
        thread::sleep(Duration::from_millis(50));
        let _ = client.write_all(b"x");
        if let Err(error) = (&server_end).read(&mut [0; 1]) {
            break error.to_string();
        }
    };
    assert!(why.contains("as the program had asked"), "{why}");
}

#[test]
fn streams_of_tokio_resume_too() {
    use tokio::io::AsyncReadExt;
    let world = World::new();
    let (address, _told) = greeter(&world.server(""));
    let client = world.client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kinds = runtime.block_on(async {
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let name = db1();
            let connect = countersign::tokio::TcpStream::connect_with(&client, address, &name);
            let mut stream = connect.await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
            kinds.push(stream.evidence().unwrap().is_resumed());
        }
        kinds
    });
    assert_eq!(kinds, [false, true, true]);
}
