//! Ends that are client and server at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use countersign::core::HandshakeError;
use countersign::{Context, UdpSocket};
use countersign_lab::{Kdc, Leaf, Realm};

use super::{Echo, meet};
use crate::world::{
    OTHER, PATIENCE, ROOT, SERVICE, asking, context, in_own_realm, in_realm, peer, serving,
    serving_from, showing,
};

/// A host that has the keys of a service to serve with, and to greet others with.
fn host(realm: &Realm, service: &str, words: &str) -> Context {
    let keytab = realm.file(&format!("{}.keys", service.replace('/', "-")));
    let more = format!(
        "{words}services = ['{service}']\nclient-keytab = '{keytab}'\n\
         principal = '{service}@EXAMPLE.TEST'\n"
    );
    let issued = ROOT.issue(Leaf::new().dns("here.example.test"));
    showing(&serving_from(&keytab, &more), &issued)
}

fn with_keys(kdc: &Kdc) {
    for service in [SERVICE, OTHER] {
        kdc.keytab(&format!("{}.keys", service.replace('/', "-")), &[service]);
    }
}

#[test]
fn both_ends_greet_at_once_and_one_ticket_decides() {
    in_own_realm(with_keys, |realm| {
        let both = "client = 'require'\nserver = 'require'\n";
        let sides = [(SERVICE, OTHER), (OTHER, SERVICE)];
        for _ in 0..5 {
            let sockets = sides.map(|(own, _)| {
                UdpSocket::bind_with(&host(realm, own, both), "127.0.0.1:0").unwrap()
            });
            let addresses = [1, 0].map(|other: usize| sockets[other].local_addr().unwrap());
            let ends: Vec<_> = sockets
                .into_iter()
                .zip(addresses)
                .zip(sides)
                .map(|((socket, other), (own, asked))| {
                    let asked = format!("{asked}@EXAMPLE.TEST");
                    socket.set_peer_target_name(other, asked.parse().unwrap()).unwrap();
                    socket.set_read_timeout(Some(PATIENCE));
                    thread::spawn(move || {
                        socket.send_to(own.as_bytes(), other).unwrap();
                        let mut into = [0; 64];
                        let (count, from) = socket.recv_from(&mut into).unwrap();
                        assert_eq!(from, other);
                        let info = socket.query(other).unwrap();
                        let evidence = info.evidence().unwrap().clone();
                        assert_eq!(peer(&evidence), format!("{asked} by Kerberos ticket"));
                        // The other end may still have to hear of it.
                        let _ = socket.send_to(b"done", other);
                        socket.set_read_timeout(Some(Duration::from_millis(300)));
                        let _ = socket.recv_from(&mut [0; 64]);
                        (evidence.session(), into[..count].to_vec())
                    })
                })
                .collect();
            let ends: Vec<_> = ends.into_iter().map(|end| end.join().unwrap()).collect();
            assert_eq!(ends[0].0, ends[1].0, "they hold different sessions");
            assert_eq!(ends[0].1, OTHER.as_bytes());
            assert_eq!(ends[1].1, SERVICE.as_bytes());
        }
    });
}

