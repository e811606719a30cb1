//! What the C interface adds to a call, beside the Rust interface below it.
#![expect(unsafe_code, reason = "the functions are called as C calls them")]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign::core::PeerName;
use countersign::{TcpListener, TcpStream};
use countersign_winsock::abi::{self, Socket};
use countersign_winsock::{
    WSASetSocketPeerTargetName, WSAStartup, countersign_ws_closesocket, countersign_ws_connect,
    countersign_ws_recv, countersign_ws_send, countersign_ws_socket,
};

use crate::peers::{HOST, LOOPBACK, Material};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// A receive of one byte that has been decrypted already.
    Receive,
    /// A send of one byte, with the record and the system call that it makes.
    Send,
}

/// By which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    C,
    Rust,
}

/// How much plaintext waits for the receives of one run; reading it costs no system call.
const WAITING: usize = 8 * 1024;

/// Starts the library with a policy that believes the authority of the benchmarks, before there are
/// other threads.
pub(crate) fn start(material: &Material) {
    let policy = material.root.with_file_name("policy.toml");
    let text = format!("[trust]\nanchors = [{:?}]\nsystem = false\n", material.root);
    std::fs::write(&policy, text).expect("a directory to write to");
    // SAFETY: this is called first, while there is one thread.
    unsafe { std::env::set_var("COUNTERSIGN_POLICY", &policy) };
    // SAFETY: all zero is a value of this structure, which is filled in.
    let mut data = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for it.
    assert_eq!(unsafe { WSAStartup(0x0202, &mut data) }, 0);
}

/// Returns how many nanoseconds a call takes.
pub(crate) fn run(material: &Material, called: Called, by: By, duration: Duration) -> f64 {
    let listener = TcpListener::bind_with(&material.datagram_server_context(), LOOPBACK);
    let listener = listener.expect("a listener");
    let address = listener.local_addr();
    let server = std::thread::spawn(move || listener.accept().expect("a client").0);
    match by {
        By::Rust => {
            let context = material.datagram_client_context();
            let name: PeerName = HOST.parse().expect("a name");
            let client = TcpStream::connect_with(&context, address, &name).expect("a server");
            let server = server.join().expect("the server");
            match called {
                Called::Receive => receive(&server, duration, || {
                    let mut byte = [0];
                    (&client).read_exact(&mut byte).expect("a byte");
                    black_box(byte);
                }),
                Called::Send => send(server, duration, || {
                    (&client).write_all(b"x").expect("a connection");
                }),
            }
        }
        By::C => {
            let client = countersign_ws_socket(abi::AF_INET, abi::SOCK_STREAM, 0);
            name_and_connect(client, address);
            let server = server.join().expect("the server");
            let best = match called {
                Called::Receive => receive(&server, duration, || {
                    let mut byte = [0];
                    // SAFETY: there is one byte.
                    let got = unsafe { countersign_ws_recv(client, byte.as_mut_ptr(), 1, 0) };
                    assert_eq!(got, 1);
                    black_box(byte);
                }),
                Called::Send => send(server, duration, || {
                    // SAFETY: there is one byte.
                    let sent = unsafe { countersign_ws_send(client, b"x".as_ptr(), 1, 0) };
                    assert_eq!(sent, 1);
                }),
            };
            countersign_ws_closesocket(client);
            best
        }
    }
}

/// Times calls that each take one byte of what `server` has sent.
fn receive(server: &TcpStream, duration: Duration, mut call: impl FnMut()) -> f64 {
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < duration {
        { server }.write_all(&[7; WAITING]).expect("a connection");
        // The first takes it from the wire.
        call();
        let run = Instant::now();
        (1..WAITING).for_each(|_| call());
        best = best.min(run.elapsed().as_secs_f64() * 1e9 / (WAITING - 1) as f64);
    }
    best
}

/// Times calls that each send one byte, which `server` takes.
fn send(server: TcpStream, duration: Duration, mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 500;
    let sink = std::thread::spawn(move || std::io::copy(&mut &server, &mut std::io::sink()));
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < duration {
        let run = Instant::now();
        (0..CALLS).for_each(|_| call());
        best = best.min(run.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    // The sink ends with its connection, which the caller closes.
    drop(sink);
    best
}

/// Returns how many nanoseconds a call takes that finds its socket and does nothing, in each of so
/// many threads, each with its own socket.
pub(crate) fn look_up(threads: usize, duration: Duration) -> f64 {
    #[expect(clippy::needless_collect, reason = "all start before one of them is waited for")]
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            std::thread::spawn(move || {
                const CALLS: u32 = 10_000;
                let socket = countersign_ws_socket(abi::AF_INET, abi::SOCK_STREAM, 0);
                let (start, mut best) = (Instant::now(), f64::INFINITY);
                while start.elapsed() < duration {
                    let run = Instant::now();
                    for _ in 0..CALLS {
                        // SAFETY: nothing is sent: a flag without a meaning is refused before.
                        black_box(unsafe { countersign_ws_send(socket, b"x".as_ptr(), 1, 0x10) });
                    }
                    best = best.min(run.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
                }
                countersign_ws_closesocket(socket);
                best
            })
        })
        .collect();
    let took = workers.into_iter().map(|worker| worker.join().expect("a worker"));
    took.fold(0.0, f64::max)
}

/// Opens, names and closes so many sockets, and returns by how many KiB the process has grown.
pub(crate) fn growth(sockets: usize) -> f64 {
    let open_and_close = || {
        let socket = countersign_ws_socket(abi::AF_INET, abi::SOCK_STREAM, 0);
        set_name(socket);
        assert_eq!(countersign_ws_closesocket(socket), 0);
    };
    // What is made once is no growth.
    (0..1000).for_each(|_| open_and_close());
    let before = resident();
    (0..sockets).for_each(|_| open_and_close());
    (resident() - before).max(0.0)
}

fn name_and_connect(client: Socket, address: SocketAddr) {
    set_name(client);
    let SocketAddr::V4(address) = address else { unreachable!("the loopback is of IPv4") };
    let mut name = (abi::AF_INET as u16).to_ne_bytes().to_vec();
    name.extend(address.port().to_be_bytes());
    name.extend(address.ip().octets());
    name.resize(16, 0);
    // SAFETY: pointer and length are those of one object.
    assert_eq!(unsafe { countersign_ws_connect(client, name.as_ptr(), 16) }, 0);
}

fn set_name(socket: Socket) {
    let units: Vec<u8> = HOST.encode_utf16().flat_map(u16::to_ne_bytes).collect();
    let mut target = vec![0; 136];
    target.extend((units.len() as u32).to_ne_bytes());
    target.extend(&units);
    target.resize(144 + units.len(), 0);
    let (pointer, length, null) = (target.as_ptr(), target.len() as u32, std::ptr::null_mut());
    // SAFETY: pointer and length are those of one object.
    let set = unsafe { WSASetSocketPeerTargetName(socket, pointer, length, null, None) };
    assert_eq!(set, 0);
}

/// What the process has in memory, in KiB (proc_pid_statm(5)).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("a number") * rustix::param::page_size() as f64 / 1024.0
}
