//! `connect` reaches a server of another kind that we did not write: `gnutls-serv`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use crate::plain::Between;
use crate::session::{Running, Session};

const NAME: &str = "http/www.example.com";

/// Starts `gnutls-serv --echo` with a certificate of the session's authority.
fn start(session: &Session, more: &[&str]) -> (Running, SocketAddr) {
    let (chain, key) = session.export(NAME);
    let mut command = session.stranger("gnutls-serv");
    command.args(["--echo", "--port", "0", "--x509certfile", &chain, "--x509keyfile", &key]);
    let mut running = Running::spawn(command.args(more).stdin(Stdio::null()));
    // It says the port that it was asked for, not the one that it has.
    running.logged("Echo Server listening on IPv4");
    let port = listening_port(running.id());
    (running, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Returns the IPv4 port on which a process listens (proc_pid_fd(5), proc_pid_net(5)).
fn listening_port(process: u32) -> u16 {
    const LISTEN: &str = "0A";
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let sockets: Vec<String> = descriptors
        .filter_map(|entry| {
            fs::read_link(entry.unwrap().path()).ok()?.into_os_string().into_string().ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_its = columns[3] == LISTEN && sockets.iter().any(|inode| inode == columns[9]);
        is_its.then(|| u16::from_str_radix(columns[1].split(':').nth(1)?, 16).ok()).flatten()
    });
    port.unwrap()
}

#[test]
fn we_reach_it_by_the_name_of_its_certificate() {
    let session = Session::with(&[NAME]);
    let (_server, address) = start(&session, &["--disable-client-cert"]);
    session
        .run_with(&["connect", NAME, &address.to_string()], b"hello\n")
        .success()
        .said(&[
            "connected to http/www.example.com (certificate SRVName)",
            "protected by TLS 1.3, ",
        ])
        .wrote("hello\n");
}

#[test]
fn wrong_names_are_refused_and_nothing_is_sent() {
    let session = Session::with(&[NAME]);
    let (_server, address) = start(&session, &["--disable-client-cert"]);
    for name in ["postgres/www.example.com", "www.example.com", "http/example.com"] {
        let wire = Between::start(address);
        session
            .run_with(&["connect", name, &wire.at()], b"not for everyone\n")
            .ended(3)
            .wrote("")
            .said(&[name, "the peer proved http/www.example.com", "hint: "]);
        assert_eq!(wire.count(b"not for everyone"), 0);
    }
}

#[test]
fn it_may_want_to_know_who_we_are() {
    let session = Session::with(&[NAME, "alice@EXAMPLE.COM"]);
    let demanding =
        ["--require-client-cert", "--verify-client-cert", "--x509cafile", "authority.pem"];
    let (_server, address) = start(&session, &demanding);
    let connect = ["connect", NAME, &address.to_string()];
    session
        .run_with(&[&connect[..], &["--as", "alice@EXAMPLE.COM"]].concat(), b"hello\n")
        .success()
        .wrote("hello\n");
    session
        .run_with(&connect, b"hello\n")
        .ended(3)
        .wrote("")
        .said(&["the peer refused us: certificate_required", "hint: the peer wants a certificate"]);
}
