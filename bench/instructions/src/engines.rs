//! Two engines, and nothing but memory between them.

use countersign_core::Timestamp;
use countersign_lab::{Authority, Leaf, Scene};
use countersign_tls::{Engine, Opened};

use crate::counted;

/// What is written at once in bulk: one full record.
pub(crate) const PIECE: usize = 16 * 1024;

/// What goes to and fro.
pub(crate) const MESSAGE: usize = 64;

/// A client and a server who have proved their names to each other.
pub(crate) struct Ends {
    client: Engine,
    server: Engine,
    now: Timestamp,
    plain: Vec<u8>,
    wire: Vec<u8>,
    into: Vec<u8>,
}

pub(crate) fn handshakes(times: usize) {
    let scene = scene();
    // What is done once, such as choosing code for the processor, is no part of a handshake.
    scene.pair().handshake();
    for ending in counted::handshakes(&scene, times) {
        let (client, server) = (ending.client.expect("a client"), ending.server.expect("a server"));
        assert!(client.peer().is_some() && server.peer().is_some(), "both prove their names");
    }
}

pub(crate) fn bulk(times: usize) {
    let mut ends = Ends::new();
    ends.client_sends(PIECE);
    assert_eq!(counted::bulk(&mut ends, times), times << 20);
}

pub(crate) fn round_trips(times: usize) {
    let mut ends = Ends::new();
    ends.client_sends(MESSAGE);
    ends.server_sends(MESSAGE);
    assert_eq!(counted::round_trips(&mut ends, times), times * 2 * MESSAGE);
}

pub(crate) fn scene() -> Scene {
    let authority = Authority::new("root");
    let server = authority.issue(Leaf::new().service("postgres", "db1.test"));
    let client = authority.issue(Leaf::new().service("web", "a.test"));
    Scene::new(&authority)
        .server_shows(&server)
        .client_shows(&client)
        .server_policy("[server]\nclient-certificates = 'require'\n")
        .asking("postgres/db1.test")
}

impl Ends {
    fn new() -> Self {
        let mut pair = scene().pair();
        pair.handshake();
        Self {
            now: pair.now,
            client: pair.client.end,
            server: pair.server.end,
            plain: vec![0x5a; PIECE],
            wire: Vec::with_capacity(2 * PIECE),
            into: vec![0; PIECE],
        }
    }

    /// Sends so many bytes from the client, and returns how many came out at the server.
    pub(crate) fn client_sends(&mut self, size: usize) -> usize {
        let Self { client, server, now, plain, wire, into } = self;
        send(client, server, *now, &plain[..size], wire, into)
    }

    /// The same the other way.
    pub(crate) fn server_sends(&mut self, size: usize) -> usize {
        let Self { client, server, now, plain, wire, into } = self;
        send(server, client, *now, &plain[..size], wire, into)
    }
}

fn send(
    from: &mut Engine,
    to: &mut Engine,
    now: Timestamp,
    plain: &[u8],
    wire: &mut Vec<u8>,
    into: &mut [u8],
) -> usize {
    let (mut sent, mut received) = (0, 0);
    while sent < plain.len() {
        sent += from.seal(&plain[sent..]);
        wire.clear();
        while from.wants_transmit() {
            from.transmit(wire).expect("memory takes everything");
        }
        // As sockets do: from the wire straight to the reader.
        let mut taken = 0;
        loop {
            let rest = &mut wire[taken..];
            let (used, opened) = to.open_from(rest, into, || now).expect("a true peer");
            taken += used;
            match opened {
                Opened::Data(count) => received += count,
                _ => break,
            }
        }
        assert_eq!(taken, wire.len(), "everything is taken");
    }
    received
}
