//! A stream of each blocking peer, and how it is made.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener as Plain, TcpStream as Tcp};
use std::ops::{Deref, DerefMut};

use countersign::{TcpListener, TcpStream};
use openssl::ssl::SslStream;
use rustls::{
    ClientConnection, ConnectionCommon, HandshakeKind, ServerConnection, SideData, StreamOwned,
};

use crate::material::{HOST, LOOPBACK, Material, Proof, Sessions, asked};
use crate::peers::Peer;

/// What rustls buffers of records in [`Peer::RustlsTuned`].
const TUNED: usize = 48 * 1024;

/// A stream of any of them.
pub(crate) trait Stream: Read + Write + Send {
    /// Ends the conversation as its protocol demands: TLS with close_notify (RFC 8446 section
    /// 6.1), which Countersign sends by itself.
    fn finish(self: Box<Self>);
}

impl Stream for Tcp {
    fn finish(self: Box<Self>) {}
}

impl Stream for TcpStream {
    fn finish(self: Box<Self>) {}
}

impl Stream for SslStream<Tcp> {
    fn finish(mut self: Box<Self>) {
        // The other side may be gone already, which is its right.
        let _ = self.shutdown();
    }
}

impl<C, S> Stream for StreamOwned<C, Tcp>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>> + Send,
    S: SideData,
{
    fn finish(mut self: Box<Self>) {
        self.conn.send_close_notify();
        let _ = self.conn.write_tls(&mut self.sock);
    }
}

/// A listener of any of them.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accept: Box<dyn FnMut() -> io::Result<Box<dyn Stream>> + Send>,
}

impl Server {
    pub(crate) fn accept(&mut self) -> io::Result<Box<dyn Stream>> {
        (self.accept)()
    }
}

/// How a client connects.
pub(crate) type Connect = Box<dyn Fn(SocketAddr) -> io::Result<Box<dyn Stream>>>;

/// Listens as this peer does.
pub(crate) fn server(material: &Material, peer: Peer, proof: Proof) -> io::Result<Server> {
    match peer {
        Peer::Countersign => {
            let context = material.our_server(proof);
            let listener = TcpListener::bind_with(&context, LOOPBACK)?;
            let address = listener.local_addr();
            let accept = move || Ok(boxed(listener.accept()?.0));
            Ok(Server { address, accept: Box::new(accept) })
        }
        Peer::Openssl => {
            let acceptor = material.openssl_server(proof);
            plain_server(move |tcp| acceptor.accept(tcp).map(boxed).map_err(openssl))
        }
        Peer::Rustls | Peer::RustlsTuned => {
            let config = material.rustls_server(proof);
            plain_server(move |tcp| {
                let connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                Ok(boxed(secure(connection, tcp, peer)?))
            })
        }
        _ => plain_server(|tcp| Ok(boxed(tcp))),
    }
}

/// Connects as this peer does.
pub(crate) fn client(material: &Material, peer: Peer, proof: Proof) -> Connect {
    match peer {
        Peer::Countersign => {
            let (context, name) = (material.our_client(proof), asked());
            let sessions = Sessions::of(proof);
            Box::new(move |address| {
                let stream = TcpStream::connect_with(&context, address, &name)?;
                sessions.check(stream.evidence().is_some_and(|it| it.is_resumed()))?;
                Ok(boxed(stream))
            })
        }
        Peer::Openssl => {
            let connector = material.openssl_client(proof);
            Box::new(move |address| {
                connector.connect(HOST, plain(address)?).map(boxed).map_err(openssl)
            })
        }
        Peer::Rustls | Peer::RustlsTuned => {
            let config = material.rustls_client(proof);
            let sessions = Sessions::of(proof);
            Box::new(move |address| {
                let name = HOST.try_into().map_err(io::Error::other)?;
                let connection =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                let stream = secure(connection, plain(address)?, peer)?;
                sessions.check(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed))?;
                Ok(boxed(stream))
            })
        }
        _ => Box::new(|address| Ok(boxed(plain(address)?))),
    }
}

/// Does rustls' handshake, and then sets the limit, which would hold for the handshake too.
fn secure<C, S>(connection: C, tcp: Tcp, peer: Peer) -> io::Result<StreamOwned<C, Tcp>>
where
    C: DerefMut + Deref<Target = ConnectionCommon<S>> + Send + 'static,
    S: SideData + 'static,
{
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    if peer == Peer::RustlsTuned {
        stream.conn.set_buffer_limit(Some(TUNED));
    }
    Ok(stream)
}

fn openssl(error: openssl::ssl::HandshakeError<Tcp>) -> io::Error {
    io::Error::other(error.to_string())
}

fn plain(address: SocketAddr) -> io::Result<Tcp> {
    let tcp = Tcp::connect(address)?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn plain_server(
    mut secure: impl FnMut(Tcp) -> io::Result<Box<dyn Stream>> + Send + 'static,
) -> io::Result<Server> {
    let listener = Plain::bind(LOOPBACK)?;
    let address = listener.local_addr()?;
    let accept = move || {
        let (tcp, _) = listener.accept()?;
        tcp.set_nodelay(true)?;
        secure(tcp)
    };
    Ok(Server { address, accept: Box::new(accept) })
}

fn boxed(stream: impl Stream + 'static) -> Box<dyn Stream> {
    Box::new(stream)
}
