//! Listeners: nobody delays anybody, and strangers can make us hold only so much.

mod world;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Plain};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::HandshakeError;
use countersign::{Error, Incoming, Interest, TcpListener, TcpStream};
use countersign_lab::Leaf;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use world::{World, db1, greeted};

/// Lets this process have as many descriptors as the system allows it.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
}

fn serve(listener: TcpListener) {
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
}

fn round_trip(stream: &mut TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut got = [0; 4];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ping");
}

/// Connections that say nothing, and some that say half of a greeting.
fn half_open(address: SocketAddr, count: usize) -> Vec<Plain> {
    (0..count)
        .map(|index| {
            let mut plain = Plain::connect(address).unwrap();
            if index % 2 == 0 {
                plain.write_all(&[0x16, 3, 1, 2, 0, 1]).unwrap();
            }
            plain
        })
        .collect()
}

#[test]
fn two_thousand_half_open_handshakes_do_not_stop_an_honest_client() {
    raise_descriptor_limit();
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    serve(listener);
    let held = half_open(address, 2000);
    let start = Instant::now();
    round_trip(&mut world.connect(address).unwrap());
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(held);
}

#[test]
fn one_more_than_the_bound_and_the_oldest_is_given_up() {
    let world = World::new();
    let listener = world.listener("[limits]\nhandshakes = 4\n");
    let address = listener.local_addr();
    let held = half_open(address, 6);
    let refused: Vec<_> = (0..2).map(|_| listener.next_event().unwrap()).collect();
    for (refusal, plain) in refused.iter().zip(&held) {
        let Incoming::Refused(refusal) = refusal else { panic!("{refusal:?}") };
        assert_eq!(refusal.error, HandshakeError::Overloaded { limit: 4 });
        assert_eq!(refusal.peer, plain.local_addr().unwrap(), "the oldest first");
    }
    assert!(listener.handshakes() <= 4);
}

#[test]
fn a_silent_client_has_its_time_and_no_more() {
    let world = World::new();
    let listener = world.listener("[limits]\nhandshake-timeout-ms = 100\n");
    let mut plain = Plain::connect(listener.local_addr()).unwrap();
    let start = Instant::now();
    let Incoming::Refused(refusal) = listener.next_event().unwrap() else { panic!() };
    assert!(matches!(refusal.error, HandshakeError::TimedOut { .. }));
    assert!(start.elapsed() >= Duration::from_millis(90));
    assert!(plain.read(&mut [0; 64]).is_ok(), "closed, not left hanging");
}

#[test]
fn a_plain_client_gets_no_byte_and_the_server_says_why() {
    let world = World::new();
    let listener = world.listener("");
    let mut plain = Plain::connect(listener.local_addr()).unwrap();
    plain.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let Incoming::Refused(refusal) = listener.next_event().unwrap() else { panic!() };
    assert_eq!(
        refusal.error,
        HandshakeError::NotTls { what: "sent \"GET / HTTP/1.0\"".to_owned() }
    );
    thread::spawn(move || listener.accept());
    let mut got = Vec::new();
    let _ = plain.read_to_end(&mut got);
    // An alert may come; a byte of application data may not.
    assert!(got.is_empty() || got[0] == 0x15, "{got:?}");
}

