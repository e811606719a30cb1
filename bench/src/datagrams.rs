//! Datagrams over one socket, and new associations: plain UDP, ours and OpenSSL's DTLS 1.2.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket as Plain};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::UdpSocket;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslStream,
    SslVerifyMode,
};

use crate::cpu::{CORES, pin};
use crate::figure::{Against, Case, Column, Figure};
use crate::material::{HOST, LOOPBACK, Material, Proof};
use crate::peers::Peer;

const COLUMNS: &[Column] = &[Column::higher("arrived", "per s", Against::Part)];

const CASES: &[Case] = &[Case::of(Peer::Udp), Case::of(Peer::Countersign), Case::of(Peer::Openssl)];

const NOTE: &str = "DTLS 1.2, one socket to another, sender and receiver on a core each; what the \
    receiver has no room for is lost.";

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "datagrams-64",
        title: "datagrams of 64 B",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(vec![run(&bench.material, case.peer, 64, bench.duration)]),
    },
    Figure {
        id: "datagrams-1200",
        title: "datagrams of 1,200 B",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| Ok(vec![run(&bench.material, case.peer, 1200, bench.duration)]),
    },
    Figure {
        id: "datagram-handshakes",
        title: "datagram handshakes",
        note: "DTLS 1.2 with cookie and X25519, one after the other, each with a socket of its own; client and \
            server on a core each.",
        columns: &[Column::higher("handshakes", "per s", Against::Nothing)],
        summary: &[0],
        cases: &[Case::of(Peer::Countersign), Case::of(Peer::Openssl)],
        run: |bench, case| Ok(vec![handshakes(&bench.material, case.peer, bench.duration)]),
    },
];

/// How long the first datagram may take, and how long a silence is the end.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

/// What arrived, and between when and when.
struct Arrived {
    count: u64,
    first: Instant,
    last: Instant,
}

/// Returns datagrams of `size` bytes per second that arrive, while one side sends as fast as it
/// can. What the receiver has no room for is lost, as it is for everybody.
fn run(material: &Material, peer: Peer, size: usize, duration: Duration) -> f64 {
    let data = vec![0x5a; size];
    let send = |send: &mut dyn FnMut(&[u8])| {
        let start = Instant::now();
        while start.elapsed() < duration {
            // One look at the clock for several.
            (0..16).for_each(|_| send(&data));
        }
    };
    let (socket, address) = plain();
    let receiver = match peer {
        Peer::Countersign => {
            drop(socket);
            let server = material.datagram_server();
            let address = server.local_addr().expect("an address");
            let receiver = receive(move |buffer, wait| {
                server.set_read_timeout(Some(wait));
                server.recv_from(buffer).is_ok()
            });
            pin(CORES.0);
            let client = material.datagram_client(address);
            send(&mut |data| assert!(client.send(data).is_ok_and(|sent| sent == size)));
            receiver
        }
        Peer::Openssl => {
            let context = server_context(material);
            let mut stream = None;
            let receiver = receive(move |buffer, wait| {
                let stream = stream
                    .get_or_insert_with(|| accept(&context, &socket, None).expect("a client").0);
                let _ = stream.get_ref().socket.set_read_timeout(Some(wait));
                stream.read(buffer).is_ok_and(|count| count > 0)
            });
            pin(CORES.0);
            let mut client = connect(&client_context(material), address);
            send(&mut |data| assert!(client.write(data).is_ok_and(|sent| sent == size)));
            receiver
        }
        _ => {
            let receiver = receive(move |buffer, wait| {
                let _ = socket.set_read_timeout(Some(wait));
                socket.recv(buffer).is_ok()
            });
            pin(CORES.0);
            let (client, _) = plain();
            client.connect(address).expect("a peer");
            send(&mut |data| assert!(client.send(data).is_ok_and(|sent| sent == size)));
            receiver
        }
    };
    let Arrived { count, first, last } = receiver.join().expect("the receiver");
    count as f64 / (last - first).as_secs_f64()
}

