//! The steps of a Kerberos proof, in memory, against a KDC of the laboratory.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use countersign_kerberos::{AcceptorCredential, Channel, Exchange, InitiatorCredential, Terms};
use countersign_lab::Realm;

use crate::child::say_and_wait;
use crate::cpu::of_this_thread;
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::peers::Peer;
use crate::realm;
use crate::round_trips::percentiles;

const SERVICE: &str = "host/server.example.test";

const NOTE: &str = "Both sides on one thread, with nothing but memory between them and tickets that are there already. \
    The client takes its ticket and asks; the server judges the ticket and answers; the client judges the answer; the \
    server checks what the client confirms.";

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "kerberos-steps",
        title: "Kerberos proof in memory, median of each step",
        note: NOTE,
        columns: &[
            Column::lower("client asks", "us", Against::Nothing),
            Column::lower("server judges", "us", Against::Nothing),
            Column::lower("client judges", "us", Against::Nothing),
            Column::lower("server checks", "us", Against::Nothing),
            Column::lower("both server's steps", "CPU us", Against::Nothing),
            Column::higher("proofs", "per s", Against::Nothing),
        ],
        summary: &[5],
        cases: &[Case::of(Peer::CountersignKerberos)],
        run: |bench, _| {
            let Steps { medians, acceptor, rate, .. } = measure(bench)?;
            Ok([medians.as_slice(), &[acceptor, rate]].concat())
        },
    },
    Figure {
        id: "kerberos-steps-99",
        title: "Kerberos proof in memory, 99th percentile of each step",
        note: NOTE,
        columns: &[
            Column::lower("client asks", "us", Against::Nothing),
            Column::lower("server judges", "us", Against::Nothing),
            Column::lower("client judges", "us", Against::Nothing),
            Column::lower("server checks", "us", Against::Nothing),
        ],
        summary: &[],
        cases: &[Case::of(Peer::CountersignKerberos)],
        run: |bench, _| Ok(measure(bench)?.highs),
    },
];

/// How many steps a proof has.
const STEPS: usize = 4;

/// Microseconds of each step, and proofs per second.
struct Steps {
    medians: Vec<f64>,
    highs: Vec<f64>,
    /// Microseconds of processor time that a proof takes the server, the kernel's work included.
    acceptor: f64,
    rate: f64,
}

/// Measures in a child process that lives in a realm.
fn measure(bench: &Bench) -> io::Result<Steps> {
    let kdc = realm::start()?;
    kdc.add(&["alice", SERVICE]);
    kdc.keytab("server", &[SERVICE]);
    kdc.ticket("alice", "alice", &[]);
    kdc.service_ticket("alice", SERVICE);
    // A cache that was written just now is read for each proof.
    thread::sleep(Duration::from_millis(150));
    let seconds = bench.duration.as_secs_f64().to_string();
    let mut child = realm::helper(&kdc, &["kerberos-steps", &seconds])?;
    let (mut medians, mut highs) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        medians.push(child.number()?);
        highs.push(child.number()?);
    }
    Ok(Steps { medians, highs, acceptor: child.number()?, rate: child.number()? })
}

/// The child process: proofs in a row, each step timed.
pub(crate) fn child(duration: Duration) -> io::Result<()> {
    let realm = Realm::of_environment().ok_or_else(|| io::Error::other("this is in no realm"))?;
    let credential = InitiatorCredential::cache(&realm.file("alice"));
    let keys = AcceptorCredential::load(Some(&realm.file("server")), &[]).expect("a keytab");
    let asked = SERVICE.parse().expect("a service");
    let mut times: [Vec<Duration>; STEPS] = Default::default();
    let mut acceptor = 0.0;
    let start = Instant::now();
    while start.elapsed() < duration {
        let channel = || Channel::new([1; Channel::EXPORTED_LEN]);
        let mut client =
            Exchange::initiate(&asked, credential.clone(), channel(), Terms::default());
        let mut server = Exchange::accept(keys.clone(), channel(), Terms::default());
        let mut wire = Vec::new();
        let [asks, answers, judges, checks] = &mut times;
        asks.push(timed(|| work(&mut client, &mut wire)));
        server.handle_input(&wire);
        wire.clear();
        let before = of_this_thread();
        answers.push(timed(|| work(&mut server, &mut wire)));
        acceptor += of_this_thread() - before;
        client.handle_input(&wire);
        wire.clear();
        judges.push(timed(|| work(&mut client, &mut wire)));
        let before = of_this_thread();
        checks.push(timed(|| {
            server.handle_input(&wire);
        }));
        acceptor += of_this_thread() - before;
        client.poll().expect("the server proves itself").expect("it is decided");
        server.poll().expect("the client proves itself").expect("it is decided");
    }
    let all: Duration = times.iter().flatten().sum();
    let proofs = times[0].len() as f64;
    let rate = proofs / all.as_secs_f64();
    for number in times.into_iter().flat_map(percentiles) {
        println!("{number}");
    }
    println!("{}", acceptor * 1e6 / proofs);
    say_and_wait(&rate.to_string())
}

fn timed(act: impl FnOnce()) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

fn work(side: &mut Exchange, wire: &mut Vec<u8>) {
    let work = side.take_work().expect("there is work");
    side.finish(work.run());
    side.transmit(wire);
}
