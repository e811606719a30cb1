//! Datagram sockets: names, order, sizes, threads, and both address families.

mod world;

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Mechanism, WsaError};
use countersign::{Context, Error, Interest, PeerName, UdpSocket};
use countersign_lab::Leaf;
use world::{MARKER, World};

const PATIENCE: Duration = Duration::from_secs(10);

/// A socket that proves `host/NAME` and admits whoever has a certificate.
fn host(world: &World, name: &str) -> UdpSocket {
    bound(&world.showing(Leaf::new().dns(name), ""), "127.0.0.1:0")
}

fn bound(context: &Context, address: &str) -> UdpSocket {
    let socket = UdpSocket::bind_with(context, address).unwrap();
    socket.set_read_timeout(Some(PATIENCE));
    socket
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

fn name(text: &str) -> PeerName {
    text.parse().unwrap()
}

#[track_caller]
fn ask(socket: &UdpSocket, peer: SocketAddr, text: &[u8]) {
    socket.send_to(text, peer).unwrap();
    let mut buffer = [0; 2048];
    let (count, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..count], from), (text, peer));
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, wsa: WsaError) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.wsa(), wsa, "{error}");
    error
}

#[test]
fn one_socket_two_peers_a_name_for_each() {
    let world = World::new();
    let (one, two) = (echo(host(&world, "one.test")), echo(host(&world, "two.test")));
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(one, name("one.test")).unwrap();
    socket.set_peer_target_name(two, name("two.test")).unwrap();
    ask(&socket, one, b"first");
    ask(&socket, two, b"second");
    let info = socket.query(one).unwrap();
    let evidence = info.evidence().unwrap();
    assert_eq!(evidence.mechanism(), Mechanism::Dtls12);
    assert_eq!(evidence.peer().unwrap().name(), &name("one.test"));
    assert!(evidence.is_peer_name_verified());
    assert_eq!(info.flags().bits(), 3);
    assert!(evidence.cipher_suite().starts_with("TLS_ECDHE_ECDSA_WITH_AES_256_GCM"));
    assert_eq!(evidence.key_exchange(), "X25519");
}

#[test]
fn spec_5_3_a_peer_under_another_name_is_refused_and_gets_nothing() {
    let world = World::new();
    let server = host(&world, "two.test");
    let address = server.local_addr().unwrap();
    let heard = thread::spawn(move || {
        server.set_read_timeout(Some(Duration::from_secs(1)));
        server.recv_from(&mut [0; 100]).map(|_| ())
    });
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    let error = refused(socket.send_to(MARKER, address), WsaError::Acces);
    assert!(error.to_string().contains("asked for host/one.test"), "{error}");
    refused(socket.query(address), WsaError::NotConn);
    assert!(heard.join().unwrap().unwrap_err().is_would_block());
}

#[test]
fn spec_5_5_no_name_no_datagram() {
    let world = World::new();
    let plain = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    plain.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let socket = host(&world, "client.test");
    refused(socket.send_to(MARKER, plain.local_addr().unwrap()), WsaError::Acces);
    assert!(plain.recv(&mut [0; 100]).is_err(), "not even a greeting");
}

#[test]
fn spec_5_6_inbound_peers_must_have_the_name_of_their_address() {
    let world = World::new();
    let server = host(&world, "server.test");
    let address = server.local_addr().unwrap();
    let (good, bad) = (host(&world, "good.test"), host(&world, "bad.test"));
    for client in [&good, &bad] {
        client.set_peer_target_name(address, name("server.test")).unwrap();
        server.set_peer_target_name(client.local_addr().unwrap(), name("good.test")).unwrap();
    }
    let from = good.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut buffer = [0; 100];
        let (count, from) = server.recv_from(&mut buffer).unwrap();
        server.set_read_timeout(Some(Duration::from_millis(300)));
        assert!(server.recv_from(&mut [0; 100]).unwrap_err().is_would_block());
        (buffer[..count].to_vec(), from)
    });
    refused(bad.send_to(b"bad", address), WsaError::Acces);
    good.send_to(b"good", address).unwrap();
    assert_eq!(server.join().unwrap(), (b"good".to_vec(), from));
}

#[test]
fn anonymous_clients_are_refused_unless_policy_says_otherwise() {
    let world = World::new();
    for (policy, served) in [("", false), ("server.client-certificates = \"request\"", true)] {
        let context = world.showing(Leaf::new().dns("server.test"), policy);
        let address = echo(bound(&context, "127.0.0.1:0"));
        let socket = bound(&world.client(), "127.0.0.1:0");
        socket.set_peer_target_name(address, name("server.test")).unwrap();
        if served {
            ask(&socket, address, b"hello");
        } else {
            refused(socket.send_to(b"hello", address), WsaError::Acces);
        }
    }
}