/// Returns new associations per second, one after the other, each with a socket of its own, a
/// cookie (RFC 6347 section 4.2.1) and a proved name.
fn handshakes(material: &Material, peer: Peer, duration: Duration) -> f64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let rate = |connect: &dyn Fn()| {
        pin(CORES.0);
        (0..10).for_each(|_| connect());
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < duration {
            connect();
            count += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    if peer == Peer::Countersign {
        let server = material.datagram_server();
        let address = server.local_addr().expect("an address");
        server.set_read_timeout(Some(SILENCE));
        let server = thread::spawn(move || {
            pin(CORES.1);
            while !over.load(Ordering::Relaxed) {
                let _ = server.recv_from(&mut [0; 2048]);
            }
        });
        let client = material.our_client(Proof::ServerOnly);
        let rate = rate(&|| drop(material.datagram_client_of(&client, address)));
        server.join().expect("the server");
        return rate;
    }
    let (socket, address) = plain();
    let context = server_context(material);
    let server = thread::spawn(move || {
        pin(CORES.1);
        let mut before = None;
        socket.set_read_timeout(Some(SILENCE)).expect("a time-out");
        while !over.load(Ordering::Relaxed) {
            if let Ok((mut stream, from)) = accept(&context, &socket, before) {
                before = Some(from);
                let _ = stream.shutdown();
            }
        }
    });
    let client = client_context(material);
    let rate = rate(&|| drop(connect(&client, address).shutdown()));
    server.join().expect("the server");
    rate
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
        let mut arrived = Arrived { count: 0, first, last: first };
        while next(&mut buffer, SILENCE) {
            arrived.count += 1;
            arrived.last = Instant::now();
        }
        arrived
    })
}

fn plain() -> (Plain, SocketAddr) {
    let socket = Plain::bind(LOOPBACK).expect("a socket");
    let address = socket.local_addr().expect("an address");
    (socket, address)
}

/// One peer of a socket as a stream of datagrams, as libssl wants it.
#[derive(Debug)]
struct Datagrams {
    socket: Plain,
    peer: SocketAddr,
}

impl Read for Datagrams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let (count, from) = self.socket.recv_from(into)?;
            if from == self.peer {
                return Ok(count);
            }
        }
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send_to(datagram, self.peer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a client that is not the one before.
fn accept(
    context: &SslContext,
    socket: &Plain,
    before: Option<SocketAddr>,
) -> io::Result<(SslStream<Datagrams>, SocketAddr)> {
    let peer = loop {
        let (_, from) = socket.peek_from(&mut [0; 2048])?;
        if Some(from) != before {
            break from;
        }
        let _ = socket.recv_from(&mut [0; 2048])?;
    };
    let stream = Datagrams { socket: socket.try_clone()?, peer };
    let stream = ssl(context).accept(stream).map_err(|error| io::Error::other(error.to_string()));
    Ok((stream?, peer))
}

fn connect(context: &SslContext, peer: SocketAddr) -> SslStream<Datagrams> {
    let (socket, _) = plain();
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut ssl = ssl(context);
    ssl.set_hostname(HOST).expect("a name");
    ssl.param_mut().set_host(HOST).expect("a name");
    ssl.connect(Datagrams { socket, peer }).expect("a server")
}

fn ssl(context: &SslContext) -> Ssl {
    let mut ssl = Ssl::new(context).expect("OpenSSL");
    ssl.set_mtu(1400).expect("a size");
    ssl
}

fn context() -> SslContextBuilder {
    let mut builder = SslContext::builder(SslMethod::dtls()).expect("OpenSSL");
    builder.set_cipher_list("ECDHE-ECDSA-AES256-GCM-SHA384").expect("a suite");
    // The first is what both take; the second is the certificate's (RFC 8422 section 5.1.1).
    builder.set_groups_list("X25519:P-256").expect("a group");
    builder.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    builder
}

fn server_context(material: &Material) -> SslContext {
    let mut builder = context();
    builder.set_options(SslOptions::COOKIE_EXCHANGE);
    // What the cookie says costs nothing; that there is one costs a round trip, as ours does.
    builder.set_cookie_generate_cb(|_, cookie| {
        cookie[..16].fill(7);
        Ok(16)
    });
    builder.set_cookie_verify_cb(|_, cookie| cookie == [7; 16]);
    builder.set_private_key_file(&material.key, SslFiletype::PEM).expect("a key");
    builder.set_certificate_chain_file(&material.chain).expect("a chain");
    builder.build()
}

fn client_context(material: &Material) -> SslContext {
    let mut builder = context();
    builder.set_ca_file(&material.root).expect("an anchor");
    builder.set_verify(SslVerifyMode::PEER);
    builder.build()
}

impl Material {
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
