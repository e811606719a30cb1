//! What a quiet connection holds of the heap, and that a busy one takes nothing more.
#![expect(unsafe_code, reason = "an allocator is one")]

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::io::{Read, Write};
use std::thread;

use countersign::{Context, TcpListener, TcpStream};
use countersign_lab::Leaf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{World, db1, pair};

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The usual allocator, which counts what this thread takes and gives back.
struct Counting;

fn note(size: usize, sign: isize) {
    HELD.set(HELD.get() + sign * size.cast_signed());
}

// SAFETY: all work is the system's allocator's; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        note(layout.size(), 1);
        // SAFETY: the caller promises what the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(layout.size(), -1);
        // SAFETY: as above; every pointer is the system's allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What goes each way before a connection is quiet.
const LOAD: usize = 16 * 1024;

/// How many connections are made.
const CONNECTIONS: usize = 25;

/// Makes connections on this thread, and returns how many bytes one of them holds: the median, since
/// what all of them share, and the buffers of the thread, grow with some of them.
fn held_by_each<S>(mut make: impl FnMut() -> S) -> isize {
    let mut streams: Vec<S> = Vec::with_capacity(CONNECTIONS);
    let mut held = [0; CONNECTIONS];
    for one in &mut held {
        let before = HELD.get();
        streams.push(make());
        *one = HELD.get() - before;
    }
    held.sort_unstable();
    held[CONNECTIONS / 2]
}

/// Returns what each connection of blocking sockets holds, at the client and at the server.
fn held_by_blocking(client: &Context, listener: TcpListener) -> (isize, isize) {
    let address = listener.local_addr();
    let server = thread::spawn(move || {
        held_by_each(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; LOAD]).unwrap();
            stream.write_all(&[2; LOAD]).unwrap();
            // The client keeps it open until it has the end.
            stream
        })
    });
    let client = held_by_each(|| {
        let mut stream = TcpStream::connect_with(client, address, &db1()).unwrap();
        stream.write_all(&[1; LOAD]).unwrap();
        stream.read_exact(&mut [0; LOAD]).unwrap();
        stream
    });
    (client, server.join().unwrap())
}

#[track_caller]
fn check(what: &str, held: isize, most: isize) {
    println!("{what}: {held} bytes");
    // Nothing at all would be a counter that does not count.
    assert!((1000..=most).contains(&held), "{what} holds {held} bytes, and may hold {most}");
}

/// Beside this the library of the ciphers keeps two keys of some 600 bytes each.
#[test]
fn a_quiet_connection_holds_little() {
    let world = World::new();
    let (client, server) = held_by_blocking(&world.client(), world.listener(""));
    check("a client", client, 3400);
    check("a server", server, 2700);

    let owner = world.showing(Leaf::new().service("web", "a.test"), "");
    let strict = world.listener("[server]\nclient-certificates = 'require'\n");
    let (client, server) = held_by_blocking(&owner, strict);
    check("a client with a certificate", client, 3400);
    check("a server of such", server, 3300);
}

#[test]
fn a_quiet_connection_on_tokio_holds_little_more() {
    let world = World::new();
    let (there, client) = (world.server(""), world.client());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bound = countersign::tokio::TcpListener::bind_with(&there, "127.0.0.1:0");
        let listener = runtime.block_on(bound).unwrap();
        tell.send(listener.local_addr()).unwrap();
        held_by_each(|| {
            runtime.block_on(async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut load = [0; LOAD];
                stream.read_exact(&mut load).await.unwrap();
                stream.write_all(&load).await.unwrap();
                stream.flush().await.unwrap();
                stream
            })
        })
    });
    let address = told.recv().unwrap();
    let client = held_by_each(|| {
        runtime.block_on(async {
            let name = db1();
            let connected = countersign::tokio::TcpStream::connect_with(&client, address, &name);
            let mut stream = connected.await.unwrap();
            let mut load = [1; LOAD];
            stream.write_all(&load).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_exact(&mut load).await.unwrap();
            stream
        })
    });
    check("a client on tokio", client, 3800);
    check("a server on tokio", server.join().unwrap(), 3000);
}

/// Returns how often memory was taken for so many calls.
fn taken(mut call: impl FnMut()) -> usize {
    // What the first call makes is kept for the next.
    (0..3).for_each(|_| call());
    let before = TAKEN.get();
    (0..50).for_each(|_| call());
    TAKEN.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(taken(|| drop(black_box(Box::new(1)))), 50);
}

#[test]
fn a_busy_connection_takes_no_memory() {
    let (mut client, mut server) = pair(&World::new());
    for size in [1, 64, 1400, LOAD, 3 * LOAD] {
        let (data, mut into) = (vec![7; size], vec![0; size]);
        let times = taken(|| {
            client.write_all(&data).unwrap();
            server.read_exact(&mut into).unwrap();
            server.write_all(&data).unwrap();
            client.read_exact(&mut into).unwrap();
        });
        assert_eq!(times, 0, "for {size} bytes there and back");
    }
    // Read in small pieces.
    let (data, mut into) = ([7; 4096], [0; 64]);
    let times = taken(|| {
        client.write_all(&data).unwrap();
        (0..64).for_each(|_| server.read_exact(&mut into).unwrap());
    });
    assert_eq!(times, 0, "for small reads");
}

#[test]
fn a_busy_connection_on_tokio_takes_no_memory() {
    let (client, server) = pair(&World::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut ends = runtime.block_on(async {
        [client, server].map(|end| countersign::tokio::TcpStream::from_blocking(end).unwrap())
    });
    for size in [1, 64, LOAD, 3 * LOAD] {
        let (data, mut into) = (vec![7; size], vec![0; size]);
        let times = taken(|| {
            runtime.block_on(async {
                let [client, server] = &mut ends;
                client.write_all(&data).await.unwrap();
                client.flush().await.unwrap();
                server.read_exact(&mut into).await.unwrap();
                server.write_all(&data).await.unwrap();
                server.flush().await.unwrap();
                client.read_exact(&mut into).await.unwrap();
            });
        });
        assert_eq!(times, 0, "for {size} bytes there and back");
    }
}
