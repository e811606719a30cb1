//! Where datagrams arrive and from where they are answered, and a thousand peers at once.

mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, Mechanism, WsaError};
use countersign::{Context, PeerName, Received, UdpSocket};
use countersign_lab::Leaf;
use rustix::process::{Resource, getrlimit, setrlimit};
use world::World;

const PATIENCE: Duration = Duration::from_secs(30);

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

fn bound(context: &Context, address: &str) -> UdpSocket {
    let socket = UdpSocket::bind_with(context, address).unwrap();
    socket.set_read_timeout(Some(PATIENCE));
    socket
}

/// A socket that shows a certificate for `name`.
fn client(world: &World, name: &str) -> UdpSocket {
    bound(&world.showing(Leaf::new().dns(name), ""), "0.0.0.0:0")
}

/// Echoes for as long as the test runs; returns where.
fn echo(socket: UdpSocket) -> SocketAddr {
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(None);
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..count], from);
        }
    });
    address
}

/// A socket on every address of the host lets peers in by the rules of the address that they came
/// to, and answers from it.
#[test]
fn a_socket_on_every_address_judges_and_answers_by_the_one_that_was_asked() {
    const RULES: &str = "
        [[allow]]
        listen = \"127.0.0.1\"
        peers = [\"good.test\"]
        [[allow]]
        listen = \"127.0.0.2\"
        peers = [\"other.test\"]";
    let world = World::new();
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let server = bound(&world.showing(Leaf::new().dns("server.test"), RULES), everywhere);
        let port = echo(server).port();
        for (who, last, is_let_in) in [
            ("good.test", 1, true),
            ("good.test", 2, false),
            ("other.test", 2, true),
            ("other.test", 1, false),
            ("nobody.test", 1, false),
            // No rule speaks of this one.
            ("nobody.test", 3, true),
        ] {
            let address = SocketAddr::from(([127, 0, 0, last], port));
            let client = client(&world, who);
            client.set_peer_target_name(address, name("server.test")).unwrap();
            let sent = client.send_to(b"hello", address);
            if is_let_in {
                sent.unwrap();
                let from = client.recv_from(&mut [0; 100]).unwrap();
                assert_eq!(from, (5, address), "{who} at {address}");
            } else {
                let wsa = sent.unwrap_err().wsa();
                assert_eq!(wsa, WsaError::Acces, "{who} at {address}");
            }
        }
    }
}

#[test]
fn who_was_turned_away_is_told_of_by_those_who_ask() {
    let world = World::new();
    let rules = "[[allow]]\npeers = [\"good.test\"]";
    let server = bound(&world.showing(Leaf::new().dns("server.test"), rules), "127.0.0.1:0");
    let address = server.local_addr().unwrap();
    let clients = thread::spawn(move || {
        for who in ["bad.test", "good.test"] {
            let client = client(&world, who);
            client.set_peer_target_name(address, name("server.test")).unwrap();
            let _ = client.send_to(b"hello", address);
        }
    });
    let mut refused = Vec::new();
    loop {
        match server.next_event(&mut [0; 100]).unwrap() {
            Received::Refused(refusal) => refused.push(refusal.error),
            Received::Datagram(count, _) => break assert_eq!(count, 5),
            _ => {}
        }
    }
    // A client that is refused tries again, since anyone could have said so.
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|why| matches!(why, HandshakeError::NotAllowed { .. })));
    clients.join().unwrap();
}

/// `require.tls13` speaks of streams: datagrams have no other version than DTLS 1.2, whose
/// weaknesses that the key is against (old suites, renegotiation, resumption) they do not have.
#[test]
fn require_tls13_is_about_streams() {
    let world = World::new();
    let strict = "[require]\ntls13 = true";
    let show = |who| world.showing(Leaf::new().dns(who), strict);
    let address = echo(bound(&show("server.test"), "127.0.0.1:0"));
    let client = bound(&show("client.test"), "127.0.0.1:0");
    client.set_peer_target_name(address, name("server.test")).unwrap();
    client.send_to(b"hello", address).unwrap();
    assert_eq!(client.recv_from(&mut [0; 100]).unwrap(), (5, address));
    let info = client.query(address).unwrap();
    assert_eq!(info.evidence().unwrap().mechanism(), Mechanism::Dtls12);
}

