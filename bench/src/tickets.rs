//! Connections that prove themselves by tickets, beside such that do so by certificates: both over
//! sockets of Countersign, client and server in one process, with a byte there and back.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::PeerName;
use countersign::{Context, Policy, TcpListener, TcpStream};
use countersign_lab::{Authority, Kdc, Leaf, Realm};

pub(crate) const TITLE: &str = "connections by certificate and by ticket";
/// Tells this program that it is inside the realm.
pub(crate) const WORD: &str = "--tickets-inside-the-realm";

const SERVICE: &str = "bench/server.example.test";

/// Runs this program once more in a realm, since the Kerberos library learns of it from the
/// environment of its process.
pub(crate) fn print(duration: Duration) {
    let kdc = Kdc::start();
    kdc.add(&["alice", SERVICE]);
    kdc.keytab("keys", &[SERVICE]);
    kdc.ticket("alice", "tickets", &[]);
    let mut again = Command::new(std::env::current_exe().expect("we run from a file"));
    again.args([WORD, &duration.as_secs_f64().to_string()]).envs(kdc.environment());
    let status = again.status().expect("we can run ourselves");
    assert!(status.success(), "in the realm: {status}");
}

/// Measures, inside the realm.
pub(crate) fn inside(duration: Duration) {
    let realm = Realm::of_environment().expect("this is for inside the realm");
    let root = Authority::new("bench");
    let issued = root.issue(Leaf::new().dns("server.example.test"));
    let context = |text: &str| {
        let policy = Policy::parse(text, "bench").expect("our own policy");
        Context::builder().policy(policy).anchors(root.anchors())
    };
    let by_certificate = (
        context("").credential(issued.credential()).build().expect("a server"),
        context("").build().expect("a client"),
    );
    let server = format!(
        "[kerberos]\nserver = 'require'\nservices = ['{SERVICE}']\nkeytab = '{}'\n",
        realm.file("keys")
    );
    let client =
        format!("[kerberos]\nclient = 'require'\ncache = 'FILE:{}'\n", realm.file("tickets"));
    let by_ticket =
        (context(&server).build().expect("a server"), context(&client).build().expect("a client"));
    println!("{TITLE} (one process, a byte there and back)");
    for clients in [1, 4, 16] {
        for (what, (server, client)) in
            [("certificate of the server only", &by_certificate), ("tickets of both", &by_ticket)]
        {
            let (rate, p50, p99) = measure(server, client, clients, duration);
            println!(
                "  {clients:>2} at once, {what:<31} {rate:>6.0}/s   p50 {:>5.2} ms   p99 {:>5.2} ms",
                p50.as_secs_f64() * 1000.0,
                p99.as_secs_f64() * 1000.0
            );
        }
    }
}

/// Returns connections per second, and how long they took.
fn measure(
    server: &Context,
    client: &Context,
    clients: usize,
    duration: Duration,
) -> (f64, Duration, Duration) {
    let listener = Arc::new(TcpListener::bind_with(server, "127.0.0.1:0").expect("a listener"));
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
        connect(client, address, &name);
    }
    let times = Mutex::new(Vec::new());
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut own = Vec::new();
                while started.elapsed() < duration {
                    let before = Instant::now();
                    connect(client, address, &name);
                    own.push(before.elapsed());
                }
                times.lock().expect("no thread panics").extend(own);
            });
        }
    });
    let took = started.elapsed();
    let mut times = times.into_inner().expect("no thread panics");
    times.sort_unstable();
    is_over.store(true, Ordering::Relaxed);
    for acceptor in acceptors {
        while !acceptor.is_finished() {
            connect(client, address, &name);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = times.len() as f64 / took.as_secs_f64();
    (rate, times[times.len() / 2], times[times.len() * 99 / 100])
}

fn connect(client: &Context, address: SocketAddr, name: &PeerName) {
    // Once the acceptors end, nobody may answer.
    let Ok(stream) = TcpStream::connect_with(client, address, name) else { return };
    let _ = (&stream).write_all(b"x").and_then(|()| (&stream).read_exact(&mut [0]));
}
