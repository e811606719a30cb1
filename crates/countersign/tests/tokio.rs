//! The sockets of programs on tokio, against the blocking ones and strangers.

#[path = "world/mod.rs"]
mod world;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, Limits, Policy};
use countersign::tokio::{Incoming, TcpListener, TcpStream, UdpSocket};
use countersign::{Error, PeerName};
use countersign_lab::Leaf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;
use world::{MARKER, Tap, World, db1, insecure, socket_to};

/// An echo server on tokio that serves for as long as the runtime lives.
fn echo(listener: TcpListener) -> SocketAddr {
    let address = listener.local_addr();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.into_split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

async fn echo_server(world: &World) -> SocketAddr {
    echo(TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap())
}

/// Sends and receives so much that no buffer on the way holds it.
async fn much_goes_both_ways(stream: TcpStream) {
    const MUCH: usize = 8 << 20;
    let (mut reader, mut writer) = stream.into_split();
    let sending = tokio::spawn(async move {
        let plain: Vec<u8> = (0..MUCH).map(|at| (at % 251) as u8).collect();
        writer.write_all(&plain).await.unwrap();
        writer.shutdown().await.unwrap();
        plain
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    assert!(sending.await.unwrap() == received, "other bytes came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ends_on_tokio_carry_bulk_both_ways() {
    let world = World::new();
    let address = echo_server(&world).await;
    let stream = TcpStream::connect_with(&world.client(), address, &db1()).await.unwrap();
    assert_eq!(stream.evidence().unwrap().peer().unwrap().name(), &db1());
    much_goes_both_ways(stream).await;
}

#[tokio::test]
async fn one_thread_carries_both_ends() {
    let world = World::new();
    let address = echo_server(&world).await;
    let stream = TcpStream::connect_with(&world.client(), address, &db1()).await.unwrap();
    much_goes_both_ways(stream).await;
}

#[tokio::test]
async fn a_tokio_client_talks_to_a_blocking_server_and_nothing_is_in_clear() {
    let world = World::new();
    let tap = Tap::before(world.echo_server(), usize::MAX);
    let mut stream = TcpStream::connect_with(&world.client(), tap.address, &db1()).await.unwrap();
    stream.write_all(MARKER).await.unwrap();
    let mut back = vec![0; MARKER.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, MARKER);
    assert_eq!(tap.sightings(), 0);
    assert!(tap.bytes() > MARKER.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_client_talks_to_a_tokio_server() {
    let world = World::new();
    let address = echo_server(&world).await;
    let mut client = world.connect(address).unwrap();
    client.write_all(MARKER).unwrap();
    let mut back = vec![0; MARKER.len()];
    client.read_exact(&mut back).unwrap();
    assert_eq!(back, MARKER);
}

#[tokio::test]
async fn a_wrong_name_is_refused_on_both_ends() {
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let wrong: PeerName = "postgres/db2.test".parse().unwrap();
    let context = world.client();
    let (connected, event) =
        tokio::join!(TcpStream::connect_with(&context, address, &wrong), listener.next_event());
    let error = connected.unwrap_err();
    assert!(
        matches!(&error, Error::Handshake { source: HandshakeError::WrongPeer { .. }, .. }),
        "{error}"
    );
    assert!(matches!(event.unwrap(), Incoming::Refused(refusal)
        if matches!(refusal.error, HandshakeError::RefusedByPeer { .. })));
}

#[tokio::test]
async fn no_name_means_no_connection() {
    let world = World::new();
    let address = echo_server(&world).await;
    let mut socket = countersign::Socket::stream(&world.client(), address).unwrap();
    socket.set_security(None).unwrap();
    let error = TcpStream::connect_socket(socket, address).await.unwrap_err();
    assert!(matches!(error, Error::Plan(_)), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time_and_delays_nobody() {
    let world = World::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let mut socket = socket_to(&world.client(), address, None);
    socket.set_timeouts(None, Some(Duration::from_millis(300)));
    let begun = Instant::now();
    let waiting = tokio::spawn(TcpStream::connect_socket(socket, address));

    let other = echo_server(&world).await;
    let mut stream = TcpStream::connect_with(&world.client(), other, &db1()).await.unwrap();
    stream.write_all(b"meanwhile").await.unwrap();
    let mut back = [0; 9];
    stream.read_exact(&mut back).await.unwrap();

    let error = waiting.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::Handshake { source: HandshakeError::TimedOut { .. }, .. }),
        "{error}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn silent_clients_delay_nobody_and_are_given_up() {
    let world = World::new();
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_millis(300);
    let context = countersign::Context::builder()
        .policy(Policy::default().with_limits(limits))
        .anchors(world.authority.anchors())
        .credential(world.authority.issue(Leaf::new().service("postgres", "db1.test")).credential())
        .build()
        .unwrap();
    let listener = TcpListener::bind_with(&context, "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let silent: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let client = world.client();
    let name = db1();
    let (connected, accepted) =
        tokio::join!(TcpStream::connect_with(&client, address, &name), listener.accept());
    connected.unwrap();
    accepted.unwrap();
    for _ in &silent {
        match timeout(Duration::from_secs(10), listener.next_event()).await.unwrap().unwrap() {
            Incoming::Refused(refusal) => {
                assert!(matches!(refusal.error, HandshakeError::TimedOut { .. }));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(listener.handshakes(), 0);
}

#[tokio::test]
async fn a_cut_is_no_end() {
    let world = World::new();
    // The server's flight passes, and little of what follows.
    let tap = Tap::before(world.echo_server(), 4096);
    let connected = TcpStream::connect_with(&world.client(), tap.address, &db1()).await;
    let mut stream = connected.unwrap();
    stream.write_all(&[7; 16 * 1024]).await.unwrap();
    stream.flush().await.unwrap();
    let mut back = Vec::new();
    let error = stream.read_to_end(&mut back).await.unwrap_err();
    assert!(
        matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
        "{error}"
    );
}

#[tokio::test]
async fn clear_is_met_only_where_it_is_permitted() {
    let world = World::new();
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in plain.incoming() {
            let mut client = client.unwrap();
            let _ = client.write_all(b"220 hello\r\n");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let strict = TcpStream::connect_with(&world.client(), address, &db1()).await.unwrap_err();
    assert!(
        matches!(&strict, Error::Handshake { source: HandshakeError::NotTls { .. }, .. }),
        "{strict}"
    );
    let socket = socket_to(&world.client(), address, Some(insecure()));
    let mut stream = TcpStream::connect_socket(socket, address).await.unwrap();
    assert!(stream.query().unwrap().evidence().is_none());
    let mut greeting = [0; 9];
    stream.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 hello");
}

/// A read that is given up loses nothing: what it would have had, the next one has.
#[tokio::test]
async fn reads_and_accepts_are_cancel_safe() {
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let client = world.client();
    let connecting =
        tokio::spawn(async move { TcpStream::connect_with(&client, address, &db1()).await });
    let mut server = loop {
        if let Ok(accepted) = timeout(Duration::from_micros(200), listener.accept()).await {
            break accepted.unwrap().0;
        }
    };
    let mut client = connecting.await.unwrap().unwrap();
    let sending = tokio::spawn(async move {
        for byte in 0..200_u8 {
            client.write_all(&[byte; 100]).await.unwrap();
            client.flush().await.unwrap();
            if byte % 10 == 0 {
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
        }
        client.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    loop {
        let mut piece = [0; 64];
        match timeout(Duration::from_micros(100), server.read(&mut piece)).await {
            Err(_) => {}
            Ok(Ok(0)) => break,
            Ok(read) => received.extend_from_slice(&piece[..read.unwrap()]),
        }
    }
    sending.await.unwrap();
    let expected: Vec<u8> = (0..200_u8).flat_map(|byte| [byte; 100]).collect();
    assert!(received == expected, "bytes were lost or came twice");
}

/// The reactor hears nothing of bytes that were taken from the socket with the last of the
/// handshake.
#[tokio::test]
async fn bytes_that_came_with_the_handshake_are_read() {
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let mut client = socket_to(&world.client(), address, None);
    client.set_nonblocking(true).unwrap();
    let mut connected = client.connect(address);
    while connected.as_ref().is_err_and(Error::is_would_block) {
        let early = timeout(Duration::from_millis(1), listener.accept()).await;
        assert!(early.is_err(), "accepted before the client was done");
        connected = client.finish_connect();
    }
    connected.unwrap();
    client.write_all(MARKER).unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let mut received = vec![0; MARKER.len()];
    timeout(Duration::from_secs(10), server.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(received, MARKER);
}

#[tokio::test]
async fn halves_reunite_only_with_their_own() {
    let world = World::new();
    let address = echo_server(&world).await;
    let context = world.client();
    let one = TcpStream::connect_with(&context, address, &db1()).await.unwrap();
    let two = TcpStream::connect_with(&context, address, &db1()).await.unwrap();
    let (one_reader, one_writer) = one.into_split();
    let (two_reader, two_writer) = two.into_split();
    let mistaken = one_reader.reunite(two_writer).unwrap_err();
    let mut one = mistaken.reader.reunite(one_writer).unwrap();
    one.write_all(b"still here").await.unwrap();
    one.flush().await.unwrap();
    let mut back = [0; 10];
    one.read_exact(&mut back).await.unwrap();
    two_reader.reunite(mistaken.writer).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_at_once() {
    let world = World::new();
    let address = echo_server(&world).await;
    let context = world.client();
    let mut tasks = JoinSet::new();
    for number in 0..100_u32 {
        let context = context.clone();
        tasks.spawn(async move {
            let mut stream = TcpStream::connect_with(&context, address, &db1()).await.unwrap();
            stream.write_all(&number.to_be_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(stream.read_u32().await.unwrap(), number);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_datagram_socket_has_a_name_for_each_peer() {
    let world = World::new();
    let names: [PeerName; 2] = ["meter/m1.test".parse().unwrap(), "meter/m2.test".parse().unwrap()];
    let mut peers = Vec::new();
    for host in ["m1.test", "m2.test"] {
        let context = world.showing(Leaf::new().service("meter", host), "");
        let socket = UdpSocket::bind_with(&context, "127.0.0.1:0").await.unwrap();
        peers.push(socket.get_ref().local_addr().unwrap());
        tokio::spawn(async move {
            let mut datagram = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut datagram).await {
                socket.send_to(&datagram[..count], from).await.unwrap();
            }
        });
    }
    let context = world.server("");
    let socket = UdpSocket::bind_with(&context, "127.0.0.1:0").await.unwrap();
    for (peer, name) in peers.iter().zip(&names) {
        socket.set_peer_target_name(*peer, name.clone()).unwrap();
    }
    // Two tasks: the one that sends needs what the one that receives takes from the kernel.
    let (sent, received) = tokio::join!(
        async {
            for round in 0..50_u8 {
                for peer in &peers {
                    socket.send_to(&[round; 100], *peer).await.unwrap();
                }
            }
        },
        async {
            let mut count = 0;
            let mut datagram = [0; 2048];
            while count < 100 {
                let (size, from) = socket.recv_from(&mut datagram).await.unwrap();
                assert!(size == 100 && peers.contains(&from));
                count += 1;
            }
            count
        }
    );
    let () = sent;
    assert_eq!(received, 100);
    for (peer, name) in peers.iter().zip(&names) {
        let info = socket.query(*peer).unwrap();
        assert_eq!(info.evidence().unwrap().peer().unwrap().name(), name);
    }
}

#[tokio::test]
async fn a_datagram_peer_with_a_wrong_name_is_refused() {
    let world = World::new();
    let context = world.showing(Leaf::new().service("meter", "m1.test"), "");
    let other = UdpSocket::bind_with(&context, "127.0.0.1:0").await.unwrap();
    let address = other.get_ref().local_addr().unwrap();
    let serving = tokio::spawn(async move { other.recv_from(&mut [0; 100]).await.map(drop) });
    let socket = UdpSocket::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    socket.set_peer_target_name(address, "meter/m2.test".parse().unwrap()).unwrap();
    let error = timeout(Duration::from_secs(10), socket.send_to(b"secret", address))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Handshake { source: HandshakeError::WrongPeer { .. }, .. }),
        "{error}"
    );
    let again = timeout(Duration::from_secs(10), socket.connect(address)).await.unwrap();
    assert!(again.is_err());
    serving.abort();
}

#[tokio::test]
async fn datagram_sockets_connect() {
    let world = World::new();
    let context = world.showing(Leaf::new().service("meter", "m1.test"), "");
    let other = UdpSocket::bind_with(&context, "127.0.0.1:0").await.unwrap();
    let address = other.get_ref().local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut datagram = [0; 100];
        let (count, from) = other.recv_from(&mut datagram).await.unwrap();
        other.send_to(&datagram[..count], from).await.unwrap();
    });
    let socket = UdpSocket::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    socket.set_peer_target_name(address, "meter/m1.test".parse().unwrap()).unwrap();
    timeout(Duration::from_secs(10), socket.connect(address)).await.unwrap().unwrap();
    assert!(socket.query(address).unwrap().evidence().is_some());
    socket.send(b"hello").await.unwrap();
    let mut back = [0; 100];
    let count = timeout(Duration::from_secs(10), socket.recv(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back[..count], b"hello");
    serving.await.unwrap();
}
