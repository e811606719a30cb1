//! New associations, and the memory that they keep.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::openssl::{accept, client_context, connect, server_context};
use super::{SILENCE, plain};
use crate::child::{resident, say_and_wait};
use crate::cpu::{CORES, pin};
use crate::limits;
use crate::material::{Material, Proof};
use crate::peers::Peer;

/// How many stay, and how many of them are there before the first look.
const ASSOCIATIONS: usize = 300;
const WARM_UP: usize = 100;

/// Returns new associations per second, one after the other, each with a socket of its own, a
/// cookie (RFC 6347 section 4.2.1) and a proved name.
pub(super) fn handshakes(material: &Material, peer: Peer, duration: Duration) -> f64 {
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let rate = |connect: &dyn Fn()| {
        pin(CORES.0);
        (0..10).for_each(|_| connect());
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < duration {
            connect();
            count += 1;
        }
        is_over.store(true, Ordering::Relaxed);
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    if peer == Peer::Countersign {
        let server = material.datagram_server();
        let address = server.local_addr().expect("an address");
        server.set_read_timeout(Some(SILENCE));
        let server = thread::spawn(move || {
            pin(CORES.1);
            while !over.load(Ordering::Relaxed) {
                let _ = server.recv_from(&mut [0; 2048]);
            }
        });
        let client = material.our_client(Proof::ServerOnly);
        let rate = rate(&|| drop(material.datagram_client_of(&client, address)));
        server.join().expect("the server");
        return rate;
    }
    let (socket, address) = plain();
    let context = server_context(material);
    let server = thread::spawn(move || {
        pin(CORES.1);
        let mut before = None;
        socket.set_read_timeout(Some(SILENCE)).expect("a time-out");
        while !over.load(Ordering::Relaxed) {
            if let Ok((mut stream, from)) = accept(&context, &socket, before) {
                before = Some(from);
                let _ = stream.shutdown();
            }
        }
    });
    let client = client_context(material);
    let rate = rate(&|| drop(connect(&client, address).shutdown()));
    server.join().expect("the server");
    rate
}

/// The child that has both ends of many associations.
pub(crate) fn child(peer: &str, at: &str) -> io::Result<()> {
    let (peer, material) = (Peer::find(peer)?, Material::open(Path::new(at)));
    limits::allow_descriptors(2 * ASSOCIATIONS + 100)?;
    say_and_wait(&memory(&material, peer)?.to_string())
}

/// Returns how many bytes of resident memory one more association costs: at the server that has
/// many of them, and at its client, each with a socket of its own, in this process.
fn memory(material: &Material, peer: Peer) -> io::Result<f64> {
    // The first few pay for what all share.
    let grow = |one: &mut dyn FnMut()| {
        (0..WARM_UP).for_each(|_| one());
        let before = resident()?;
        (WARM_UP..ASSOCIATIONS).for_each(|_| one());
        Ok((resident()? - before) / (ASSOCIATIONS - WARM_UP) as f64)
    };
    if peer == Peer::Countersign {
        let server = Arc::new(material.datagram_server());
        let (address, serving) = (server.local_addr().expect("an address"), server.clone());
        serving.set_read_timeout(Some(SILENCE));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let _ = serving.recv_from(&mut [0; 2048]);
            }
        });
        let (context, mut clients) = (material.our_client(Proof::ServerOnly), Vec::new());
        let cost = grow(&mut || clients.push(material.datagram_client_of(&context, address)));
        is_over.store(true, Ordering::Relaxed);
        thread.join().expect("the server");
        return cost;
    }
    let (socket, address) = plain();
    let context = server_context(material);
    let thread = thread::spawn(move || {
        // Kept until the last has come, and the client has looked.
        let mut streams = Vec::new();
        let mut before = None;
        while streams.len() < ASSOCIATIONS {
            let (stream, from) = accept(&context, &socket, before).expect("a client");
            before = Some(from);
            streams.push(stream);
        }
        thread::sleep(SILENCE);
    });
    let (context, mut clients) = (client_context(material), Vec::new());
    let cost = grow(&mut || clients.push(connect(&context, address)));
    thread.join().expect("the server");
    cost
}
