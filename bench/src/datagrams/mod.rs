//! Datagrams over one socket, new associations and their memory: plain UDP, ours and OpenSSL's
//! DTLS 1.2.

mod associations;
mod openssl;
mod tickets;

pub(crate) use associations::child;
pub(crate) use tickets::ticket_child;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket as Plain};
use std::thread;
use std::time::{Duration, Instant};

use countersign::UdpSocket;

use crate::child::Helper;
use crate::cpu::{CORES, of_this_thread, pin};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::{HOST, LOOPBACK, Material, Proof};
use crate::peers::Peer;
use openssl::{accept, client_context, connect, server_context};

/// Processor time is that of the two threads that call send and receive.
const COLUMNS: &[Column] = &[
    Column::higher("arrived", "per s", Against::Part),
    Column::higher("data", "MB/s", Against::Part),
    Column::lower("sending one", "CPU ns", Against::Added),
    Column::lower("receiving one", "CPU ns", Against::Added),
];

const CASES: &[Case] = &[Case::of(Peer::Udp), Case::of(Peer::Countersign), Case::of(Peer::Openssl)];

const NOTE: &str = "DTLS 1.2, one socket to another, sender and receiver on a core each; what the \
    receiver has no room for is lost.";

const NOTE_MANY: &str = "As above, but ours takes 32 datagrams in one call of `send_many_to`; UDP in clear \
    and OpenSSL, which has no such call, take one each.";

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "datagrams-64",
        title: "datagrams of 64 B",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(run(bench, case.peer, 64, Together::One)),
    },
    Figure {
        id: "datagrams-1200",
        title: "datagrams of 1,200 B",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(run(bench, case.peer, 1200, Together::One)),
    },
    Figure {
        id: "datagrams-many-64",
        title: "datagrams of 64 B, ours handed over 32 at a time",
        note: NOTE_MANY,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(run(bench, case.peer, 64, Together::Many)),
    },
    Figure {
        id: "datagrams-many-1200",
        title: "datagrams of 1,200 B, ours handed over 32 at a time",
        note: NOTE_MANY,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(run(bench, case.peer, 1200, Together::Many)),
    },
    Figure {
        id: "datagram-handshakes",
        title: "datagram handshakes",
        note: "DTLS 1.2 with cookie and X25519, one after the other, each with a socket of its own; client and \
            server on a core each.",
        columns: &[Column::higher("handshakes", "per s", Against::Nothing)],
        summary: &[0],
        cases: &[Case::of(Peer::Countersign), Case::of(Peer::Openssl)],
        run: |bench, case| {
            Ok(vec![associations::handshakes(&bench.material, case.peer, bench.duration)])
        },
    },
    Figure {
        id: "datagram-tickets",
        title: "datagram associations by certificate and by ticket",
        note: "A new socket and association with a datagram there and back, one after the other, client and server on \
            a core each. `countersign`: both ends show certificates; `countersign, Kerberos`: both prove their names by \
            tickets inside DTLS 1.2, with tickets that are there already.",
        columns: &[
            Column::higher("associations", "per s", Against::Nothing),
            Column::lower("median", "us", Against::Nothing),
            Column::lower("99th percentile", "us", Against::Nothing),
        ],
        summary: &[0],
        cases: &[Case::of(Peer::Countersign), Case::of(Peer::CountersignKerberos)],
        run: tickets::run,
    },
    Figure {
        id: "datagram-memory",
        title: "memory of an association of datagrams",
        note: "Resident memory over 200 associations with one server's socket, in a process that has all ends: \
            the server's part, the client's part, and the client's own socket.",
        columns: &[Column::lower("both ends", "KB", Against::Nothing)],
        summary: &[0],
        cases: &[Case::of(Peer::Countersign), Case::of(Peer::Openssl)],
        run: memory,
    },
];

/// How long the first datagram may take, and how long a silence is the end.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

/// How many datagrams are handed over at once, where that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Together {
    Many,
    One,
}

const BURST: usize = 32;

/// What arrived, between when and when, and how many nanoseconds of processor time each took.
struct Arrived {
    count: u64,
    first: Instant,
    last: Instant,
    receiving: f64,
}

/// In a process of its own, where nobody else allocates.
fn memory(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    let at = bench.material.at.to_string_lossy();
    let mut child = Helper::start(&["datagram-memory", &case.peer.to_string(), &at])?;
    Ok(vec![child.number()? / 1000.0])
}

