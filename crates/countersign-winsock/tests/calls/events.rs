//! `WSAEventSelect`.

use countersign_winsock::abi::{self, Handle, Socket, WSANETWORKEVENTS};
use countersign_winsock::*;

use crate::world::*;

/// Waits for the event, and returns what it was for.
fn next(socket: Socket, event: Handle) -> WSANETWORKEVENTS {
    // SAFETY: one handle is there.
    assert_eq!(unsafe { WSAWaitForMultipleEvents(1, &event, 0, 5000, 0) }, abi::WAIT_OBJECT_0);
    let mut events = WSANETWORKEVENTS { network_events: 0, error_code: [0; 10] };
    // SAFETY: there is room.
    ok(unsafe { WSAEnumNetworkEvents(socket, event, &mut events) });
    events
}

fn conversation(client: Socket, listener: Socket, address: std::net::SocketAddr) {
    let (at_client, at_listener) = (WSACreateEvent(), WSACreateEvent());
    ok(WSAEventSelect(listener, at_listener, abi::FD_ACCEPT));
    ok(WSAEventSelect(
        client,
        at_client,
        abi::FD_CONNECT | abi::FD_WRITE | abi::FD_READ | abi::FD_CLOSE,
    ));
    // The peer's answers may come while the call still looks for them.
    let connected = connect(client, address);
    assert!(connected == 0 || WSAGetLastError() == abi::WSAEWOULDBLOCK, "{}", text());
    let accepted = next(listener, at_listener);
    assert_eq!(accepted.network_events, abi::FD_ACCEPT);
    let mut server = accept(listener);
    while server == abi::INVALID_SOCKET {
        assert_eq!(WSAGetLastError(), abi::WSAEWOULDBLOCK, "{}", text());
        next(listener, at_listener);
        server = accept(listener);
    }
    let mut told = next(client, at_client).network_events;
    while told & abi::FD_CONNECT == 0 {
        told |= next(client, at_client).network_events;
    }
    ok(send(client, b"question"));
    ok(WSAEventSelect(server, std::ptr::null_mut(), 0));
    set_nonblocking(server, false);
    let mut into = [0; 8];
    assert_eq!(ok(recv_flags(server, &mut into, abi::MSG_WAITALL)), 8);
    ok(send(server, b"answer"));
    while told & abi::FD_READ == 0 {
        told |= next(client, at_client).network_events;
    }
    assert_eq!(ok(recv(client, &mut into)), 6);
    fails(recv(client, &mut into), -1, abi::WSAEWOULDBLOCK);
    ok(send(server, b"more"));
    assert_eq!(next(client, at_client).network_events, abi::FD_READ, "told again after a receive");
    assert_eq!(ok(recv(client, &mut into)), 4);
    ok(close(server));
    assert_eq!(next(client, at_client).network_events, abi::FD_CLOSE);
    assert_eq!(ok(recv(client, &mut into)), 0);
    for socket in [client, listener] {
        ok(close(socket));
    }
    for event in [at_client, at_listener] {
        assert_eq!(WSACloseEvent(event), 1);
    }
}

#[test]
fn secured_streams_tell_by_events() {
    let (listener, address) = listener(0);
    conversation(client(0), listener, address);
}

#[test]
fn plain_streams_tell_by_events() {
    let listener = socket(abi::SOCK_STREAM, 0);
    ok(bind(listener, "127.0.0.1:0"));
    ok(countersign_ws_listen(listener, 4));
    let address = local(listener);
    conversation(socket(abi::SOCK_STREAM, 0), listener, address);
}

#[test]
fn a_selected_socket_does_not_block() {
    let (client, server) = pair(0);
    let event = WSACreateEvent();
    ok(WSAEventSelect(client, event, abi::FD_READ));
    fails(recv(client, &mut [0]), -1, abi::WSAEWOULDBLOCK);
    let mut zero = 0;
    // SAFETY: there is a number.
    let unset = unsafe { countersign_ws_ioctlsocket(client, abi::FIONBIO as i32, &mut zero) };
    fails(unset, -1, abi::WSAEINVAL);
    for socket in [client, server] {
        ok(close(socket));
    }
    WSACloseEvent(event);
}
