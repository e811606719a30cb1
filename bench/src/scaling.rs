//! Many connections at once: does each cost the same as one alone?

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::blocking::{self, Stream};
use crate::child::{Helper, say_and_wait};
use crate::cpu::{self, CORES, pin};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::limits;
use crate::material::{Material, Proof};
use crate::peers::Peer;

const WHAT: &str = "connections";

const fn case(peer: Peer, number: usize) -> Case {
    Case::with(peer, number, WHAT)
}

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "scaling",
    title: "many connections at once",
    note: "One thread on each side. Handshakes: new connections, one after the other, beside those that are \
        open. Transfer: 16 KiB on each of them in turn, all around. CPU seconds are those of both sides.",
    columns: &[
        Column::lower("a handshake", "CPU us", Against::Nothing),
        Column::lower("transfer", "CPU s/GB", Against::Nothing),
        Column::higher("transfer", "MB/s", Against::Nothing),
    ],
    summary: &[0, 1],
    cases: &[
        case(Peer::Tcp, 1),
        case(Peer::Tcp, 10),
        case(Peer::Tcp, 100),
        case(Peer::Tcp, 1_000),
        case(Peer::Tcp, 10_000),
        case(Peer::Countersign, 1),
        case(Peer::Countersign, 10),
        case(Peer::Countersign, 100),
        case(Peer::Countersign, 1_000),
        case(Peer::Countersign, 10_000),
        case(Peer::Rustls, 1),
        case(Peer::Rustls, 100),
        case(Peer::Rustls, 1_000),
        case(Peer::Rustls, 10_000),
    ],
    run: |bench, case| run(bench, case.peer, case.number()),
}];

const PIECE: usize = 16 * 1024;

/// What a client says on a connection that is made to be timed: another one follows, or none.
const MORE: u8 = b'm';
const LAST: u8 = b'l';

fn run(bench: &Bench, peer: Peer, number: usize) -> io::Result<Vec<f64>> {
    limits::allow_descriptors(number + 100)?;
    let (name, at) = (peer.to_string(), bench.material.at.to_string_lossy());
    // In a process of its own, since each process may have so many descriptors only.
    let mut server = Helper::start(&["scaling-server", &name, &at, &number.to_string()])?;
    let address: SocketAddr = server.line()?.parse().map_err(io::Error::other)?;
    pin(CORES.0);
    let connect = blocking::client(&bench.material, peer, Proof::ServerOnly);
    let mut streams = Vec::with_capacity(number);
    for _ in 0..number {
        streams.push(connect(address)?);
    }
    server.line()?;

    let (start, spent, mut handshakes) = (Instant::now(), cpu::of_this_thread(), 0_u32);
    loop {
        let is_last = start.elapsed() >= bench.duration / 2;
        let mut stream = connect(address)?;
        stream.write_all(&[if is_last { LAST } else { MORE }])?;
        stream.flush()?;
        stream.read_exact(&mut [0])?;
        stream.finish();
        handshakes += 1;
        if is_last {
            break;
        }
    }
    let handshakes_cpu = cpu::of_this_thread() - spent + server.number()?;

    let sent_cpu = send(&mut streams, bench.duration / 2)?;
    drop(streams);
    let (gigabytes, seconds) = (server.number()? / 1e9, server.number()?);
    let cpu = sent_cpu + server.number()?;
    let each = handshakes_cpu / f64::from(handshakes) * 1e6;
    Ok(vec![each, cpu / gigabytes, gigabytes * 1e3 / seconds])
}

/// Sends on all in turn, the same to each, and returns the CPU time that it took.
fn send(streams: &mut [Box<dyn Stream>], duration: Duration) -> io::Result<f64> {
    let (start, spent) = (Instant::now(), cpu::of_this_thread());
    let data = [0x5a; PIECE];
    while start.elapsed() < duration {
        for stream in &mut *streams {
            stream.write_all(&data)?;
            stream.flush()?;
        }
    }
    Ok(cpu::of_this_thread() - spent)
}

/// The child that accepts. It says its address; when all are there; the CPU time of the
/// handshakes; and bytes, seconds and CPU time of the transfer.
pub(crate) fn serve(peer: &str, at: &str, number: usize) -> io::Result<()> {
    limits::allow_descriptors(number + 100)?;
    pin(CORES.1);
    let material = Material::open(Path::new(at));
    let mut server = blocking::server(&material, Peer::find(peer)?, Proof::ServerOnly)?;
    println!("{}", server.address);
    let mut streams = Vec::with_capacity(number);
    for _ in 0..number {
        streams.push(server.accept()?);
    }
    println!("ready");

    let spent = cpu::of_this_thread();
    let mut word = [MORE];
    while word == [MORE] {
        let mut stream = server.accept()?;
        stream.read_exact(&mut word)?;
        stream.write_all(b"x")?;
        stream.flush()?;
        stream.finish();
    }
    println!("{}", cpu::of_this_thread() - spent);

    let mut piece = [0; PIECE];
    let (mut bytes, mut start, mut spent) = (0, Instant::now(), cpu::of_this_thread());
    'all: loop {
        for stream in &mut streams {
            // The client ends all of them after a whole turn.
            if stream.read_exact(&mut piece).is_err() {
                break 'all;
            }
            if bytes == 0 {
                (start, spent) = (Instant::now(), cpu::of_this_thread());
            }
            bytes += PIECE as u64;
        }
    }
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu::of_this_thread() - spent);
    println!("{bytes}\n{seconds}");
    say_and_wait(&cpu.to_string())
}
