//! What the tests of sockets share: an authority, a server, a client, and a wire that remembers.
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener as PlainListener, TcpStream as Plain};
use std::sync::{Arc, Mutex};
use std::thread;

use countersign::core::{Policy, SecurityFlags, SecurityProtocol, SecuritySettings};
use countersign::{Context, Error, Incoming, PeerName, Socket, TcpListener, TcpStream};
use countersign_lab::{Authority, Leaf};

/// Bytes that must never be seen on a wire.
pub(crate) const MARKER: &[u8] = b"the-marker-that-must-never-be-on-the-wire";

/// An authority, and contexts of those who trust it.
pub(crate) struct World {
    pub(crate) authority: Authority,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { authority: Authority::new("test authority") }
    }

    /// A context that trusts the authority and has no certificate.
    pub(crate) fn client(&self) -> Context {
        self.with_policy(Policy::default())
    }

    pub(crate) fn with_policy(&self, policy: Policy) -> Context {
        Context::builder().policy(policy).anchors(self.authority.anchors()).build().unwrap()
    }

    /// A context that proves `postgres/db1.test` and `localhost`-like names of a host.
    pub(crate) fn server(&self, policy: &str) -> Context {
        self.showing(Leaf::new().service("postgres", "db1.test").dns("db1.test"), policy)
    }

    pub(crate) fn showing(&self, leaf: Leaf, policy: &str) -> Context {
        Context::builder()
            .policy(Policy::parse(policy, "test").unwrap())
            .anchors(self.authority.anchors())
            .credential(self.authority.issue(leaf).credential())
            .build()
            .unwrap()
    }

    pub(crate) fn listener(&self, policy: &str) -> TcpListener {
        TcpListener::bind_with(&self.server(policy), "127.0.0.1:0").unwrap()
    }

    /// A secured server that echoes for as long as the test runs.
    pub(crate) fn echo_server(&self) -> SocketAddr {
        let listener = self.listener("");
        let address = listener.local_addr();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut &stream, &mut &stream);
                    let _ = stream.shutdown(Shutdown::Write);
                });
            }
        });
        address
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> Result<TcpStream, Error> {
        TcpStream::connect_with(&self.client(), address, &db1())
    }
}

/// The name that [`World::server`] proves.
pub(crate) fn db1() -> PeerName {
    "postgres/db1.test".parse().unwrap()
}

/// `ALLOW_INSECURE`.
pub(crate) fn insecure() -> SecuritySettings {
    SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::ALLOW_INSECURE).unwrap()
}

/// A client socket that asks for `postgres/db1.test` with these settings.
pub(crate) fn socket_to(
    context: &Context,
    address: SocketAddr,
    settings: Option<SecuritySettings>,
) -> Socket {
    let mut socket = Socket::stream(context, address).unwrap();
    socket.set_security(settings).unwrap();
    socket.set_peer_target_name(address, db1()).unwrap();
    socket
}

/// Sends an accepted client a byte, which it may wait for.
pub(crate) fn greeted(incoming: Incoming) -> Incoming {
    if let Incoming::Accepted(stream, _) = &incoming {
        let mut stream = stream;
        stream.write_all(b"x").unwrap();
    }
    incoming
}

/// A connected pair of secured streams.
pub(crate) fn pair(world: &World) -> (TcpStream, TcpStream) {
    let listener = world.listener("");
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.accept().unwrap().0);
    (world.connect(address).unwrap(), server.join().unwrap())
}

/// A relay on the path that remembers every byte of both directions, and can cut them.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Relays to `target`; of the bytes that come back it passes on `back` at most, and then ends
    /// the connection.
    pub(crate) fn before(target: SocketAddr, back: usize) -> Self {
        let listener = PlainListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, record) = (client.unwrap(), record.clone());
                let server = Plain::connect(target).unwrap();
                let (c, s, r) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap(), record.clone());
                thread::spawn(move || relay(c, s, usize::MAX, &r));
                thread::spawn(move || relay(server, client, back, &record));
            }
        });
        Self { address, seen }
    }

    /// How often the marker, or any 16 bytes of it, went by.
    pub(crate) fn sightings(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        MARKER.chunks(16).map(|part| seen.windows(part.len()).filter(|w| *w == part).count()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn relay(mut from: Plain, mut to: Plain, mut limit: usize, record: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while limit > 0 {
        let most = buffer.len().min(limit);
        match from.read(&mut buffer[..most]) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                limit -= count;
                record.lock().unwrap().extend_from_slice(&buffer[..count]);
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    if limit == 0 {
        let _ = to.shutdown(Shutdown::Both);
    }
}
