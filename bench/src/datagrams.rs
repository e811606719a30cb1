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
use rustix::time::{ClockId, clock_gettime};

use crate::cpu::pin;
use crate::peers::{HOST, LOOPBACK, Material, Peer};

/// How long the first datagram may take, and how long a silence is the end.
const PATIENCE: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_millis(300);

/// How many datagrams are handed over at once, where that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Many,
    One,
}

const BURST: usize = 32;

/// What arrived, and between when and when.
struct Arrived {
    count: u64,
    first: Instant,
    last: Instant,
}

/// Returns datagrams of `size` bytes per second that arrive, while one side sends as fast as it
/// can. What the receiver has no room for is lost, as it is for everybody.
pub(crate) fn run(
    material: &Material,
    peer: Peer,
    size: usize,
    together: Together,
    duration: Duration,
) -> f64 {
    let data = vec![0x5a; size];
    let many = [data.as_slice(); BURST];
    let send = |send: &mut dyn FnMut(&[u8])| {
        let (start, before, mut count) = (Instant::now(), cpu_time(), 0_u64);
        while start.elapsed() < duration {
            // One look at the clock for several.
            (0..16).for_each(|_| send(&data));
            count += if together == Together::Many { 16 * BURST as u64 } else { 16 };
        }
        eprintln!("  CPU of sending one: {:.0} ns", (cpu_time() - before) / count as f64);
    };
    let (socket, address) = plain();
    let receiver = match peer {
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
            pin(0);
            let client = material.datagram_client(address);
            match together {
                Together::One => {
                    send(&mut |data| assert!(client.send(data).is_ok_and(|sent| sent == size)));
                }
                Together::Many => send(&mut |_| {
                    let sent = client.send_many_to(&many, address);
                    assert!(sent.is_ok_and(|sent| sent == BURST));
                }),
            }
            receiver
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
            pin(0);
            let mut client = connect(&client_context(material), address);
            send(&mut |data| assert!(client.write(data).is_ok_and(|sent| sent == size)));
            receiver
        }
        _ => {
            let mut patience = None;
            let receiver = receive(move |buffer, wait| {
                if patience.replace(wait) != Some(wait) {
                    let _ = socket.set_read_timeout(Some(wait));
                }
                socket.recv(buffer).is_ok()
            });
            pin(0);
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
pub(crate) fn handshakes(material: &Material, peer: Peer, duration: Duration) -> f64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let rate = |connect: &dyn Fn()| {
        pin(0);
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
            pin(1);
            while !over.load(Ordering::Relaxed) {
                let _ = server.recv_from(&mut [0; 2048]);
            }
        });
        let client = material.datagram_client_context();
        let rate = rate(&|| drop(material.datagram_client_of(&client, address)));
        server.join().expect("the server");
        return rate;
    }
    let (socket, address) = plain();
    let context = server_context(material);
    let server = thread::spawn(move || {
        pin(1);
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

/// Returns how many KiB of resident memory one more association costs: at the server that has many
/// of them, and at its client, each with a socket of its own, in this process.
pub(crate) fn memory(material: &Material, peer: Peer) -> f64 {
    const PEERS: u16 = 300;
    let (mut count, mut before) = (0_u16, 0.0);
    // The first few pay for what all share.
    let mut grow = |one: &mut dyn FnMut()| {
        for _ in 0..PEERS {
            one();
            count += 1;
            if count == PEERS / 3 {
                before = resident();
            }
        }
        (resident() - before) / f64::from(PEERS - PEERS / 3)
    };
    if peer == Peer::Countersign {
        let server = Arc::new(material.datagram_server());
        let (address, serving) = (server.local_addr().expect("an address"), server.clone());
        serving.set_read_timeout(Some(SILENCE));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let _ = serving.recv_from(&mut [0; 2048]);
            }
        });
        let (context, mut clients) = (material.datagram_client_context(), Vec::new());
        let cost = grow(&mut || clients.push(material.datagram_client_of(&context, address)));
        is_over.store(true, Ordering::Relaxed);
        thread.join().expect("the server");
        return cost;
    }
    let (socket, address) = plain();
    let context = server_context(material);
    let thread = thread::spawn(move || {
        // Kept until the last has come, and the client has looked.
        let mut streams: Vec<SslStream<Datagrams>> = Vec::new();
        let mut before = None;
        while streams.len() < usize::from(PEERS) {
            let (stream, from) = accept(&context, &socket, before).expect("a client");
            before = Some(from);
            streams.push(stream);
        }
        thread::sleep(SILENCE);
    });
    let (context, mut clients) = (client_context(material), Vec::new());
    let cost = grow(&mut || clients.push(connect(&context, address)));
    thread.join().expect("the server");
    cost
}

/// The resident memory of this process in KiB (proc(5)).
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc");
    let pages: f64 = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * (rustix::param::page_size() as f64 / 1024.0)
}

/// Counts what arrives on a thread of its own, until there is silence.
fn receive(
    mut next: impl FnMut(&mut [u8], Duration) -> bool + Send + 'static,
) -> thread::JoinHandle<Arrived> {
    thread::spawn(move || {
        pin(1);
        let mut buffer = vec![0; 2048];
        assert!(next(&mut buffer, PATIENCE), "nothing arrived");
        let first = Instant::now();
        let (mut arrived, before) = (Arrived { count: 0, first, last: first }, cpu_time());
        while next(&mut buffer, SILENCE) {
            arrived.count += 1;
            arrived.last = Instant::now();
        }
        let each = (cpu_time() - before) / arrived.count.max(1) as f64;
        eprintln!("  CPU of receiving one: {each:.0} ns");
        arrived
    })
}

/// The time that this thread has used a processor for, in nanoseconds.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
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
        UdpSocket::bind_with(&self.datagram_server_context(), LOOPBACK).expect("a socket")
    }

    fn datagram_client(&self, peer: SocketAddr) -> UdpSocket {
        self.datagram_client_of(&self.datagram_client_context(), peer)
    }

    fn datagram_client_of(&self, context: &countersign::Context, peer: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind_with(context, LOOPBACK).expect("a socket");
        socket.set_peer_target_name(peer, HOST.parse().expect("a name")).expect("an order");
        socket.connect(peer).expect("a server");
        socket
    }
}
