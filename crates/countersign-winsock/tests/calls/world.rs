//! What the tests share: an authority and a policy that trusts it, and the functions without
//! pointers.

use std::net::SocketAddr;
use std::sync::Once;
use std::thread::JoinHandle;

use countersign_lab::{Authority, Leaf};
use countersign_winsock::abi::{self, Socket, WSABUF, WSADATA, WSAPOLLFD};
use countersign_winsock::*;

pub(crate) const NAME: &str = "postgres/db1.test";

/// Makes the policy of the process, once, and starts the library.
pub(crate) fn start() {
    start_with("");
}

/// The same, with this in the policy too, unless it was made before.
pub(crate) fn start_with(more: &str) {
    static START: Once = Once::new();
    START.call_once(|| {
        let authority = Authority::new("authority of the calls");
        let directory = Box::leak(Box::new(tempfile::tempdir().unwrap())).path();
        let anchors = authority.write(directory).unwrap();
        let leaf = Leaf::new().service("postgres", "db1.test").dns("db1.test");
        let issued = authority.issue(leaf);
        let written = issued.write(directory, "server").unwrap();
        let policy = directory.join("policy.toml");
        let text = format!(
            "[identity]\ncertificate = {:?}\nkey = {:?}\n[trust]\nanchors = [{:?}]\nsystem = false\n\
             [limits]\nhandshake-timeout-ms = 3000\n{more}",
            written.certificate, written.key, anchors
        );
        std::fs::write(&policy, text).unwrap();
        // SAFETY: no other thread of this process reads the environment before this is done.
        unsafe { std::env::set_var("COUNTERSIGN_POLICY", &policy) };
        // SAFETY: all zero is a value of this structure, which is filled in.
        let mut data: WSADATA = unsafe { std::mem::zeroed() };
        // SAFETY: there is room for it.
        assert_eq!(unsafe { WSAStartup(0x0202, &mut data) }, 0);
        assert_eq!((data.version, data.high_version), (0x0202, 0x0202));
    });
}

/// The bytes of a `sockaddr`.
pub(crate) fn sockaddr(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let mut bytes = 2_u16.to_ne_bytes().to_vec();
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.extend([0; 8]);
            bytes
        }
        SocketAddr::V6(v6) => {
            let mut bytes = 23_u16.to_ne_bytes().to_vec();
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
            bytes
        }
    }
}

/// A `SOCKET_PEER_TARGET_NAME` with its string.
pub(crate) fn target(address: Option<SocketAddr>, name: &str) -> Vec<u8> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let mut bytes = vec![0; 8];
    bytes.extend(address.map(sockaddr).unwrap_or_default());
    bytes.resize(136, 0);
    bytes.extend((units.len() as u32 * 2).to_ne_bytes());
    bytes.extend(units.iter().flat_map(|unit| unit.to_ne_bytes()));
    // Programs send the size of the structure and the string behind it.
    bytes.resize(144 + units.len() * 2, 0);
    bytes
}

pub(crate) fn text() -> String {
    // SAFETY: it is a string of the library, good until the next call.
    unsafe { std::ffi::CStr::from_ptr(CountersignLastErrorText()) }.to_string_lossy().into_owned()
}

#[track_caller]
pub(crate) fn ok(result: i32) -> usize {
    assert!(result >= 0, "{}: {}", WSAGetLastError(), text());
    result as usize
}

#[track_caller]
pub(crate) fn fails<T: PartialEq + std::fmt::Debug>(result: T, failed: T, code: i32) {
    assert_eq!(result, failed);
    assert_eq!(WSAGetLastError(), code, "{}", text());
}

/// A socket of IPv4 that is not overlapped.
#[track_caller]
pub(crate) fn socket(kind: i32, flags: u32) -> Socket {
    start();
    let socket = WSASocketW(abi::AF_INET, kind, 0, std::ptr::null(), 0, flags);
    assert_ne!(socket, abi::INVALID_SOCKET, "{}", text());
    socket
}

pub(crate) fn set_security(socket: Socket) -> i32 {
    let null = std::ptr::null_mut();
    // SAFETY: NULL is permitted.
    unsafe { WSASetSocketSecurity(socket, std::ptr::null(), 0, null, None) }
}

pub(crate) fn set_name(socket: Socket, address: Option<SocketAddr>, name: &str) -> i32 {
    let bytes = target(address, name);
    let null = std::ptr::null_mut();
    // SAFETY: pointer and length are those of one object.
    unsafe { WSASetSocketPeerTargetName(socket, bytes.as_ptr(), bytes.len() as u32, null, None) }
}

pub(crate) fn bind(socket: Socket, address: &str) -> i32 {
    let bytes = sockaddr(address.parse().unwrap());
    // SAFETY: pointer and length are those of one object.
    unsafe { countersign_ws_bind(socket, bytes.as_ptr(), bytes.len() as i32) }
}

pub(crate) fn connect(socket: Socket, address: SocketAddr) -> i32 {
    let bytes = sockaddr(address);
    // SAFETY: pointer and length are those of one object.
    unsafe { countersign_ws_connect(socket, bytes.as_ptr(), bytes.len() as i32) }
}

pub(crate) fn accept(socket: Socket) -> Socket {
    // SAFETY: NULL is permitted.
    unsafe { countersign_ws_accept(socket, std::ptr::null_mut(), std::ptr::null_mut()) }
}

pub(crate) fn send(socket: Socket, bytes: &[u8]) -> i32 {
    // SAFETY: pointer and length are those of one object.
    unsafe { countersign_ws_send(socket, bytes.as_ptr(), bytes.len() as i32, 0) }
}

