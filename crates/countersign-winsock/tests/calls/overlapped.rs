//! Overlapped operations (SPEC 9).

use std::cell::RefCell;
use std::ptr::null_mut;

use countersign_winsock::abi::{self, Socket, WSAOVERLAPPED};
use countersign_winsock::*;

use crate::world::*;

const OVERLAPPED: u32 = abi::WSA_FLAG_OVERLAPPED;

fn overlapped(event: abi::Handle) -> Box<WSAOVERLAPPED> {
    Box::new(WSAOVERLAPPED { internal: 0, internal_high: 0, offset: 0, offset_high: 0, event })
}

/// Starts to receive; returns whether it goes on.
fn start_recv(
    socket: Socket,
    into: &mut [u8],
    overlapped: &mut WSAOVERLAPPED,
    routine: abi::CompletionRoutine,
) -> bool {
    let buffer = buffer(into);
    let mut flags = 0;
    // SAFETY: all of it outlives the operation in these tests.
    let started =
        unsafe { WSARecv(socket, &buffer, 1, null_mut(), &mut flags, overlapped, routine) };
    match started {
        0 => false,
        _ => {
            assert_eq!(WSAGetLastError(), abi::WSA_IO_PENDING, "{}", text());
            true
        }
    }
}

fn result(socket: Socket, overlapped: &WSAOVERLAPPED, wait: bool) -> Result<u32, i32> {
    let (mut bytes, mut flags) = (0, 0);
    // SAFETY: all of it is there.
    let done = unsafe {
        WSAGetOverlappedResult(socket, overlapped, &mut bytes, i32::from(wait), &mut flags)
    };
    if done != 0 { Ok(bytes) } else { Err(WSAGetLastError()) }
}

fn wait_for(event: abi::Handle, milliseconds: u32, alertable: bool) -> u32 {
    // SAFETY: one handle is there.
    unsafe { WSAWaitForMultipleEvents(1, &event, 0, milliseconds, i32::from(alertable)) }
}

fn by_event(pair: fn(u32) -> (Socket, Socket)) {
    let (client, server) = pair(OVERLAPPED);
    let event = WSACreateEvent();
    let mut overlapped = overlapped(event);
    let mut into = [0; 8];
    assert!(start_recv(server, &mut into, &mut overlapped, None));
    assert_eq!(overlapped.internal, 0x103);
    assert_eq!(result(server, &overlapped, false), Err(abi::WSA_IO_INCOMPLETE));
    assert_eq!(wait_for(event, 20, false), abi::WAIT_TIMEOUT);
    ok(send(client, b"event"));
    assert_eq!(wait_for(event, 5000, false), abi::WAIT_OBJECT_0);
    assert_eq!(result(server, &overlapped, false), Ok(5));
    assert_eq!((overlapped.internal, overlapped.internal_high, &into[..5]), (0, 5, &b"event"[..]));
    assert_eq!(CloseHandle(event), 1);
    for socket in [client, server] {
        ok(close(socket));
    }
}

#[test]
fn an_event_tells_of_a_receive() {
    by_event(pair);
    by_event(plain_pair);
}

