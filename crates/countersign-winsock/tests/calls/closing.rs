//! Sockets that are closed while they are used, and numbers that are used again.

use std::time::{Duration, Instant};

use countersign_winsock::abi::{self, Socket};
use countersign_winsock::*;

use crate::world::*;

/// Closes a socket while a call on it waits in another thread; returns what the call said.
fn closed_under(socket: Socket, call: impl FnOnce(Socket) -> bool + Send + 'static) -> i32 {
    let caller = spawn(move || {
        let failed = call(socket);
        (failed, WSAGetLastError())
    });
    std::thread::sleep(Duration::from_millis(80));
    let started = Instant::now();
    ok(close(socket));
    let (failed, code) = caller.join().unwrap();
    assert!(failed, "the call succeeded");
    assert!(started.elapsed() < Duration::from_secs(2), "the call went on");
    code
}

#[test]
fn a_receive_ends_when_the_socket_is_closed() {
    for pair in [pair, plain_pair] {
        let (client, server) = pair(0);
        let code = closed_under(server, |it| recv(it, &mut [0]) < 0);
        assert_eq!(code, abi::WSAECONNABORTED);
        ok(close(client));
    }
}

#[test]
fn a_send_ends_when_the_socket_is_closed() {
    for pair in [pair, plain_pair] {
        let (client, server) = pair(0);
        let bytes = vec![1; 64 << 20];
        let code = closed_under(server, move |it| send(it, &bytes) < 0);
        assert_eq!(code, abi::WSAECONNABORTED);
        ok(close(client));
    }
}

#[test]
fn an_accept_ends_when_the_socket_is_closed() {
    let (secured, _) = listener(0);
    let plain = socket(abi::SOCK_STREAM, 0);
    ok(bind(plain, "127.0.0.1:0"));
    ok(countersign_ws_listen(plain, 1));
    for listener in [secured, plain] {
        let code = closed_under(listener, |it| accept(it) == abi::INVALID_SOCKET);
        assert_eq!(code, abi::WSAEINTR);
    }
}

#[test]
fn a_receive_of_datagrams_ends_when_the_socket_is_closed() {
    let secured = socket(abi::SOCK_DGRAM, 0);
    ok(set_security(secured));
    let plain = socket(abi::SOCK_DGRAM, 0);
    for socket in [secured, plain] {
        ok(bind(socket, "127.0.0.1:0"));
        let code = closed_under(socket, |it| recv(it, &mut [0]) < 0);
        assert_eq!(code, abi::WSAECONNABORTED);
    }
}

#[test]
fn a_connect_ends_when_the_socket_is_closed() {
    // It accepts the connection of TCP, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let client = client(0);
    closed_under(client, move |it| connect(it, address) < 0);
}

#[test]
fn a_number_that_is_used_again_is_another_socket() {
    let first = socket(abi::SOCK_STREAM, 0);
    ok(set_security(first));
    ok(close(first));
    let second = socket(abi::SOCK_STREAM, 0);
    ok(set_security(second));
    ok(close(second));
    fails(close(second), -1, abi::WSAENOTSOCK);
}
