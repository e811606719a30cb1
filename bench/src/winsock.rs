//! What the C interface adds to a call, beside the Rust interface below it.
#![expect(unsafe_code, reason = "the functions are called as C calls them")]

use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use countersign::{TcpListener, TcpStream};
use countersign_winsock::abi::{self, Socket};
use countersign_winsock::{
    WSASetSocketPeerTargetName, WSAStartup, countersign_ws_closesocket, countersign_ws_connect,
    countersign_ws_recv, countersign_ws_send, countersign_ws_socket,
};

use crate::child::Helper;
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::material::{HOST, LOOPBACK, Material, Proof, asked};
use crate::peers::Peer;

pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        id: "c-calls",
        title: "calls of the C interface, beside the Rust interface below it",
        note: "A receive of a byte that has been decrypted already, and a send of a byte with the record and the \
            system call that it makes. The best of many short runs, which other work disturbs least.",
        columns: &[
            Column::lower("recv", "ns", Against::Nothing),
            Column::lower("send", "ns", Against::Nothing),
        ],
        summary: &[0, 1],
        cases: &[Case::of(Peer::Winsock), Case::of(Peer::Countersign)],
        run: |bench, case| {
            let by = if case.peer == Peer::Winsock { "c" } else { "rust" };
            let mut child = start(bench, &["winsock-calls", by])?;
            Ok(vec![child.number()?, child.number()?])
        },
    },
    Figure {
        id: "c-sockets",
        title: "finding a socket of the C interface",
        note: "A call that finds its socket and does nothing, in threads with a socket each; and by how much the \
            process has grown after 200,000 sockets were opened, named and closed.",
        columns: &[
            Column::lower("a call", "ns", Against::Nothing),
            Column::lower("growth", "KiB", Against::Nothing),
        ],
        summary: &[0],
        cases: &[
            Case::with(Peer::Winsock, 1, "threads"),
            Case::with(Peer::Winsock, 2, "threads"),
            Case::with(Peer::Winsock, 8, "threads"),
        ],
        run: |bench, case| {
            let mut child = start(bench, &["winsock-sockets", &case.number().to_string()])?;
            Ok(vec![child.number()?, child.number()?])
        },
    },
];

/// Starts a child whose policy believes the authority of the benchmarks.
fn start(bench: &Bench, words: &[&str]) -> io::Result<Helper> {
    let Material { at, root, .. } = &bench.material;
    let policy = at.join("policy.toml");
    fs::write(&policy, format!("[trust]\nanchors = [{root:?}]\nsystem = false\n"))?;
    let (at, time) = (at.to_string_lossy(), (bench.duration / 2).as_secs_f64().to_string());
    let words: Vec<&str> = words.iter().copied().chain([&*at, time.as_str()]).collect();
    Helper::start_with(&words, &[("COUNTERSIGN_POLICY", OsString::from(policy))])
}

/// The child that calls.
pub(crate) fn calls(by: &str, at: &str, duration: Duration) -> io::Result<()> {
    let material = Material::open(Path::new(at));
    let by = if by == "c" { By::C } else { By::Rust };
    start_library();
    for called in [Called::Receive, Called::Send] {
        println!("{}", run(&material, called, by, duration));
    }
    Ok(())
}

/// The child that opens sockets.
pub(crate) fn sockets(threads: usize, duration: Duration) -> io::Result<()> {
    start_library();
    println!("{}", look_up(threads, duration));
    println!("{}", growth(200_000));
    Ok(())
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    /// A receive of one byte that has been decrypted already.
    Receive,
    /// A send of one byte, with the record and the system call that it makes.
    Send,
}

/// By which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    C,
    Rust,
}

/// How much plaintext waits for the receives of one run; reading it costs no system call.
const WAITING: usize = 8 * 1024;

fn start_library() {
    // SAFETY: all zero is a value of this structure, which is filled in.
    let mut data = unsafe { std::mem::zeroed() };
    // SAFETY: there is room for it.
    assert_eq!(unsafe { WSAStartup(0x0202, &mut data) }, 0);
}

/// Returns how many nanoseconds a call takes.
fn run(material: &Material, called: Called, by: By, duration: Duration) -> f64 {
    let listener = TcpListener::bind_with(&material.our_server(Proof::ServerOnly), LOOPBACK);
    let listener = listener.expect("a listener");
    let address = listener.local_addr();
    let server = std::thread::spawn(move || listener.accept().expect("a client").0);
    match by {
        By::Rust => {
            let context = material.our_client(Proof::ServerOnly);
            let client = TcpStream::connect_with(&context, address, &asked()).expect("a server");
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
    let sink = std::thread::spawn(move || io::copy(&mut &server, &mut io::sink()));
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
fn look_up(threads: usize, duration: Duration) -> f64 {
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
fn growth(sockets: usize) -> f64 {
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
    let text = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.expect("a number") * rustix::param::page_size() as f64 / 1024.0
}
