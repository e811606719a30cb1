//! New connections, one after the other, each with a full handshake, one byte and a proper end.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::pin;
use crate::peers::{Material, Peer};

/// Returns connections per second.
pub(crate) fn run(material: &Material, peer: Peer, duration: Duration) -> f64 {
    let mut server = material.server(peer);
    let address = server.address;
    let done = Arc::new(AtomicBool::new(false));
    let over = done.clone();
    let acceptor = thread::spawn(move || {
        pin(1);
        while !over.load(Ordering::Relaxed) {
            // The last client does not wait for its byte; the others check that it comes.
            let Ok(mut stream) = server.accept() else { continue };
            let _ = stream.write_all(b"x").and_then(|()| stream.flush());
            stream.finish();
        }
    });
    pin(0);
    let connect = material.client(peer);
    let connect_once = || {
        let mut stream = connect(address).expect("a server");
        stream.read_exact(&mut [0]).expect("a byte");
        stream.finish();
    };
    for _ in 0..20 {
        connect_once();
    }
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < duration {
        connect_once();
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    // It may be over already, and then nobody answers.
    let _ = connect(address);
    acceptor.join().expect("the acceptor");
    rate
}
