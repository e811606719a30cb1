//! What a query costs, beside the cheapest question that the kernel answers about a socket.

use std::hint::black_box;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use countersign::TcpStream;
use countersign::core::{PeerName, QueryTemplate, TokenAccess};
use rustix::net::sockopt::socket_type;

use crate::peers::{HOST, LOOPBACK, Material};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Datagram,
    Flags,
    Tokens,
}

/// Returns how many nanoseconds a query takes, and how many getsockopt(2) does at the same time.
pub(crate) fn run(material: &Material, asked: Asked, duration: Duration) -> (f64, f64) {
    let context = material.datagram_server_context();
    let listener = countersign::TcpListener::bind_with(&context, LOOPBACK).expect("a listener");
    let address = listener.local_addr();
    let server = std::thread::spawn(move || listener.accept().expect("a client").0);
    let name: PeerName = HOST.parse().expect("a name");
    let client = TcpStream::connect_with(&material.datagram_client_context(), address, &name);
    let client = client.expect("a server");
    let _server = server.join().expect("the server");
    let own = measure(duration, || {
        let template = match asked {
            Asked::Tokens => QueryTemplate::default().with_tokens(TokenAccess::QUERY).with_sa_ids(),
            _ => QueryTemplate::default(),
        };
        black_box(client.query_with(&template).expect("a connection"));
    });
    let kernels = measure(duration, || {
        black_box(socket_type(client.as_fd()).expect("a socket"));
    });
    if asked != Asked::Datagram {
        return (own, kernels);
    }
    let (client, there, _server) = material.datagram_pair();
    let template = QueryTemplate::default().at(there);
    let own = measure(duration, || {
        black_box(client.query_with(&template).expect("a peer"));
    });
    (own, kernels)
}

/// Nanoseconds a call; the best of many short runs, which other work disturbs least.
fn measure(duration: Duration, mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 1000;
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < duration {
        let run = Instant::now();
        (0..CALLS).for_each(|_| call());
        best = best.min(run.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    best
}
