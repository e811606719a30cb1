//! Datagrams through OpenSSL's DTLS 1.2, as a program that uses libssl would do it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket as Plain};

use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslOptions, SslStream,
    SslVerifyMode,
};

use super::{PATIENCE, plain};
use crate::material::{HOST, Material};

/// One peer of a socket as a stream of datagrams, as libssl wants it.
#[derive(Debug)]
pub(super) struct Datagrams {
    pub(super) socket: Plain,
    peer: SocketAddr,
}

impl Read for Datagrams {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let (count, from) = self.socket.recv_from(into)?;
            if from == self.peer {
                return Ok(count);
            }
        }
    }
}

impl Write for Datagrams {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send_to(datagram, self.peer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a client that is not the one before.
pub(super) fn accept(
    context: &SslContext,
    socket: &Plain,
    before: Option<SocketAddr>,
) -> io::Result<(SslStream<Datagrams>, SocketAddr)> {
    let peer = loop {
        let (_, from) = socket.peek_from(&mut [0; 2048])?;
        if Some(from) != before {
            break from;
        }
        let _ = socket.recv_from(&mut [0; 2048])?;
    };
    let stream = Datagrams { socket: socket.try_clone()?, peer };
    let stream = ssl(context).accept(stream).map_err(|error| io::Error::other(error.to_string()));
    Ok((stream?, peer))
}

pub(super) fn connect(context: &SslContext, peer: SocketAddr) -> SslStream<Datagrams> {
    let (socket, _) = plain();
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut ssl = ssl(context);
    ssl.set_hostname(HOST).expect("a name");
    ssl.param_mut().set_host(HOST).expect("a name");
    ssl.connect(Datagrams { socket, peer }).expect("a server")
}

fn ssl(context: &SslContext) -> Ssl {
    let mut ssl = Ssl::new(context).expect("OpenSSL");
    ssl.set_mtu(1400).expect("a size");
    ssl
}

fn context() -> SslContextBuilder {
    let mut builder = SslContext::builder(SslMethod::dtls()).expect("OpenSSL");
    builder.set_cipher_list("ECDHE-ECDSA-AES256-GCM-SHA384").expect("a suite");
    // The first is what both take; the second is the certificate's (RFC 8422 section 5.1.1).
    builder.set_groups_list("X25519:P-256").expect("a group");
    builder.set_options(SslOptions::NO_QUERY_MTU | SslOptions::NO_TICKET);
    builder
}

pub(super) fn server_context(material: &Material) -> SslContext {
    let mut builder = context();
    builder.set_options(SslOptions::COOKIE_EXCHANGE);
    // What the cookie says costs nothing; that there is one costs a round trip, as ours does.
    builder.set_cookie_generate_cb(|_, cookie| {
        cookie[..16].fill(7);
        Ok(16)
    });
    builder.set_cookie_verify_cb(|_, cookie| cookie == [7; 16]);
    builder.set_private_key_file(&material.key, SslFiletype::PEM).expect("a key");
    builder.set_certificate_chain_file(&material.chain).expect("a chain");
    builder.build()
}

pub(super) fn client_context(material: &Material) -> SslContext {
    let mut builder = context();
    builder.set_ca_file(&material.root).expect("an anchor");
    builder.set_verify(SslVerifyMode::PEER);
    builder.build()
}
