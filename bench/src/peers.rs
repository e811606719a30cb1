//! Those who are compared, each with its own way to make a stream.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener as Plain, TcpStream as Tcp};
use std::path::PathBuf;
use std::sync::Arc;

use countersign::core::{ClientCertificates, PeerName};
use countersign::{Context, Policy, TcpListener, TcpStream};
use countersign_lab::{Authority, Issued, Leaf};
use openssl::ssl::{SslAcceptor, SslConnector, SslFiletype, SslMethod, SslVersion};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Countersign,
    Openssl,
    Rustls,
    SystemCalls,
    Tcp,
    Udp,
    Winsock,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Countersign => "countersign",
            Self::Openssl => "OpenSSL",
            Self::Rustls => "rustls StreamOwned",
            Self::SystemCalls => "system calls alone",
            Self::Tcp => "TCP in clear",
            Self::Udp => "UDP in clear",
            Self::Winsock => "the C interface",
        })
    }
}

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

impl Stream for openssl::ssl::SslStream<Tcp> {
    fn finish(mut self: Box<Self>) {
        // The other side may be gone already, which is its right.
        let _ = self.shutdown();
    }
}

impl Stream for rustls::StreamOwned<ClientConnection, Tcp> {
    fn finish(mut self: Box<Self>) {
        self.conn.send_close_notify();
        let _ = self.conn.write_tls(&mut self.sock);
    }
}

impl Stream for rustls::StreamOwned<ServerConnection, Tcp> {
    fn finish(mut self: Box<Self>) {
        self.conn.send_close_notify();
        let _ = self.conn.write_tls(&mut self.sock);
    }
}

/// A listener of any of them, and how its clients connect.
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

/// The same certificates for all.
pub(crate) struct Material {
    authority: Authority,
    issued: Issued,
    directory: tempfile::TempDir,
    pub(crate) key: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) root: PathBuf,
}

pub(crate) const HOST: &str = "db1.test";

impl Material {
    pub(crate) fn make() -> Self {
        let authority = Authority::new("bench");
        let issued = authority.issue(Leaf::new().dns(HOST));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let written = issued.write(directory.path(), "server").expect("files");
        let root = authority.write(directory.path()).expect("files");
        let (key, chain) = (written.key, written.certificate);
        Self { authority, issued, directory, key, chain, root }
    }

    pub(crate) fn server(&self, peer: Peer) -> Server {
        match peer {
            Peer::Countersign => {
                let context = Context::builder()
                    .anchors(self.authority.anchors())
                    .credential(self.issued.credential())
                    .build()
                    .expect("a context");
                let listener = TcpListener::bind_with(&context, LOOPBACK).expect("a listener");
                let address = listener.local_addr();
                let accept = move || Ok(boxed(listener.accept()?.0));
                Server { address, accept: Box::new(accept) }
            }
            Peer::Openssl => {
                let mut builder =
                    SslAcceptor::mozilla_modern_v5(SslMethod::tls()).expect("OpenSSL");
                builder.set_ciphersuites("TLS_AES_256_GCM_SHA384").expect("a suite");
                builder.set_groups_list("X25519").expect("a group");
                builder.set_private_key_file(&self.key, SslFiletype::PEM).expect("a key");
                builder.set_certificate_chain_file(&self.chain).expect("a chain");
                let acceptor = builder.build();
                plain_server(move |tcp| {
                    acceptor
                        .accept(tcp)
                        .map(boxed)
                        .map_err(|error| io::Error::other(error.to_string()))
                })
            }
            Peer::Rustls => {
                let chain = self.issued.chain.clone();
                let config = ServerConfig::builder_with_provider(provider())
                    .with_protocol_versions(&[&TLS13])
                    .expect("TLS 1.3")
                    .with_no_client_auth()
                    .with_single_cert(chain, self.issued.key.clone_key())
                    .expect("a certificate");
                let config = Arc::new(config);
                plain_server(move |tcp| {
                    let connection =
                        ServerConnection::new(config.clone()).map_err(io::Error::other)?;
                    let mut stream = rustls::StreamOwned::new(connection, tcp);
                    while stream.conn.is_handshaking() {
                        stream.conn.complete_io(&mut stream.sock)?;
                    }
                    Ok(boxed(stream))
                })
            }
            Peer::Tcp => plain_server(|tcp| Ok(boxed(tcp))),
            Peer::SystemCalls | Peer::Udp | Peer::Winsock => {
                unreachable!("no stream is asked of them")
            }
        }
    }

