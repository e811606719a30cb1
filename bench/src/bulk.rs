//! One connection, one direction, as fast as it goes.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::pin;
use crate::peers::{Material, Peer};

/// Returns megabytes (10^6 bytes) per second of plaintext, written `size` bytes at a time.
pub(crate) fn run(material: &Material, peer: Peer, size: usize, duration: Duration) -> f64 {
    let mut server = material.server(peer);
    let address = server.address;
    let reader = thread::spawn(move || {
        pin(1);
        let mut stream = server.accept().expect("a client");
        let mut buffer = vec![0; size.min(256 * 1024)];
        let mut total = 0_u64;
        // Peers differ in how they end a connection; what counts is what arrived before.
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            total += count as u64;
        }
        total
    });
    pin(0);
    let mut stream = material.client(peer)(address).expect("a server");
    let data = vec![0x5a; size];
    let warm_up = Instant::now();
    while warm_up.elapsed() < duration / 10 {
        stream.write_all(&data).expect("a reader");
    }
    let start = Instant::now();
    let mut sent = 0_u64;
    while start.elapsed() < duration {
        stream.write_all(&data).expect("a reader");
        sent += size as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    stream.flush().expect("a reader");
    drop(stream);
    let received = reader.join().expect("the reader");
    assert!(received >= sent, "{peer}: {received} of {sent} bytes arrived");
    sent as f64 / seconds / 1e6
}
