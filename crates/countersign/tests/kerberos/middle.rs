//! A machine in the middle that ends TLS on both sides and passes the proof on. On both it speaks
//! our protocol; it has a certificate, and no key of the realm.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as Plain, TcpStream as PlainStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, KerberosFailure, KerberosRefusal};
use countersign_lab::{Authority, Leaf};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::world::{SERVICE, Server, asking, context, failure, in_realm, round_trip, serving};

const PROTOCOL: &[u8] = b"countersign-krb5/1";

/// Believes everybody.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(crate) fn as_client() -> Connection {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let mut config = builder
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    ClientConnection::new(Arc::new(config), "db1.example.test".try_into().unwrap()).unwrap().into()
}

fn as_server() -> Connection {
    let issued = Authority::new("mallory").issue(Leaf::new().dns("db1.example.test"));
    let provider = default_provider();
    let key = provider.key_provider.load_private_key(issued.key.clone_key()).unwrap();
    let shown = CertifiedKey::new(issued.chain.clone(), key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    ServerConnection::new(Arc::new(config)).unwrap().into()
}

/// One side of the relay.
struct Leg {
    tls: Connection,
    socket: PlainStream,
    is_over: bool,
}

impl Leg {
    fn new(tls: Connection, socket: PlainStream) -> Self {
        socket.set_nonblocking(true).unwrap();
        Self { tls, socket, is_over: false }
    }

    /// Moves what there is, and returns the plaintext that came.
    fn turn(&mut self) -> Vec<u8> {
        let mut plain = Vec::new();
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
        match self.tls.read_tls(&mut self.socket) {
            Ok(0) => self.is_over = true,
            Ok(_) => {
                self.is_over |= self.tls.process_new_packets().is_err();
                let _ = self.tls.reader().read_to_end(&mut plain);
            }
            Err(_) => {}
        }
        plain
    }
}

/// Stands between one client and the server, and returns what it overheard.
fn relay(server: SocketAddr) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
    let listener = Plain::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (victim, _) = listener.accept().unwrap();
        let mut left = Leg::new(as_server(), victim);
        let mut right = Leg::new(as_client(), PlainStream::connect(server).unwrap());
        let mut heard = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !left.is_over && Instant::now() < deadline {
            let forth = left.turn();
            let _ = right.tls.writer().write(&forth);
            let back = right.turn();
            let _ = left.tls.writer().write(&back);
            heard.extend(forth);
            thread::sleep(Duration::from_millis(1));
        }
        heard
    });
    (address, thread)
}

#[test]
fn relaying_the_proof_fails_on_both_sides() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
        // The way is good without the machine.
        round_trip(&server.meet(&client, SERVICE).unwrap());
        server.saw().unwrap();

        let (address, relay) = relay(server.address);
        let met = countersign::TcpStream::connect_with(&client, address, &SERVICE.parse().unwrap());
        let why = failure(met);
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::BindingMismatch, .. }
            ),
            "{why}"
        );
        let theirs = server.saw().unwrap_err();
        assert_eq!(theirs, HandshakeError::Kerberos(KerberosFailure::BindingMismatch));
        let heard = relay.join().unwrap();
        assert!(!heard.is_empty(), "it did take part");
        let text = String::from_utf8_lossy(&heard);
        assert!(!text.contains("alice"), "who the client is stays in the ticket");
    });
}

#[test]
fn a_machine_in_the_middle_that_only_takes_the_offer_gets_nothing() {
    in_realm(|realm| {
        let listener = Plain::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mallory = thread::spawn(move || {
            let mut heard = Vec::new();
            for answer in [&b""[..], b"\0\0\0\x01T", b"\xff\xff\xff\xff", b"welcome"] {
                let mut leg = Leg::new(as_server(), listener.accept().unwrap().0);
                let mut is_answered = false;
                let deadline = Instant::now() + Duration::from_secs(10);
                while !leg.is_over && Instant::now() < deadline {
                    let came = leg.turn();
                    if !came.is_empty() && !is_answered {
                        let _ = leg.tls.writer().write(answer);
                        if answer.is_empty() {
                            leg.tls.send_close_notify();
                        }
                        is_answered = true;
                    }
                    heard.extend(came);
                    thread::sleep(Duration::from_millis(1));
                }
            }
            heard
        });
        let policy = asking(realm, "alice", "client = 'prefer'\n");
        let client = context(&format!("{policy}[limits]\nhandshake-timeout-ms = 1000\n"));
        for _ in 0..4 {
            let met =
                countersign::TcpStream::connect_with(&client, address, &SERVICE.parse().unwrap());
            let error = met.unwrap_err();
            assert!(matches!(error, countersign::Error::Handshake { .. }), "{error}");
        }
        assert!(!mallory.join().unwrap().is_empty());
    });
}
