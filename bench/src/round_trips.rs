//! 64 bytes there and 64 bytes back, one at a time, both sides on one core: what a message costs
//! beyond the wait.

use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::asynchronous::{self, Connector};
use crate::blocking;
use crate::cpu::{CORES, pin};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::Proof;
use crate::peers::Peer;

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "round-trip",
    title: "round trip of 64 B, both sides on one core",
    note: "One message at a time. Across cores waking a sleeper costs the machine far more than \
        any of the peers, and would hide them.",
    columns: &[
        Column::lower("median", "us", Against::Added),
        Column::lower("99th percentile", "us", Against::Nothing),
    ],
    summary: &[0],
    cases: &[
        Case::of(Peer::Tcp),
        Case::of(Peer::Countersign),
        Case::of(Peer::Rustls),
        Case::of(Peer::Openssl),
        Case::of(Peer::TokioTcp),
        Case::of(Peer::CountersignTokio),
        Case::of(Peer::TokioRustls),
    ],
    run: |bench, case| run(bench, case.peer),
}];

const MESSAGE: usize = 64;

fn run(bench: &Bench, peer: Peer) -> io::Result<Vec<f64>> {
    let times =
        if peer.is_asynchronous() { asynchronously(bench, peer)? } else { blocking(bench, peer)? };
    Ok(percentiles(times))
}

/// Returns median and 99th percentile in microseconds.
pub(crate) fn percentiles(mut times: Vec<Duration>) -> Vec<f64> {
    times.sort_unstable();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    };
    vec![at(0.5), at(0.99)]
}

fn blocking(bench: &Bench, peer: Peer) -> io::Result<Vec<Duration>> {
    let mut server = blocking::server(&bench.material, peer, Proof::ServerOnly)?;
    let address = server.address;
    let echo = thread::spawn(move || {
        pin(CORES.1);
        let mut stream = server.accept()?;
        let mut message = [0; MESSAGE];
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
            stream.flush()?;
        }
        Ok::<_, io::Error>(())
    });
    pin(CORES.1);
    let connect = blocking::client(&bench.material, peer, Proof::ServerOnly);
    let mut stream = connect(address)?;
    let mut message = [0x5a; MESSAGE];
    let times = sample(bench.duration, || {
        stream.write_all(&message)?;
        stream.flush()?;
        stream.read_exact(&mut message)
    })?;
    drop(stream);
    echo.join().expect("the echo does not panic")?;
    Ok(times)
}

/// Times one thing after the other; the first eighth of the time gets everything warm.
pub(crate) fn sample(
    duration: Duration,
    mut once: impl FnMut() -> io::Result<()>,
) -> io::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(1 << 18);
    let start = Instant::now();
    let mut before = start;
    while before - start < duration {
        once()?;
        let after = Instant::now();
        if before - start >= duration / 8 {
            times.push(after - before);
        }
        before = after;
    }
    Ok(times)
}

fn asynchronously(bench: &Bench, peer: Peer) -> io::Result<Vec<Duration>> {
    let server = asynchronous::Server::new(&bench.material, peer, Proof::ServerOnly)?;
    let (address, duration) = (server.address, bench.duration);
    let echo = thread::spawn(move || {
        pin(CORES.1);
        server.run(async |acceptor| {
            let mut stream = acceptor.accept().await?;
            let mut message = [0; MESSAGE];
            while stream.read_exact(&mut message).await.is_ok() {
                stream.write_all(&message).await?;
                stream.flush().await?;
            }
            Ok::<_, io::Error>(())
        })
    });
    pin(CORES.1);
    let connector = Connector::new(&bench.material, peer, Proof::ServerOnly);
    let times = asynchronous::run(async {
        let mut stream = connector.connect(address).await?;
        let mut message = [0x5a; MESSAGE];
        let mut times = Vec::with_capacity(1 << 18);
        let start = Instant::now();
        let mut before = start;
        while before - start < duration {
            stream.write_all(&message).await?;
            stream.flush().await?;
            stream.read_exact(&mut message).await?;
            let after = Instant::now();
            if before - start >= duration / 8 {
                times.push(after - before);
            }
            before = after;
        }
        Ok(times)
    })?;
    echo.join().expect("the echo does not panic")?;
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::percentiles;

    #[test]
    fn the_middle_and_the_last_of_a_hundred() {
        let times = (0..100).rev().map(Duration::from_micros).collect();
        assert_eq!(percentiles(times), [50.0, 99.0]);
    }
}
