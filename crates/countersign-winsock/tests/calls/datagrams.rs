//! Secured datagrams.

use std::net::SocketAddr;
use std::ptr::null_mut;

use countersign_winsock::abi::{self, Socket, WSAOVERLAPPED};
use countersign_winsock::*;

use crate::world::*;

fn secured() -> (Socket, SocketAddr) {
    let socket = socket(abi::SOCK_DGRAM, abi::WSA_FLAG_OVERLAPPED);
    ok(set_security(socket));
    ok(bind(socket, "127.0.0.1:0"));
    (socket, local(socket))
}

pub(crate) fn send_to(socket: Socket, bytes: &[u8], to: SocketAddr) -> i32 {
    let to = sockaddr(to);
    let length = to.len() as i32;
    // SAFETY: pointers and lengths are those of objects.
    unsafe {
        countersign_ws_sendto(socket, bytes.as_ptr(), bytes.len() as i32, 0, to.as_ptr(), length)
    }
}

#[test]
fn each_peer_proves_its_name() {
    let ((one, at_one), (two, at_two)) = (secured(), secured());
    ok(set_name(one, Some(at_two), NAME));
    ok(set_name(two, Some(at_one), NAME));
    fails(query(one, Some(at_two)), Err(abi::WSAENOTCONN), abi::WSAENOTCONN);
    let receiver = spawn(move || {
        let mut into = [0; 64];
        let count = ok(recv(two, &mut into));
        into[..count].to_vec()
    });
    assert_eq!(ok(send_to(one, b"secret datagram", at_two)), 15);
    assert_eq!(receiver.join().unwrap(), b"secret datagram");
    assert_eq!(flags(&query(one, Some(at_two)).unwrap()) & 3, 3);
    assert_eq!(flags(&query(two, Some(at_one)).unwrap()) & 3, 3);

    // The other way, without waiting, and looked at before it is taken.
    ok(send_to(two, b"back", at_one));
    assert_eq!(poll(one, abi::POLLRDNORM, 5000), abi::POLLRDNORM);
    assert_eq!(readable(one), 4);
    let mut into = [0; 2];
    fails(recv_flags(one, &mut into, abi::MSG_PEEK), -1, abi::WSAEMSGSIZE);
    assert_eq!(readable(one), 4);
    fails(recv(one, &mut into), -1, abi::WSAEMSGSIZE);
    assert_eq!((&into, readable(one)), (b"ba", 0));
    for socket in [one, two] {
        ok(close(socket));
    }
}

#[test]
fn a_peer_without_a_name_is_not_sent_to() {
    let ((one, _), (two, at_two)) = (secured(), secured());
    fails(send_to(one, b"x", at_two), -1, abi::WSAEACCES);
    fails(set_name(one, Some("0.0.0.0:0".parse().unwrap()), NAME), -1, abi::WSAEINVAL);
    for socket in [one, two] {
        ok(close(socket));
    }
}

#[test]
fn a_socket_of_ipv6_hears_from_mapped_addresses() {
    start();
    let two = WSASocketW(abi::AF_INET6, abi::SOCK_DGRAM, 0, std::ptr::null(), 0, 0);
    let both = 0_u32.to_ne_bytes();
    // SAFETY: pointer and length are those of one object.
    ok(unsafe {
        countersign_ws_setsockopt(two, abi::IPPROTO_IPV6, abi::IPV6_V6ONLY, both.as_ptr(), 4)
    });
    ok(set_security(two));
    ok(bind(two, "[::]:0"));
    let at_two = SocketAddr::from(([127, 0, 0, 1], local(two).port()));
    let (one, at_one) = secured();
    ok(set_name(one, Some(at_two), NAME));
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", at_one.port()).parse().unwrap();
    ok(set_name(two, Some(mapped), NAME));
    let sender = spawn(move || ok(send_to(one, b"mapped", at_two)));
    let (mut into, mut from, mut length) = ([0; 16], [0_u8; 28], 28);
    // SAFETY: pointers and lengths are those of objects.
    let count = ok(unsafe {
        countersign_ws_recvfrom(two, into.as_mut_ptr(), 16, 0, from.as_mut_ptr(), &mut length)
    });
    assert_eq!((count, length), (6, 28));
    assert_eq!(from, *sockaddr(mapped));
    assert_eq!(sender.join().unwrap(), 6);
    for socket in [one, two] {
        ok(close(socket));
    }
}

#[test]
fn overlapped_datagrams_wait_for_the_proof() {
    let ((one, at_one), (two, at_two)) = (secured(), secured());
    ok(set_name(one, Some(at_two), NAME));
    ok(set_name(two, Some(at_one), NAME));
    let events = [WSACreateEvent(), WSACreateEvent()];
    let make = |event| {
        Box::new(WSAOVERLAPPED { internal: 0, internal_high: 0, offset: 0, offset_high: 0, event })
    };
    let (mut receive, mut send) = (make(events[0]), make(events[1]));
    let (mut into, mut bytes) = ([0; 32], *b"overlapped");
    let (mut from, mut from_length) = ([0_u8; 28], 28);
    let (to, mut flags) = (sockaddr(at_two), 0);
    let (room, content) = (buffer(&mut into), buffer(&mut bytes));
    // SAFETY: all of it outlives the operation.
    let started = unsafe {
        WSARecvFrom(
            two,
            &room,
            1,
            null_mut(),
            &mut flags,
            from.as_mut_ptr(),
            &mut from_length,
            &mut *receive,
            None,
        )
    };
    fails(started, -1, abi::WSA_IO_PENDING);
    // SAFETY: all of it outlives the operation.
    let started =
        unsafe { WSASendTo(one, &content, 1, null_mut(), 0, to.as_ptr(), 16, &mut *send, None) };
    // The peer's answers may come while the call still looks for them.
    assert!(started == 0 || WSAGetLastError() == abi::WSA_IO_PENDING, "{}", text());
    // SAFETY: both handles are there.
    let waited = unsafe { WSAWaitForMultipleEvents(2, events.as_ptr(), 1, 10_000, 0) };
    assert_eq!(waited, abi::WAIT_OBJECT_0, "{:#x} {:#x}", receive.internal, send.internal);
    assert_eq!((send.internal, send.internal_high), (0, 10));
    assert_eq!((receive.internal, receive.internal_high), (0, 10));
    assert_eq!(&into[..10], b"overlapped");
    assert_eq!(&from[..16], sockaddr(at_one));
    for event in events {
        WSACloseEvent(event);
    }
    for socket in [one, two] {
        ok(close(socket));
    }
}
