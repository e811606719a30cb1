//! A peer made of libssl alone, which says inside its records whatever a test wants.

#![expect(unsafe_code, reason = "the openssl crate does not offer what honest peers never do")]

use std::collections::VecDeque;
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use countersign_tls::{Credential, PROOF_PROTOCOL};
use foreign_types::ForeignTypeRef;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

use crate::net::Net;

/// A client, or the server that one of our clients meets.
pub(crate) struct Stranger {
    pub(crate) address: SocketAddr,
    /// The host that it talks to.
    host: usize,
    stream: SslStream<Pipe>,
    /// How much of what was sent on the network it has seen.
    seen: usize,
    is_done: bool,
    /// The plaintext of records that it was sent.
    pub(crate) heard: Vec<Vec<u8>>,
    /// Why it is over, if it is.
    pub(crate) end: Option<openssl::ssl::Error>,
}

#[derive(Debug, Default)]
struct Pipe {
    arrived: VecDeque<Vec<u8>>,
    leaving: Vec<Vec<u8>>,
}

/// What is special about it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Oddity {
    /// What it offers as a client.
    pub(crate) offers: &'static [&'static [u8]],
    /// What it chooses as a server, offered or not.
    pub(crate) chooses: Option<&'static [u8]>,
    pub(crate) lacks_extended_master_secret: bool,
}

/// One that offers and takes proofs.
pub(crate) const OFFERING: Oddity = Oddity {
    offers: Stranger::OFFER,
    chooses: Some(b"countersign-krb5/1"),
    lacks_extended_master_secret: false,
};

/// `SSL_OP_NO_EXTENDED_MASTER_SECRET` of <openssl/ssl.h>.
const NO_EXTENDED_MASTER_SECRET: u64 = 1;

impl Stranger {
    pub(crate) const OFFER: &'static [&'static [u8]] = &[PROOF_PROTOCOL];

    /// A client without a certificate, that believes everybody.
    pub(crate) fn client(address: &str, host: usize, oddity: Oddity) -> Self {
        let mut context = context(SslMethod::dtls_client(), oddity);
        if !oddity.offers.is_empty() {
            let list = |it: &&[u8]| [&[u8::try_from(it.len()).unwrap()], *it].concat();
            let wire: Vec<u8> = oddity.offers.iter().flat_map(list).collect();
            context.set_alpn_protos(&wire).unwrap();
        }
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_connect_state();
        Self::new(address, host, ssl)
    }

    /// A server with this certificate.
    pub(crate) fn server(address: &str, host: usize, own: &Credential, oddity: Oddity) -> Self {
        let mut context = context(SslMethod::dtls_server(), oddity);
        context.set_certificate(&X509::from_der(&own.chain()[0]).unwrap()).unwrap();
        let key = PKey::private_key_from_der(own.secret_der()).unwrap();
        context.set_private_key(&key).unwrap();
        if let Some(chosen) = oddity.chooses {
            context.set_alpn_select_callback(move |_, _| Ok(chosen));
        }
        let mut ssl = Ssl::new(&context.build()).unwrap();
        ssl.set_accept_state();
        Self::new(address, host, ssl)
    }

    fn new(address: &str, host: usize, mut ssl: Ssl) -> Self {
        ssl.set_mtu(1400).unwrap();
        let stream = SslStream::new(ssl, Pipe::default()).unwrap();
        Self {
            address: address.parse().unwrap(),
            host,
            stream,
            seen: 0,
            is_done: false,
            heard: Vec::new(),
            end: None,
        }
    }

    /// Begins a second handshake inside the association.
    pub(crate) fn renegotiate(&mut self, net: &mut Net) {
        let ssl = self.stream.ssl().as_ptr();
        // SAFETY: the pointer is valid, and the stream is borrowed exclusively.
        assert_eq!(unsafe { SSL_renegotiate(ssl) }, 1);
        let _under_way = self.stream.do_handshake();
        self.flush(net);
    }

    /// Comes as far as it can; returns whether the handshake is done.
    pub(crate) fn meet(&mut self, net: &mut Net) -> bool {
        if self.is_client() {
            self.seen = net.tape.len();
        }
        for _ in 0..8 {
            self.listen(net);
        }
        self.is_done && self.end.is_none()
    }

    /// Says this in one record.
    pub(crate) fn say(&mut self, net: &mut Net, plain: &[u8]) {
        self.stream.ssl_write(plain).unwrap();
        self.flush(net);
    }

    /// Seals this in one record, and does not send it.
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.stream.ssl_write(plain).unwrap();
        self.stream.get_mut().leaving.pop().unwrap()
    }

    /// What a proof would be bound to.
    pub(crate) fn binding(&self) -> [u8; 32] {
        let mut exported = [0; 32];
        let label = "EXPORTER-Channel-Binding";
        self.stream.ssl().export_keying_material(&mut exported, label, Some(&[])).unwrap();
        exported
    }

    pub(crate) fn has_agreed(&self) -> bool {
        self.stream.ssl().selected_alpn_protocol() == Some(PROOF_PROTOCOL)
    }

    /// Returns whether a handshake is under way.
    pub(crate) fn is_in_handshake(&self) -> bool {
        !self.stream.ssl().is_init_finished()
    }

    /// Takes what was sent to it.
    pub(crate) fn listen(&mut self, net: &mut Net) {
        let fresh: Vec<_> = net.tape[self.seen..].to_vec();
        self.seen = net.tape.len();
        let mine = fresh.into_iter().filter(|(_, to, _)| *to == self.address);
        self.stream.get_mut().arrived.extend(mine.map(|(_, _, datagram)| datagram));
        if !self.is_done {
            match self.stream.do_handshake() {
                Ok(()) => self.is_done = true,
                Err(error) if error.io_error().is_some() => {}
                Err(error) => self.end = Some(error),
            }
        }
        while self.is_done && self.end.is_none() {
            let mut plain = [0; 1 << 14];
            match self.stream.ssl_read(&mut plain) {
                Ok(count) => self.heard.push(plain[..count].to_vec()),
                Err(error) if error.io_error().is_some() => break,
                Err(error) if error.code() == openssl::ssl::ErrorCode::WANT_READ => break,
                Err(error) => self.end = Some(error),
            }
        }
        self.flush(net);
    }

    fn is_client(&self) -> bool {
        !self.stream.ssl().is_server()
    }

    fn flush(&mut self, net: &mut Net) {
        for datagram in std::mem::take(&mut self.stream.get_mut().leaving) {
            net.inject(self.address, self.host, &datagram);
        }
    }
}

fn context(method: SslMethod, oddity: Oddity) -> SslContextBuilder {
    let mut context = SslContext::builder(method).unwrap();
    context.set_max_proto_version(Some(SslVersion::DTLS1_2)).unwrap();
    context.set_verify(SslVerifyMode::NONE);
    context.set_options(SslOptions::NO_QUERY_MTU);
    if oddity.lacks_extended_master_secret {
        context.set_options(SslOptions::from_bits_retain(NO_EXTENDED_MASTER_SECRET));
    }
    context
}

unsafe extern "C" {
    fn SSL_renegotiate(ssl: *mut openssl_sys::SSL) -> c_int;
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.arrived.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        into[..datagram.len()].copy_from_slice(&datagram);
        Ok(datagram.len())
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.leaving.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