/// Sends datagrams of `size` bytes as fast as one side can. What the receiver has no room for is
/// lost, as it is for everybody.
fn run(bench: &Bench, peer: Peer, size: usize, together: Together) -> Vec<f64> {
    let (material, duration) = (&bench.material, bench.duration);
    let data = vec![0x5a; size];
    let many = [data.as_slice(); BURST];
    let send = |at_once: usize, send: &mut dyn FnMut(&[u8])| {
        let (start, before, mut count) = (Instant::now(), of_this_thread(), 0);
        while start.elapsed() < duration {
            // One look at the clock for several.
            (0..16).for_each(|_| send(&data));
            count += 16 * at_once;
        }
        (of_this_thread() - before) * 1e9 / count as f64
    };
    let (socket, address) = plain();
    let (receiver, sending) = match peer {
        Peer::Countersign => {
            drop(socket);
            let server = material.datagram_server();
            let address = server.local_addr().expect("an address");
            let mut patience = None;
            let receiver = receive(move |buffer, wait| {
                if patience.replace(wait) != Some(wait) {
                    server.set_read_timeout(Some(wait));
                }
                server.recv_from(buffer).is_ok()
            });
            pin(CORES.0);
            let client = material.datagram_client(address);
            let sending = match together {
                Together::One => {
                    send(1, &mut |data| assert!(client.send(data).is_ok_and(|sent| sent == size)))
                }
                Together::Many => send(BURST, &mut |_| {
                    let sent = client.send_many_to(&many, address);
                    assert!(sent.is_ok_and(|sent| sent == BURST));
                }),
            };
            (receiver, sending)
        }
        Peer::Openssl => {
            let context = server_context(material);
            let (mut stream, mut patience) = (None, None);
            let receiver = receive(move |buffer, wait| {
                let stream = stream
                    .get_or_insert_with(|| accept(&context, &socket, None).expect("a client").0);
                if patience.replace(wait) != Some(wait) {
                    let _ = stream.get_ref().socket.set_read_timeout(Some(wait));
                }
                stream.read(buffer).is_ok_and(|count| count > 0)
            });
            pin(CORES.0);
            let mut client = connect(&client_context(material), address);
            let sending =
                send(1, &mut |data| assert!(client.write(data).is_ok_and(|sent| sent == size)));
            (receiver, sending)
        }
        _ => {
            let mut patience = None;
            let receiver = receive(move |buffer, wait| {
                if patience.replace(wait) != Some(wait) {
                    let _ = socket.set_read_timeout(Some(wait));
                }
                socket.recv(buffer).is_ok()
            });
            pin(CORES.0);
            let (client, _) = plain();
            client.connect(address).expect("a peer");
            let sending =
                send(1, &mut |data| assert!(client.send(data).is_ok_and(|sent| sent == size)));
            (receiver, sending)
        }
    };
    let Arrived { count, first, last, receiving } = receiver.join().expect("the receiver");
    let rate = count as f64 / (last - first).as_secs_f64();
    vec![rate, rate * size as f64 / 1e6, sending, receiving]
}

/// Counts what arrives on a thread of its own, until there is silence.
fn receive(
    mut next: impl FnMut(&mut [u8], Duration) -> bool + Send + 'static,
) -> thread::JoinHandle<Arrived> {
    thread::spawn(move || {
        pin(CORES.1);
        let mut buffer = vec![0; 2048];
        assert!(next(&mut buffer, PATIENCE), "nothing arrived");
        let first = Instant::now();
        let mut arrived = Arrived { count: 0, first, last: first, receiving: 0.0 };
        let before = of_this_thread();
        while next(&mut buffer, SILENCE) {
            arrived.count += 1;
            arrived.last = Instant::now();
        }
        arrived.receiving = (of_this_thread() - before) * 1e9 / arrived.count as f64;
        arrived
    })
}

fn plain() -> (Plain, SocketAddr) {
    let socket = Plain::bind(LOOPBACK).expect("a socket");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

impl Material {
    /// A client, where its server is, and the server, who know each other.
    pub(crate) fn datagram_pair(&self) -> (UdpSocket, SocketAddr, UdpSocket) {
        let server = self.datagram_server();
        let address = server.local_addr().expect("an address");
        let client = thread::scope(|scope| {
            scope.spawn(|| server.recv_from(&mut [0; 9]).expect("a datagram"));
            let client = self.datagram_client(address);
            client.send(b"hello").expect("a server");
            client
        });
        (client, address, server)
    }

    fn datagram_server(&self) -> UdpSocket {
        UdpSocket::bind_with(&self.our_server(Proof::ServerOnly), LOOPBACK).expect("a socket")
    }

    fn datagram_client(&self, peer: SocketAddr) -> UdpSocket {
        self.datagram_client_of(&self.our_client(Proof::ServerOnly), peer)
    }

    fn datagram_client_of(&self, context: &countersign::Context, peer: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind_with(context, LOOPBACK).expect("a socket");
        socket.set_peer_target_name(peer, HOST.parse().expect("a name")).expect("an order");
        socket.connect(peer).expect("a server");
        socket
    }
}