#[test]
fn limits_of_the_policy_bind_a_socket() {
    let world = World::new();
    let limits = "[limits]\ndatagram-peers = 1\ndatagram-idle-ms = 500";
    let address =
        echo(bound(&world.showing(Leaf::new().dns("server.test"), limits), "127.0.0.1:0"));
    let [one, two] = ["one.test", "two.test"].map(|who| {
        let client = client(&world, who);
        client.set_peer_target_name(address, name("server.test")).unwrap();
        client
    });
    one.send_to(b"hello", address).unwrap();
    one.recv_from(&mut [0; 100]).unwrap();
    two.set_write_timeout(Some(Duration::from_millis(200)));
    assert_eq!(two.send_to(b"hello", address).unwrap_err().wsa(), WsaError::TimedOut);
    // Once the first was idle for long enough, there is room.
    two.set_write_timeout(Some(PATIENCE));
    two.send_to(b"hello", address).unwrap();
    assert_eq!(two.recv_from(&mut [0; 100]).unwrap().0, 5);
}

#[test]
fn a_thousand_live_peers_on_one_socket() {
    const PEERS: usize = 1000;
    const THREADS: usize = 8;
    // Each socket has some descriptors, and there are a thousand of them in this process.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: most, maximum: most }).unwrap();
    let world = Arc::new(World::new());
    let server = Arc::new(bound(&world.showing(Leaf::new().dns("server.test"), ""), "127.0.0.1:0"));
    let address = server.local_addr().unwrap();
    let echo = server.clone();
    echo.set_read_timeout(None);
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((count, from)) = echo.recv_from(&mut buffer) {
            echo.send_to(&buffer[..count], from).unwrap();
        }
    });
    #[expect(clippy::needless_collect, reason = "all are started before the first is waited for")]
    let threads: Vec<_> = (0..THREADS)
        .map(|part| {
            let world = world.clone();
            thread::spawn(move || {
                let clients: Vec<UdpSocket> = (0..PEERS / THREADS)
                    .map(|number| {
                        let who = format!("peer{}.test", part * (PEERS / THREADS) + number);
                        let client = client(&world, &who);
                        client.set_peer_target_name(address, name("server.test")).unwrap();
                        client.send_to(who.as_bytes(), address).unwrap();
                        client
                    })
                    .collect();
                // All are alive at once; a datagram may be lost where so many meet.
                for client in &clients {
                    client.set_read_timeout(Some(Duration::from_secs(2)));
                    let mut buffer = [0; 100];
                    let answered = (0..10).any(|_| {
                        client.send_to(b"again", address).unwrap();
                        client.recv_from(&mut buffer).is_ok()
                    });
                    assert!(answered);
                }
                clients
            })
        })
        .collect();
    let clients: Vec<UdpSocket> =
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(clients.len(), PEERS);
    // Each of them is still who it was, by the server's own account.
    let mut names = std::collections::HashSet::new();
    for client in &clients {
        let from = SocketAddr::new(address.ip(), client.local_addr().unwrap().port());
        let info = server.query(from).unwrap();
        names.insert(info.evidence().unwrap().peer().unwrap().name().to_string());
    }
    assert_eq!(names.len(), PEERS);
}

