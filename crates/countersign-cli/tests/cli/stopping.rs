//! How a tunnel comes to its end, and that this is no end of what it carries.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::plain::Service;
use crate::relays::start_forward;
use crate::session::{PATIENCE, Running, Session};
use crate::tunnels::{client, echo, echoes, service};

/// A tunnel with one connection in it.
struct Tunnel {
    _session: Session,
    server: Running,
    forward: Running,
    client: TcpStream,
    /// How the service has seen it end.
    service: Service<Result<usize, ErrorKind>>,
}

impl Tunnel {
    fn open(more: &[&str]) -> Self {
        let service = Service::start(|mut client| {
            client.write_all(b"welcome").unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).map_err(|error| error.kind())
        });
        let session = Session::with(&["db/localhost"]);
        let server = session.serve("db/localhost", &["--to", &service.at()]);
        let mut forward = session.command(&["forward", "--listen", "0", "--to", &server.at()]);
        let forward = Running::start(forward.args(["--name", "db/localhost"]).args(more));
        let mut client = client(forward.address());
        client.read_exact(&mut [0; 7]).unwrap();
        client.write_all(b"half a sentence").unwrap();
        Self { _session: session, server, forward, client, service }
    }

    /// Checks that neither side takes it for an end.
    #[track_caller]
    fn expect_cut(mut self) {
        let error = self.client.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(self.service.outcome(), Err(ErrorKind::ConnectionReset));
    }
}

fn send(signal: Signal, process: u32) {
    let id = Pid::from_raw(process.try_into().unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

#[test]
fn a_tunnel_that_is_killed_is_no_end_for_either_side() {
    for victim in [|tunnel: &Tunnel| tunnel.forward.id(), |tunnel: &Tunnel| tunnel.server.id()] {
        let tunnel = Tunnel::open(&[]);
        send(Signal::KILL, victim(&tunnel));
        tunnel.expect_cut();
    }
}

#[test]
fn connections_may_end_when_it_is_stopped() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut tunnel = Tunnel::open(&[]);
        send(signal, tunnel.forward.id());
        let line = tunnel.forward.logged("stopping: ");
        assert_eq!(line, "stopping: 1 connections may end within 10.0 s");
        // Whoever comes now is told so, as soon as nobody listens any more.
        let start = Instant::now();
        while TcpStream::connect(tunnel.forward.address()).is_ok() {
            assert!(start.elapsed() < PATIENCE, "it still listens");
            thread::sleep(Duration::from_millis(10));
        }
        tunnel.client.write_all(b", and the other half").unwrap();
        tunnel.client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(tunnel.client.read(&mut [0]).unwrap(), 0);
        assert_eq!(tunnel.service.outcome(), Ok(b"half a sentence, and the other half".len()));
        assert_eq!(tunnel.forward.ended(), Some(0));
        assert!(!tunnel.forward.log().contains("broken"), "{}", tunnel.forward.log());
    }
}

#[test]
fn what_has_not_ended_in_time_is_cut() {
    let mut tunnel = Tunnel::open(&["--drain-ms", "200"]);
    send(Signal::TERM, tunnel.forward.id());
    let line = tunnel.forward.logged("broken ");
    assert!(
        line.ends_with(
            ": this command was stopped before the connection had ended; hint: give connections \
             more time to end with --drain-ms"
        ),
        "{line}"
    );
    assert_eq!(tunnel.forward.ended(), Some(0));
    tunnel.expect_cut();
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut tunnel = Tunnel::open(&["--drain-ms", "600000"]);
    send(Signal::TERM, tunnel.forward.id());
    tunnel.forward.logged("stopping: ");
    send(Signal::TERM, tunnel.forward.id());
    assert_eq!(tunnel.forward.ended(), Some(0));
    tunnel.expect_cut();
}

#[test]
fn a_server_stops_as_gently() {
    let mut tunnel = Tunnel::open(&[]);
    send(Signal::TERM, tunnel.server.id());
    tunnel.server.logged("stopping: 1 ");
    drop(tunnel.client);
    assert_eq!(tunnel.service.outcome(), Ok(b"half a sentence".len()));
    assert_eq!(tunnel.server.ended(), Some(0));
}

#[test]
fn who_is_silent_for_too_long_is_cut_and_who_is_not_is_not() {
    let session = Session::with(&["db/localhost"]);
    let to = service(echo).to_string();
    let mut server = session.serve("db/localhost", &["--to", &to, "--idle-ms", "1000"]);
    let forward = start_forward(&session, &server.at(), "db/localhost");
    let (mut silent, lively) = (client(forward.address()), client(forward.address()));
    let start = Instant::now();
    echoes(&silent);
    let watched = thread::spawn(move || {
        let error = silent.read(&mut [0]).unwrap_err();
        (error.kind(), start.elapsed())
    });
    while !watched.is_finished() {
        echoes(&lively);
        thread::sleep(Duration::from_millis(50));
        assert!(start.elapsed() < PATIENCE, "it is never cut");
    }
    echoes(&lively);
    let (kind, time) = watched.join().unwrap();
    assert_eq!(kind, ErrorKind::ConnectionReset);
    assert!(time >= Duration::from_secs(1), "{time:?}");
    let line = server.logged("broken ");
    assert!(line.contains(": nothing has gone through for 1000 ms; hint: "), "{line}");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let session = Session::with(&["db/localhost"]);
    let serve = ["serve", "db/localhost", "--listen", "0"];
    for option in [["--idle-ms", "5"], ["--drain-ms", "5"]] {
        let words = [&serve[..], &option, &["--exec", "cat"]].concat();
        session.run(&words).ended(2).said(&["cannot be used with --exec"]);
    }
    let words = [&serve[..], &["--udp", "--echo", "--drain-ms", "5"]].concat();
    session.run(&words).ended(2).said(&["--drain-ms", "--udp"]);
}
