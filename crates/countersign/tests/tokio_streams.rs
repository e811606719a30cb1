//! What `streams.rs` asks of blocking streams, asked of those on tokio.

mod world;

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use countersign::Error;
use countersign::core::{HandshakeError, QueryTemplate, WsaError};
use countersign::tokio::{TcpListener, TcpStream};
use countersign_lab::Stranger;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use world::{MARKER, Tap, World, db1};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connected pair of secured streams.
async fn pair(world: &World) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    let (context, name) = (world.client(), db1());
    let connecting = TcpStream::connect_with(&context, listener.local_addr(), &name);
    let (client, server) = tokio::join!(connecting, listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// Writes until the stream takes no more, and returns how much that was.
async fn fill(stream: &mut TcpStream) -> usize {
    let (piece, mut filled) = ([1; 16_384], 0);
    poll_fn(|task| {
        while let Poll::Ready(count) = Pin::new(&mut *stream).poll_write(task, &piece) {
            filled += count.unwrap();
        }
        Poll::Ready(())
    })
    .await;
    filled
}

#[tokio::test]
async fn nothing_of_a_servers_plaintext_is_on_the_wire() {
    let world = World::new();
    let listener = TcpListener::bind_with(&world.server(""), "127.0.0.1:0").await.unwrap();
    let tap = Tap::before(listener.local_addr(), usize::MAX);
    let (context, name) = (world.client(), db1());
    let connecting = TcpStream::connect_with(&context, tap.address, &name);
    let (client, server) = tokio::join!(connecting, listener.accept());
    let (mut client, (mut server, _)) = (client.unwrap(), server.unwrap());
    let slices = [MARKER, MARKER].map(IoSlice::new);
    assert_eq!(server.write_vectored(&slices).await.unwrap(), 2 * MARKER.len());
    server.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [MARKER, MARKER].concat());
    assert_eq!(tap.sightings(), 0);
    assert!(tap.bytes() > got.len());
}

#[tokio::test]
async fn an_end_that_the_peer_announced_is_an_end() {
    let (mut client, mut server) = pair(&World::new()).await;
    client.write_all(b"last words").await.unwrap();
    drop(client);
    let mut got = Vec::new();
    server.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"last words");
    assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "and stays one");
}

#[tokio::test]
async fn a_cut_between_two_records_is_an_error_and_stays_one() {
    let (mut client, server) = pair(&World::new()).await;
    // Its socket ends without a word of its engine.
    server
        .as_fd()
        .try_clone_to_owned()
        .map(std::net::TcpStream::from)
        .unwrap()
        .shutdown(Shutdown::Write)
        .unwrap();
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    let ours = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert!(matches!(ours, Error::Handshake { source: HandshakeError::Truncated, .. }));
    assert!(client.read(&mut [0]).await.is_err(), "and it stays one");
    drop(server);
}

#[tokio::test]
async fn each_direction_is_shut_down_by_itself() {
    let (mut client, mut server) = pair(&World::new()).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    client.shutdown().await.expect("a second time it is nothing new");
    let mut question = Vec::new();
    server.read_to_end(&mut question).await.unwrap();
    server.write_all(b"answer").await.unwrap();
    server.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!((question.as_slice(), answer.as_slice()), (&b"question"[..], &b"answer"[..]));
}

#[tokio::test]
async fn a_half_that_writes_ends_writing_when_it_is_dropped_and_the_other_reads_on() {
    let (client, mut server) = pair(&World::new()).await;
    let (mut reader, mut writer) = client.into_split();
    writer.write_all(b"question").await.unwrap();
    drop(writer);
    let mut question = Vec::new();
    server.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question");
    server.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    reader.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"answer");
}

