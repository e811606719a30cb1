//! One connection, one direction, as fast as it goes.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::asynchronous::{self, Connector};
use crate::blocking;
use crate::cpu::{self, CORES, pin};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::Proof;
use crate::peers::Peer;

const CASES: &[Case] = &[
    Case::of(Peer::Tcp),
    Case::of(Peer::Countersign),
    Case::of(Peer::Rustls),
    Case::of(Peer::RustlsTuned),
    Case::of(Peer::Openssl),
    Case::of(Peer::TokioTcp),
    Case::of(Peer::CountersignTokio),
    Case::of(Peer::TokioRustls),
];

const COLUMNS: &[Column] = &[
    Column::higher("throughput", "MB/s", Against::Part),
    Column::lower("sender", "CPU s/GB", Against::Nothing),
    Column::lower("receiver", "CPU s/GB", Against::Nothing),
];

const NOTE: &str = "Sender on one core, receiver on another, AES-256-GCM; counted where it \
    arrives. CPU seconds are those of each side's thread, the kernel's work included.";

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "bulk-1-kib",
        title: "bulk, 1 KiB writes",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| run(bench, case.peer, 1024),
    },
    Figure {
        id: "bulk-16-kib",
        title: "bulk, 16 KiB writes",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0, 2],
        cases: CASES,
        run: |bench, case| run(bench, case.peer, 16 * 1024),
    },
    Figure {
        id: "bulk-1-mib",
        title: "bulk, 1 MiB writes",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| run(bench, case.peer, 1024 * 1024),
    },
];

/// A reader takes at most this much at once, as programs do.
const READ: usize = 256 * 1024;

/// What one side has moved since it was warm.
struct Tally {
    bytes: u64,
    since: Instant,
    spent: f64,
}

/// What a side has to show for the time.
struct Moved {
    bytes: u64,
    seconds: f64,
    cpu: f64,
}

impl Tally {
    fn start() -> Self {
        Self { bytes: 0, since: Instant::now(), spent: cpu::of_this_thread() }
    }

    fn stop(&self) -> Moved {
        let (seconds, cpu) = (self.since.elapsed(), cpu::of_this_thread() - self.spent);
        Moved { bytes: self.bytes, seconds: seconds.as_secs_f64(), cpu }
    }
}

impl Moved {
    fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }
}

fn run(bench: &Bench, peer: Peer, size: usize) -> io::Result<Vec<f64>> {
    let (sent, received) = if peer.is_asynchronous() {
        asynchronously(bench, peer, size)?
    } else {
        blocking(bench, peer, size)?
    };
    if received.bytes == 0 {
        return Err(io::Error::other("nothing arrived"));
    }
    let rate = received.bytes as f64 / received.seconds / 1e6;
    Ok(vec![rate, sent.cpu_per_gigabyte(), received.cpu_per_gigabyte()])
}

/// Each side gets warm for itself.
fn warm_up(duration: Duration) -> Duration {
    duration / 8
}

fn blocking(bench: &Bench, peer: Peer, size: usize) -> io::Result<(Moved, Moved)> {
    let mut server = blocking::server(&bench.material, peer, Proof::ServerOnly)?;
    let (address, duration) = (server.address, bench.duration);
    let reader = thread::spawn(move || {
        pin(CORES.1);
        let mut stream = server.accept()?;
        let mut buffer = vec![0; size.min(READ)];
        let start = Instant::now();
        while start.elapsed() < warm_up(duration) {
            stream.read_exact(&mut buffer)?;
        }
        let mut tally = Tally::start();
        // Peers differ in how they end a connection; what counts is what arrived before.
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            tally.bytes += count as u64;
        }
        Ok::<_, io::Error>(tally.stop())
    });
    pin(CORES.0);
    let connect = blocking::client(&bench.material, peer, Proof::ServerOnly);
    let mut stream = connect(address)?;
    let data = vec![0x5a; size];
    let start = Instant::now();
    while start.elapsed() < warm_up(duration) {
        stream.write_all(&data)?;
    }
    let mut tally = Tally::start();
    while start.elapsed() < duration {
        stream.write_all(&data)?;
        tally.bytes += size as u64;
    }
    stream.flush()?;
    let sent = tally.stop();
    drop(stream);
    Ok((sent, reader.join().expect("the reader does not panic")?))
}

fn asynchronously(bench: &Bench, peer: Peer, size: usize) -> io::Result<(Moved, Moved)> {
    let server = asynchronous::Server::new(&bench.material, peer, Proof::ServerOnly)?;
    let (address, duration) = (server.address, bench.duration);
    let reader = thread::spawn(move || {
        pin(CORES.1);
        server.run(async |acceptor| {
            let mut stream = acceptor.accept().await?;
            let mut buffer = vec![0; size.min(READ)];
            let start = Instant::now();
            while start.elapsed() < warm_up(duration) {
                stream.read_exact(&mut buffer).await?;
            }
            let mut tally = Tally::start();
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                tally.bytes += count as u64;
            }
            Ok::<_, io::Error>(tally.stop())
        })
    });
    pin(CORES.0);
    let connector = Connector::new(&bench.material, peer, Proof::ServerOnly);
    let sent = asynchronous::run(async {
        let mut stream = connector.connect(address).await?;
        let data = vec![0x5a; size];
        let start = Instant::now();
        while start.elapsed() < warm_up(duration) {
            stream.write_all(&data).await?;
        }
        let mut tally = Tally::start();
        while start.elapsed() < duration {
            stream.write_all(&data).await?;
            tally.bytes += size as u64;
        }
        stream.flush().await?;
        Ok(tally.stop())
    })?;
    Ok((sent, reader.join().expect("the reader does not panic")?))
}
