//! Tests whose process lives in a realm.
//!
//! The Kerberos library reads its settings from the environment of the process, which no test can
//! change while others run beside it. So each test runs again, alone, in a child process that has
//! the environment of a realm from its first moment.

use std::env;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::Realm;
use super::realm::found;
use crate::process::Process;

/// The test that a child process runs, by its full name.
const TEST: &str = "COUNTERSIGN_LAB_TEST";
/// Where a process elsewhere finds the one that started it.
const PEER: &str = "COUNTERSIGN_LAB_PEER";

/// Runs the body of the calling test in a process of its own, which lives in the realm.
///
/// # Panics
///
/// The body does; what it said is in the message.
pub fn within(realm: impl FnOnce() -> Realm, body: impl FnOnce(&Realm)) {
    if let Some(realm) = Realm::of_environment() {
        return body(&realm);
    }
    let current = thread::current();
    let name = current.name().expect("a test has a name, unless it is the only one at a time");
    let realm = realm();
    let output = again(name).envs(realm.environment()).output().expect("we can run ourselves");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "in the realm:\n{said}");
}

/// Another process that runs the same test, at the other end of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Elsewhere {
    /// The connection.
    pub stream: TcpStream,
    /// The process.
    pub process: Process,
}

/// Starts the test that runs in this process once more, where the environment, or the clock, is
/// another: that one gets its end of the connection from [`peer_of_elsewhere`].
///
/// # Panics
///
/// It does not connect.
pub fn elsewhere(environment: &[(&str, &str)], clock: Option<&str>) -> Elsewhere {
    let name = env::var(TEST).expect("this is for tests within a realm");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let mut command = match clock {
        None => again(&name),
        Some(offset) => {
            let mut command = Command::new(found("faketime"));
            let ours = again(&name);
            command.args(["-m", "--exclude-monotonic", "-f", offset]);
            command.arg(ours.get_program()).args(ours.get_args()).env(TEST, &name);
            command
        }
    };
    command.env(PEER, address).envs(environment.iter().copied());
    let mut process = Process::start(&mut command).unwrap_or_else(|error| panic!("{error}"));
    listener.set_nonblocking(true).expect("it can be");
    for _ in 0..2000 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).expect("it can be");
            return Elsewhere { stream, process };
        }
        thread::sleep(Duration::from_millis(10));
    }
    let ended = process.wait(Duration::from_millis(10));
    panic!("the process elsewhere does not connect: {ended:?} {}", process.said());
}

/// Returns the connection to the process that started this one, if this is the one elsewhere.
///
/// # Panics
///
/// That process is gone.
pub fn peer_of_elsewhere() -> Option<TcpStream> {
    let address = env::var(PEER).ok()?;
    Some(TcpStream::connect(address).expect("the other process listens"))
}

/// The test program, for one test.
fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("we run from a file"));
    command.args(["--exact", test, "--nocapture", "--include-ignored"]).env(TEST, test);
    command
}