/// Who comes first chooses nothing: not that a certificate will do where a ticket must.
#[test]
fn a_peer_that_a_ticket_must_prove_cannot_greet_its_way_around_it() {
    in_own_realm(with_keys, |realm| {
        let name = format!("{OTHER}@EXAMPLE.TEST");
        let leaf = Leaf::new().kerberos("EXAMPLE.TEST", &["HTTP", "web.example.test"]);
        let stolen = showing("", &ROOT.issue(leaf));
        for words in ["client = 'require'\nserver = 'off'\n", "client = 'require'\n"] {
            let socket = UdpSocket::bind_with(&host(realm, SERVICE, words), "127.0.0.1:0").unwrap();
            let mallory = UdpSocket::bind_with(&stolen, "127.0.0.1:0").unwrap();
            let from = mallory.local_addr().unwrap();
            socket.set_peer_target_name(from, name.parse().unwrap()).unwrap();
            let deaf = Echo::of(socket);
            mallory.set_peer_target_name(deaf.address, SERVICE.parse().unwrap()).unwrap();
            mallory.set_write_timeout(Some(Duration::from_millis(700)));
            mallory.send_to(b"let me in", deaf.address).unwrap_err();
            match deaf.saw().unwrap_err() {
                HandshakeError::KerberosRequired => assert!(!words.contains("off")),
                HandshakeError::OurSide { what } => {
                    assert!(what.contains("kerberos.server") && words.contains("off"), "{what}");
                    assert!(deaf.saw_nobody(), "who asks again is told of once");
                }
                other => panic!("{other}"),
            }
        }
    });
}

/// Who has an address after somebody else is not taken for the sender of what the other sent.
#[test]
fn what_was_not_fetched_is_not_taken_for_the_next_peers_at_the_same_address() {
    in_realm(|realm| {
        let server = context(&serving(realm, "[[allow]]\npeers = ['*@EXAMPLE.TEST']\n"));
        let server = Arc::new(UdpSocket::bind_with(&server, "127.0.0.1:0").unwrap());
        server.set_nonblocking(true);
        let address = server.local_addr().unwrap();
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let nobody = nobody.local_addr().unwrap();
        server.set_peer_target_name(nobody, "HTTP/nobody.example.test".parse().unwrap()).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let driver = {
            let (server, is_over) = (server.clone(), is_over.clone());
            // It goes on with all that is under way, and fetches nothing.
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = server.send_to(b"x", nobody);
                    thread::sleep(Duration::from_millis(2));
                }
            })
        };
        let mut at = "127.0.0.1:0".parse().unwrap();
        for (cache, text) in [("alice", "from alice"), ("bob", "from bob")] {
            let client = context(&asking(realm, cache, ""));
            let socket = UdpSocket::bind_with(&client, at).unwrap();
            at = socket.local_addr().unwrap();
            socket.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
            socket.connect(address).unwrap();
            socket.send(text.as_bytes()).unwrap();
            thread::sleep(Duration::from_millis(200));
            let info = server.query(at).unwrap();
            assert_eq!(
                peer(info.evidence().unwrap()),
                format!("{cache}@EXAMPLE.TEST by Kerberos ticket")
            );
            assert_eq!(server.look_ahead().unwrap(), Some((text.len(), at)), "it waits there");
        }
        is_over.store(true, Ordering::Relaxed);
        driver.join().unwrap();
        let mut into = [0; 64];
        let (count, from) = server.recv_from(&mut into).unwrap();
        assert_eq!((&into[..count], from), (&b"from bob"[..], at));
        assert!(server.recv_from(&mut into).unwrap_err().is_would_block());
    });
}

/// A peer that was restarted is known again by a new ticket.
#[test]
fn a_client_that_comes_back_from_the_same_address_proves_itself_anew() {
    in_own_realm(with_keys, |realm| {
        let server = Echo::start(&host(realm, SERVICE, "server = 'require'\n"));
        let client = context(&asking(realm, "alice", ""));
        let first = meet(&client, server.address, SERVICE).unwrap();
        super::round_trip(&first);
        let at = first.local_addr().unwrap();
        let before = super::evidence(&first).session();
        server.saw().unwrap();
        drop(first);
        let bob = context(&asking(realm, "bob", ""));
        let second = UdpSocket::bind_with(&bob, at).unwrap();
        second.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        second.set_read_timeout(Some(PATIENCE));
        second.connect(server.address).unwrap();
        super::round_trip(&second);
        let theirs = server.saw().unwrap();
        assert_eq!(peer(&theirs), "bob@EXAMPLE.TEST by Kerberos ticket");
        assert_ne!(theirs.session(), before);
    });
}