pub(crate) fn recv_flags(socket: Socket, into: &mut [u8], flags: u32) -> i32 {
    let length = into.len() as i32;
    // SAFETY: pointer and length are those of one object.
    unsafe { countersign_ws_recv(socket, into.as_mut_ptr(), length, flags as i32) }
}

pub(crate) fn recv(socket: Socket, into: &mut [u8]) -> i32 {
    recv_flags(socket, into, 0)
}

pub(crate) fn close(socket: Socket) -> i32 {
    countersign_ws_closesocket(socket)
}

pub(crate) fn local(socket: Socket) -> SocketAddr {
    let mut bytes = [0_u8; 28];
    let mut length = 28;
    // SAFETY: pointer and length are those of one object.
    ok(unsafe { countersign_ws_getsockname(socket, bytes.as_mut_ptr(), &mut length) });
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    match bytes[0] {
        2 => SocketAddr::from(([bytes[4], bytes[5], bytes[6], bytes[7]], port)),
        _ => {
            let ip: [u8; 16] = bytes[8..24].try_into().unwrap();
            SocketAddr::from((ip, port))
        }
    }
}

pub(crate) fn set_nonblocking(socket: Socket, nonblocking: bool) {
    let mut argument = u32::from(nonblocking);
    // SAFETY: there is a number.
    ok(unsafe { countersign_ws_ioctlsocket(socket, abi::FIONBIO as i32, &mut argument) });
}

pub(crate) fn readable(socket: Socket) -> u32 {
    let mut count = 0;
    // SAFETY: there is a number.
    ok(unsafe { countersign_ws_ioctlsocket(socket, abi::FIONREAD as i32, &mut count) });
    count
}

/// Asks `WSAPoll` for one socket; returns what it is ready for.
pub(crate) fn poll(socket: Socket, events: i16, milliseconds: i32) -> i16 {
    let mut asked = WSAPOLLFD { fd: socket, events, revents: 0 };
    // SAFETY: there is one.
    ok(unsafe { WSAPoll(&mut asked, 1, milliseconds) });
    asked.revents
}

pub(crate) fn buffer(bytes: &mut [u8]) -> WSABUF {
    WSABUF { len: bytes.len() as u32, buf: bytes.as_mut_ptr() }
}

/// Asks what protects a socket: the flags, and the rest of the answer.
pub(crate) fn query(socket: Socket, peer: Option<SocketAddr>) -> Result<[u8; 24], i32> {
    query_with(socket, peer, 0)
}

/// The same, with tokens for this access.
pub(crate) fn query_for(socket: Socket, peer: SocketAddr, access: u32) -> Result<[u8; 24], i32> {
    query_with(socket, Some(peer), access)
}

fn query_with(socket: Socket, peer: Option<SocketAddr>, access: u32) -> Result<[u8; 24], i32> {
    let mut template = vec![0; 8];
    template.extend(peer.map(sockaddr).unwrap_or_default());
    template.resize(136, 0);
    template.extend(access.to_ne_bytes());
    template.resize(144, 0);
    let (pointer, size) = match peer {
        Some(_) => (template.as_ptr(), 144),
        None => (std::ptr::null(), 0),
    };
    let mut answer = [0_u8; 24];
    let mut length = 24;
    let null = std::ptr::null_mut();
    let into = answer.as_mut_ptr();
    // SAFETY: pointers and lengths are those of objects.
    match unsafe { WSAQuerySocketSecurity(socket, pointer, size, into, &mut length, null, None) } {
        0 => Ok(answer),
        _ => Err(WSAGetLastError()),
    }
}

pub(crate) fn flags(answer: &[u8; 24]) -> u32 {
    u32::from_ne_bytes(answer[4..8].try_into().unwrap())
}

/// A secured listener, and where it is.
#[track_caller]
pub(crate) fn listener(flags: u32) -> (Socket, SocketAddr) {
    let listener = socket(abi::SOCK_STREAM, flags);
    ok(set_security(listener));
    ok(bind(listener, "127.0.0.1:0"));
    ok(countersign_ws_listen(listener, 10));
    let address = local(listener);
    (listener, address)
}

/// A secured client, which has yet to connect.
#[track_caller]
pub(crate) fn client(flags: u32) -> Socket {
    let client = socket(abi::SOCK_STREAM, flags);
    ok(set_security(client));
    ok(set_name(client, None, NAME));
    client
}

/// Two ends of a secured connection.
#[track_caller]
pub(crate) fn pair(flags: u32) -> (Socket, Socket) {
    let (listener, address) = listener(flags);
    let server = spawn(move || {
        let server = accept(listener);
        assert_ne!(server, abi::INVALID_SOCKET, "{}", text());
        ok(close(listener));
        server
    });
    let client = client(flags);
    ok(connect(client, address));
    (client, server.join().unwrap())
}

/// Two ends of a connection in clear.
#[track_caller]
pub(crate) fn plain_pair(flags: u32) -> (Socket, Socket) {
    let listener = socket(abi::SOCK_STREAM, flags);
    ok(bind(listener, "127.0.0.1:0"));
    ok(countersign_ws_listen(listener, 10));
    let client = socket(abi::SOCK_STREAM, flags);
    ok(connect(client, local(listener)));
    let server = accept(listener);
    assert_ne!(server, abi::INVALID_SOCKET, "{}", text());
    ok(close(listener));
    (client, server)
}

pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(work)
}
