//! KDCs and peers that say nothing: whoever waits for them waits alone, and not for long.

use std::io::Read;
use std::net::{SocketAddr, TcpListener as Plain, TcpStream as PlainStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Credentials, HandshakeError, KerberosFailure, SecuritySettings};
use countersign::{Context, Error, Incoming, Socket, TcpListener, TcpStream};
use countersign_lab::{Kdc, Leaf, Realm, free_port};

use crate::world::{
    ROOT, SERVICE, Server, asking, context, failure, in_own_realm, in_realm, round_trip, serving,
    showing,
};

/// Adds a realm whose KDC listens and never answers.
fn with_silent_realm(kdc: &Kdc) {
    let port = free_port();
    let path = kdc.path("krb5.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let realm = format!("[realms]\n  SILENT.TEST = {{\n    kdc = 127.0.0.1:{port}\n  }}\n");
    std::fs::write(&path, text.replacen("[realms]\n", &realm, 1)).unwrap();
    std::fs::write(kdc.path("silent"), port.to_string()).unwrap();
    // Alice may ask there, so her ticket for its KDC is good.
    kdc.add(&["krbtgt/SILENT.TEST"]);
}

/// Listens where the silent KDC is.
fn silence(realm: &Realm) -> (Plain, UdpSocket) {
    let port: u16 = std::fs::read_to_string(realm.path("silent")).unwrap().parse().unwrap();
    (Plain::bind(("127.0.0.1", port)).unwrap(), UdpSocket::bind(("127.0.0.1", port)).unwrap())
}

const TIME: Duration = Duration::from_millis(1500);
const LIMITS: &str = "[limits]\nhandshake-timeout-ms = 1500\n";

/// Connects while others do, and says how long the slowest of these took.
fn meanwhile(
    server: &Server,
    client: &Context,
    hangs: impl FnOnce() -> Result<TcpStream, Error> + Send,
) -> (KerberosFailure, Duration, Duration) {
    // What libkrb5 and we open for the first time is not what is measured.
    round_trip(&server.meet(client, SERVICE).unwrap());
    thread::scope(|scope| {
        let started = Instant::now();
        let hanging = scope.spawn(move || (failure(hangs()), started.elapsed()));
        let mut slowest = Duration::ZERO;
        while !hanging.is_finished() {
            let before = Instant::now();
            round_trip(&server.meet(client, SERVICE).unwrap());
            slowest = slowest.max(before.elapsed());
        }
        let (why, took) = hanging.join().unwrap();
        (why, took, slowest)
    })
}

/// Lets the thread that still waits for the KDC find that nobody is there: a process that ends
/// takes the Kerberos library down, also from under that thread, which aborts.
fn end(silent: (Plain, UdpSocket)) {
    drop(silent);
    thread::sleep(Duration::from_millis(500));
}

#[track_caller]
fn check((why, took, slowest): (KerberosFailure, Duration, Duration)) {
    assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
    assert!(took >= TIME && took < TIME + Duration::from_secs(2), "{took:?}");
    assert!(slowest < Duration::from_millis(1000), "others waited too: {slowest:?}");
}

#[test]
fn a_kdc_that_is_silent_about_a_user_delays_that_connection_only() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let address = server.address;
        check(meanwhile(&server, &client, move || as_carol(address)));
        end(silent);
    });
}

#[test]
fn a_kdc_that_is_silent_about_a_service_delays_that_connection_only() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let both = "realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n";
        let patient = context(&asking(realm, "alice", &format!("{both}{LIMITS}")));
        let address = server.address;
        let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
        check(meanwhile(&server, &client, move || {
            TcpStream::connect_with(&patient, address, &asked)
        }));
        end(silent);
    });
}

/// More than there are threads, in two ways: users of the silent realm, and services in it.
const MANY: usize = 100;

