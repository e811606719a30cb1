//! The same over datagrams: the proof runs inside an association of DTLS.

mod middle;
mod policies;
mod proofs;
mod proxied;
mod refusals;
mod runtime;
mod silence;
mod together;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use countersign::core::{HandshakeError, Mechanism};
use countersign::{Context, Error, Evidence, Received, UdpSocket};

use crate::world::PATIENCE;

/// A socket that echoes, and says what became of each peer.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    seen: Receiver<Result<Evidence, HandshakeError>>,
}

impl Echo {
    pub(crate) fn start(context: &Context) -> Self {
        Self::of(UdpSocket::bind_with(context, "127.0.0.1:0").unwrap())
    }

    pub(crate) fn of(socket: UdpSocket) -> Self {
        let address = socket.local_addr().unwrap();
        let (say, seen) = mpsc::channel();
        thread::spawn(move || {
            let (mut buffer, mut known) = ([0; 2048], HashSet::new());
            loop {
                match socket.next_event(&mut buffer) {
                    Ok(Received::Datagram(count, from)) => {
                        let Ok(info) = socket.query(from) else { continue };
                        let evidence = info.evidence().expect("never in clear").clone();
                        if known.insert(evidence.session()) {
                            let _ = say.send(Ok(evidence));
                        }
                        let _ = socket.send_to(&buffer[..count], from);
                    }
                    Ok(Received::Refused(refusal)) => drop(say.send(Err(refusal.error))),
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self { address, seen }
    }

    /// Returns what became of the next peer.
    #[track_caller]
    pub(crate) fn saw(&self) -> Result<Evidence, HandshakeError> {
        self.seen.recv_timeout(PATIENCE).expect("a peer came")
    }

    /// Returns what became of the next peer, whenever it comes.
    pub(crate) fn saw_some(&self) -> Result<Evidence, HandshakeError> {
        self.seen.recv().expect("the socket goes on")
    }

    /// Returns whether nobody came so far.
    pub(crate) fn saw_nobody(&self) -> bool {
        self.seen.recv_timeout(Duration::from_millis(50)).is_err()
    }

    pub(crate) fn meet(&self, client: &Context, name: &str) -> Result<UdpSocket, Error> {
        meet(client, self.address, name)
    }
}

/// Connects a socket to the peer there, which must be who it is said to be.
pub(crate) fn meet(client: &Context, peer: SocketAddr, name: &str) -> Result<UdpSocket, Error> {
    let socket = UdpSocket::bind_with(client, "127.0.0.1:0")?;
    socket.set_peer_target_name(peer, name.parse().unwrap())?;
    socket.set_read_timeout(Some(PATIENCE));
    socket.connect(peer)?;
    Ok(socket)
}

/// Sends something and gets it back.
#[track_caller]
pub(crate) fn round_trip(socket: &UdpSocket) {
    let mut back = [0; 64];
    socket.send(b"hello").unwrap();
    assert_eq!(socket.recv(&mut back).unwrap(), 5);
    assert_eq!(&back[..5], b"hello");
}

/// Returns what the peer of a connected socket has proved.
#[track_caller]
pub(crate) fn evidence(socket: &UdpSocket) -> Evidence {
    let info = socket.query(socket.peer_addr().unwrap()).unwrap();
    let evidence = info.evidence().unwrap().clone();
    assert_eq!(evidence.mechanism(), Mechanism::Dtls12);
    evidence
}
