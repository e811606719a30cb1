//! Secured streams.

use countersign_winsock::abi;
use countersign_winsock::*;

use crate::world::*;

#[test]
fn both_ends_talk_and_know_each_other() {
    let (client, server) = pair(0);
    assert_eq!(ok(send(client, b"hello")), 5);
    let mut into = [0; 16];
    assert_eq!(ok(recv(server, &mut into)), 5);
    assert_eq!(&into[..5], b"hello");
    assert_eq!(flags(&query(client, None).unwrap()) & 3, 3, "secured and encrypted");
    assert_eq!(flags(&query(server, None).unwrap()) & 3, 3);
    ok(close(client));
    assert_eq!(ok(recv(server, &mut into)), 0, "an orderly end");
    ok(close(server));
    fails(recv(server, &mut into), -1, abi::WSAENOTSOCK);
}

#[test]
fn spec_5_3_a_peer_with_another_name_is_refused() {
    let (listener, address) = listener(0);
    let server = spawn(move || {
        let accepted = accept(listener);
        (accepted, WSAGetLastError(), text())
    });
    let client = socket(abi::SOCK_STREAM, 0);
    ok(set_security(client));
    ok(set_name(client, None, "mysql/db1.test"));
    fails(connect(client, address), -1, abi::WSAEACCES);
    assert!(
        text().contains("mysql/db1.test") && text().contains("postgres/db1.test"),
        "{}",
        text()
    );
    let (accepted, code, why) = server.join().unwrap();
    assert_eq!((accepted, code), (abi::INVALID_SOCKET, abi::WSAEACCES), "{why}");
    ok(close(client));
    ok(close(listener));
}

#[test]
fn spec_5_4_a_name_alone_secures() {
    let (listener, address) = listener(0);
    let client = socket(abi::SOCK_STREAM, 0);
    ok(set_name(client, Some(address), NAME));
    let server = spawn(move || accept(listener));
    ok(connect(client, address));
    assert_eq!(flags(&query(client, None).unwrap()) & 1, 1);
    fails(set_security(client), -1, abi::WSAEISCONN);
    fails(set_name(client, None, NAME), -1, abi::WSAEISCONN);
    for socket in [client, server.join().unwrap(), listener] {
        ok(close(socket));
    }
}

#[test]
fn spec_5_5_no_name_no_connection_and_then_one_may_be_set() {
    let (listener, address) = listener(0);
    let client = socket(abi::SOCK_STREAM, 0);
    ok(set_security(client));
    fails(connect(client, address), -1, abi::WSAEACCES);
    ok(set_name(client, None, NAME));
    let server = spawn(move || accept(listener));
    ok(connect(client, address));
    for socket in [client, server.join().unwrap(), listener] {
        ok(close(socket));
    }
}

#[test]
fn spec_5_6_a_listener_that_exists_can_be_given_a_name() {
    let listener = socket(abi::SOCK_STREAM, 0);
    ok(bind(listener, "127.0.0.1:0"));
    ok(countersign_ws_listen(listener, 4));
    let address = local(listener);
    ok(set_name(listener, Some("0.0.0.0:0".parse().unwrap()), NAME));
    assert_eq!(local(listener), address);
    let server = spawn(move || accept(listener));
    let client = client(0);
    ok(connect(client, address));
    let server = server.join().unwrap();
    assert_eq!(flags(&query(server, None).unwrap()) & 3, 3);
    for socket in [client, server, listener] {
        ok(close(socket));
    }
}

#[test]
fn spec_4_1_security_comes_first_and_once() {
    let first = socket(abi::SOCK_STREAM, 0);
    ok(set_security(first));
    fails(set_security(first), -1, abi::WSAEINVAL);
    let bound = socket(abi::SOCK_STREAM, 0);
    ok(bind(bound, "127.0.0.1:0"));
    fails(set_security(bound), -1, abi::WSAEINVAL);
    // What failed has changed nothing: it still connects in clear.
    let (listener, _) = (socket(abi::SOCK_STREAM, 0), ());
    ok(bind(listener, "127.0.0.1:0"));
    ok(countersign_ws_listen(listener, 1));
    ok(connect(bound, local(listener)));
    assert_eq!(flags(&query(bound, None).unwrap()), 0);
    for socket in [first, bound, listener] {
        ok(close(socket));
    }
}

#[test]
fn plaintext_is_peeked_counted_and_gathered() {
    let (client, server) = pair(0);
    ok(send(client, b"abc"));
    ok(send(client, b"defg"));
    let mut all = [0; 7];
    while readable(server) < 7 {
        std::thread::yield_now();
    }
    assert_eq!(ok(recv_flags(server, &mut all, abi::MSG_PEEK)), 7);
    assert_eq!(&all, b"abcdefg");
    assert_eq!(readable(server), 7, "a peek takes nothing");
    let mut two = [0; 2];
    assert_eq!(ok(recv(server, &mut two)), 2);
    assert_eq!((&two, readable(server)), (b"ab", 5));
    let sender = spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(30));
        ok(send(client, b"hijk"));
        client
    });
    let mut nine = [0; 9];
    assert_eq!(ok(recv_flags(server, &mut nine, abi::MSG_WAITALL)), 9);
    assert_eq!(&nine, b"cdefghijk");
    ok(close(sender.join().unwrap()));
    assert_eq!(ok(recv_flags(server, &mut nine, abi::MSG_WAITALL)), 0, "the end comes sooner");
    ok(close(server));
}