#[test]
fn spec_6_a_deleted_name_leaves_the_live_association() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    ask(&socket, address, b"before");
    socket.delete_peer_target_name(address).unwrap();
    socket.delete_peer_target_name(address).unwrap();
    ask(&socket, address, b"after");
    socket.disconnect(address);
    refused(socket.send_to(b"anew", address), WsaError::Acces);
}

#[test]
fn spec_5_1_the_name_of_a_live_association_cannot_be_changed() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let anywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(anywhere, name("one.test")).unwrap();
    ask(&socket, address, b"hello");
    let error = refused(socket.set_peer_target_name(address, name("two.test")), WsaError::IsConn);
    assert!(error.to_string().contains("under another name"), "{error}");
    refused(socket.set_peer_target_name(anywhere, name("two.test")), WsaError::IsConn);
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    let other = SocketAddr::from(([127, 0, 0, 1], 9));
    socket.set_peer_target_name(other, name("two.test")).unwrap();
    socket.disconnect(address);
    socket.set_peer_target_name(address, name("two.test")).unwrap();
    refused(socket.send_to(b"hello", address), WsaError::Acces);
}

#[test]
fn spec_3_and_4_order_of_calls() {
    let world = World::new();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = UdpSocket::unbound(&world.client(), any).unwrap();
    refused(socket.set_peer_target_name("0.0.0.0:0".parse().unwrap(), name("a")), WsaError::Inval);
    socket.set_security(None).unwrap();
    refused(socket.set_security(None), WsaError::Inval);
    socket.bind_to(any).unwrap();
    refused(socket.bind_to(any), WsaError::Inval);
    refused(socket.set_security(None), WsaError::Inval);
    refused(socket.send(b"x"), WsaError::NotConn);
    refused(socket.recv(&mut [0; 9]), WsaError::NotConn);
    refused(socket.query("127.0.0.1:9".parse().unwrap()), WsaError::NotConn);
    refused(
        UdpSocket::bind_with(&world.client(), socket.local_addr().unwrap()),
        WsaError::AddrInUse,
    );
}

#[test]
fn a_connected_socket_talks_to_one_peer() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    socket.connect(address).unwrap();
    assert_eq!(socket.send(b"hello").unwrap(), 5);
    let mut buffer = [0; 100];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 5);
    let other = "127.0.0.1:9".parse().unwrap();
    refused(socket.send_to(b"x", other), WsaError::IsConn);
    refused(socket.set_peer_target_name(address, name("two.test")), WsaError::IsConn);
    refused(socket.connect(address), WsaError::IsConn);
}

#[test]
fn a_connected_socket_learns_at_once_that_nobody_is_there() {
    let world = World::new();
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(gone, name("one.test")).unwrap();
    let before = Instant::now();
    refused(socket.connect(gone), WsaError::ConnRefused);
    assert!(before.elapsed() < Duration::from_secs(3));
}

#[test]
fn an_unreachable_peer_is_told_of_and_does_not_disturb_the_others() {
    let world = World::new();
    for local in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = echo(host(&world, "one.test"));
        let socket = bound(&world.showing(Leaf::new().dns("client.test"), ""), local);
        socket.set_peer_target_name(gone, name("gone.test")).unwrap();
        socket.set_peer_target_name(address, name("one.test")).unwrap();
        ask(&socket, address, b"before");
        let before = Instant::now();
        let error = refused(socket.send_to(b"x", gone), WsaError::ConnRefused);
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
        assert!(before.elapsed() < Duration::from_secs(3), "{local}");
        ask(&socket, address, b"after");
    }
}

/// What the network says of one peer must not fail, delay or lose what goes to another: the kernel
/// reports it on the next call, whatever that is for.
#[test]
fn what_the_network_says_reaches_the_right_peer_only() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = Arc::new(host(&world, "client.test"));
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    ask(&socket, address, b"before");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            socket.set_peer_target_name(gone, name("gone.test")).unwrap();
            let socket = socket.clone();
            thread::spawn(move || {
                for _ in 0..20 {
                    refused(socket.send_to(b"x", gone), WsaError::ConnRefused);
                }
            })
        })
        .collect();
    for round in 0..500_u32 {
        ask(&socket, address, &round.to_be_bytes());
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn sizes_are_kept_or_refused_and_never_cut() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    let most = socket.max_datagram_size(address);
    for size in [1, 2, 500, most] {
        ask(&socket, address, &vec![7; size]);
    }
    assert_eq!(most, socket.max_datagram_size(address), "the promise was kept");
    refused(socket.send_to(&vec![7; most + 1], address), WsaError::MsgSize);
    refused(socket.send_to(b"", address), WsaError::Inval);
    socket.send_to(b"a long one", address).unwrap();
    refused(socket.recv_from(&mut [0; 3]), WsaError::MsgSize);
    ask(&socket, address, b"next");
}

