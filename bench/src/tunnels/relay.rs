//! The shortest tunnel that a Rust programmer would write: tokio-rustls, and `copy_bidirectional`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::ServerSessionMemoryCache;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::material::{HOST, Material, Proof};

/// What is read at once; the default of 8 KiB was slower.
const PIECE: usize = 64 * 1024;

/// How many sessions a server keeps, as rustls does by default.
const SESSIONS: usize = 256;

/// The child that is one end.
pub(crate) fn relay(side: &str, at: &str, listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let material = Material::open(Path::new(at));
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    match side {
        "server" => runtime.block_on(serve(&material, listen, to)),
        _ => runtime.block_on(forward(&material, listen, to)),
    }
}

async fn serve(material: &Material, listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let mut config = (*material.rustls_server(Proof::ServerOnly)).clone();
    // As it comes, with resumption.
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    config.send_tls13_tickets = 2;
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        let tls = tls.clone();
        // Who goes away is no affair of ours: the clients of the benchmark tell.
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let (secured, plain) = (tls.accept(client).await?, connect(to).await?);
            join(secured, plain).await
        });
    }
}

async fn forward(material: &Material, listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let mut config = (*material.rustls_client(Proof::ServerOnly)).clone();
    config.resumption = Resumption::default();
    let tls = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (plain, _) = listener.accept().await?;
        let (tls, name) = (tls.clone(), name.clone());
        tokio::spawn(async move {
            plain.set_nodelay(true)?;
            let secured = tls.connect(name, connect(to).await?).await?;
            join(secured, plain).await
        });
    }
}

async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn join(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    mut other: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    copy_bidirectional_with_sizes(&mut one, &mut other, PIECE, PIECE).await.map(drop)
}