#[test]
fn a_megabyte_in_one_call_arrives_whole() {
    let (client, server) = pair(0);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|it| it as u8).collect();
    let expected = sent.clone();
    let sender = spawn(move || {
        assert_eq!(ok(send(client, &sent)), sent.len());
        ok(close(client));
    });
    let mut got = vec![0; expected.len()];
    assert_eq!(ok(recv_flags(server, &mut got, abi::MSG_WAITALL)), got.len());
    assert!(got == expected);
    sender.join().unwrap();
    ok(close(server));
}

#[test]
fn a_non_blocking_connect_completes_and_is_told_by_poll() {
    let (listener, address) = listener(0);
    let server = spawn(move || accept(listener));
    let client = client(0);
    set_nonblocking(client, true);
    fails(connect(client, address), -1, abi::WSAEWOULDBLOCK);
    assert_eq!(poll(client, abi::POLLWRNORM, 5000), abi::POLLWRNORM);
    fails(connect(client, address), -1, abi::WSAEISCONN);
    ok(send(client, b"x"));
    let server = server.join().unwrap();
    let mut byte = [0];
    assert_eq!(ok(recv(server, &mut byte)), 1);
    fails(recv(client, &mut byte), -1, abi::WSAEWOULDBLOCK);
    for socket in [client, server, listener] {
        ok(close(socket));
    }
}

#[test]
fn a_refused_non_blocking_connect_is_told_by_poll_and_so_error() {
    let (listener, address) = listener(0);
    let server = spawn(move || accept(listener));
    let client = socket(abi::SOCK_STREAM, 0);
    ok(set_security(client));
    ok(set_name(client, None, "postgres/db2.test"));
    set_nonblocking(client, true);
    fails(connect(client, address), -1, abi::WSAEWOULDBLOCK);
    let found = poll(client, abi::POLLWRNORM, 5000);
    assert_eq!(found & (abi::POLLERR | abi::POLLHUP), abi::POLLERR | abi::POLLHUP, "{found:#x}");
    let (mut error, mut length) = (0_i32, 4);
    let into = (&raw mut error).cast();
    // SAFETY: pointer and length are those of one object.
    let got = unsafe {
        countersign_ws_getsockopt(client, abi::SOL_SOCKET, abi::SO_ERROR, into, &mut length)
    };
    assert_eq!((ok(got), error), (0, abi::WSAEACCES));
    assert_eq!(server.join().unwrap(), abi::INVALID_SOCKET);
    for socket in [client, listener] {
        ok(close(socket));
    }
}

#[test]
fn a_time_out_of_a_receive_is_one() {
    let (client, server) = pair(0);
    let time = 50_u32.to_ne_bytes();
    // SAFETY: pointer and length are those of one object.
    ok(unsafe {
        countersign_ws_setsockopt(server, abi::SOL_SOCKET, abi::SO_RCVTIMEO, time.as_ptr(), 4)
    });
    let started = std::time::Instant::now();
    fails(recv(server, &mut [0]), -1, abi::WSAETIMEDOUT);
    assert!(started.elapsed().as_millis() >= 40);
    ok(send(client, b"y"));
    assert_eq!(ok(recv(server, &mut [0])), 1, "it is as good as before");
    for socket in [client, server] {
        ok(close(socket));
    }
}

#[test]
fn shut_down_ways_are_shut() {
    let (client, server) = pair(0);
    ok(countersign_ws_shutdown(client, abi::SD_SEND));
    fails(send(client, b"z"), -1, abi::WSAESHUTDOWN);
    assert_eq!(ok(recv(server, &mut [0])), 0);
    ok(send(server, b"back"));
    assert_eq!(ok(recv(client, &mut [0; 4])), 4, "the other way is open");
    for socket in [client, server] {
        ok(close(socket));
    }
}

#[test]
fn spec_3_a_reset_is_told_by_query() {
    let (client, server) = pair(0);
    let abort: [u8; 4] = [1, 0, 0, 0];
    // SAFETY: pointer and length are those of one object.
    ok(unsafe {
        countersign_ws_setsockopt(client, abi::SOL_SOCKET, abi::SO_LINGER, abort.as_ptr(), 4)
    });
    ok(close(client));
    let mut answer = query(server, None);
    for _ in 0..100 {
        if answer.is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        answer = query(server, None);
    }
    assert_eq!(answer.unwrap_err(), abi::WSAECONNRESET);
    ok(close(server));
}

