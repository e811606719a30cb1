//! KDCs and peers that say nothing: whoever waits for them waits alone, and not for long.

use std::net::{SocketAddr, UdpSocket as Plain};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Credentials, KerberosFailure, SecuritySettings};
use countersign::{Context, Error, Interest, UdpSocket};
use countersign_lab::Kdc;
use countersign_sys::wait;

use super::Echo;
use crate::silence::{LIMITS, TIME, end, silence, with_silent_realm};
use crate::world::{PATIENCE, SERVICE, asking, context, failure, in_own_realm, in_realm, serving};

/// Sends to `hanging`, whose proof needs a KDC that is silent, while another thread exchanges
/// datagrams with `healthy` over the same socket; returns why the first failed and after what time,
/// and how long the slowest exchange of the other took.
fn beside(
    socket: &UdpSocket,
    healthy: SocketAddr,
    hanging: SocketAddr,
) -> (KerberosFailure, Duration, Duration) {
    let exchange = || {
        socket.send_to(b"hello", healthy).unwrap();
        assert_eq!(socket.recv_from(&mut [0; 64]).unwrap(), (5, healthy));
    };
    exchange();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !is_over.load(Ordering::Relaxed) {
                let before = Instant::now();
                exchange();
                slowest = slowest.max(before.elapsed());
            }
            slowest
        });
        let started = Instant::now();
        let why = failure(socket.send_to(b"hello", hanging));
        let took = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (why, took, others.join().unwrap())
    })
}

#[track_caller]
fn check((why, took, slowest): (KerberosFailure, Duration, Duration)) {
    assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
    assert!(took >= TIME && took < TIME + Duration::from_secs(2), "{took:?}");
    assert!(slowest < Duration::from_millis(1000), "others waited too: {slowest:?}");
}

fn unbound(context: &Context) -> UdpSocket {
    let socket = UdpSocket::unbound(context, "127.0.0.1:0".parse().unwrap()).unwrap();
    socket.set_read_timeout(Some(PATIENCE));
    socket
}

#[test]
fn a_kdc_that_is_silent_about_a_service_delays_that_peer_of_the_socket_only() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = || Echo::start(&context(&serving(realm, "")));
        let (healthy, hanging) = (server(), server());
        let both = "realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n";
        for word in ["require", "prefer"] {
            let more = format!("client = '{word}'\n{both}{LIMITS}");
            let socket = unbound(&context(&asking(realm, "alice", &more)));
            socket.set_peer_target_name(healthy.address, SERVICE.parse().unwrap()).unwrap();
            let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
            socket.set_peer_target_name(hanging.address, asked).unwrap();
            check(beside(&socket, healthy.address, hanging.address));
        }
        end(silent);
    });
}

/// Also in the look for tickets before the greeting, of which the peer then hears nothing.
#[test]
fn a_kdc_that_is_silent_about_a_user_is_waited_for_until_the_deadline() {
    let with_carol = |kdc: &Kdc| {
        with_silent_realm(kdc);
        kdc.add(&["carol@SILENT.TEST"]);
        kdc.keytab("carol", &["carol@SILENT.TEST"]);
    };
    in_own_realm(with_carol, |realm| {
        let silent = silence(realm);
        let server = Echo::start(&context(&serving(realm, "")));
        let late = |socket: UdpSocket| {
            socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
            let started = Instant::now();
            let why = failure(socket.send_to(b"hello", server.address));
            assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
            assert!(started.elapsed() < TIME + Duration::from_secs(2), "{:?}", started.elapsed());
        };
        let keys = format!(
            "[kerberos]\nclient = 'prefer'\nclient-keytab = '{}'\n\
             principal = 'carol@SILENT.TEST'\n{LIMITS}",
            realm.file("carol")
        );
        late(unbound(&context(&keys)));
        assert!(server.saw_nobody(), "it was greeted");

        let given = Credentials::new("carol".into(), "SILENT.TEST".into(), "secret".into());
        let socket = unbound(&context(LIMITS));
        socket.set_security(Some(SecuritySettings::default().with_credentials(given))).unwrap();
        late(socket);
        end(silent);
    });
}

