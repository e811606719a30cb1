//! A server that must not read its own keytab: gssproxy holds it, so what judges a ticket asks
//! another process, and is done on a thread of ours.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream as PlainStream};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, KerberosFailure};
use countersign_lab::{Elsewhere, Leaf, Process, Realm, elsewhere, peer_of_elsewhere};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{PATIENCE, ROOT, SERVICE, Server, asking, context, in_realm, round_trip};

/// Where there is no keytab that the server could read.
pub(crate) const HIDDEN: &str = "/nonexistent/server.keytab";

/// Starts a gssproxy that serves this user with the keys of the service.
pub(crate) fn proxy(realm: &Realm, name: &str) -> Process {
    let user = fs::metadata("/proc/self").unwrap().uid();
    let file = |ending: &str| realm.file(&format!("{name}.{ending}"));
    let configuration = format!(
        "[gssproxy]\n[service/countersign]\n  mechs = krb5\n  cred_store = keytab:{}\n  \
         cred_usage = accept\n  euid = {user}\n",
        realm.file("db1")
    );
    fs::write(file("conf"), configuration).unwrap();
    fs::create_dir_all(file("d")).unwrap();
    let mut command = Command::new("/usr/sbin/gssproxy");
    command.arg("-i").args(["-c", &file("conf"), "-C", &file("d"), "-s", &file("sock")]);
    let process = Process::start(&mut command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !realm.path(&format!("{name}.sock")).exists() {
        assert!(Instant::now() < deadline, "gssproxy does not start: {}", process.said());
        thread::sleep(Duration::from_millis(10));
    }
    process
}

/// Runs this test once more as the server, behind the proxy, and returns its address.
pub(crate) fn server(realm: &Realm, name: &str) -> (Elsewhere, SocketAddr) {
    let socket = realm.file(&format!("{name}.sock"));
    let environment = [
        ("GSS_USE_PROXY", "yes"),
        ("GSSPROXY_SOCKET", socket.as_str()),
        ("KRB5CCNAME", "MEMORY:proxied"),
    ];
    let elsewhere = elsewhere(&environment, None);
    let mut line = String::new();
    BufReader::new(&elsewhere.stream).read_line(&mut line).unwrap();
    let address = line.trim().parse().unwrap_or_else(|_| panic!("{}", elsewhere.process.said()));
    (elsewhere, address)
}

/// The process elsewhere: serves until the other one is done with it, and says of each client what
/// became of it.
fn serve(mut other: PlainStream, limits: &str) {
    let policy = format!(
        "[kerberos]\nserver = 'prefer'\nservices = ['{SERVICE}']\nkeytab = '{HIDDEN}'\n{limits}"
    );
    let issued = ROOT.issue(Leaf::new().dns("db1.example.test"));
    let server = Server::start(&crate::world::showing(&policy, &issued));
    writeln!(other, "{}", server.address).unwrap();
    let mut told = other.try_clone().unwrap();
    thread::spawn(move || {
        loop {
            let became = match server.saw_some() {
                Ok(evidence) => format!("served {}", evidence.names().len()),
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
fn a_server_behind_gssproxy_serves_many_at_once() {
    in_realm(|realm| {
        if let Some(other) = peer_of_elsewhere() {
            return serve(other, "");
        }
        let _proxy = proxy(realm, "crowd");
        let (elsewhere, address) = server(realm, "crowd");
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let client = context(&asking(realm, "alice", ""));
                    for _ in 0..5 {
                        let name = SERVICE.parse().unwrap();
                        let met = countersign::TcpStream::connect_with(&client, address, &name);
                        round_trip(&met.unwrap());
                    }
                });
            }
        });
        finish(elsewhere);
    });
}

#[test]
fn a_silent_gssproxy_delays_whoever_needs_it_and_only_to_the_deadline() {
    in_realm(|realm| {
        if let Some(other) = peer_of_elsewhere() {
            return serve(other, "[limits]\nhandshake-timeout-ms = 1000\n");
        }
        let gssproxy = proxy(realm, "silent");
        let (elsewhere, address) = server(realm, "silent");
        let mut lines = BufReader::new(elsewhere.stream.try_clone().unwrap()).lines();
        let name = SERVICE.parse().unwrap();
        let alice = context(&asking(realm, "alice", ""));
        let connect = |client: &countersign::Context| {
            countersign::TcpStream::connect_with(client, address, &name)
        };
        round_trip(&connect(&alice).unwrap());
        assert_eq!(lines.next().unwrap().unwrap(), "served 1");

        let pid = Pid::from_raw(i32::try_from(gssproxy.id()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        let started = Instant::now();
        thread::scope(|scope| {
            let stuck: Vec<_> =
                (0..3).map(|_| scope.spawn(|| connect(&alice).unwrap_err())).collect();
            thread::sleep(Duration::from_millis(200));
            // Who needs no proxy is served meanwhile, by the same thread that accepts.
            let mut anyone = PlainStream::connect(address).unwrap();
            anyone.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            anyone.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let _alert = anyone.read(&mut [0; 16]).unwrap();
            assert!(started.elapsed() < Duration::from_millis(900), "{:?}", started.elapsed());
            for stuck in stuck {
                stuck.join().unwrap();
            }
        });
        assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
        let told: Vec<String> = lines.by_ref().take(4).map(Result::unwrap).collect();
        assert_eq!(told.iter().filter(|line| *line == "late").count(), 3, "{told:?}");
        kill_process(pid, Signal::CONT).unwrap();
        round_trip(&connect(&alice).unwrap());
        assert_eq!(lines.next().unwrap().unwrap(), "served 1");
        drop(lines);
        finish(elsewhere);
    });
}

pub(crate) fn finish(elsewhere: Elsewhere) {
    let Elsewhere { stream, mut process, .. } = elsewhere;
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let status = process.wait(PATIENCE).unwrap();
    assert!(status.success(), "{}", process.said());
}