#[test]
fn spec_3_the_size_probe() {
    let (client, server) = pair(0);
    let mut length = 0;
    let null = std::ptr::null_mut();
    let probe = |length: &mut u32| {
        // SAFETY: NULL is permitted, and there is a length.
        unsafe {
            WSAQuerySocketSecurity(client, std::ptr::null(), 0, null, length, null.cast(), None)
        }
    };
    fails(probe(&mut length), -1, abi::WSAEFAULT);
    assert_eq!(length, 24);
    let (mut small, mut length) = ([0_u8; 8], 8);
    let into = small.as_mut_ptr();
    // SAFETY: pointer and length are those of one object.
    let told = unsafe {
        WSAQuerySocketSecurity(client, std::ptr::null(), 0, into, &mut length, null.cast(), None)
    };
    fails(told, -1, abi::WSAEMSGSIZE);
    assert_eq!((length, small), (24, [0; 8]));
    for socket in [client, server] {
        ok(close(socket));
    }
}

#[test]
fn spec_4_1_ipv6_is_secured_too() {
    start();
    let make = || WSASocketW(abi::AF_INET6, abi::SOCK_STREAM, 0, std::ptr::null(), 0, 0);
    let (listener, client) = (make(), make());
    ok(set_security(listener));
    ok(bind(listener, "[::1]:0"));
    ok(countersign_ws_listen(listener, 1));
    let address = local(listener);
    ok(set_name(client, Some(address), NAME));
    let server = spawn(move || accept(listener));
    ok(connect(client, address));
    assert_eq!(flags(&query(client, None).unwrap()) & 3, 3);
    let four = countersign_ws_socket(abi::AF_INET, abi::SOCK_STREAM, 0);
    fails(connect(four, address), -1, abi::WSAEAFNOSUPPORT);
    for socket in [client, server.join().unwrap(), listener, four] {
        ok(close(socket));
    }
}

#[test]
fn spec_4_8_the_port_of_a_secured_socket_is_its_own() {
    let (listener, address) = listener(0);
    let on = 1_u32.to_ne_bytes();
    let share = |socket| {
        // SAFETY: pointer and length are those of one object.
        unsafe {
            countersign_ws_setsockopt(socket, abi::SOL_SOCKET, abi::SO_REUSEADDR, on.as_ptr(), 4)
        }
    };
    fails(share(listener), -1, abi::WSAEINVAL);
    let thief = socket(abi::SOCK_STREAM, 0);
    ok(share(thief));
    fails(bind(thief, &address.to_string()), -1, abi::WSAEADDRINUSE);
    for socket in [thief, listener] {
        ok(close(socket));
    }
}

#[test]
fn tokens_outlive_the_connection_and_are_closed_once() {
    let (client, server) = pair(0);
    let mut template = [0; 144];
    // TOKEN_QUERY | TOKEN_IMPERSONATE.
    template[136..140].copy_from_slice(&0xC_u32.to_ne_bytes());
    let mut answer = [0_u8; 24];
    let (mut length, null) = (24, std::ptr::null_mut());
    let (pointer, into) = (template.as_ptr(), answer.as_mut_ptr());
    // SAFETY: pointers and lengths are those of objects.
    ok(unsafe { WSAQuerySocketSecurity(client, pointer, 144, into, &mut length, null, None) });
    let word = |at: usize| u64::from_ne_bytes(answer[at..at + 8].try_into().unwrap());
    let token = [word(8), word(16)].into_iter().find(|token| *token != 0).expect("a token");
    for socket in [client, server] {
        ok(close(socket));
    }
    let token = std::ptr::without_provenance_mut(token as usize);
    assert_eq!(CloseHandle(token), 1);
    fails(CloseHandle(token), 0, abi::WSA_INVALID_HANDLE);
    fails(ImpersonateLoggedOnUser(token), 0, abi::WSA_INVALID_HANDLE);
    assert_eq!(RevertToSelf(), 1, "nobody is impersonated, and that is no error");
}

#[test]
fn spec_8_1_impersonation_is_for_blocking_sockets_that_are_not_overlapped() {
    let impersonate = |socket| {
        // SAFETY: NULL is permitted.
        unsafe { WSAImpersonateSocketPeer(socket, std::ptr::null(), 0) }
    };
    let fresh = socket(abi::SOCK_STREAM, 0);
    fails(impersonate(fresh), -1, abi::WSAEFAULT);
    ok(close(fresh));
    let (client, server) = pair(abi::WSA_FLAG_OVERLAPPED);
    fails(impersonate(server), -1, abi::WSAEOPNOTSUPP);
    for socket in [client, server] {
        ok(close(socket));
    }
    let (client, server) = pair(0);
    set_nonblocking(client, true);
    fails(impersonate(client), -1, abi::WSAEOPNOTSUPP);
    assert_eq!(WSARevertImpersonation(), 0);
    for socket in [client, server] {
        ok(close(socket));
    }
    let (client, server) = plain_pair(0);
    fails(impersonate(server), -1, abi::WSAEOPNOTSUPP);
    for socket in [client, server] {
        ok(close(socket));
    }
}
