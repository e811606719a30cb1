//! `select` and `WSAPoll`.

use std::time::{Duration, Instant};

use countersign_winsock::abi::{self, FdSet, Socket};
use countersign_winsock::*;

use crate::world::*;

fn set(sockets: &[Socket]) -> FdSet {
    let mut set = FdSet { fd_count: sockets.len() as u32, fd_array: [0; 64] };
    set.fd_array[..sockets.len()].copy_from_slice(sockets);
    set
}

fn contents(set: &FdSet) -> &[Socket] {
    &set.fd_array[..set.fd_count as usize]
}

fn select(read: &mut FdSet, write: &mut FdSet, except: &mut FdSet, time: Duration) -> i32 {
    let time = libc_timeval(time);
    // SAFETY: the sets and the time are there.
    unsafe { countersign_ws_select(0, read, write, except, (&raw const time).cast()) }
}

#[repr(C)]
struct Timeval(i64, i64);

fn libc_timeval(time: Duration) -> Timeval {
    Timeval(time.as_secs() as i64, i64::from(time.subsec_micros()))
}

#[test]
fn decrypted_plaintext_counts() {
    let (client, server) = pair(0);
    ok(send(client, b"two messages, "));
    ok(send(client, b"read in one go from the wire"));
    while readable(server) < 40 {}
    let mut byte = [0];
    ok(recv(server, &mut byte));
    // Nothing is left in the kernel.
    assert_eq!(poll_of_the_system(server), 0);
    assert_eq!(poll(server, abi::POLLRDNORM, 0), abi::POLLRDNORM);
    let (mut read, mut write, mut except) = (set(&[server]), set(&[server]), set(&[server]));
    assert_eq!(select(&mut read, &mut write, &mut except, Duration::ZERO), 2);
    assert_eq!((contents(&read), contents(&write)), (&[server][..], &[server][..]));
    assert!(contents(&except).is_empty());
    for socket in [client, server] {
        ok(close(socket));
    }
}

/// What poll(2) says of a socket: a `SOCKET` is a descriptor that it accepts.
fn poll_of_the_system(socket: Socket) -> i16 {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // SAFETY: it is open.
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(socket as i32) };
    let mut asked = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
    asked[0].revents().bits() as i16
}

#[test]
fn poll_of_the_system_accepts_every_socket() {
    const INVALID: i16 = 0x20;
    let (listener, address) = listener(0);
    let datagram = socket(abi::SOCK_DGRAM, 0);
    ok(set_security(datagram));
    for socket in [listener, datagram] {
        assert_eq!(poll_of_the_system(socket) & INVALID, 0);
    }
    let client = spawn(move || {
        let client = client(0);
        ok(connect(client, address));
        client
    });
    let started = Instant::now();
    while poll_of_the_system(listener) & 1 == 0 {
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    let server = accept(listener);
    for socket in [client.join().unwrap(), server, listener, datagram] {
        ok(close(socket));
    }
}

#[test]
fn a_listener_is_ready_when_a_client_has_proved_itself() {
    let (listener, address) = listener(0);
    let silent = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(poll(listener, abi::POLLRDNORM, 100), 0, "a silent client is none");
    let client = spawn(move || {
        let client = client(0);
        ok(connect(client, address));
        client
    });
    assert_eq!(poll(listener, abi::POLLRDNORM, 5000), abi::POLLRDNORM);
    set_nonblocking(listener, true);
    let server = accept(listener);
    assert_ne!(server, abi::INVALID_SOCKET, "{}", text());
    drop(silent);
    for socket in [client.join().unwrap(), server, listener] {
        ok(close(socket));
    }
}

#[test]
fn waits_last_as_long_as_they_should() {
    let (client, server) = pair(0);
    let started = Instant::now();
    assert_eq!(poll(server, abi::POLLRDNORM, 60), 0);
    let (mut read, mut none) = (set(&[server]), set(&[]));
    let mut nothing = set(&[]);
    assert_eq!(select(&mut read, &mut none, &mut nothing, Duration::from_millis(60)), 0);
    assert!(contents(&read).is_empty());
    assert!(started.elapsed() >= Duration::from_millis(120), "{:?}", started.elapsed());
    let sender = spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        ok(send(client, b"now"));
        client
    });
    assert_eq!(poll(server, abi::POLLRDNORM, -1), abi::POLLRDNORM);
    ok(close(sender.join().unwrap()));
    let mut into = [0; 3];
    ok(recv(server, &mut into));
    let found = poll(server, abi::POLLRDNORM, 5000);
    assert!(found & abi::POLLHUP != 0, "the end: {found:#x}");
    ok(close(server));
}

#[test]
fn what_cannot_be_waited_for_is_said() {
    start();
    let (mut empty, mut none, mut nothing) = (set(&[]), set(&[]), set(&[]));
    let selected = select(&mut empty, &mut none, &mut nothing, Duration::ZERO);
    fails(selected, -1, abi::WSAEINVAL);
    let mut wrong = set(&[123_456]);
    fails(select(&mut wrong, &mut none, &mut nothing, Duration::ZERO), -1, abi::WSAENOTSOCK);
    assert_eq!(poll(123_456, abi::POLLRDNORM, 1000), abi::POLLNVAL);
    assert_eq!(poll(abi::INVALID_SOCKET, abi::POLLRDNORM, 10), 0);
}

#[test]
fn a_socket_that_is_closed_ends_the_wait() {
    let (client, server) = pair(0);
    let waiter = spawn(move || {
        let (mut read, mut none, mut nothing) = (set(&[server]), set(&[]), set(&[]));
        let selected = select(&mut read, &mut none, &mut nothing, Duration::from_secs(20));
        (selected, WSAGetLastError())
    });
    std::thread::sleep(Duration::from_millis(50));
    ok(close(server));
    assert_eq!(waiter.join().unwrap(), (-1, abi::WSAENOTSOCK));
    ok(close(client));
}
