//! What a query costs, beside the cheapest question that the kernel answers about a socket.

use std::hint::black_box;
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{QueryTemplate, TokenAccess};
use countersign::{TcpListener, TcpStream};
use rustix::net::sockopt::socket_type;

use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::{LOOPBACK, Material, Proof, asked};
use crate::peers::Peer;

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "query",
    title: "query of a peer, beside getsockopt(2)",
    note: "What a program asks before it trusts a connection: the flags of a stream, the flags with tokens and \
        association ids, the flags of a datagram peer; beside it SO_TYPE of a socket of the kind. A stream is asked for \
        its errors by poll(2), a system call too. The best of many short runs, which other work disturbs least.",
    columns: &[
        Column::lower("stream, flags", "ns", Against::Nothing),
        Column::lower("stream, who and ids", "ns", Against::Nothing),
        Column::lower("datagram, flags", "ns", Against::Nothing),
    ],
    summary: &[0, 2],
    cases: &[Case::of(Peer::Countersign), Case::of(Peer::SystemCalls)],
    run,
}];

fn run(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    let duration = bench.duration / 3;
    let (stream, _server) = streams(&bench.material)?;
    if case.peer == Peer::SystemCalls {
        let datagrams = UdpSocket::bind(LOOPBACK)?;
        let of_stream = measure(duration, || socket_type(stream.as_fd()))?;
        let of_datagrams = measure(duration, || socket_type(datagrams.as_fd()))?;
        return Ok(vec![of_stream, of_stream, of_datagrams]);
    }
    let (datagrams, there, _datagram_server) = bench.material.datagram_pair();
    let flags = QueryTemplate::default();
    let who = QueryTemplate::default().with_tokens(TokenAccess::QUERY).with_sa_ids();
    let at_peer = QueryTemplate::default().at(there);
    Ok(vec![
        measure(duration, || stream.query_with(&flags))?,
        measure(duration, || stream.query_with(&who))?,
        measure(duration, || datagrams.query_with(&at_peer))?,
    ])
}

/// Two ends of one connection.
fn streams(material: &Material) -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind_with(&material.our_server(Proof::ServerOnly), LOOPBACK)?;
    let address = listener.local_addr();
    let server = thread::spawn(move || listener.accept());
    let client =
        TcpStream::connect_with(&material.our_client(Proof::ServerOnly), address, &asked())?;
    let (server, _) = server.join().expect("the acceptor does not panic")?;
    Ok((client, server))
}

/// Nanoseconds a call; the best of many short runs, which other work disturbs least.
fn measure<T, E>(duration: Duration, mut call: impl FnMut() -> Result<T, E>) -> io::Result<f64>
where
    io::Error: From<E>,
{
    const CALLS: u32 = 1000;
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < duration {
        let run = Instant::now();
        for _ in 0..CALLS {
            black_box(call()?);
        }
        best = best.min(run.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    Ok(best)
}