#[test]
fn several_threads_accept_and_each_client_is_served_once() {
    let world = World::new();
    let listener = std::sync::Arc::new(world.listener(""));
    let address = listener.local_addr();
    for _ in 0..4 {
        let listener = listener.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let _ = std::io::copy(&mut &stream, &mut &stream);
            }
        });
    }
    let context = world.client();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let context = context.clone();
            thread::spawn(move || {
                for _ in 0..50 {
                    let mut stream = TcpStream::connect_with(&context, address, &db1()).unwrap();
                    round_trip(&mut stream);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn non_blocking_accept_is_ready_when_its_descriptor_is() {
    let world = World::new();
    let listener = world.listener("");
    listener.set_nonblocking(true);
    assert!(listener.accept().unwrap_err().is_would_block());
    let context = world.client();
    let address = listener.local_addr();
    let client = thread::spawn(move || TcpStream::connect_with(&context, address, &db1()));
    let soon = Some(Instant::now() + Duration::from_secs(5));
    let (stream, _) = loop {
        countersign_sys::wait(listener.as_fd(), Interest::Read, soon).unwrap();
        match listener.accept() {
            Ok(accepted) => break accepted,
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
    };
    assert!(stream.evidence().is_some());
    assert!(client.join().unwrap().is_ok());
}

#[test]
fn rules_say_who_may_connect() {
    let world = World::new();
    let policy = "[[allow]]\npeers = [\"*@EXAMPLE.COM\", \"spiffe://prod/*\"]\n";
    let listener = world.listener(policy);
    let address = listener.local_addr();
    let events = thread::spawn(move || {
        (0..3).map(|_| greeted(listener.next_event().unwrap())).collect::<Vec<_>>()
    });
    let user = Leaf::new().kerberos("EXAMPLE.COM", &["alice"]).client_only();
    let stranger = Leaf::new().kerberos("ELSEWHERE.COM", &["alice"]).client_only();
    for leaf in [user, Leaf::new().uri("spiffe://prod/billing"), stranger] {
        let context = world.showing(leaf, "");
        let stream = TcpStream::connect_with(&context, address, &db1()).unwrap();
        let _ = (&stream).read(&mut [0]);
    }
    let events: Vec<String> = events
        .join()
        .unwrap()
        .iter()
        .map(|event| match event {
            Incoming::Accepted(stream, _) => {
                stream.evidence().unwrap().peer().unwrap().name().to_string()
            }
            Incoming::Refused(refusal) => refusal.error.to_string(),
            _ => panic!(),
        })
        .collect();
    assert_eq!(events[0], "alice@EXAMPLE.COM");
    assert_eq!(events[1], "spiffe://prod/billing");
    assert!(events[2].starts_with("alice@ELSEWHERE.COM is not allowed here"), "{}", events[2]);
}

#[test]
fn a_listener_without_a_certificate_says_so_at_once() {
    let error = TcpListener::bind_with(&World::new().client(), "127.0.0.1:0").unwrap_err();
    assert!(matches!(error, Error::NoCertificate), "{error}");
    assert!(error.hint().contains("countersign identity issue"));
}

/// Memory and descriptors of this process.
fn holdings() -> (usize, usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (pages * 4096, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    // In a process of its own: the other tests hold descriptors and memory meanwhile.
    const MARK: &str = "COUNTERSIGN_TEST_HOLDINGS";
    if std::env::var_os(MARK).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ten_thousand_connections_leave_nothing_behind"])
            .env(MARK, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    let context = world.client();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"x");
        }
    });
    let connect = |count: usize| {
        for index in 0..count {
            if index % 10 == 0 {
                // Some fail, and must leave nothing behind either.
                let wrong = "postgres/db2.test".parse().unwrap();
                assert!(TcpStream::connect_with(&context, address, &wrong).is_err());
                continue;
            }
            let mut stream = TcpStream::connect_with(&context, address, &db1()).unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
    };
    connect(1000);
    let (memory_before, descriptors_before) = holdings();
    connect(9000);
    thread::sleep(Duration::from_millis(1500)); // refused clients linger for a second
    let (memory, descriptors) = holdings();
    assert!(descriptors <= descriptors_before + 4, "{descriptors_before} to {descriptors}");
    let grown = memory.saturating_sub(memory_before);
    assert!(grown < 4 << 20, "{grown} bytes more after 9,000 connections");
}

#[test]
fn a_rule_for_one_address_holds_also_on_a_listener_for_all() {
    let world = World::new();
    let policy = "[[allow]]\nlisten = \"127.0.0.1\"\npeers = [\"alice@A\"]\n";
    let listener = TcpListener::bind_with(&world.server(policy), "0.0.0.0:0").unwrap();
    let port = listener.local_addr().port();
    let server = thread::spawn(move || listener.next_event().unwrap());
    let mut anonymous = world.connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    assert!(anonymous.read(&mut [0]).is_err());
    assert!(matches!(server.join().unwrap(), Incoming::Refused(_)));
}

#[test]
fn every_waiting_thread_gets_one_of_many_that_are_ready_at_once() {
    let world = World::new();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let context = world.server("[limits]\ninsecure-after-ms = 200\n");
    let mut socket = countersign::Socket::stream(&context, any).unwrap();
    socket.set_security(Some(world::insecure())).unwrap();
    socket.bind(any).unwrap();
    socket.listen(64).unwrap();
    let listener = std::sync::Arc::new(socket.into_listener().unwrap());
    let address = listener.local_addr();
    let threads: Vec<_> = (0..12)
        .map(|_| {
            let listener = listener.clone();
            // It serves the client in place, and never comes back for another.
            thread::spawn(move || listener.accept().unwrap())
        })
        .collect();
    let silent: Vec<_> = (0..12).map(|_| Plain::connect(address).unwrap()).collect();
    let start = Instant::now();
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert!(start.elapsed() < Duration::from_secs(5), "somebody sleeps on");
        thread::sleep(Duration::from_millis(20));
    }
    drop(silent);
}
