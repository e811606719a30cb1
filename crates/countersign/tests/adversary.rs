//! Peers that mean harm to programs that allow cleartext.

mod world;

use std::io::Write;
use std::net::{SocketAddr, TcpListener as PlainListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::Policy;
use countersign::tokio::TcpStream;
use world::{World, insecure, socket_to};

/// A server that answers a greeting with nonsense and then takes no more connections must not keep
/// the thread of the executor.
#[test]
fn a_second_connection_in_clear_that_is_slow_keeps_no_executor() {
    let world = World::new();
    let address: SocketAddr = {
        let probe = PlainListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap()
    };
    let socket = countersign_sys::stream_socket(address).unwrap();
    let exclusive = countersign_sys::bind_exclusive(&socket, address).unwrap();
    let plain = countersign_sys::listen(socket, 0, exclusive).unwrap();
    let server = thread::spawn(move || {
        let (mut client, _) = plain.accept().unwrap();
        // Its queue is full from now on, and the kernel drops what comes.
        let mut held = Vec::new();
        for _ in 0..3 {
            let more = countersign_sys::stream_socket(address).unwrap();
            let _ = countersign_sys::start_connect(&more, address);
            held.push(more);
        }
        thread::sleep(Duration::from_millis(300));
        client.write_all(b"220 hello\r\n").unwrap();
        thread::sleep(Duration::from_secs(6));
        (client, plain, held)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let policy = "[limits]\nconnect-timeout-ms = 2000\nhandshake-timeout-ms = 2000\n";
    let context = world.with_policy(Policy::parse(policy, "test").unwrap());
    let started = Instant::now();
    let (outcome, slowest) = runtime.block_on(async {
        let slowest = Arc::new(AtomicU64::new(0));
        let seen = slowest.clone();
        tokio::spawn(async move {
            loop {
                let before = Instant::now();
                tokio::time::sleep(Duration::from_millis(20)).await;
                seen.fetch_max(before.elapsed().as_millis() as u64, Ordering::Relaxed);
            }
        });
        let socket = socket_to(&context, address, Some(insecure()));
        let outcome = TcpStream::connect_socket(socket, address).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        (outcome.map(drop), slowest.load(Ordering::Relaxed))
    });
    eprintln!("{outcome:?} after {:?}; another task waited {slowest} ms", started.elapsed());
    assert!(slowest < 500, "another task of the executor waited {slowest} ms");
    assert!(started.elapsed() < Duration::from_secs(4), "the deadline was not kept");
    drop(server);
}
