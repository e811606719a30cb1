//! Many connections through one `serve --to` and one `forward`, none of which holds up another.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::plain::Service;
use crate::relays::start_forward;
use crate::session::{PATIENCE, Running, Session, binary};

/// A plain service for any number of clients, which does the same for each.
pub(crate) fn service(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, serve) = (client.unwrap(), serve.clone());
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            thread::spawn(move || serve(client));
        }
    });
    address
}

/// Sends back what comes, and ends when that ends.
pub(crate) fn echo(mut client: TcpStream) {
    let (mut buffer, mut reader) = ([0; 4096], client.try_clone().unwrap());
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        if client.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Connects to a plain service, or to what stands for it.
pub(crate) fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Checks that what is sent comes back.
#[track_caller]
pub(crate) fn echoes(mut stream: &TcpStream) {
    stream.write_all(b"are you there?").unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"are you there?");
}

/// Returns a number from the status of a process (proc(5)).
fn status(process: &Running, word: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_thousand_connections_need_few_threads_and_no_more_rights_than_there_are() {
    const MANY: usize = 1000;
    let maximum = getrlimit(Resource::Nofile).maximum;
    // For this process; ours raise theirs by themselves, as far as they may.
    setrlimit(Resource::Nofile, Rlimit { current: maximum.or(Some(8192)), maximum }).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap().to_string();
    // One thread does, because the clients come one after the other.
    thread::spawn(move || {
        let mut kept = Vec::new();
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut word = [0; 14];
            client.read_exact(&mut word).unwrap();
            client.write_all(&word).unwrap();
            kept.push(client);
        }
    });
    let session = Session::with(&["db/localhost"]);
    let limited = |arguments: &[&str]| {
        let mut command = session.stranger("sh");
        let program = env!("CARGO_BIN_EXE_countersign");
        command.args(["-c", "ulimit -S -n 256; exec \"$@\"", "sh", program]).args(arguments);
        Running::start(command.stdin(Stdio::null()))
    };
    let server = limited(&["serve", "db/localhost", "--listen", "127.0.0.1:0", "--to", &at]);
    let forward =
        limited(&["forward", "--listen", "0", "--to", &server.at(), "--name", "db/localhost"]);
    let mut clients = Vec::new();
    for _ in 0..MANY {
        let client = client(forward.address());
        echoes(&client);
        clients.push(client);
    }
    // On each core one that carries and one that looks names up and at files; those that accept,
    // eight at most; the first, and the log.
    let most = 2 * thread::available_parallelism().unwrap().get() + 10;
    for process in [&server, &forward] {
        let threads = status(process, "Threads:");
        assert!(threads <= most, "{threads} threads for {MANY} connections");
    }
}

#[test]
fn without_descriptors_who_is_silent_is_given_up_and_told_apart_from_a_flood() {
    let session = Session::with(&["db/localhost"]);
    // Each core's reactor takes a few.
    let most = 40 + 8 * thread::available_parallelism().unwrap().get();
    let mut command = session.stranger("sh");
    let program = env!("CARGO_BIN_EXE_countersign");
    command.args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh", program]);
    command.args(["serve", "db/localhost", "--listen", "127.0.0.1:0", "--echo"]);
    let mut server = Running::start(command.stdin(Stdio::null()));
    let silent: Vec<_> = (0..most).map(|_| client(server.address())).collect();
    let line = server.logged("refused ");
    assert!(line.contains("Too many open files"), "{line}");
    // And the server is there for others.
    session.run_with(&["connect", "db/localhost", &server.at()], b"hello").success().wrote("hello");
    drop(silent);
}

#[test]
fn a_mebibyte_each_way_at_once() {
    const ALL: usize = 1 << 20;
    let swap = |mut stream: TcpStream| {
        let mut writer = stream.try_clone().unwrap();
        let sent = thread::spawn(move || {
            writer.write_all(&binary(ALL)).and_then(|()| writer.shutdown(Shutdown::Write))
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        sent.join().unwrap().unwrap();
        received == binary(ALL)
    };
    let service = Service::start(swap);
    let session = Session::with(&["db/localhost"]);
    let server = session.serve("db/localhost", &["--to", &service.at()]);
    let forward = start_forward(&session, &server.at(), "db/localhost");
    assert!(swap(client(forward.address())));
    assert!(service.outcome());
}

#[test]
fn who_does_not_read_stops_nobody_else_and_costs_no_memory() {
    // Sends without end to those who ask for it, and echoes to others.
    let service = service(|mut client| {
        let mut wish = [0];
        client.read_exact(&mut wish).unwrap();
        if wish == *b"m" { while client.write_all(&[0x5a; 65536]).is_ok() {} } else { echo(client) }
    });
    let session = Session::with(&["db/localhost"]);
    let server = session.serve("db/localhost", &["--to", &service.to_string()]);
    let forward = start_forward(&session, &server.at(), "db/localhost");
    let polite = client(forward.address());
    (&polite).write_all(b"e").unwrap();
    echoes(&polite);
    let memory = || [&server, &forward].map(|process| status(process, "VmRSS:"));
    let before = memory();
    let deaf: Vec<_> = (0..16)
        .map(|_| {
            let mut deaf = client(forward.address());
            deaf.write_all(b"m").unwrap();
            deaf
        })
        .collect();
    // Long enough to send hundreds of megabytes to somebody who reads.
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(50));
        echoes(&polite);
    }
    for (before, now) in before.into_iter().zip(memory()) {
        // Two units, one for the sealed bytes, and a connection's own for each.
        assert!(now < before + 16 * 512, "{before} kB, then {now} kB");
    }
    // None of them is lost: they go on when they are read.
    for mut deaf in deaf {
        let mut some = vec![0; 1 << 20];
        deaf.read_exact(&mut some).unwrap();
        assert!(some.iter().all(|byte| *byte == 0x5a));
    }
}

