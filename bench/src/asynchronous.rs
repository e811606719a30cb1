//! A stream of each peer on tokio, and how it is made. Each side has a runtime of one thread, so
//! that what it costs can be read from the clock of that thread.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use countersign::tokio::{TcpListener, TcpStream};
use rustls::HandshakeKind;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener as Plain, TcpStream as Tcp};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::material::{HOST, LOOPBACK, Material, Proof, Sessions, asked};
use crate::peers::Peer;

/// A stream of any of them.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A listener of any of them, and the runtime that it belongs to.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    acceptor: Acceptor,
}

/// Accepts within the runtime.
pub(crate) enum Acceptor {
    Countersign(Box<TcpListener>),
    Plain(Plain),
    Rustls(Plain, TlsAcceptor),
}

/// Connects within a runtime.
pub(crate) enum Connector {
    Countersign(countersign::Context, Sessions),
    Plain,
    Rustls(TlsConnector, Sessions),
}

impl Server {
    /// Listens as this peer does.
    pub(crate) fn new(material: &Material, peer: Peer, proof: Proof) -> io::Result<Self> {
        let runtime = runtime()?;
        let plain = || runtime.block_on(Plain::bind(LOOPBACK));
        let (acceptor, address) = match peer {
            Peer::CountersignTokio => {
                let context = material.our_server(proof);
                let listener = runtime.block_on(TcpListener::bind_with(&context, LOOPBACK))?;
                let address = listener.local_addr();
                (Acceptor::Countersign(listener.into()), address)
            }
            Peer::TokioRustls => {
                let plain = plain()?;
                let address = plain.local_addr()?;
                (Acceptor::Rustls(plain, material.rustls_server(proof).into()), address)
            }
            _ => {
                let plain = plain()?;
                let address = plain.local_addr()?;
                (Acceptor::Plain(plain), address)
            }
        };
        Ok(Self { address, runtime, acceptor })
    }

    /// Runs on the calling thread what serves.
    pub(crate) fn run<T, F: Future<Output = T>>(self, serve: impl FnOnce(Acceptor) -> F) -> T {
        self.runtime.block_on(serve(self.acceptor))
    }
}

impl Acceptor {
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Countersign(listener) => Ok(Box::new(listener.accept().await?.0)),
            Self::Plain(plain) => Ok(Box::new(accept(plain).await?)),
            Self::Rustls(plain, tls) => Ok(Box::new(tls.accept(accept(plain).await?).await?)),
        }
    }
}

impl Connector {
    /// Connects as this peer does.
    pub(crate) fn new(material: &Material, peer: Peer, proof: Proof) -> Self {
        match peer {
            Peer::CountersignTokio => {
                Self::Countersign(material.our_client(proof), Sessions::of(proof))
            }
            Peer::TokioRustls => {
                Self::Rustls(material.rustls_client(proof).into(), Sessions::of(proof))
            }
            _ => Self::Plain,
        }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Countersign(context, sessions) => {
                let stream = TcpStream::connect_with(context, address, &asked()).await?;
                sessions.check(stream.evidence().is_some_and(|it| it.is_resumed()))?;
                Ok(Box::new(stream))
            }
            Self::Plain => Ok(Box::new(connect(address).await?)),
            Self::Rustls(tls, sessions) => {
                let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
                let stream = tls.connect(name, connect(address).await?).await?;
                let kind = stream.get_ref().1.handshake_kind();
                sessions.check(kind == Some(HandshakeKind::Resumed))?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Runs a future on this thread alone.
pub(crate) fn run<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    runtime()?.block_on(future)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn accept(plain: &Plain) -> io::Result<Tcp> {
    let (tcp, _) = plain.accept().await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn connect(address: SocketAddr) -> io::Result<Tcp> {
    let tcp = Tcp::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
