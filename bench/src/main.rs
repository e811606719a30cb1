//! How fast Countersign is, beside those who do the same, in one run.
//!
//! ```text
//! cargo xtask bench [--seconds S] [--rounds N] [--json FILE] [--figure TEXT] [--peer TEXT]
//! ```
//!
//! Peers alternate, the client on one core and the server on another, medians of N rounds; the
//! same certificates (ECDSA P-256 under one authority), cipher (AES-256-GCM) and group for all.
//! Compare the ratios of one run only: other work on the machine moves the absolute figures.

mod bulk;
mod cpu;
mod datagrams;
mod handshakes;
mod kerberos;
mod peers;
mod query;
mod report;
mod rights;
mod tickets;
mod winsock;

use std::process::ExitCode;
use std::time::Duration;

use datagrams::Together;
use peers::{Material, Peer};

const USAGE: &str =
    "usage: bench [--seconds S] [--rounds N] [--json FILE] [--figure TEXT] [--peer TEXT]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, seconds] = words.as_slice()
        && [kerberos::WORD, tickets::WORD].contains(&word.as_str())
    {
        let time = Duration::from_secs_f64(seconds.parse().expect("our own number"));
        if word == kerberos::WORD {
            kerberos::steps(time)
        } else {
            tickets::inside(time)
        }
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(words.into_iter()) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("bench: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let material = Material::make();
    let with_steps = kerberos::TITLE.contains(&options.figure) && options.peer.is_empty();
    let with_tickets = tickets::TITLE.contains(&options.figure) && options.peer.is_empty();
    winsock::start(&material);
    let mut report = report::Report::new(options.rounds, options.figure, options.peer);
    for size in [16 * 1024, 1024 * 1024] {
        let title = format!("bulk, {} KiB writes, MB/s", size / 1024);
        let peers = [Peer::Tcp, Peer::Countersign, Peer::Rustls, Peer::Openssl];
        report.measure(&title, &peers, |peer| bulk::run(&material, peer, size, options.duration));
    }
    let peers = [Peer::Countersign, Peer::Rustls, Peer::Openssl];
    report.measure(
        "full handshakes, per second (X25519MLKEM768; OpenSSL: X25519)",
        &peers,
        |peer| handshakes::run(&material, peer, options.duration),
    );
    for size in [64, 1200] {
        let title = format!("datagrams of {size} B that arrive, per second (DTLS 1.2)");
        let peers = [Peer::Udp, Peer::Countersign, Peer::Openssl];
        let run = |peer| datagrams::run(&material, peer, size, Together::One, options.duration);
        report.measure(&title, &peers, run);
        report.restate(&format!("the same datagrams of {size} B, MB/s"), size as f64 / 1e6);
    }
    for size in [64, 1200] {
        let title = format!("datagrams of {size} B, ours handed over 32 at a time, per second");
        let run = |peer| datagrams::run(&material, peer, size, Together::Many, options.duration);
        report.measure(&title, &[Peer::Countersign, Peer::Openssl], run);
    }
    report.measure(
        "datagram handshakes, per second (DTLS 1.2 with cookie, X25519)",
        &[Peer::Countersign, Peer::Openssl],
        |peer| datagrams::handshakes(&material, peer, options.duration),
    );
    if rights::is_possible() {
        report.measure(
            "impersonations with their way back, per second (one thread)",
            &[Peer::Countersign, Peer::SystemCalls],
            |peer| rights::run(peer, options.duration),
        );
    }
    report.measure(
        "memory of a datagram association, both ends and the client's socket, KiB (less is better)",
        &[Peer::Countersign, Peer::Openssl],
        |peer| datagrams::memory(&material, peer),
    );
    for (title, asked) in [
        ("query of a stream, flags, ns (less is better; beside: getsockopt)", query::Asked::Flags),
        ("query of a stream, who and ids, ns (beside: getsockopt)", query::Asked::Tokens),
        ("query of a datagram peer, flags, ns (beside: getsockopt)", query::Asked::Datagram),
    ] {
        report.measure(title, &[Peer::Countersign, Peer::SystemCalls], |peer| {
            let (own, kernels) = query::run(&material, asked, options.duration / 4);
            if peer == Peer::SystemCalls { kernels } else { own }
        });
    }
    for (title, called) in [
        (
            "C interface: recv of a byte that is there, ns (less is better)",
            winsock::Called::Receive,
        ),
        ("C interface: send of a byte, ns", winsock::Called::Send),
    ] {
        report.measure(title, &[Peer::Winsock, Peer::Countersign], |peer| {
            let by = if peer == Peer::Winsock { winsock::By::C } else { winsock::By::Rust };
            winsock::run(&material, called, by, options.duration / 2)
        });
    }
    for threads in [1, 2, 8] {
        let title = format!("C interface: finding a socket, {threads} threads with one each, ns");
        let run = |_| winsock::look_up(threads, options.duration / 2);
        report.measure(&title, &[Peer::Winsock], run);
    }
    report.measure(
        "C interface: growth over 200,000 sockets opened, named and closed, KiB",
        &[Peer::Winsock],
        |_| winsock::growth(200_000),
    );
    report.print();
    if with_steps {
        kerberos::print(options.duration);
    }
    if with_tickets {
        tickets::print(options.duration);
    }
    if let Some(path) = options.json
        && let Err(error) = std::fs::write(&path, report.json())
    {
        eprintln!("bench: cannot write {path}: {error}");
        return ExitCode::from(4);
    }
    ExitCode::SUCCESS
}

/// What was asked for.
struct Options {
    duration: Duration,
    rounds: usize,
    json: Option<String>,
    /// Only figures whose title holds it.
    figure: String,
    /// Only peers whose name holds it.
    peer: String,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            duration: Duration::from_millis(600),
            rounds: 5,
            json: None,
            figure: String::new(),
            peer: String::new(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--figure" => options.figure = value()?,
                "--peer" => options.peer = value()?,
                "--json" => options.json = Some(value()?),
                "--rounds" => {
                    let text = value()?;
                    options.rounds = text
                        .parse()
                        .ok()
                        .filter(|rounds| *rounds > 0)
                        .ok_or_else(|| format!("{text:?} is not a number of rounds"))?;
                }
                "--seconds" => {
                    let text = value()?;
                    let seconds: f64 =
                        text.parse().map_err(|_| format!("{text:?} is not a number"))?;
                    options.duration = Duration::try_from_secs_f64(seconds)
                        .map_err(|_| format!("{text:?} is not a time"))?;
                }
                other => return Err(format!("{other:?} is not an option")),
            }
        }
        Ok(options)
    }
}
