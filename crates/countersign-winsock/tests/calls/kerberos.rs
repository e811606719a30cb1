//! Datagrams whose ends know each other by a ticket and a keytab, in a realm with MIT's KDC.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use countersign_lab::{Kdc, Realm, within};
use countersign_winsock::abi::{self, Socket};
use countersign_winsock::*;

use crate::datagrams::send_to;
use crate::world::*;

/// Asks for a token to look at (SPEC 7.2).
const TOKEN_QUERY: u32 = 0x8;
const SERVICE: &str = "postgres/db1.example.test";

/// Runs a test in a process of its own, whose policy has it ask and serve by Kerberos alone.
fn in_realm(body: impl FnOnce()) {
    let mut kdc = None;
    within(
        || {
            let kdc = kdc.insert(Kdc::start());
            kdc.add(&["alice", SERVICE]);
            kdc.keytab("db1", &[SERVICE]);
            kdc.ticket("alice", "alice", &[]);
            Realm::clone(kdc)
        },
        |realm| {
            start_with(&format!(
                "[kerberos]\nclient = 'require'\ncache = 'FILE:{}'\nserver = 'require'\n\
                 services = ['{SERVICE}']\nkeytab = '{}'\n",
                realm.file("alice"),
                realm.file("db1")
            ));
            body();
        },
    );
}

fn bound() -> (Socket, SocketAddr) {
    let socket = socket(abi::SOCK_DGRAM, 0);
    ok(set_security(socket));
    ok(bind(socket, "127.0.0.1:0"));
    (socket, local(socket))
}

/// Answers one datagram; returns who asked, and what protects it.
fn answer(socket: Socket, asker: SocketAddr) -> std::thread::JoinHandle<[u8; 24]> {
    spawn(move || {
        let mut into = [0; 64];
        let count = ok(recv(socket, &mut into));
        ok(send_to(socket, &into[..count], asker));
        query(socket, Some(asker)).unwrap()
    })
}

#[test]
fn a_ticket_proves_a_datagram_peer() {
    in_realm(|| {
        let ((one, at_one), (two, at_two)) = (bound(), bound());
        ok(set_name(one, Some(at_two), SERVICE));
        let server = answer(two, at_one);
        ok(send_to(one, b"by ticket", at_two));
        let mut into = [0; 64];
        assert_eq!(ok(recv(one, &mut into)), 9);
        assert_eq!(flags(&query(one, Some(at_two)).unwrap()) & 3, 3);
        assert_eq!(flags(&server.join().unwrap()) & 3, 3);
        // Who it is: a user, by a token that was made for the one who asked.
        let answer = query_for(two, at_one, TOKEN_QUERY).unwrap();
        let [application, machine] =
            [8, 16].map(|at| u64::from_ne_bytes(answer[at..at + 8].try_into().unwrap()));
        assert!(application != 0 && machine == 0, "{application} {machine}");
        for socket in [one, two] {
            ok(close(socket));
        }
    });
}

#[test]
fn a_program_that_never_waits_sends_once_the_ticket_has_proved_the_peer() {
    in_realm(|| {
        let ((one, at_one), (two, at_two)) = (bound(), bound());
        ok(set_name(one, Some(at_two), SERVICE));
        set_nonblocking(one, true);
        let server = answer(two, at_one);
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut waited = 0;
        while send_to(one, b"by ticket", at_two) < 0 {
            assert_eq!(WSAGetLastError(), abi::WSAEWOULDBLOCK, "{}", text());
            assert!(Instant::now() < deadline, "it never ended");
            waited += 1;
            sleep(Duration::from_millis(1));
        }
        assert!(waited > 0);
        assert_eq!(poll(one, abi::POLLRDNORM, 10_000), abi::POLLRDNORM);
        let mut into = [0; 64];
        assert_eq!(ok(recv(one, &mut into)), 9);
        server.join().unwrap();
        for socket in [one, two] {
            ok(close(socket));
        }
    });
}

#[test]
fn a_service_that_is_another_one_is_refused_with_its_number() {
    in_realm(|| {
        let ((one, _), (two, at_two)) = (bound(), bound());
        ok(set_name(one, Some(at_two), "HTTP/web.example.test"));
        let _server = spawn(move || recv(two, &mut [0; 64]));
        fails(send_to(one, b"secret", at_two), -1, abi::WSAEACCES);
        assert!(text().contains("HTTP/web.example.test"), "{}", text());
        ok(close(one));
        ok(close(two));
    });
}