#[tokio::test]
async fn a_reader_is_not_delayed_by_a_writer_whom_nobody_reads() {
    let (client, mut server) = pair(&World::new()).await;
    let (mut reader, mut writer) = client.into_split();
    let blocked = tokio::spawn(async move { writer.write_all(&vec![1; 64 << 20]).await });
    sleep(Duration::from_millis(200)).await;
    server.write_all(b"ping").await.unwrap();
    server.flush().await.unwrap();
    let mut got = [0; 4];
    timeout(PATIENCE, reader.read_exact(&mut got)).await.unwrap().unwrap();
    assert_eq!(&got, b"ping");
    assert!(!blocked.is_finished(), "the writer was blocked all the while");
    drop(server);
    assert!(timeout(PATIENCE, blocked).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn a_read_sends_what_a_write_left_behind() {
    let (mut client, server) = pair(&World::new()).await;
    let filled = fill(&mut client).await;
    // The peer answers when it has everything, and nobody flushes.
    let answering = tokio::spawn(async move {
        let mut server = server;
        server.read_exact(&mut vec![0; filled]).await.unwrap();
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        server
    });
    let reading = async {
        // Any task that reads may be the one that finds room.
        while timeout(Duration::from_millis(20), client.read_u8()).await.is_err() {}
    };
    timeout(PATIENCE, reading).await.expect("an answer");
    answering.await.unwrap();
}

#[tokio::test]
async fn keys_change_under_way_in_both_directions() {
    let (mut client, mut server) = pair(&World::new()).await;
    let ids = |stream: &TcpStream| {
        let answer = stream.get_ref().query_with(&QueryTemplate::default().with_sa_ids());
        answer.unwrap().ids().unwrap()
    };
    for round in 0..10_u8 {
        let before = ids(&client);
        let side = if round % 2 == 0 { &client } else { &server };
        side.get_ref().change_keys().unwrap();
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut client, &mut server];
            let [one, other] = ends;
            let (from, to) = if (from, to) == (0, 1) { (one, other) } else { (other, one) };
            from.write_all(&[round; 40_000]).await.unwrap();
            from.flush().await.unwrap();
            let mut got = vec![0; 40_000];
            to.read_exact(&mut got).await.unwrap();
            assert!(got.iter().all(|byte| *byte == round));
        }
        assert_eq!(ids(&client).session, before.session, "the session is the same");
        assert_ne!(ids(&client).traffic_keys, before.traffic_keys, "the keys are not");
    }
}

#[tokio::test]
async fn a_client_that_the_server_refuses_learns_why() {
    let world = World::new();
    let strict = world.server("[[allow]]\npeers = [\"alice@EXAMPLE.COM\"]\n");
    let listener = TcpListener::bind_with(&strict, "127.0.0.1:0").await.unwrap();
    let address = listener.local_addr();
    let refusing = tokio::spawn(async move { listener.accept().await.map(drop) });
    // In TLS 1.3 the client is done before the server has judged it.
    let connected = TcpStream::connect_with(&world.client(), address, &db1()).await;
    let error = connected.unwrap().read(&mut [0]).await.unwrap_err();
    assert!(error.to_string().contains("certificate_required"), "{error}");
    refusing.abort();
}

#[tokio::test]
async fn query_after_a_reset_says_so() {
    let (mut client, server) = pair(&World::new()).await;
    client.write_all(&vec![1; 100_000]).await.unwrap();
    client.flush().await.unwrap();
    let plain = server.as_fd().try_clone_to_owned().map(std::net::TcpStream::from).unwrap();
    std::mem::forget(server);
    // Closing over unread bytes resets the connection.
    plain.shutdown(Shutdown::Both).unwrap();
    let start = Instant::now();
    while client.query().is_ok() && start.elapsed() < PATIENCE {
        let _ = timeout(Duration::from_millis(10), client.write(&[1; 1000])).await;
    }
    assert_eq!(client.query().unwrap_err().wsa(), WsaError::ConnReset);
}

#[tokio::test]
async fn dropping_a_stream_that_is_full_waits_for_nobody() {
    let (mut client, server) = pair(&World::new()).await;
    assert!(fill(&mut client).await > 0);
    let start = Instant::now();
    drop(client);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    drop(server);
}

#[tokio::test]
async fn a_stream_that_nobody_waits_for_any_more_can_be_waited_for_again() {
    let (mut client, mut server) = pair(&World::new()).await;
    for round in 0..20_u8 {
        // Given up while it waits for the reactor.
        assert!(timeout(Duration::from_millis(2), client.read_u8()).await.is_err());
        server.write_u8(round).await.unwrap();
        server.flush().await.unwrap();
        let came = timeout(PATIENCE, client.read_u8()).await.expect("it is not asleep");
        assert_eq!(came.unwrap(), round);
    }
}

