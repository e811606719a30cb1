//! The steps of a Kerberos proof, in memory, against a KDC of the laboratory.
//!
//! The Kerberos library takes its settings from the environment of the process, so the steps are
//! run in a child process that lives in the realm.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use countersign_kerberos::{AcceptorCredential, Channel, Exchange, InitiatorCredential, Terms};
use countersign_lab::{Kdc, Realm};

const SERVICE: &str = "host/server.example.test";
pub(crate) const TITLE: &str =
    "Kerberos proof in memory, microseconds of each step (median, 99 of 100 below)";
/// What the child process is asked for.
pub(crate) const WORD: &str = "--kerberos-steps";

/// Measures the steps in a child process and prints what they take.
pub(crate) fn print(duration: Duration) {
    let kdc = Kdc::start();
    kdc.add(&["alice", SERVICE]);
    kdc.keytab("server", &[SERVICE]);
    kdc.ticket("alice", "alice", &[]);
    kdc.service_ticket("alice", SERVICE);
    let program = env::current_exe().expect("we run from a file");
    let mut child = Command::new(program);
    child.arg(WORD).arg(duration.as_secs_f64().to_string()).envs(kdc.environment());
    let status = child.status().expect("we can run ourselves");
    assert!(status.success(), "the measurement of Kerberos failed: {status}");
}

/// The child process: proofs in a row, each step timed.
pub(crate) fn steps(duration: Duration) {
    let realm = Realm::of_environment().expect("the parent says where");
    let credential = InitiatorCredential::cache(&realm.file("alice"));
    let keys = AcceptorCredential::load(Some(&realm.file("server")), &[]).expect("a keytab");
    let asked = SERVICE.parse().expect("a service");
    let mut steps = Steps::default();
    let start = Instant::now();
    while start.elapsed() < duration {
        let channel = || Channel::new([1; Channel::EXPORTED_LEN]);
        let mut client =
            Exchange::initiate(&asked, credential.clone(), channel(), Terms::default());
        let mut server = Exchange::accept(keys.clone(), channel(), Terms::default());
        let mut wire = Vec::new();
        steps.time(Step::Request, || work(&mut client, &mut wire));
        server.handle_input(&wire);
        wire.clear();
        steps.time(Step::Reply, || work(&mut server, &mut wire));
        client.handle_input(&wire);
        wire.clear();
        steps.time(Step::Conclude, || work(&mut client, &mut wire));
        steps.time(Step::Confirm, || server.handle_input(&wire));
        client.poll().expect("the server proves itself").expect("it is decided");
        server.poll().expect("the client proves itself").expect("it is decided");
    }
    steps.print();
}

fn work(side: &mut Exchange, wire: &mut Vec<u8>) {
    let work = side.take_work().expect("there is work");
    side.finish(work.run());
    side.transmit(wire);
}

#[derive(Clone, Copy)]
enum Step {
    Request,
    Reply,
    Conclude,
    Confirm,
}

const STEPS: [(Step, &str); 4] = [
    (Step::Request, "client: take the ticket, make the request"),
    (Step::Reply, "server: judge the ticket, answer and confirm"),
    (Step::Conclude, "client: judge the answer, confirm"),
    (Step::Confirm, "server: check the confirmation"),
];

#[derive(Default)]
struct Steps {
    times: [Vec<Duration>; STEPS.len()],
}

impl Steps {
    fn time<T>(&mut self, step: Step, act: impl FnOnce() -> T) {
        let start = Instant::now();
        act();
        let taken = start.elapsed();
        self.times[step as usize].push(taken);
    }

    fn print(&mut self) {
        println!("\n{TITLE}");
        for (step, name) in STEPS {
            let times = &mut self.times[step as usize];
            times.sort_unstable();
            let micros = |part: usize| {
                let at = (times.len() * part / 100).min(times.len() - 1);
                times[at].as_secs_f64() * 1e6
            };
            println!("  {name:<46} {:>7.1} {:>7.1}", micros(50), micros(99));
        }
        let all: Duration = self.times.iter().flatten().sum();
        let rate = self.times[0].len() as f64 / all.as_secs_f64();
        println!("  {:<46} {rate:>7.0}", "proofs a second, both sides on one thread");
    }
}