    pub(crate) fn client(&self, peer: Peer) -> Connect {
        match peer {
            Peer::Countersign => {
                let context = Context::builder()
                    .anchors(self.authority.anchors())
                    .build()
                    .expect("a context");
                let name: PeerName = HOST.parse().expect("a name");
                Box::new(move |address| {
                    Ok(boxed(TcpStream::connect_with(&context, address, &name)?))
                })
            }
            Peer::Openssl => {
                let mut builder = SslConnector::builder(SslMethod::tls()).expect("OpenSSL");
                builder.set_min_proto_version(Some(SslVersion::TLS1_3)).expect("TLS 1.3");
                builder.set_ciphersuites("TLS_AES_256_GCM_SHA384").expect("a suite");
                builder.set_groups_list("X25519").expect("a group");
                builder.set_ca_file(&self.root).expect("an anchor");
                let connector = builder.build();
                Box::new(move |address| {
                    connector
                        .connect(HOST, plain(address)?)
                        .map(boxed)
                        .map_err(|error| io::Error::other(error.to_string()))
                })
            }
            Peer::Rustls => {
                let mut roots = RootCertStore::empty();
                roots.add(self.authority.certificate().clone()).expect("an anchor");
                let config = ClientConfig::builder_with_provider(provider())
                    .with_protocol_versions(&[&TLS13])
                    .expect("TLS 1.3")
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                let mut config = config;
                config.resumption = rustls::client::Resumption::disabled();
                let config = Arc::new(config);
                Box::new(move |address| {
                    let name = HOST.try_into().map_err(io::Error::other)?;
                    let connection =
                        ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                    let mut stream = rustls::StreamOwned::new(connection, plain(address)?);
                    while stream.conn.is_handshaking() {
                        stream.conn.complete_io(&mut stream.sock)?;
                    }
                    Ok(boxed(stream))
                })
            }
            Peer::Tcp => Box::new(|address| Ok(boxed(plain(address)?))),
            Peer::SystemCalls | Peer::Udp | Peer::Winsock => {
                unreachable!("no stream is asked of them")
            }
        }
    }

    /// Serves datagrams of anybody: clients of the others show no certificate either.
    pub(crate) fn datagram_server_context(&self) -> Context {
        let policy = Policy::default().with_client_certificates(ClientCertificates::None);
        Context::builder()
            .anchors(self.authority.anchors())
            .credential(self.issued.credential())
            .policy(policy)
            .build()
            .expect("a context")
    }

    pub(crate) fn datagram_client_context(&self) -> Context {
        Context::builder().anchors(self.authority.anchors()).build().expect("a context")
    }
}

impl Drop for Material {
    fn drop(&mut self) {
        // Keys of a benchmark are worth nothing, but litter is litter.
        let _ = std::fs::remove_dir_all(self.directory.path());
    }
}

pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

/// AES-256-GCM and the hybrid group, as Countersign has them; OpenSSL 3.0 has X25519 only.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

fn plain(address: SocketAddr) -> io::Result<Tcp> {
    let tcp = Tcp::connect(address)?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

fn plain_server(
    mut secure: impl FnMut(Tcp) -> io::Result<Box<dyn Stream>> + Send + 'static,
) -> Server {
    let listener = Plain::bind(LOOPBACK).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let accept = move || {
        let (tcp, _) = listener.accept()?;
        tcp.set_nodelay(true)?;
        secure(tcp)
    };
    Server { address, accept: Box::new(accept) }
}

fn boxed(stream: impl Stream + 'static) -> Box<dyn Stream> {
    Box::new(stream)
}
