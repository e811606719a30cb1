//! The flag-only query takes no memory: it can be asked for each datagram.
#![expect(unsafe_code, reason = "an allocator is one")]

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use countersign::UdpSocket;
use countersign::core::{QueryTemplate, SaFields};
use countersign_lab::Leaf;
use world::{World, pair};

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// The usual allocator, which counts what this thread takes.
struct Counting;

// SAFETY: all work is the system's allocator's; counting takes no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller promises what the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; every pointer is the system's allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn taken(mut call: impl FnMut()) -> usize {
    let before = TAKEN.get();
    (0..100).for_each(|_| call());
    TAKEN.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(taken(|| drop(black_box(Box::new(1)))), 100);
}

#[test]
fn streams() {
    let (client, _server) = pair(&World::new());
    let (flags, ids) = (QueryTemplate::default(), QueryTemplate::default().with_sa_ids());
    let latched = ids.aborting_on(SaFields::QM_SA_ID);
    for template in [flags, ids, latched] {
        assert_eq!(
            taken(|| assert_eq!(client.query_with(&template).unwrap().flags().bits(), 3)),
            0
        );
    }
}

#[test]
fn datagrams() {
    let world = World::new();
    let [client, server] = ["client.test", "server.test"].map(|name| {
        UdpSocket::bind_with(&world.showing(Leaf::new().dns(name), ""), "127.0.0.1:0").unwrap()
    });
    let there = server.local_addr().unwrap();
    client.set_peer_target_name(there, "server.test".parse().unwrap()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| server.recv_from(&mut [0; 9]).unwrap());
        client.send_to(b"hello", there).unwrap();
    });
    let template = QueryTemplate::default().at(there);
    for template in [template, template.with_sa_ids()] {
        assert_eq!(
            taken(|| assert_eq!(client.query_with(&template).unwrap().flags().bits(), 3)),
            0
        );
    }
}