/// A stream that a client holds which is not ours, and that has found nothing to read once.
async fn from_a_stranger(
    world: &World,
    policy: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> (ClientConnection, std::net::TcpStream, TcpStream) {
    let listener = TcpListener::bind_with(&world.server(policy), "127.0.0.1:0").await.unwrap();
    let mut socket = std::net::TcpStream::connect(listener.local_addr()).unwrap();
    let config = Stranger::client_config(&world.authority, None, default_provider(), versions);
    let name = "db1.test".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let handshake = spawn_blocking(move || {
        while client.is_handshaking() || client.wants_write() {
            client.complete_io(&mut socket).unwrap();
        }
        (client, socket)
    });
    let (mut server, _) = listener.accept().await.unwrap();
    let (client, socket) = handshake.await.unwrap();
    assert!(timeout(Duration::from_millis(50), server.read_u8()).await.is_err());
    (client, socket, server)
}

#[tokio::test]
async fn an_end_that_comes_with_the_last_bytes_is_told_while_the_peer_still_listens() {
    let (mut client, mut socket, mut server) = from_a_stranger(&World::new(), "", &[&TLS13]).await;
    client.writer().write_all(b"last words").unwrap();
    client.send_close_notify();
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).unwrap();
    }
    // In one packet, and TCP stays open.
    socket.write_all(&wire).unwrap();
    let mut got = Vec::new();
    timeout(PATIENCE, server.read_to_end(&mut got)).await.expect("the end").unwrap();
    assert_eq!(got, b"last words");
    assert_eq!(timeout(PATIENCE, server.read(&mut [0])).await.expect("it stays one").unwrap(), 0);
}

#[tokio::test]
async fn small_reads_get_all_of_a_message_of_tls12_and_its_end() {
    let lax = "tls.danger-allow-tls12 = true\n";
    for version in [&TLS12, &TLS13] {
        let (mut client, mut socket, mut server) =
            from_a_stranger(&World::new(), lax, &[version]).await;
        client.writer().write_all(b"a message").unwrap();
        client.send_close_notify();
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        socket.write_all(&wire).unwrap();
        for byte in b"a message" {
            let got = timeout(PATIENCE, server.read_u8()).await.expect("another byte");
            assert_eq!(got.unwrap(), *byte);
        }
        let end = timeout(PATIENCE, server.read(&mut [0])).await.expect("the end");
        assert_eq!(end.unwrap(), 0);
    }
}

#[tokio::test]
async fn reading_into_nothing_forgets_nothing() {
    let (mut client, mut server) = pair(&World::new()).await;
    assert!(timeout(Duration::from_millis(20), server.read_u8()).await.is_err());
    client.write_all(b"two").await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b't');
    assert_eq!(server.read(&mut []).await.unwrap(), 0);
    for byte in b"wo" {
        let got = timeout(PATIENCE, server.read_u8()).await.expect("another byte");
        assert_eq!(got.unwrap(), *byte);
    }
}

/// However much waits in our own memory, a task that reads has no thread to itself.
#[tokio::test]
async fn who_reads_much_lets_others_have_their_turn() {
    let (mut client, mut server) = pair(&World::new()).await;
    assert!(timeout(Duration::from_millis(20), server.read_u8()).await.is_err());
    client.write_all(&[1; 10_000]).await.unwrap();
    client.flush().await.unwrap();
    let mut read = 0;
    let in_one_turn = poll_fn(|task| {
        let mut into = [0; 1];
        while Pin::new(&mut server).poll_read(task, &mut ReadBuf::new(&mut into)).is_ready() {
            read += 1;
        }
        if read == 0 { Poll::Pending } else { Poll::Ready(read) }
    })
    .await;
    assert!(in_one_turn < 1_000, "{in_one_turn} reads in one turn");
    server.read_exact(&mut vec![0; 10_000 - in_one_turn]).await.unwrap();
}
