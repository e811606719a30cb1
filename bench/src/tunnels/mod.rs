//! Programs that put a plain connection into a secured one and take it out again, two of a kind in
//! a row: ours, stunnel and HAProxy, as they come, with TLS 1.3 and a verified server.

mod load;
mod processes;

pub(crate) use processes::version;

use std::io;

use crate::cpu;
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::peers::Peer;
use crate::round_trips::percentiles;
use load::Sink;
use processes::Tunnel;

const CASES: &[Case] = &[
    Case::of(Peer::Tcp),
    Case::of(Peer::Countersign),
    Case::of(Peer::Haproxy),
    Case::of(Peer::Stunnel),
];

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "tunnel-bulk",
        title: "tunnel, one connection in bulk",
        note: "`countersign forward` and `serve --to` beside others; 32 KiB writes, all cores shared by \
            client, both ends and sink. CPU seconds are those of both ends.",
        columns: &[
            Column::higher("throughput", "MB/s", Against::Part),
            Column::lower("both ends", "CPU s/GB", Against::Nothing),
        ],
        summary: &[0, 1],
        cases: CASES,
        run: bulk,
    },
    Figure {
        id: "tunnel-round-trip",
        title: "tunnel, round trip of 64 B, all on one core",
        note: "On one core the time is what the work takes, without the wait for another core.",
        columns: &[
            Column::lower("median", "us", Against::Added),
            Column::lower("99th percentile", "us", Against::Nothing),
        ],
        summary: &[0],
        cases: CASES,
        run: round_trip,
    },
    Figure {
        id: "tunnel-connections",
        title: "tunnel, new connections",
        note: "Each carries a byte there and back. All resume sessions, as they come; we judge the \
            peer's certificate anew each time.",
        columns: &[
            Column::higher("8 clients at once", "per s", Against::Nothing),
            Column::higher("1 client", "per s", Against::Nothing),
        ],
        summary: &[0],
        cases: CASES,
        run: connections,
    },
];

fn bulk(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    cpu::unpin();
    let sink = Sink::start()?;
    let tunnel = Tunnel::start(&bench.material, case.peer, sink.address)?;
    let load = load::bulk(&sink, &tunnel, bench.duration)?;
    let gigabytes = load.bytes as f64 / 1e9;
    // In clear there are no ends.
    let cpu = if tunnel.ends().is_empty() { f64::NAN } else { load.cpu / gigabytes };
    Ok(vec![gigabytes * 1e3 / load.seconds, cpu])
}

fn round_trip(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    // Whatever is started from here on inherits it.
    cpu::pin(cpu::CORES.1);
    let sink = Sink::start()?;
    let tunnel = Tunnel::start(&bench.material, case.peer, sink.address)?;
    Ok(percentiles(load::round_trips(tunnel.entry, bench.duration)?))
}

fn connections(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    cpu::unpin();
    let sink = Sink::start()?;
    let tunnel = Tunnel::start(&bench.material, case.peer, sink.address)?;
    let of = |clients, duration| load::connections(tunnel.entry, clients, duration);
    // The first of a process gathers what random numbers are made of, tens of milliseconds long.
    of(1, bench.duration / 8)?;
    Ok(vec![of(8, bench.duration)?, of(1, bench.duration)?])
}
