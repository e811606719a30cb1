//! Connections that prove themselves by tickets, beside such that do so by certificates: both over
//! sockets of Countersign, client and server in one process, with a byte there and back.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::PeerName;
use countersign::{Context, ContextBuilder, Policy, TcpListener, TcpStream};
use countersign_lab::{Authority, Leaf, Realm};
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::child::{Helper, say_and_wait};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::LOOPBACK;
use crate::peers::Peer;
use crate::realm;
use crate::round_trips::percentiles;

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "tickets",
    title: "connections by certificate and by ticket",
    note: "Full handshakes with a byte there and back, client and server in one process. `countersign`: the server \
        proves its name by certificate; `countersign, Kerberos`: both prove their names by tickets inside TLS, with \
        tickets that are there already.",
    columns: &[
        Column::higher("connections", "per s", Against::Nothing),
        Column::lower("median", "us", Against::Nothing),
        Column::lower("99th percentile", "us", Against::Nothing),
        Column::lower("both sides", "CPU us a connection", Against::Nothing),
    ],
    summary: &[0, 1],
    cases: &[
        Case::with(Peer::Countersign, 1, "clients"),
        Case::with(Peer::CountersignKerberos, 1, "clients"),
        Case::with(Peer::Countersign, 4, "clients"),
        Case::with(Peer::CountersignKerberos, 4, "clients"),
        Case::with(Peer::Countersign, 16, "clients"),
        Case::with(Peer::CountersignKerberos, 16, "clients"),
    ],
    run,
}];

const HOST: &str = "server.example.test";
const SERVICE: &str = "bench/server.example.test";

/// Measures in a child, which lives in a realm where tickets are asked for.
fn run(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    let (clients, seconds) = (case.number().to_string(), bench.duration.as_secs_f64().to_string());
    let words = |what| ["tickets", what, clients.as_str(), seconds.as_str()];
    if case.peer == Peer::Countersign {
        return numbers(&mut Helper::start(&words("by-certificate"))?);
    }
    let kdc = realm::start()?;
    kdc.add(&["alice", SERVICE]);
    kdc.keytab("keys", &[SERVICE]);
    kdc.ticket("alice", "tickets", &[]);
    kdc.service_ticket("tickets", SERVICE);
    // A cache that was written just now is read for each connection.
    thread::sleep(Duration::from_millis(150));
    numbers(&mut realm::helper(&kdc, &words("by-ticket"))?)
}

fn numbers(child: &mut Helper) -> io::Result<Vec<f64>> {
    (0..4).map(|_| child.number()).collect()
}

/// The child that has both ends.
pub(crate) fn child(what: &str, clients: usize, duration: Duration) -> io::Result<()> {
    let root = Authority::new("bench");
    let context = |text: &str| {
        let policy = Policy::parse(text, "the benchmark").expect("our own policy");
        Context::builder().policy(policy).anchors(root.anchors())
    };
    let built = |builder: ContextBuilder| builder.build().expect("a context");
    let (server, client) = if what == "by-certificate" {
        let issued = root.issue(Leaf::new().dns(HOST));
        (built(context("").credential(issued.credential())), built(context("")))
    } else {
        let realm =
            Realm::of_environment().ok_or_else(|| io::Error::other("this is in no realm"))?;
        let (keys, tickets) = (realm.file("keys"), realm.file("tickets"));
        let server = format!(
            "[kerberos]\nserver = 'require'\nservices = ['{SERVICE}']\nkeytab = '{keys}'\n"
        );
        let client = format!("[kerberos]\nclient = 'require'\ncache = 'FILE:{tickets}'\n");
        (built(context(&server)), built(context(&client)))
    };
    for number in measure(&server, &client, clients, duration)? {
        println!("{number}");
    }
    say_and_wait("")
}

/// Returns connections per second, how many microseconds they took, and how many of processor time
/// each took this process.
fn measure(
    server: &Context,
    client: &Context,
    clients: usize,
    duration: Duration,
) -> io::Result<Vec<f64>> {
    let listener = Arc::new(TcpListener::bind_with(server, LOOPBACK)?);
    let address = listener.local_addr();
    let is_over = Arc::new(AtomicBool::new(false));
    let acceptors: Vec<_> = (0..clients.min(2))
        .map(|_| {
            let (listener, is_over) = (listener.clone(), is_over.clone());
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let Ok((stream, _)) = listener.accept() else { continue };
                    let _ = (&stream).read_exact(&mut [0]).and_then(|()| (&stream).write_all(b"x"));
                }
            })
        })
        .collect();
    let name: PeerName = SERVICE.parse().expect("a name");
    for _ in 0..20 {
        connect(client, address, &name)?;
    }
    let times = Mutex::new(Vec::new());
    let used = || clock_gettime(ClockId::ProcessCPUTime);
    let seconds = |time: Timespec| time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    let (started, before) = (Instant::now(), seconds(used()));
    let outcome: io::Result<()> = thread::scope(|scope| {
        let client_of_many = || {
            let mut own = Vec::new();
            while started.elapsed() < duration {
                let before = Instant::now();
                connect(client, address, &name)?;
                own.push(before.elapsed());
            }
            times.lock().expect("no thread panics").extend(own);
            Ok(())
        };
        #[expect(clippy::needless_collect, reason = "all are there before one is waited for")]
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client_of_many)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no client panics"))
    });
    let (took, used) = (started.elapsed(), seconds(used()) - before);
    let times = times.into_inner().expect("no thread panics");
    is_over.store(true, Ordering::Relaxed);
    for acceptor in acceptors {
        while !acceptor.is_finished() {
            // Once the acceptors end, nobody may answer.
            let _ = connect(client, address, &name);
        }
    }
    outcome?;
    let rate = times.len() as f64 / took.as_secs_f64();
    let each = used * 1e6 / times.len() as f64;
    Ok([vec![rate], percentiles(times), vec![each]].concat())
}

fn connect(client: &Context, address: SocketAddr, name: &PeerName) -> io::Result<()> {
    let stream = TcpStream::connect_with(client, address, name)?;
    (&stream).write_all(b"x")?;
    (&stream).read_exact(&mut [0])
}
