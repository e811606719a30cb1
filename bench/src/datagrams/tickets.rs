//! New associations that prove themselves by tickets, beside such that do so by certificates.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::{Context, ContextBuilder, Policy, UdpSocket};
use countersign_lab::{Authority, Leaf, Realm};

use super::SILENCE;
use crate::child::{Helper, say_and_wait};
use crate::cpu::{CORES, pin};
use crate::figure::{Bench, Case};
use crate::material::LOOPBACK;
use crate::peers::Peer;
use crate::realm;
use crate::round_trips::percentiles;

const HOST: &str = "server.example.test";
const CLIENT: &str = "client.example.test";
const SERVICE: &str = "bench/server.example.test";

/// Measures in a child, which lives in a realm where tickets are asked for.
pub(super) fn run(bench: &Bench, case: Case) -> io::Result<Vec<f64>> {
    let seconds = bench.duration.as_secs_f64().to_string();
    let words = |what| ["datagram-tickets", what, seconds.as_str()];
    let numbers = |child: &mut Helper| Ok(vec![child.number()?, child.number()?, child.number()?]);
    if case.peer == Peer::Countersign {
        return numbers(&mut Helper::start(&words("by-certificate"))?);
    }
    let kdc = realm::start()?;
    kdc.add(&["alice", SERVICE]);
    kdc.keytab("keys", &[SERVICE]);
    kdc.ticket("alice", "tickets", &[]);
    numbers(&mut realm::helper(&kdc, &words("by-ticket"))?)
}

/// The child that has both ends.
pub(crate) fn ticket_child(what: &str, duration: Duration) -> io::Result<()> {
    let root = Authority::new("bench");
    let context = |text: &str| {
        let policy = Policy::parse(text, "the benchmark").expect("our own policy");
        Context::builder().policy(policy).anchors(root.anchors())
    };
    let built = |builder: ContextBuilder| builder.build().expect("a context");
    let (server, client) = if what == "by-certificate" {
        let showing = |host| context("").credential(root.issue(Leaf::new().dns(host)).credential());
        (built(showing(HOST)), built(showing(CLIENT)))
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
    for number in measure(&server, &client, duration)? {
        println!("{number}");
    }
    say_and_wait("")
}

/// Returns associations per second, one after the other, and how many microseconds they took.
fn measure(server: &Context, client: &Context, duration: Duration) -> io::Result<Vec<f64>> {
    let server = UdpSocket::bind_with(server, LOOPBACK)?;
    let address = server.local_addr()?;
    server.set_read_timeout(Some(SILENCE));
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let serving = thread::spawn(move || {
        pin(CORES.1);
        let mut buffer = [0; 64];
        while !over.load(Ordering::Relaxed) {
            if let Ok((count, from)) = server.recv_from(&mut buffer) {
                let _ = server.send_to(buffer.get(..count).unwrap_or_default(), from);
            }
        }
    });
    pin(CORES.0);
    let name: countersign::PeerName = SERVICE.parse().expect("a name");
    let associate = || -> io::Result<Duration> {
        let before = Instant::now();
        let socket = UdpSocket::bind_with(client, LOOPBACK)?;
        socket.set_peer_target_name(address, name.clone())?;
        socket.connect(address)?;
        socket.send(b"x")?;
        socket.recv(&mut [0; 8])?;
        Ok(before.elapsed())
    };
    for _ in 0..10 {
        associate()?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < duration {
        times.push(associate()?);
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    is_over.store(true, Ordering::Relaxed);
    serving.join().expect("the server");
    Ok([vec![rate], percentiles(times)].concat())
}