/// What is sent in one call arrives as what it was, whatever the sizes, also where it comes
/// from a chosen address.
#[test]
fn datagrams_that_are_sent_together_arrive_apart() {
    let world = World::new();
    for (at, everywhere) in
        [("127.0.0.1", "127.0.0.1:0"), ("127.0.0.5", "0.0.0.0:0"), ("::1", "[::]:0")]
    {
        let server = bound(&world.showing(Leaf::new().dns("server.test"), ""), everywhere);
        let address = SocketAddr::new(at.parse().unwrap(), server.local_addr().unwrap().port());
        let like = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let client = bound(&world.showing(Leaf::new().dns("client.test"), ""), like);
        client.set_peer_target_name(address, name("server.test")).unwrap();
        let echo = thread::spawn(move || {
            let (_, from) = server.recv_from(&mut [0; 2048]).unwrap();
            let many: Vec<Vec<u8>> = (0..200_u8)
                .map(|number| {
                    vec![number; if number % 50 == 49 { 7 } else { 100 + usize::from(number / 50) }]
                })
                .collect();
            let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
            assert_eq!(server.send_many_to(&many, from).unwrap(), 200);
            server.send_many_to(&[b"one", b"", b"two"], from).unwrap_err()
        });
        client.send_to(b"hello", address).unwrap();
        let mut buffer = [0; 2048];
        for number in 0..200_u8 {
            let (count, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(from, address);
            let size = if number % 50 == 49 { 7 } else { 100 + usize::from(number / 50) };
            assert_eq!((count, buffer[0], buffer[count - 1]), (size, number, number));
        }
        assert_eq!(client.recv_from(&mut buffer).unwrap().0, 3);
        assert_eq!(echo.join().unwrap().wsa(), WsaError::Inval, "the empty one");
        client.set_read_timeout(Some(Duration::from_millis(100)));
        assert!(client.recv_from(&mut buffer).unwrap_err().is_would_block());
    }
}

/// A place on the way to a server that can be closed, and opened again in front of another.
struct Doorway {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Doorway {
    fn open(at: SocketAddr, server: SocketAddr) -> Self {
        let socket = std::net::UdpSocket::bind(at).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = is_closed.clone();
        let thread = thread::spawn(move || {
            let (mut client, mut buffer) = (None, [0; 2048]);
            while !closed.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
                let to = if from == server {
                    client
                } else {
                    client = Some(from);
                    Some(server)
                };
                let _ = socket.send_to(&buffer[..count], to.unwrap());
            }
        });
        Self { address, is_closed, thread }
    }

    fn close(self) {
        self.is_closed.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// The server dies without a word, and another with its name takes its place: who only sends learns
/// of it from the network, long before a minute has passed.
#[test]
fn a_peer_that_died_and_came_back_is_found_again_by_who_only_sends() {
    let world = World::new();
    let server = || bound(&world.showing(Leaf::new().dns("server.test"), ""), "127.0.0.1:0");
    let (before, after) = (server(), server());
    let [dead, alive] = [&before, &after].map(|server| server.local_addr().unwrap());
    let door = Doorway::open("127.0.0.1:0".parse().unwrap(), dead);
    let at = door.address;
    let client = client(&world, "client.test");
    client.set_peer_target_name(at, name("server.test")).unwrap();
    let first = thread::spawn(move || {
        let received = before.recv_from(&mut [0; 100]).unwrap().0;
        (received, before)
    });
    client.send_to(b"hello", at).unwrap();
    let (received, _before) = first.join().unwrap();
    assert_eq!(received, 5);
    let session = client.query(at).unwrap().evidence().unwrap().session();

    door.close();
    thread::sleep(Duration::from_millis(1100));
    for _ in 0..3 {
        // Nobody is there, and the association still is: one word of the network ends nothing.
        client.send_to(b"lost", at).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.query(at).unwrap().evidence().unwrap().session(), session);
    let door = Doorway::open(at, alive);
    let found = thread::spawn(move || {
        let received = after.recv_from(&mut [0; 100]).unwrap().0;
        (received, after)
    });
    let deadline = Instant::now() + Duration::from_secs(9);
    client.set_read_timeout(Some(Duration::from_millis(50)));
    while !found.is_finished() {
        assert!(Instant::now() < deadline, "it was not found again");
        assert!(client.recv_from(&mut [0; 9]).unwrap_err().is_would_block());
        let _ = client.send_to(b"found", at);
    }
    let (received, _after) = found.join().unwrap();
    assert_eq!(received, 5);
    assert_ne!(client.query(at).unwrap().evidence().unwrap().session(), session);
    door.close();
}