#[test]
fn nothing_is_in_clear_on_the_wire() {
    let world = World::new();
    let target = echo(host(&world, "one.test"));
    let (seen, relay) = tap(target);
    let socket = host(&world, "client.test");
    socket.set_peer_target_name(relay, name("one.test")).unwrap();
    ask(&socket, relay, MARKER);
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 500);
    for part in MARKER.chunks(16) {
        assert!(!seen.windows(part.len()).any(|it| it == part));
    }
}

/// A relay on the path of one client that remembers every byte.
fn tap(target: SocketAddr) -> (Arc<std::sync::Mutex<Vec<u8>>>, SocketAddr) {
    let relay = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, seen) =
        (relay.local_addr().unwrap(), Arc::<std::sync::Mutex<Vec<u8>>>::default());
    let record = seen.clone();
    thread::spawn(move || {
        let (mut client, mut buffer) = (None, [0; 2048]);
        while let Ok((count, from)) = relay.recv_from(&mut buffer) {
            record.lock().unwrap().extend(&buffer[..count]);
            let to = if from == target {
                client
            } else {
                client.replace(from).or(Some(from)).and(Some(target))
            };
            let _ = relay.send_to(&buffer[..count], to.unwrap());
        }
    });
    (seen, address)
}

#[test]
fn both_families_and_mapped_addresses() {
    let world = World::new();
    let context = world.showing(Leaf::new().dns("one.test"), "");
    let six = echo(bound(&context, "[::1]:0"));
    let socket = bound(&world.showing(Leaf::new().dns("client.test"), ""), "[::]:0");
    socket.set_peer_target_name(six, name("one.test")).unwrap();
    ask(&socket, six, b"six");

    let four = echo(host(&world, "four.test"));
    let SocketAddr::V4(v4) = four else { unreachable!() };
    let mapped = SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()));
    socket.set_peer_target_name(mapped, name("four.test")).unwrap();
    ask(&socket, four, b"four");
    socket.send_to(b"mapped", mapped).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 100]).unwrap(), (6, four));
    assert!(socket.query(mapped).is_ok());
}

#[test]
fn two_threads_send_and_receive() {
    const COUNT: u32 = 20_000;
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = Arc::new(host(&world, "client.test"));
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    let receiver = socket.clone();
    receiver.set_read_timeout(Some(Duration::from_secs(2)));
    let received = thread::spawn(move || {
        let (mut seen, mut buffer) = (0, [0; 100]);
        while let Ok((4, _)) = receiver.recv_from(&mut buffer) {
            seen += 1;
            if seen == COUNT {
                break;
            }
        }
        seen
    });
    for number in 0..COUNT {
        socket.send_to(&number.to_be_bytes(), address).unwrap();
        if number % 32 == 0 {
            thread::yield_now();
        }
    }
    let received = received.join().unwrap();
    assert!(received > COUNT / 20, "{received} of {COUNT} came back");
}

#[test]
fn many_threads_make_many_associations_on_one_socket() {
    let world = World::new();
    let socket = Arc::new(host(&world, "client.test"));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let peer = echo(host(&world, &format!("peer{number}.test")));
            socket.set_peer_target_name(peer, name(&format!("peer{number}.test"))).unwrap();
            let socket = socket.clone();
            thread::spawn(move || socket.send_to(b"hello", peer).map(|_| peer))
        })
        .collect();
    for thread in threads {
        let peer = thread.join().unwrap().unwrap();
        assert!(socket.query(peer).is_ok());
    }
    for _ in 0..8 {
        socket.recv_from(&mut [0; 100]).unwrap();
    }
}

#[test]
fn non_blocking_sockets_say_when_to_go_on() {
    let world = World::new();
    let address = echo(host(&world, "one.test"));
    let socket = host(&world, "client.test");
    socket.set_nonblocking(true);
    socket.set_peer_target_name(address, name("one.test")).unwrap();
    assert!(socket.recv_from(&mut [0; 100]).unwrap_err().is_would_block());
    let deadline = Some(Instant::now() + PATIENCE);
    let ready = || countersign_sys::wait(socket.as_fd(), Interest::Read, deadline).unwrap();
    loop {
        match socket.send_to(b"hello", address) {
            Ok(count) => break assert_eq!(count, 5),
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
        ready();
    }
    loop {
        match socket.recv_from(&mut [0; 100]) {
            Ok(received) => break assert_eq!(received, (5, address)),
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
        ready();
    }
    socket.set_peer_target_name("127.0.0.1:9".parse().unwrap(), name("two.test")).unwrap();
}
