//! New connections, one after the other, each with a full handshake or a resumed session, one byte
//! and a proper end.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::asynchronous::{self, Connector};
use crate::blocking;
use crate::cpu::{self, CORES, pin};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::Proof;
use crate::peers::Peer;

const COLUMNS: &[Column] = &[
    Column::higher("handshakes", "per s", Against::Nothing),
    Column::lower("both sides", "CPU us", Against::Nothing),
];

const CASES: &[Case] = &[
    Case::of(Peer::Countersign),
    Case::of(Peer::Rustls),
    Case::of(Peer::Openssl),
    Case::of(Peer::CountersignTokio),
    Case::of(Peer::TokioRustls),
];

/// OpenSSL's binding for Rust takes a session for a connection in unsafe code only.
const RESUMING: &[Case] = &[
    Case::of(Peer::Countersign),
    Case::of(Peer::Rustls),
    Case::of(Peer::CountersignTokio),
    Case::of(Peer::TokioRustls),
];

const NOTE_RESUMED: &str = "New connections one after the other, both sides on one core, each resuming the session of \
    the one before with a key exchange of its own; X25519MLKEM768. rustls as it comes believes a session; \
    Countersign judges the peer's certificate anew.";

const NOTE: &str = "New connections one after the other, both sides on one core, nothing resumed; \
    X25519MLKEM768, OpenSSL 3.0: X25519.";

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "handshakes",
        title: "full handshakes, server proves its name",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| run(bench, case.peer, Proof::ServerOnly),
    },
    Figure {
        id: "handshakes-mutual",
        title: "full handshakes, both prove their names",
        note: NOTE,
        columns: COLUMNS,
        summary: &[0],
        cases: CASES,
        run: |bench, case| run(bench, case.peer, Proof::Mutual),
    },
    Figure {
        id: "handshakes-resumed",
        title: "resumed sessions, the server has proved its name",
        note: NOTE_RESUMED,
        columns: COLUMNS,
        summary: &[0],
        cases: RESUMING,
        run: |bench, case| run(bench, case.peer, Proof::ServerOnlyResumed),
    },
    Figure {
        id: "handshakes-resumed-mutual",
        title: "resumed sessions, both have proved their names",
        note: NOTE_RESUMED,
        columns: COLUMNS,
        summary: &[0],
        cases: RESUMING,
        run: |bench, case| run(bench, case.peer, Proof::MutualResumed),
    },
];

/// Before the clock starts.
const WARM_UP: u32 = 20;

fn run(bench: &Bench, peer: Peer, proof: Proof) -> io::Result<Vec<f64>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (client, server) = if peer.is_asynchronous() {
        asynchronously(bench, peer, proof, &is_over)?
    } else {
        blocking(bench, peer, proof, &is_over)?
    };
    // The acceptor has also had those of the warm-up, and the last.
    let served = f64::from(client.count + WARM_UP + 1);
    let each = client.spent / f64::from(client.count) + server / served;
    Ok(vec![client.rate, each * 1e6])
}

/// What the client's side has to show.
struct Made {
    count: u32,
    rate: f64,
    spent: f64,
}

/// Returns what the client made, and the processor time of the acceptor.
fn blocking(
    bench: &Bench,
    peer: Peer,
    proof: Proof,
    is_over: &Arc<AtomicBool>,
) -> io::Result<(Made, f64)> {
    let mut server = blocking::server(&bench.material, peer, proof)?;
    let address = server.address;
    let over = Arc::clone(is_over);
    let acceptor = thread::spawn(move || {
        pin(CORES.1);
        let spent = cpu::of_this_thread();
        while !over.load(Ordering::Relaxed) {
            // The last client does not wait for its byte; the others check that it comes.
            let Ok(mut stream) = server.accept() else { continue };
            let _ = stream.write_all(b"x").and_then(|()| stream.flush());
            stream.finish();
        }
        cpu::of_this_thread() - spent
    });
    pin(CORES.1);
    let connect = blocking::client(&bench.material, peer, proof);
    let made = make(bench.duration, || {
        let mut stream = connect(address)?;
        stream.read_exact(&mut [0])?;
        stream.finish();
        Ok(())
    });
    is_over.store(true, Ordering::Relaxed);
    // It may be over already, and then nobody answers.
    let _ = connect(address);
    let server = acceptor.join().expect("the acceptor does not panic");
    Ok((made?, server))
}

fn make(duration: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Made> {
    (0..WARM_UP).try_for_each(|_| once())?;
    let (start, spent, mut count) = (Instant::now(), cpu::of_this_thread(), 0_u32);
    while start.elapsed() < duration {
        once()?;
        count += 1;
    }
    Ok(Made::since(start, spent, count))
}

impl Made {
    fn since(start: Instant, spent: f64, count: u32) -> Self {
        let rate = f64::from(count) / start.elapsed().as_secs_f64();
        Self { count, rate, spent: cpu::of_this_thread() - spent }
    }
}

fn asynchronously(
    bench: &Bench,
    peer: Peer,
    proof: Proof,
    is_over: &Arc<AtomicBool>,
) -> io::Result<(Made, f64)> {
    let server = asynchronous::Server::new(&bench.material, peer, proof)?;
    let address = server.address;
    let over = Arc::clone(is_over);
    let acceptor = thread::spawn(move || {
        pin(CORES.1);
        let spent = cpu::of_this_thread();
        server.run(async |acceptor| {
            while !over.load(Ordering::Relaxed) {
                let Ok(mut stream) = acceptor.accept().await else { continue };
                if stream.write_all(b"x").await.is_ok() {
                    let _ = stream.shutdown().await;
                }
            }
        });
        cpu::of_this_thread() - spent
    });
    pin(CORES.1);
    let connector = Connector::new(&bench.material, peer, proof);
    let made = asynchronous::run(async {
        let once = async || {
            let mut stream = connector.connect(address).await?;
            stream.read_exact(&mut [0]).await?;
            // The other side may be gone already, which is its right.
            let _ = stream.shutdown().await;
            Ok::<_, io::Error>(())
        };
        let measured = async {
            for _ in 0..WARM_UP {
                once().await?;
            }
            let (start, spent, mut count) = (Instant::now(), cpu::of_this_thread(), 0_u32);
            while start.elapsed() < bench.duration {
                once().await?;
                count += 1;
            }
            Ok(Made::since(start, spent, count))
        };
        let made = measured.await;
        is_over.store(true, Ordering::Relaxed);
        let _ = connector.connect(address).await;
        made
    });
    let server = acceptor.join().expect("the acceptor does not panic");
    Ok((made?, server))
}