thread_local! {
    static RAN: RefCell<Vec<(u32, u32, usize)>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn note(error: u32, bytes: u32, overlapped: *mut WSAOVERLAPPED, _flags: u32) {
    RAN.with_borrow_mut(|ran| ran.push((error, bytes, overlapped.addr())));
}

#[test]
fn routines_run_in_alertable_waits_of_their_thread_only() {
    let (client, server) = pair(OVERLAPPED);
    let mut first = overlapped(null_mut());
    let mut into = [0; 8];
    assert!(start_recv(server, &mut into, &mut first, Some(note)));
    ok(send(client, b"abc"));
    // Another thread's waits run nothing, and neither do waits that are not alertable.
    spawn(|| assert_eq!(SleepEx(50, 1), 0)).join().unwrap();
    assert_eq!(SleepEx(50, 0), 0);
    assert_eq!(result(server, &first, true), Ok(3));
    assert!(RAN.with_borrow(Vec::is_empty));
    assert_eq!(SleepEx(5000, 1), abi::WAIT_IO_COMPLETION);
    let address = (&raw const *first).addr();
    assert_eq!(RAN.take(), [(0, 3, address)]);

    // One that completes at once is queued too, and never runs inside the call.
    ok(send(client, b"d"));
    while readable(server) == 0 {}
    assert!(!start_recv(server, &mut into, &mut first, Some(note)));
    assert!(RAN.with_borrow(Vec::is_empty));
    let event = WSACreateEvent();
    assert_eq!(wait_for(event, 5000, true), abi::WAIT_IO_COMPLETION);
    assert_eq!(RAN.take(), [(0, 1, address)]);
    WSACloseEvent(event);
    for socket in [client, server] {
        ok(close(socket));
    }
}

#[test]
fn closing_cancels() {
    for pair in [pair, plain_pair] {
        let (client, server) = pair(OVERLAPPED);
        let event = WSACreateEvent();
        let (mut one, mut two) = (overlapped(event), overlapped(null_mut()));
        let (mut into, mut other) = ([0; 8], [0; 8]);
        assert!(start_recv(server, &mut into, &mut one, None));
        assert!(start_recv(server, &mut other, &mut two, Some(note)));
        ok(close(server));
        assert_eq!(wait_for(event, 5000, false), abi::WAIT_OBJECT_0);
        assert_eq!(one.internal, 0xC000_0120);
        assert_eq!(result(server, &one, false), Err(abi::WSA_OPERATION_ABORTED));
        assert_eq!(SleepEx(5000, 1), abi::WAIT_IO_COMPLETION);
        let aborted = abi::WSA_OPERATION_ABORTED as u32;
        assert_eq!(RAN.take(), [(aborted, 0, (&raw const *two).addr())]);
        WSACloseEvent(event);
        ok(close(client));
    }
}

#[test]
fn many_operations_complete_in_order() {
    for pair in [pair, plain_pair] {
        let (client, server) = pair(OVERLAPPED);
        const COUNT: usize = 100;
        let mut buffers = vec![[0_u8; 4]; COUNT];
        let mut operations: Vec<_> = (0..COUNT).map(|_| overlapped(null_mut())).collect();
        for (buffer, operation) in buffers.iter_mut().zip(&mut operations) {
            assert!(start_recv(server, buffer, operation, Some(note)));
        }
        let sender = spawn(move || {
            for number in 0..COUNT as u32 {
                ok(send(client, &number.to_ne_bytes()));
                // A stream has no boundaries of its own.
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
            client
        });
        let mut ran = Vec::new();
        while ran.len() < COUNT {
            assert_eq!(SleepEx(5000, 1), abi::WAIT_IO_COMPLETION);
            ran.extend(RAN.take());
        }
        let expected: Vec<_> = operations.iter().map(|it| (&raw const **it).addr()).collect();
        assert_eq!(ran.iter().map(|it| it.2).collect::<Vec<_>>(), expected);
        let got: Vec<u8> = buffers
            .iter()
            .zip(&ran)
            .flat_map(|(buffer, (_, bytes, _))| buffer[..*bytes as usize].to_vec())
            .collect();
        let sent: Vec<u8> = (0..COUNT as u32).flat_map(u32::to_ne_bytes).collect();
        assert!(sent.starts_with(&got));
        ok(close(sender.join().unwrap()));
        ok(close(server));
    }
}

#[test]
fn a_large_send_goes_on_while_the_peer_is_slow() {
    for pair in [pair, plain_pair] {
        let (client, server) = pair(OVERLAPPED);
        let mut bytes = vec![7_u8; 20 << 20];
        let event = WSACreateEvent();
        let mut operation = overlapped(event);
        let buffer = buffer(&mut bytes);
        // SAFETY: all of it outlives the operation.
        let started = unsafe { WSASend(client, &buffer, 1, null_mut(), 0, &mut *operation, None) };
        fails(started, -1, abi::WSA_IO_PENDING);
        let mut got = vec![0; bytes.len()];
        assert_eq!(ok(recv_flags(server, &mut got, abi::MSG_WAITALL)), got.len());
        assert_eq!(wait_for(event, 5000, false), abi::WAIT_OBJECT_0);
        assert_eq!(result(client, &operation, false), Ok(bytes.len() as u32));
        WSACloseEvent(event);
        for socket in [client, server] {
            ok(close(socket));
        }
    }
}

#[test]
fn security_functions_tell_overlapped_callers() {
    let client = socket(abi::SOCK_STREAM, OVERLAPPED);
    let event = WSACreateEvent();
    let mut operation = overlapped(event);
    operation.internal = 77;
    // SAFETY: all of it is there.
    let set = unsafe { WSASetSocketSecurity(client, std::ptr::null(), 0, &mut *operation, None) };
    ok(set);
    assert_eq!((operation.internal, operation.internal_high), (0, 0));
    assert_eq!(wait_for(event, 0, false), abi::WAIT_OBJECT_0);
    assert_eq!(result(client, &operation, true), Ok(0));
    let name = target(None, NAME);
    let (pointer, length) = (name.as_ptr(), name.len() as u32);
    // SAFETY: all of it is there.
    ok(unsafe { WSASetSocketPeerTargetName(client, pointer, length, &mut *operation, Some(note)) });
    assert!(RAN.with_borrow(Vec::is_empty), "never inside the call");
    assert_eq!(SleepEx(0, 1), abi::WAIT_IO_COMPLETION);
    assert_eq!(RAN.take().len(), 1);
    ok(close(client));

    // Where the socket is not overlapped, both parameters are ignored.
    let client = socket(abi::SOCK_STREAM, 0);
    operation.internal = 77;
    WSAResetEvent(event);
    // SAFETY: all of it is there.
    ok(unsafe { WSASetSocketSecurity(client, std::ptr::null(), 0, &mut *operation, Some(note)) });
    assert_eq!((operation.internal, wait_for(event, 0, true)), (77, abi::WAIT_TIMEOUT));
    WSACloseEvent(event);
    ok(close(client));
}
