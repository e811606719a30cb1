//! A server whose keys gssproxy holds: what judges a ticket asks another process, and is done on a
//! thread of ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream as Line;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, KerberosFailure};
use countersign_lab::{Leaf, peer_of_elsewhere};
use rustix::process::{Pid, Signal, kill_process};

use super::{Echo, meet, round_trip};
use crate::proxied::{HIDDEN, finish, proxy, server};
use crate::world::{ROOT, SERVICE, asking, context, in_realm, peer, showing};

/// The process elsewhere: serves until the other one is done with it, and says of each peer what
/// became of it.
fn serve(mut other: Line) {
    let policy = format!(
        "[kerberos]\nserver = 'prefer'\nservices = ['{SERVICE}']\nkeytab = '{HIDDEN}'\n\
         [limits]\nhandshake-timeout-ms = 1500\n"
    );
    let issued = ROOT.issue(Leaf::new().dns("db1.example.test"));
    let echo = Echo::start(&showing(&policy, &issued));
    writeln!(other, "{}", echo.address).unwrap();
    let mut told = other.try_clone().unwrap();
    thread::spawn(move || {
        loop {
            let became = match echo.saw_some() {
                Ok(evidence) => format!("served {}", peer(&evidence)),
                Err(HandshakeError::Kerberos(KerberosFailure::TimedOut { .. })) => {
                    "late".to_owned()
                }
                Err(error) => error.to_string(),
            };
            if writeln!(told, "{became}").is_err() {
                return;
            }
        }
    });
    let _ = other.read(&mut [0; 1]);
    // What still waits for the proxy comes back before the process ends.
    thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_silent_gssproxy_delays_those_of_one_socket_who_need_it_and_only_to_the_deadline() {
    in_realm(|realm| {
        if let Some(other) = peer_of_elsewhere() {
            return serve(other);
        }
        let gssproxy = proxy(realm, "silent-datagrams");
        let (elsewhere, address) = server(realm, "silent-datagrams");
        let mut lines = BufReader::new(elsewhere.stream.try_clone().unwrap()).lines();
        let alice = context(&asking(realm, "alice", ""));
        let by_ticket = "served alice@EXAMPLE.TEST by Kerberos ticket";
        let other = meet(&alice, address, SERVICE).unwrap();
        round_trip(&other);
        assert_eq!(lines.next().unwrap().unwrap(), by_ticket);

        let pid = Pid::from_raw(i32::try_from(gssproxy.id()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            let stuck: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| meet(&alice, address, SERVICE).unwrap_err()))
                .collect();
            // Who has proved who it is goes on meanwhile, over the same socket.
            let mut slowest = Duration::ZERO;
            while stuck.iter().any(|it| !it.is_finished()) {
                let before = Instant::now();
                round_trip(&other);
                slowest = slowest.max(before.elapsed());
            }
            assert!(slowest < Duration::from_millis(1000), "others waited too: {slowest:?}");
            stuck.into_iter().for_each(|it| drop(it.join().unwrap()));
        });
        assert!(started.elapsed() > Duration::from_secs(1), "{:?}", started.elapsed());
        assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
        let told: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
        assert_eq!(told, ["late"; 3]);
        kill_process(pid, Signal::CONT).unwrap();
        round_trip(&meet(&alice, address, SERVICE).unwrap());
        assert_eq!(lines.next().unwrap().unwrap(), by_ticket);
        drop(lines);
        finish(elsewhere);
    });
}
