//! Streams: proof before plaintext, and the end told apart from a cut.

mod world;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, InfoFlags, Mechanism, Proof, WsaError};
use countersign::{Error, Interest, TcpStream};
use world::{MARKER, Tap, World, db1, pair};

/// Bytes without a period that a lost or doubled record could hide in.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(next).collect()
}

#[test]
fn the_right_name_connects_and_the_evidence_says_what_holds() {
    let world = World::new();
    let (client, server) = pair(&world);
    let evidence = client.evidence().unwrap();
    assert_eq!(evidence.peer().unwrap().name(), &db1());
    assert_eq!(evidence.peer().unwrap().proof(), Proof::CertificateServiceName);
    assert_eq!(evidence.mechanism(), Mechanism::Tls13);
    assert_eq!(evidence.key_exchange(), "X25519MLKEM768");
    assert!(evidence.is_peer_name_verified());
    let seen_by_server = server.evidence().unwrap();
    assert_eq!(evidence.session(), seen_by_server.session(), "one session");
    assert!(seen_by_server.peer().is_none(), "the client was anonymous");

    let info = client.query().unwrap();
    let both = InfoFlags::CONNECTION_SECURED | InfoFlags::CONNECTION_ENCRYPTED;
    assert_eq!(info.flags(), both, "spec 7.5");
}

#[test]
fn a_wrong_name_is_refused_and_both_are_named() {
    let world = World::new();
    let address = world.echo_server();
    let asked = "postgres/db2.test".parse().unwrap();
    let error = TcpStream::connect_with(&world.client(), address, &asked).unwrap_err();
    assert!(error.to_string().contains("asked for postgres/db2.test"), "{error}");
    assert!(error.to_string().contains("proved postgres/db1.test"), "{error}");
    assert_eq!(error.wsa(), WsaError::Acces);

    let other_service = "mysql/db1.test".parse().unwrap();
    let error = TcpStream::connect_with(&world.client(), address, &other_service).unwrap_err();
    assert!(error.hint().contains("for other services on it only"), "{}", error.hint());
}

#[test]
fn nothing_of_the_plaintext_is_on_the_wire() {
    let world = World::new();
    let tap = Tap::before(world.echo_server(), usize::MAX);
    let mut stream = world.connect(tap.address).unwrap();
    for _ in 0..50 {
        stream.write_all(MARKER).unwrap();
    }
    let mut back = vec![0; MARKER.len() * 50];
    stream.read_exact(&mut back).unwrap();
    assert!(back.starts_with(MARKER));
    assert!(tap.bytes() > 2 * back.len(), "the tap saw the conversation");
    assert_eq!(tap.sightings(), 0);
}

#[test]
fn the_tap_sees_what_is_in_clear() {
    // The instrument of the other tests, tested.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tap = Tap::before(server.local_addr().unwrap(), usize::MAX);
    let mut plain = std::net::TcpStream::connect(tap.address).unwrap();
    plain.write_all(MARKER).unwrap();
    let mut got = vec![0; MARKER.len()];
    server.accept().unwrap().0.read_exact(&mut got).unwrap();
    assert!(tap.sightings() > 0);
}

#[test]
fn much_data_both_ways_at_once_over_two_handles() {
    let (client, server) = pair(&World::new());
    let data = noise(8 << 20);
    let mut threads = Vec::new();
    for end in [client, server] {
        let (mut reader, mut writer) = (end.try_clone().unwrap(), end);
        let (sent, expected) = (data.clone(), data.clone());
        threads.push(thread::spawn(move || {
            for (index, part) in sent.chunks(70_001).enumerate() {
                writer.write_all(part).unwrap();
                if index % 10 == 0 {
                    writer.flush().unwrap();
                }
            }
            writer.shutdown(Shutdown::Write).unwrap();
        }));
        threads.push(thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn small_and_odd_reads_lose_nothing() {
    let (mut client, mut server) = pair(&World::new());
    let data = noise(300_000);
    let sent = data.clone();
    let writer = thread::spawn(move || {
        for part in sent.chunks(1021) {
            client.write_all(part).unwrap();
        }
    });
    let mut got = Vec::new();
    for size in [1, 7, 64, 1000, 16_384, 100_000].into_iter().cycle() {
        let mut buffer = vec![0; size];
        match server.read(&mut buffer).unwrap() {
            0 => break,
            count => got.extend_from_slice(&buffer[..count]),
        }
    }
    writer.join().unwrap();
    assert!(got == data);
}

#[test]
fn an_end_that_the_peer_announced_is_an_end() {
    let (client, mut server) = pair(&World::new());
    (&client).write_all(b"last words").unwrap();
    drop(client);
    let mut got = Vec::new();
    server.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"last words");
}

#[test]
fn a_cut_is_an_error_and_not_an_end() {
    let world = World::new();
    let listener = world.listener("");
    let address = listener.local_addr();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || stream.write_all(&vec![7; 200_000]));
        }
    });
    let tap = Tap::before(address, 100_000);
    let mut stream = world.connect(tap.address).unwrap();
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    assert!(got.len() < 200_000);
    assert!(stream.read(&mut [0]).is_err(), "and it stays one");
    let ours = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert!(matches!(ours, Error::Handshake { source: HandshakeError::Truncated, .. }));
}

