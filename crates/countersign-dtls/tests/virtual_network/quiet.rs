//! Peers that say nothing: gone, restarted, or with nothing to say.

use std::net::SocketAddr;
use std::time::Duration;

use countersign_core::SessionId;
use countersign_dtls::Standing;

use crate::clock;
use crate::net::{Net, Weather, World};

/// Longer than a peer may be quiet, and than a handshake may take.
const QUIET: Duration = Duration::from_secs(61);
const PATIENCE: Duration = Duration::from_secs(11);

struct Pair {
    world: World,
    net: Net,
    client: usize,
    server: usize,
    peer: SocketAddr,
}

fn pair() -> Pair {
    let world = World::new();
    let mut net = Net::new(Weather::fair(), 1);
    let (client, server) = (net.add(world.host("client.test")), net.add(world.host("one.test")));
    net.connect(client, "192.0.2.2:1000", "one.test");
    assert!(net.meet(client, server));
    net.settle();
    let peer = net.hosts[server].address;
    Pair { world, net, client, server, peer }
}

impl Pair {
    /// The server's host has a program that knows nothing of those before it.
    fn restart(&mut self) -> usize {
        let fresh = self.net.add(self.world.host("one.test"));
        self.net.hosts[self.server].address = "198.51.100.1:1".parse().unwrap();
        self.net.hosts[fresh].address = self.peer;
        fresh
    }

    fn session(&self) -> SessionId {
        self.net.hosts[self.client].endpoint.evidence(self.peer).unwrap().session()
    }

    fn closed(&self) -> usize {
        self.net.hosts[self.client].diary.closed.len()
    }
}

#[test]
fn a_peer_that_restarted_is_noticed_by_who_only_sends() {
    let mut pair = pair();
    let old = pair.session();
    let fresh = pair.restart();
    pair.net.send(pair.client, fresh, b"lost");
    pair.net.settle();
    clock::pass(QUIET);
    // The one that notices is lost too: it goes under the old keys.
    pair.net.send(pair.client, fresh, b"lost");
    pair.net.run(PATIENCE, |net| net.hosts[fresh].diary.secured.len() == 1);
    pair.net.settle();
    assert_ne!(pair.session(), old);
    pair.net.send(pair.client, fresh, b"arrives");
    pair.net.settle();
    let from = pair.net.hosts[pair.client].address;
    assert_eq!(pair.net.hosts[fresh].diary.delivered, [(from, b"arrives".to_vec())]);
    assert!(pair.net.hosts[pair.client].diary.failed.is_empty());
}

#[test]
fn a_peer_that_only_listens_and_does_not_begin_anew_keeps_its_association() {
    let mut pair = pair();
    let old = pair.session();
    let away = "198.51.100.1:1".parse().unwrap();
    for round in 1..4 {
        clock::pass(QUIET);
        // What is asked meanwhile is not answered; what is sent before and after arrives.
        pair.net.send(pair.client, pair.server, b"one");
        let sent = pair.net.tape.len();
        pair.net.hosts[pair.server].address = away;
        pair.net.run(PATIENCE, |_| false);
        assert!(pair.net.tape.len() > sent, "a hello was repeated");
        pair.net.hosts[pair.server].address = pair.peer;
        pair.net.send(pair.client, pair.server, b"two");
        pair.net.settle();
        let delivered = &pair.net.hosts[pair.server].diary.delivered;
        assert_eq!(delivered.iter().filter(|it| it.1 == b"two").count(), round);
    }
    assert_eq!((pair.session(), pair.closed()), (old, 0));
    assert!(pair.net.hosts[pair.client].diary.failed.is_empty(), "and nobody is told");
}

#[test]
fn a_peer_that_answers_is_not_bothered() {
    let mut pair = pair();
    let hellos = |net: &Net| net.hosts[pair.server].diary.secured.len();
    for _ in 0..10 {
        clock::pass(Duration::from_secs(30));
        pair.net.send(pair.client, pair.server, b"ping");
        pair.net.settle();
        pair.net.send(pair.server, pair.client, b"pong");
        pair.net.settle();
    }
    assert_eq!(hellos(&pair.net), 1);
}

/// The word of the network alone ends nothing: anyone on the way can forge it.
#[test]
fn a_forged_word_that_a_peer_is_gone_costs_a_handshake_and_no_datagram() {
    let mut pair = pair();
    for round in 1..6 {
        clock::pass(Duration::from_secs(2));
        let now = clock::now();
        assert!(!pair.net.hosts[pair.client].endpoint.unreachable(pair.peer, now));
        pair.net.tick(pair.client);
        pair.net.send(pair.client, pair.server, b"still");
        pair.net.settle();
        pair.net.send(pair.client, pair.server, b"here");
        pair.net.settle();
        assert_eq!(pair.net.hosts[pair.server].diary.delivered.len(), 2 * round);
    }
    assert_eq!(pair.closed(), 0);
    assert_eq!(pair.net.hosts[pair.client].endpoint.standing(pair.peer), Standing::Secured);
}

#[test]
fn a_peer_that_is_gone_by_the_word_of_the_network_and_by_its_silence_is_given_up() {
    let mut pair = pair();
    pair.net.hosts[pair.server].address = "198.51.100.1:1".parse().unwrap();
    clock::pass(Duration::from_secs(2));
    let now = clock::now();
    assert!(!pair.net.hosts[pair.client].endpoint.unreachable(pair.peer, now));
    pair.net.tick(pair.client);
    pair.net.run(PATIENCE, |_| false);
    assert_eq!(pair.closed(), 1);
    assert!(pair.net.hosts[pair.client].endpoint.is_empty());
}
