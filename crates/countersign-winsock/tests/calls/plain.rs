//! Sockets that nobody secured.

use countersign_winsock::abi;
use countersign_winsock::*;

use crate::world::*;

#[test]
fn plain_streams_are_ordinary_sockets() {
    let (client, server) = plain_pair(0);
    ok(send(client, b"plain"));
    let mut into = [0; 8];
    assert_eq!(ok(recv_flags(server, &mut into, abi::MSG_PEEK)), 5);
    assert_eq!((ok(recv(server, &mut into)), readable(server)), (5, 0));
    assert_eq!(flags(&query(client, None).unwrap()), 0, "nothing protects it");
    ok(close(client));
    assert_eq!(ok(recv(server, &mut into)), 0);
    ok(close(server));
}

#[test]
fn plain_datagrams_are_ordinary_sockets() {
    let (one, two) = (socket(abi::SOCK_DGRAM, 0), socket(abi::SOCK_DGRAM, 0));
    for socket in [one, two] {
        ok(bind(socket, "127.0.0.1:0"));
    }
    let to = sockaddr(local(two));
    // SAFETY: pointers and lengths are those of objects.
    let sent = unsafe {
        countersign_ws_sendto(one, b"datagram".as_ptr(), 8, 0, to.as_ptr(), to.len() as i32)
    };
    assert_eq!(ok(sent), 8);
    let mut small = [0; 4];
    fails(recv(two, &mut small), -1, abi::WSAEMSGSIZE);
    assert_eq!(&small, b"data");
    for socket in [one, two] {
        ok(close(socket));
    }
}

#[test]
fn calls_in_the_wrong_state_say_so() {
    let fresh = socket(abi::SOCK_STREAM, 0);
    fails(countersign_ws_listen(fresh, 1), -1, abi::WSAEINVAL);
    fails(accept(fresh), abi::INVALID_SOCKET, abi::WSAEINVAL);
    fails(send(fresh, b"x"), -1, abi::WSAENOTCONN);
    fails(recv(fresh, &mut [0]), -1, abi::WSAENOTCONN);
    fails(query(fresh, None), Err(abi::WSAENOTCONN), abi::WSAENOTCONN);
    fails(connect(fresh, "0.0.0.0:80".parse().unwrap()), -1, abi::WSAEADDRNOTAVAIL);
    let datagram = socket(abi::SOCK_DGRAM, 0);
    fails(recv(datagram, &mut [0]), -1, abi::WSAEINVAL);
    fails(countersign_ws_listen(datagram, 1), -1, abi::WSAEOPNOTSUPP);
    fails(accept(datagram), abi::INVALID_SOCKET, abi::WSAEOPNOTSUPP);
    for socket in [fresh, datagram] {
        ok(close(socket));
    }
}

#[test]
fn what_cannot_be_made_is_refused_by_reason() {
    start();
    let make = |family, kind, protocol| countersign_ws_socket(family, kind, protocol);
    fails(make(99, 1, 0), abi::INVALID_SOCKET, abi::WSAEAFNOSUPPORT);
    fails(make(2, 77, 0), abi::INVALID_SOCKET, abi::WSAESOCKTNOSUPPORT);
    fails(make(2, 1, 17), abi::INVALID_SOCKET, abi::WSAEPROTONOSUPPORT);
    let local = make(abi::AF_UNIX, 1, 0);
    fails(set_security(local), -1, abi::WSAEAFNOSUPPORT);
    fails(set_name(local, None, NAME), -1, abi::WSAEAFNOSUPPORT);
    ok(close(local));
    fails(WSADuplicateSocketW(0, 1, std::ptr::null_mut()), -1, abi::WSAENOTSOCK);
}

#[test]
fn ipv6_has_its_own_number_and_keeps_to_itself() {
    start();
    let socket = countersign_ws_socket(abi::AF_INET6, abi::SOCK_STREAM, 0);
    let (mut only, mut length) = (0_i32, 4);
    let (level, name) = (abi::IPPROTO_IPV6, abi::IPV6_V6ONLY);
    let into = (&raw mut only).cast();
    // SAFETY: pointer and length are those of one object.
    ok(unsafe { countersign_ws_getsockopt(socket, level, name, into, &mut length) });
    assert_eq!(only, 1);
    fails(bind(socket, "127.0.0.1:0"), -1, abi::WSAEFAULT);
    ok(bind(socket, "[::1]:0"));
    assert!(local(socket).is_ipv6());
    ok(close(socket));
}

#[test]
fn a_plain_connect_that_is_refused_may_be_tried_again() {
    let client = socket(abi::SOCK_STREAM, 0);
    let nobody = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap()
    };
    fails(connect(client, nobody), -1, abi::WSAECONNREFUSED);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    ok(connect(client, listener.local_addr().unwrap()));
    ok(close(client));
}