#[test]
fn each_direction_is_shut_down_by_itself() {
    let (mut client, mut server) = pair(&World::new());
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut question = Vec::new();
    server.read_to_end(&mut question).unwrap();
    server.write_all(b"answer").unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!((question.as_slice(), answer.as_slice()), (&b"question"[..], &b"answer"[..]));
    client.shutdown(Shutdown::Read).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_reader_is_not_delayed_by_a_writer_whom_nobody_reads() {
    let (client, mut server) = pair(&World::new());
    let writer = client.try_clone().unwrap();
    // More than all buffers hold: it blocks until the server reads.
    let blocked = thread::spawn(move || (&writer).write_all(&vec![1; 64 << 20]));
    thread::sleep(Duration::from_millis(200));
    server.write_all(b"ping").unwrap();
    let mut got = [0; 4];
    (&client).read_exact(&mut got).unwrap();
    assert_eq!(&got, b"ping");
    assert!(!blocked.is_finished(), "the writer was blocked all the while");
    drop(server);
    drop(client);
    assert!(blocked.join().unwrap().is_err());
}

#[test]
fn non_blocking_reads_and_writes_say_what_to_wait_for() {
    let (client, mut server) = pair(&World::new());
    client.set_nonblocking(true).unwrap();
    assert_eq!((&client).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(client.interest(), &[Interest::Read]);

    let data = noise(20 << 20);
    let expected = data.clone();
    let mut done = 0;
    while done < data.len() {
        match (&client).write(&data[done..]) {
            Ok(count) => done += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(done < data.len(), "the socket was full at some time");
    assert!(client.interest().contains(&Interest::Write));
    let reader = thread::spawn(move || {
        let mut got = vec![0; expected.len()];
        server.read_exact(&mut got).unwrap();
        assert!(got == expected);
    });
    while done < data.len() || (&client).flush().is_err() {
        countersign_sys::wait(client.as_fd(), Interest::Write, None).unwrap();
        match (&client).write(&data[done..]) {
            Ok(count) => done += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    reader.join().unwrap();
}

#[test]
fn time_outs_leave_the_stream_as_good_as_before() {
    let (mut client, mut server) = pair(&World::new());
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let start = Instant::now();
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(start.elapsed() >= Duration::from_millis(40));
    server.write_all(b"x").unwrap();
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);

    client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let data = noise(64 << 20);
    let mut done = 0;
    let error = loop {
        match client.write(&data[done..]) {
            Ok(count) => done += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let expected = data[..done].to_vec();
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        server.read_to_end(&mut got).unwrap();
        assert!(got == expected, "{} of {}", got.len(), expected.len());
    });
    client.set_write_timeout(None).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    reader.join().unwrap();
}

#[test]
fn a_client_that_the_server_refuses_learns_why() {
    let world = World::new();
    let listener = world.listener("[[allow]]\npeers = [\"alice@EXAMPLE.COM\"]\n");
    let address = listener.local_addr();
    thread::spawn(move || listener.accept());
    // In TLS 1.3 the client is done before the server has judged it.
    let mut stream = world.connect(address).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("certificate_required"), "{error}");
}

#[test]
fn query_after_a_reset_says_so() {
    let (client, server) = pair(&World::new());
    (&client).write_all(&vec![1; 100_000]).unwrap();
    let plain = server.as_fd().try_clone_to_owned().unwrap();
    std::mem::forget(server);
    // Closing over unread bytes resets the connection.
    let plain = std::net::TcpStream::from(plain);
    plain.shutdown(Shutdown::Both).unwrap();
    let start = Instant::now();
    while client.query().is_ok() && start.elapsed() < Duration::from_secs(5) {
        let _ = (&client).write(&[1; 1000]);
    }
    assert_eq!(client.query().unwrap_err().wsa(), WsaError::ConnReset);
}

#[test]
fn dropping_a_non_blocking_stream_waits_for_nobody() {
    let (client, server) = pair(&World::new());
    client.set_nonblocking(true).unwrap();
    while (&client).write(&[0; 16_384]).is_ok() {}
    let start = Instant::now();
    drop(client);
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    drop(server);
}