#[test]
fn a_plain_client_that_breaks_off_is_no_end_for_the_service() {
    let service = Service::start(|mut client| {
        let mut received = Vec::new();
        client.read_to_end(&mut received).map_err(|error| error.kind())
    });
    let session = Session::with(&["db/localhost"]);
    let mut server = session.serve("db/localhost", &["--to", &service.at()]);
    let mut forward = start_forward(&session, &server.at(), "db/localhost");
    let mut client = client(forward.address());
    client.write_all(b"half a sentence").unwrap();
    server.logged("accepted ");
    set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(service.outcome(), Err(ErrorKind::ConnectionReset));
    let line = forward.logged("broken ");
    assert!(line.contains("cannot receive from the program: Connection reset"), "{line}");
    server.logged("broken ");
}

#[test]
fn a_service_that_does_not_answer_holds_up_no_handshake() {
    // The kernel takes one connection for it, and answers no other until that one is accepted.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let to = listener.local_addr().unwrap();
    let in_the_way: Vec<_> = (0..3)
        .filter_map(|_| TcpStream::connect_timeout(&to, Duration::from_millis(200)).ok())
        .collect();
    assert!(in_the_way.len() < 3, "the kernel takes more than it was asked for");
    let session = Session::with(&["db/localhost"]);
    let mut server = session.serve("db/localhost", &["--to", &to.to_string()]);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut command = session.command(&["connect", "db/localhost", &server.at()]);
            Running::spawn(command.stdin(Stdio::null()))
        })
        .collect();
    for _ in &clients {
        server.logged("accepted ");
    }
    // Now it answers.
    drop(in_the_way);
    thread::spawn(move || listener.incoming().for_each(drop));
    for mut client in clients {
        assert_eq!(client.ended(), Some(0), "{}", client.log());
    }
}

#[test]
fn nobody_waits_for_whoever_reads_the_log() {
    const MANY: usize = 600;
    let session = Session::with(&["db/localhost"]);
    let to = service(echo).to_string();
    let mut command = session.command(&["serve", "db/localhost", "--listen", "127.0.0.1:0"]);
    command.args(["--to", &to]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = io::BufReader::new(server.stderr.take().unwrap());
    let mut line = String::new();
    io::BufRead::read_line(&mut log, &mut line).unwrap();
    let at: SocketAddr = line.split(' ').nth(2).unwrap().parse().unwrap();
    let forward = start_forward(&session, &at.to_string(), "db/localhost");
    let kept = client(forward.address());
    echoes(&kept);
    // Each is a line of the log, and a pipe holds 64 KiB (pipe(7)).
    for _ in 0..MANY {
        let mut stranger = client(at);
        stranger.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").unwrap();
        // It is turned away, one way or another, and at once.
        let answer = stranger.read(&mut [0; 64]).map_err(|error| error.kind());
        assert_ne!(answer, Err(ErrorKind::WouldBlock));
    }
    echoes(&kept);
    // And nothing is lost.
    let (counted, count) = mpsc::channel();
    thread::spawn(move || {
        let refused = io::BufRead::lines(log).map_while(Result::ok);
        let refused = refused.filter(|line| line.starts_with("refused ")).take(MANY);
        counted.send(refused.count())
    });
    assert_eq!(count.recv_timeout(PATIENCE).unwrap(), MANY);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn the_last_bytes_arrive_though_they_are_read_late() {
    const ALL: usize = 256 * 1024;
    // More than the kernel takes from us for somebody who has not begun to read.
    let service = service(|mut client| {
        client.read_to_end(&mut Vec::new()).unwrap();
        client.write_all(&binary(ALL)).unwrap();
    });
    let session = Session::with(&["db/localhost"]);
    let mut server = session.serve("db/localhost", &["--to", &service.to_string()]);
    let forward = start_forward(&session, &server.at(), "db/localhost");
    let mut client = client(forward.address());
    client.shutdown(Shutdown::Write).unwrap();
    server.logged("accepted ");
    // Both directions have ended for the tunnel, and it is gone.
    thread::sleep(Duration::from_millis(500));
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer == binary(ALL), "{} bytes", answer.len());
}

#[test]
fn what_the_peer_had_no_room_for_goes_on_by_itself() {
    const ALL: usize = 16 << 20;
    let service = Service::start(|mut client| {
        // Until nothing goes on any more.
        thread::sleep(Duration::from_millis(500));
        let mut all = vec![0; ALL];
        client.read_exact(&mut all).map(|()| all.iter().all(|byte| *byte == 0x5a)).ok()
    });
    let session = Session::with(&["db/localhost"]);
    let server = session.serve("db/localhost", &["--to", &service.at()]);
    let forward = start_forward(&session, &server.at(), "db/localhost");
    let mut client = client(forward.address());
    client.write_all(&vec![0x5a; ALL]).unwrap();
    // Nobody ends anything, and nobody sends anything else.
    assert_eq!(service.outcome(), Some(true));
}
