//! Calls on sockets that other threads close and make anew under the same numbers.
//!
//! In a process of its own, since the numbers that are tried belong to anybody. ThreadSanitizer is
//! not used: it needs the standard library built with it (-Zbuild-std of a nightly compiler), and
//! reports the memory that C and we share by contract. What is checked is that nothing crashes, hangs,
//! is closed twice (the standard library aborts if a descriptor of ours was), or is left over.
#![expect(unsafe_code, reason = "the functions under test are called as C calls them")]

#[path = "../calls/world.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_winsock::abi::{self, Socket, WSAOVERLAPPED};
use countersign_winsock::*;
use world::*;

/// Everything that a program can do to a number, whatever that means now.
fn bother(socket: Socket, overlapped: &mut WSAOVERLAPPED) {
    let _ = set_security(socket);
    let _ = set_name(socket, None, NAME);
    let _ = bind(socket, "127.0.0.1:0");
    let _ = countersign_ws_listen(socket, 1);
    let _ = query(socket, None);
    let _ = send(socket, b"x");
    let _ = countersign_ws_shutdown(socket, abi::SD_BOTH);
    let mut into = [0; 4];
    let (buffer, mut flags) = (buffer(&mut into), 0);
    let null = std::ptr::null_mut();
    // SAFETY: a receive that goes on is ended below, before its buffers go.
    let started = unsafe { WSARecv(socket, &buffer, 1, null, &mut flags, overlapped, None) };
    if started != 0 && WSAGetLastError() == abi::WSA_IO_PENDING {
        let _ = close(socket);
        let (mut bytes, mut flags) = (0, 0);
        let started = Instant::now();
        // SAFETY: the structure is there until the operation is done.
        while unsafe { std::ptr::read_volatile(&overlapped.internal) } == 0x103 {
            assert!(started.elapsed() < Duration::from_secs(10), "it is never cancelled");
            std::thread::yield_now();
        }
        // SAFETY: all of it is there.
        unsafe { WSAGetOverlappedResult(socket, overlapped, &mut bytes, 0, &mut flags) };
    }
}

/// The tests share the numbers of the process, so there is one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn numbers_are_closed_and_used_again_while_calls_go_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    start();
    let before = open_descriptors();
    let until = Instant::now() + Duration::from_secs(2);
    static MADE: AtomicU64 = AtomicU64::new(0);
    let makers = (0..3).map(|_| {
        spawn(move || {
            while Instant::now() < until {
                let kind = if MADE.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
                    abi::SOCK_DGRAM
                } else {
                    abi::SOCK_STREAM
                };
                let socket = countersign_ws_socket(abi::AF_INET, kind, 0);
                let _ = set_security(socket);
                let _ = bind(socket, "127.0.0.1:0");
                let _ = close(socket);
            }
        })
    });
    let botherers = (0..3).map(|seed: usize| {
        spawn(move || {
            let event = std::ptr::null_mut();
            let mut number = seed;
            while Instant::now() < until {
                number = (number * 5 + 3) % 64;
                let mut overlapped = WSAOVERLAPPED {
                    internal: 0,
                    internal_high: 0,
                    offset: 0,
                    offset_high: 0,
                    event,
                };
                bother(number, &mut overlapped);
            }
        })
    });
    let threads: Vec<_> = makers.chain(botherers).collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(MADE.load(Ordering::Relaxed) > 100);
    assert_eq!(WSACleanup(), 0);
    // The reactor, its waker, and one waker for each thread that waited.
    let started = Instant::now();
    while open_descriptors() > before + 8 {
        assert!(started.elapsed() < Duration::from_secs(5), "{before} before, and {:?}", files());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ten_thousand_sockets_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    start();
    // SAFETY: `start` has filled such a structure before.
    let mut data = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for it.
    assert_eq!(unsafe { WSAStartup(0x0202, &mut data) }, 0);
    let cycle = || {
        for kind in [abi::SOCK_STREAM, abi::SOCK_DGRAM] {
            let socket = countersign_ws_socket(abi::AF_INET, kind, 0);
            ok(set_security(socket));
            ok(set_name(socket, Some("192.0.2.1:80".parse().unwrap()), NAME));
            ok(close(socket));
        }
    };
    (0..500).for_each(|_| cycle());
    let (before, descriptors) = (resident(), open_descriptors());
    (0..5000).for_each(|_| cycle());
    assert!(resident() < before + 2048, "{} KiB, and {before} before", resident());
    assert_eq!(open_descriptors(), descriptors);
}

/// What is open, for the failure that says that too much is.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What the process has in memory, in KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}