#[test]
fn a_non_blocking_socket_never_waits_and_its_descriptor_tells_when_to_go_on() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = Echo::start(&context(&serving(realm, "")));
        for word in ["require", "prefer"] {
            let more = format!("client = '{word}'\n");
            let socket = unbound(&context(&asking(realm, "alice", &more)));
            socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
            socket.set_nonblocking(true);
            let (tries, slowest) = sent(&socket, &server, b"hello").unwrap();
            assert!(tries < 100, "it spins: {tries}");
            assert!(slowest < Duration::from_millis(500), "{slowest:?}");
            let mut into = [0; 64];
            while socket.recv_from(&mut into).is_err_and(|error| error.is_would_block()) {
                ready(&socket);
            }
            assert_eq!(&into[..5], b"hello");
        }

        let more = format!("realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n{LIMITS}");
        let socket = unbound(&context(&asking(realm, "alice", &more)));
        let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
        socket.set_peer_target_name(server.address, asked).unwrap();
        socket.set_nonblocking(true);
        let started = Instant::now();
        let why = failure(sent(&socket, &server, b"hello").map(drop));
        assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
        assert!(started.elapsed() < TIME + Duration::from_secs(2), "{:?}", started.elapsed());
        end(silent);
    });
}

fn ready(socket: &UdpSocket) {
    wait(socket.as_fd(), Interest::Read, Some(Instant::now() + PATIENCE)).unwrap();
}

/// Sends once the peer has proved who it is; returns how often it was tried, and how long the
/// slowest try took.
fn sent(socket: &UdpSocket, to: &Echo, text: &[u8]) -> Result<(usize, Duration), Error> {
    let (mut tries, mut slowest) = (0, Duration::ZERO);
    loop {
        let before = Instant::now();
        let sent = socket.send_to(text, to.address);
        slowest = slowest.max(before.elapsed());
        tries += 1;
        match sent {
            Ok(_) => return Ok((tries, slowest)),
            Err(error) if error.is_would_block() => ready(socket),
            Err(error) => return Err(error),
        }
    }
}

/// Unread datagrams keep the descriptor ready; that is no reason to wait inside a call.
#[test]
fn a_first_datagram_does_not_wait_because_others_are_unread() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let socket = unbound(&context(&asking(realm, "alice", "")));
        socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        socket.send_to(b"hello", server.address).unwrap();
        socket.set_nonblocking(true);
        while socket.look_ahead().unwrap().is_none() {
            ready(&socket);
        }
        // Somebody who never answers.
        let nobody = Plain::bind("127.0.0.1:0").unwrap();
        let nobody = nobody.local_addr().unwrap();
        socket.set_peer_target_name(nobody, SERVICE.parse().unwrap()).unwrap();
        let started = Instant::now();
        for _ in 0..5 {
            assert!(socket.send_to(b"hello", nobody).unwrap_err().is_would_block());
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(socket.recv_from(&mut [0; 64]).unwrap().0, 5);
    });
}

#[test]
fn a_socket_that_is_closed_while_a_kdc_is_asked_leaves_nothing_behind() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = Echo::start(&context(&serving(realm, "")));
        let both = "realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n";
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = descriptors();
        for word in ["require", "prefer"] {
            let client = context(&asking(realm, "alice", &format!("client = '{word}'\n{both}")));
            let socket = unbound(&client);
            let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
            socket.set_peer_target_name(server.address, asked).unwrap();
            socket.set_write_timeout(Some(Duration::from_millis(300)));
            let error = socket.send_to(b"hello", server.address).unwrap_err();
            assert!(
                matches!(&error, Error::Io { source, .. }
                if source.kind() == std::io::ErrorKind::TimedOut),
                "{error}"
            );
            socket.disconnect(server.address);
            drop(socket);
        }
        end(silent);
        let deadline = Instant::now() + PATIENCE;
        while descriptors() > before {
            assert!(Instant::now() < deadline, "{} of {before}", descriptors());
            thread::sleep(Duration::from_millis(50));
        }
    });
}