#[test]
fn many_that_hang_in_silent_kdcs_delay_nobody_who_needs_none_or_another() {
    let more = |kdc: &Kdc| {
        with_silent_realm(kdc);
        kdc.add(&["dora"]);
        kdc.ticket("dora", "dora", &[]);
    };
    in_own_realm(more, |realm| {
        let silent = silence(realm);
        let by_certificate = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let server = Server::start(&showing(&serving(realm, ""), &by_certificate));
        let address = server.address;
        let alice = context(&asking(realm, "alice", ""));
        round_trip(&server.meet(&alice, SERVICE).unwrap());
        let both = "realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n";
        let patient = context(&asking(realm, "alice", &format!("{both}{LIMITS}")));
        thread::scope(|scope| {
            let started = Instant::now();
            let hang = |number: usize| {
                let patient = &patient;
                scope.spawn(move || {
                    let became = match number % 2 {
                        0 => {
                            let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
                            TcpStream::connect_with(patient, address, &asked)
                        }
                        _ => as_carol(address),
                    };
                    (failure(became), started.elapsed())
                })
            };
            let hanging: Vec<_> = (0..MANY).map(hang).collect();
            // By then all threads that may hang do.
            thread::sleep(Duration::from_millis(400));
            let mut served = 0;
            while started.elapsed() < TIME {
                // With tickets at hand; with a ticket that the KDC has yet to give; by certificate.
                let dora = context(&asking(realm, "dora", ""));
                for client in [&alice, &dora, &context("")] {
                    let before = Instant::now();
                    round_trip(&server.meet(client, SERVICE).unwrap());
                    let took = before.elapsed();
                    assert!(took < Duration::from_millis(1000), "they waited too: {took:?}");
                    served += 1;
                }
            }
            assert!(served >= 6, "{served} were served");
            for thread in hanging {
                let (why, took) = thread.join().unwrap();
                assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
                assert!(took >= TIME && took < TIME + Duration::from_secs(3), "{took:?}");
            }
        });
        end(silent);
    });
}

/// Connects as a user of the silent realm.
fn as_carol(address: SocketAddr) -> Result<TcpStream, Error> {
    let credentials = Credentials::new("carol".into(), "SILENT.TEST".into(), "secret".into());
    let mut socket = Socket::stream(&context(LIMITS), address)?;
    socket.set_security(Some(SecuritySettings::default().with_credentials(credentials)))?;
    socket.set_peer_target_name(address, SERVICE.parse().unwrap())?;
    socket.connect(address)?;
    socket.into_stream()
}

#[test]
fn a_client_that_stalls_in_the_proof_is_bounded_in_time_and_counted() {
    in_realm(|realm| {
        let limits = "[limits]\nhandshake-timeout-ms = 700\nhandshakes = 3\n";
        let policy = serving(realm, limits);
        let listener = TcpListener::bind_with(&context(&policy), "127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let held: Vec<_> = (0..5).map(|_| stalling_client(address)).collect();
        let started = Instant::now();
        let mut overloaded = 0;
        let mut late = 0;
        for _ in 0..5 {
            match listener.next_event().unwrap() {
                Incoming::Refused(refusal) => match refusal.error {
                    HandshakeError::Overloaded { limit: 3 } => overloaded += 1,
                    HandshakeError::TimedOut { .. } => late += 1,
                    other => panic!("{other}"),
                },
                other => panic!("{other:?}"),
            }
            assert!(listener.handshakes() <= 3);
        }
        assert_eq!((overloaded, late), (2, 3));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        drop(held);
    });
}

/// Does TLS with our protocol, and then nothing.
fn stalling_client(address: SocketAddr) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut socket = PlainStream::connect(address).unwrap();
        let mut tls = crate::middle::as_client();
        while tls.is_handshaking() {
            if tls.complete_io(&mut socket).is_err() {
                return;
            }
        }
        let _ = tls.complete_io(&mut socket);
        let _ = socket.read(&mut [0; 64]);
    })
}

#[test]
fn a_client_that_floods_in_the_proof_keeps_nobody_out() {
    in_realm(|realm| {
        let policy = serving(realm, "[limits]\nhandshake-timeout-ms = 2000\n");
        let server = Server::start(&context(&policy));
        let client = context(&asking(realm, "alice", ""));
        round_trip(&server.meet(&client, SERVICE).unwrap());
        server.saw().unwrap();
        let address = server.address;
        let flood = thread::spawn(move || {
            let mut socket = PlainStream::connect(address).unwrap();
            let mut tls = crate::middle::as_client();
            while tls.is_handshaking() {
                tls.complete_io(&mut socket).unwrap();
            }
            // The longest message there is, a byte at a time, and between two bytes as many new
            // keys as one may ask for.
            let mut message = vec![0, 1, 0xff, 0, b'T'];
            message.resize(0x1ff00, 0);
            let started = Instant::now();
            for byte in message {
                for _ in 0..30 {
                    let _ = tls.refresh_traffic_keys();
                }
                std::io::Write::write_all(&mut tls.writer(), &[byte]).unwrap();
                while tls.wants_write() {
                    if tls.write_tls(&mut socket).is_err() {
                        return started.elapsed();
                    }
                }
            }
            started.elapsed()
        });
        let mut served = 0;
        while !flood.is_finished() {
            round_trip(&server.meet(&client, SERVICE).unwrap());
            served += 1;
        }
        let took = flood.join().unwrap();
        assert!(took < Duration::from_secs(10), "it had {took:?}");
        assert!(served >= 10, "{served} others were served in {took:?}");
    });
}
