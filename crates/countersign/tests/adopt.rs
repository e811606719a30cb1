//! Sockets whose descriptor, waiting and clock are someone else's: what the C interface is built on.

mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener as PlainListener, TcpStream as Plain, UdpSocket as PlainUdp};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::WsaError;
use countersign::{Socket, UdpSocket};
use world::{World, db1, pair};

#[test]
fn a_listener_made_elsewhere_is_secured_by_a_name() {
    let world = World::new();
    let plain = PlainListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let mut listener = Socket::adopt(&world.server(""), plain.into()).unwrap();
    listener.set_peer_target_name("0.0.0.0:0".parse().unwrap(), db1()).unwrap();
    assert!(listener.is_listening());
    let server = thread::spawn(move || listener.accept().map(|_| ()));
    let mut stranger = Plain::connect(address).unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(server.join().unwrap().is_err(), "in clear it takes nobody any more");
}

#[test]
fn a_connected_socket_is_not_taken() {
    let world = World::new();
    let listener = PlainListener::bind("127.0.0.1:0").unwrap();
    let client = Plain::connect(listener.local_addr().unwrap()).unwrap();
    let error = Socket::adopt(&world.client(), OwnedFd::from(client)).unwrap_err();
    assert_eq!(error.wsa(), WsaError::IsConn);
    let datagrams = PlainUdp::bind("127.0.0.1:0").unwrap();
    datagrams.connect("127.0.0.1:9").unwrap();
    let error = UdpSocket::adopt(&world.client(), OwnedFd::from(datagrams)).unwrap_err();
    assert_eq!(error.wsa(), WsaError::IsConn);
}

#[test]
fn what_is_looked_at_stays() {
    let world = World::new();
    let (mut client, mut server) = pair(&world);
    assert_eq!(server.look_ahead(100).unwrap(), (0, false));
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    client.write_all(b"abc").unwrap();
    let mut into = [0; 8];
    assert_eq!(server.peek(&mut into).unwrap(), 3);
    client.write_all(b"defgh").unwrap();
    let started = Instant::now();
    while server.look_ahead(8).unwrap() != (8, false) {
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(server.read(&mut into).unwrap(), 8, "what was read ahead and what came behind it");
    assert_eq!(&into, b"abcdefgh");
    drop(client);
    while server.look_ahead(1).unwrap() != (0, true) {
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(server.read(&mut into).unwrap(), 0);
    assert_eq!(server.peek(&mut into).unwrap(), 0, "the end is said again");
}

#[test]
fn a_reader_that_waits_does_not_hold_up_who_only_looks() {
    let world = World::new();
    let (mut client, server) = pair(&world);
    let reader = server.clone();
    let waiting = thread::spawn(move || {
        let mut byte = [0];
        (&reader).read_exact(&mut byte).unwrap();
        byte
    });
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    assert_eq!(server.look_ahead(1).unwrap(), (0, false));
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(started.elapsed() < Duration::from_millis(40));
    client.write_all(b"x").unwrap();
    assert_eq!(waiting.join().unwrap(), *b"x");
}

#[test]
fn a_connect_that_takes_too_long_is_ended_by_who_has_the_clock() {
    let world = World::new();
    let silent = PlainListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut socket = Socket::stream(&world.client(), address).unwrap();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket.set_timeouts(None, Some(Duration::from_millis(50)));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.connect(address).unwrap_err().is_would_block());
    let started = Instant::now();
    while socket.finish_connect().unwrap_err().is_would_block() {
        let deadline = socket.deadline().expect("it is under way");
        if deadline <= Instant::now() {
            let error = socket.expire().unwrap_err();
            assert_eq!(error.wsa(), WsaError::TimedOut);
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(5));
    }
    assert!(socket.descriptor().is_none() && socket.deadline().is_none());
}

#[test]
fn datagrams_are_had_without_waiting() {
    let world = World::new();
    let context = world.server("");
    let make = || {
        let plain = PlainUdp::bind("127.0.0.1:0").unwrap();
        let address = plain.local_addr().unwrap();
        (UdpSocket::adopt(&context, plain.into()).unwrap(), address)
    };
    let ((one, at_one), (two, at_two)) = (make(), make());
    one.set_peer_target_name(at_two, db1()).unwrap();
    two.set_peer_target_name(at_one, db1()).unwrap();
    let started = Instant::now();
    loop {
        match one.try_send_to(b"datagram", at_two) {
            Ok(8) => break,
            Err(error) if error.is_would_block() => assert!(two.look_ahead().unwrap().is_none()),
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    while two.look_ahead().unwrap() != Some((8, at_one)) {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    let mut four = [0; 4];
    assert_eq!(two.try_peek_from(&mut four).unwrap(), Some((8, at_one)));
    assert_eq!(two.try_recv_from(&mut four).unwrap(), Some((8, at_one)), "cut, and its size told");
    assert_eq!(&four, b"data");
    assert_eq!(two.try_recv_from(&mut four).unwrap(), None);
}

#[test]
fn a_wait_for_datagrams_can_be_interrupted() {
    let world = World::new();
    let plain = PlainUdp::bind("127.0.0.1:0").unwrap();
    let socket = std::sync::Arc::new(UdpSocket::adopt(&world.server(""), plain.into()).unwrap());
    let waiting = {
        let socket = socket.clone();
        thread::spawn(move || socket.recv_from(&mut [0; 8]).map_err(|error| error.wsa()))
    };
    thread::sleep(Duration::from_millis(50));
    socket.interrupt();
    assert_eq!(waiting.join().unwrap(), Err(WsaError::ConnAborted));
}
