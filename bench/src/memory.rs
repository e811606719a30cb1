//! What an idle connection keeps, after it has carried something.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::asynchronous::{self, Connector, Stream};
use crate::blocking;
use crate::child::{Helper, resident, say_and_wait};
use crate::figure::{Against, Bench, Case, Column, Figure};
use crate::limits;
use crate::material::{Material, Proof};
use crate::peers::Peer;

pub(crate) const FIGURES: &[Figure] = &[Figure {
    id: "memory",
    title: "memory of an idle connection after 16 KiB each way",
    note: "Resident memory over 1,000 connections, client and server in a process each; on tokio each \
        connection is a task that waits for a byte. What the kernel keeps for a socket is not in it.",
    columns: &[
        Column::lower("client", "KB", Against::Nothing),
        Column::lower("server", "KB", Against::Nothing),
    ],
    summary: &[0, 1],
    cases: CASES,
    run: |bench, case| run(bench, case.peer),
}];

const CASES: &[Case] = &[
    Case::of(Peer::Tcp),
    Case::of(Peer::Countersign),
    Case::of(Peer::Rustls),
    Case::of(Peer::Openssl),
    Case::of(Peer::TokioTcp),
    Case::of(Peer::CountersignTokio),
    Case::of(Peer::TokioRustls),
];

const CONNECTIONS: usize = 1000;

/// Made before the first look, so that what all of them share is not counted.
const WARM_UP: usize = 50;

const LOAD: usize = 16 * 1024;

fn run(bench: &Bench, peer: Peer) -> io::Result<Vec<f64>> {
    let (peer, count) = (peer.to_string(), CONNECTIONS.to_string());
    let at = bench.material.at.to_string_lossy();
    let mut server = Helper::start(&["memory-server", &peer, &at, &count])?;
    let address = server.line()?;
    let mut client = Helper::start(&["memory-client", &peer, &at, &address, &count])?;
    Ok(vec![client.number()? / 1000.0, server.number()? / 1000.0])
}

/// The child that accepts.
pub(crate) fn serve(peer: &str, at: &str, count: usize) -> io::Result<()> {
    let (peer, material) = (Peer::find(peer)?, Material::open(Path::new(at)));
    limits::allow_descriptors(WARM_UP + count + 100)?;
    if peer.is_asynchronous() {
        let server = asynchronous::Server::new(&material, peer, Proof::ServerOnly)?;
        println!("{}", server.address);
        return server.run(async |acceptor| {
            for _ in 0..WARM_UP {
                idle(answer(acceptor.accept().await?).await?);
            }
            settle().await;
            let before = resident()?;
            for _ in 0..count {
                idle(answer(acceptor.accept().await?).await?);
            }
            settle().await;
            report(before, count)
        });
    }
    let mut server = blocking::server(&material, peer, Proof::ServerOnly)?;
    println!("{}", server.address);
    let mut load = vec![0; LOAD];
    let mut accept = || {
        let mut stream = server.accept()?;
        stream.read_exact(&mut load)?;
        stream.write_all(&load)?;
        stream.flush()?;
        Ok(stream)
    };
    keep(&mut accept, count)
}

/// The child that connects.
pub(crate) fn connect(peer: &str, at: &str, address: &str, count: usize) -> io::Result<()> {
    let (peer, material) = (Peer::find(peer)?, Material::open(Path::new(at)));
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    limits::allow_descriptors(WARM_UP + count + 100)?;
    if peer.is_asynchronous() {
        let connector = Connector::new(&material, peer, Proof::ServerOnly);
        return asynchronous::run(async {
            for _ in 0..WARM_UP {
                idle(ask(connector.connect(address).await?).await?);
            }
            settle().await;
            let before = resident()?;
            for _ in 0..count {
                idle(ask(connector.connect(address).await?).await?);
            }
            settle().await;
            report(before, count)
        });
    }
    let connect = blocking::client(&material, peer, Proof::ServerOnly);
    let mut load = vec![0x5a; LOAD];
    let mut ask = || {
        let mut stream = connect(address)?;
        stream.write_all(&load)?;
        stream.flush()?;
        stream.read_exact(&mut load)?;
        Ok(stream)
    };
    keep(&mut ask, count)
}

/// Makes connections and keeps them, and says what each has cost.
fn keep<S>(make: &mut dyn FnMut() -> io::Result<S>, count: usize) -> io::Result<()> {
    let mut streams = Vec::with_capacity(WARM_UP + count);
    for _ in 0..WARM_UP {
        streams.push(make()?);
    }
    let before = resident()?;
    for _ in 0..count {
        streams.push(make()?);
    }
    report(before, count)
}

fn report(before: f64, count: usize) -> io::Result<()> {
    say_and_wait(&format!("{:.0}", (resident()? - before) / count as f64))
}

async fn answer(mut stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
    let mut load = vec![0; LOAD];
    stream.read_exact(&mut load).await?;
    stream.write_all(&load).await?;
    stream.flush().await?;
    Ok(stream)
}

async fn ask(mut stream: Box<dyn Stream>) -> io::Result<Box<dyn Stream>> {
    let mut load = vec![0x5a; LOAD];
    stream.write_all(&load).await?;
    stream.flush().await?;
    stream.read_exact(&mut load).await?;
    Ok(stream)
}

/// Leaves a connection to a task that waits for its peer, as idle connections do.
fn idle(mut stream: Box<dyn Stream>) {
    tokio::spawn(async move { stream.read_u8().await });
}

/// Lets the tasks begin to wait.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
