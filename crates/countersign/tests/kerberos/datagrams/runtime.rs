//! The same on tokio: nothing blocks the runtime, and what other threads find wakes the tasks.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign::core::KerberosFailure;
use countersign::tokio::UdpSocket;
use tokio::time::timeout;

use super::Echo;
use crate::silence::{LIMITS, TIME, end, silence, with_silent_realm};
use crate::world::{
    PATIENCE, SERVICE, asking, context, failure, in_own_realm, in_realm, peer, serving,
};

fn on_one_thread(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, work).await.expect("it never ended") });
}

async fn exchange(socket: &UdpSocket, with: SocketAddr) {
    socket.send_to(b"hello", with).await.unwrap();
    let mut back = [0; 64];
    assert_eq!(socket.recv_from(&mut back).await.unwrap(), (5, with));
}

#[test]
fn both_ends_on_one_thread() {
    in_realm(|realm| {
        let serving = context(&serving(realm, ""));
        for word in ["require", "prefer"] {
            let client = context(&asking(realm, "alice", &format!("client = '{word}'\n")));
            on_one_thread(async {
                let server = UdpSocket::bind_with(&serving, "127.0.0.1:0").await.unwrap();
                let address = server.get_ref().local_addr().unwrap();
                let echo = async {
                    let mut buffer = [0; 64];
                    loop {
                        let (count, from) = server.recv_from(&mut buffer).await.unwrap();
                        server.send_to(&buffer[..count], from).await.unwrap();
                        let info = server.query(from).unwrap();
                        let of = peer(info.evidence().unwrap());
                        assert_eq!(of, "alice@EXAMPLE.TEST by Kerberos ticket");
                    }
                };
                let asks = async {
                    let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").await.unwrap();
                    socket.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
                    for _ in 0..3 {
                        exchange(&socket, address).await;
                    }
                    let connected = UdpSocket::bind_with(&client, "127.0.0.1:0").await.unwrap();
                    connected.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
                    connected.connect(address).await.unwrap();
                    exchange(&connected, address).await;
                };
                tokio::select! {
                    () = echo => {}
                    () = asks => {}
                }
            });
        }
    });
}

#[test]
fn a_silent_kdc_keeps_neither_the_thread_nor_the_other_peers() {
    in_own_realm(with_silent_realm, |realm| {
        let silent = silence(realm);
        let server = || Echo::start(&context(&serving(realm, ""))).address;
        let (healthy, hanging) = (server(), server());
        let both = "realms = ['EXAMPLE.TEST', 'SILENT.TEST']\n";
        let client = context(&asking(realm, "alice", &format!("{both}{LIMITS}")));
        on_one_thread(async {
            let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").await.unwrap();
            socket.set_peer_target_name(healthy, SERVICE.parse().unwrap()).unwrap();
            let asked = "postgres/db1.example.test@SILENT.TEST".parse().unwrap();
            socket.set_peer_target_name(hanging, asked).unwrap();
            exchange(&socket, healthy).await;
            let started = Instant::now();
            let mut slowest = Duration::ZERO;
            let hangs = async { failure(socket.send_to(b"hello", hanging).await) };
            let others = async {
                loop {
                    let before = Instant::now();
                    exchange(&socket, healthy).await;
                    slowest = slowest.max(before.elapsed());
                }
            };
            let why = tokio::select! {
                why = hangs => why,
                () = others => unreachable!(),
            };
            assert_eq!(why, KerberosFailure::TimedOut { after: TIME });
            let took = started.elapsed();
            assert!(took >= TIME && took < TIME + Duration::from_secs(2), "{took:?}");
            assert!(slowest < Duration::from_millis(1000), "others waited too: {slowest:?}");
        });
        end(silent);
    });
}

/// A send that is given up has begun a proof, with which whoever else uses the socket goes on.
#[test]
fn a_future_that_is_dropped_leaves_the_proof_to_the_others() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        for word in ["require", "prefer"] {
            let client = context(&asking(realm, "alice", &format!("client = '{word}'\n")));
            on_one_thread(async {
                let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").await.unwrap();
                socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
                let mut buffer = [0; 64];
                let receives = socket.recv_from(&mut buffer);
                let given_up = async {
                    let send = socket.send_to(b"hello", server.address);
                    let _ = timeout(Duration::from_micros(1), send).await;
                    while socket.query(server.address).is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                tokio::select! {
                    received = receives => panic!("{received:?}"),
                    () = given_up => {}
                }
                exchange(&socket, server.address).await;
            });
        }
    });
}
