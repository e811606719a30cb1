//! Clients with a certificate and a ticket: a machine, and who uses it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as Plain};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{
    HandshakeError, KerberosFailure, Proof, SecurityFlags, SecurityProtocol, SecuritySettings,
};
use countersign::{Error, Socket};
use countersign_lab::{Authority, Issued, Leaf, Realm};
use countersign_sys::wait;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::world::{
    PATIENCE, ROOT, SERVICE, Server, asking, context, in_realm, peer, round_trip, serving, showing,
};

fn laptop() -> Issued {
    ROOT.issue(Leaf::new().dns("laptop.example.test"))
}

/// A server that has a certificate, which clients do not believe, and asks for theirs.
fn unbelieved(realm: &Realm, more: &str) -> Server {
    let own = Authority::new("own").issue(Leaf::new().dns("db1.example.test"));
    Server::start(&showing(&serving(realm, more), &own))
}

#[test]
fn a_server_with_nothing_but_a_keytab_serves_a_machine_with_a_certificate() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        for policy in ["", "client = 'prefer'\n"] {
            let client = showing(&asking(realm, "alice", policy), &laptop());
            let stream = server.meet(&client, SERVICE).unwrap();
            round_trip(&stream);
            // In one connection: the server did not ask.
            let theirs = server.saw().unwrap();
            assert_eq!(peer(&theirs), "alice@EXAMPLE.TEST by Kerberos ticket");
            assert_eq!(theirs.names().len(), 1);
        }
        assert!(server.saw_nobody());
    });
}

#[test]
fn our_certificate_stays_back_and_the_ticket_does() {
    in_realm(|realm| {
        for policy in
            ["", "client = 'prefer'\n", "client = 'prefer'\n[tls]\ndanger-allow-tls12 = true"]
        {
            let server = unbelieved(realm, "");
            let client = showing(&asking(realm, "alice", policy), &laptop());
            let stream = server.meet(&client, SERVICE).unwrap();
            assert_eq!(stream.evidence().unwrap().names().len(), 1);
            round_trip(&stream);
            // It is told why it does not get the certificate, and then gets none.
            let first = server.saw().unwrap_err();
            let refused = HandshakeError::RefusedByPeer { alert: "unknown_ca".to_owned() };
            assert_eq!(first, refused);
            let theirs = server.saw().unwrap();
            assert_eq!(peer(&theirs), "alice@EXAMPLE.TEST by Kerberos ticket");
            assert!(theirs.machine().is_none());
        }
    });
}

#[test]
fn a_password_is_used_again_on_the_second_connection() {
    crate::world::in_own_realm(
        |kdc| kdc.administer("addprinc -pw correct-horse carol\n"),
        |realm| {
            let server = unbelieved(realm, "");
            let client = showing("", &laptop());
            let (user, domain) = ("carol".to_owned(), "EXAMPLE.TEST".to_owned());
            let password = "correct-horse".to_owned();
            let credentials = countersign::core::Credentials::new(user, domain, password);
            let settings = SecuritySettings::default().with_credentials(credentials);
            let mut socket = Socket::stream(&client, server.address).unwrap();
            socket.set_security(Some(settings)).unwrap();
            socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
            socket.connect(server.address).unwrap();
            round_trip(&socket.into_stream().unwrap());
            server.saw().unwrap_err();
            assert_eq!(peer(&server.saw().unwrap()), "carol@EXAMPLE.TEST by Kerberos ticket");
        },
    );
}

#[test]
fn a_rule_that_needs_the_machine_says_so() {
    in_realm(|realm| {
        let rule = "[[allow]]\npeers = ['laptop.example.test']\n";
        let believed = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let server = Server::start(&showing(&serving(realm, rule), &believed));
        let client = showing(&asking(realm, "alice", ""), &laptop());
        round_trip(&server.meet(&client, SERVICE).unwrap());
        let theirs = server.saw().unwrap();
        assert_eq!(theirs.machine().unwrap().proof(), Proof::CertificateDnsName);

        let server = unbelieved(realm, rule);
        crate::world::failure(server.meet(&client, SERVICE));
        server.saw().unwrap_err();
        let why = server.saw().unwrap_err().to_string();
        let expected = "alice@EXAMPLE.TEST is not allowed here: allowed are host/laptop";
        assert!(why.starts_with(expected), "{why}");
    });
}

#[test]
fn a_non_blocking_client_comes_back_too() {
    in_realm(|realm| {
        let server = unbelieved(realm, "");
        let client = showing(&asking(realm, "alice", ""), &laptop());
        let mut socket = Socket::stream(&client, server.address).unwrap();
        socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut result = socket.connect(server.address);
        let mut waits = 0;
        while let Err(error) = result {
            assert!(error.is_would_block(), "{error}");
            waits += 1;
            assert!(waits < 100, "it spins");
            for interest in socket.interest() {
                wait(socket.descriptor().unwrap(), *interest, Some(deadline)).unwrap();
            }
            result = socket.finish_connect();
        }
        socket.set_nonblocking(false).unwrap();
        round_trip(&socket.into_stream().unwrap());
    });
}

#[test]
fn a_client_on_tokio_comes_back_too() {
    use countersign::tokio::TcpStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    in_realm(|realm| {
        let server = unbelieved(realm, "");
        let client = showing(&asking(realm, "alice", "client = 'prefer'\n"), &laptop());
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let name = SERVICE.parse().unwrap();
            let mut stream = TcpStream::connect_with(&client, server.address, &name).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            let mut back = [0; 5];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"hello");
        });
        server.saw().unwrap_err();
        assert_eq!(peer(&server.saw().unwrap()), "alice@EXAMPLE.TEST by Kerberos ticket");
    });
}

/// Takes whatever certificate a client shows.
#[derive(Debug)]
struct Curious;

impl ClientCertVerifier for Curious {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Mallory, who has no key of the realm, answers clients with an own certificate and asks for
/// theirs; returns what came of each.
fn mallory(listener: Plain, clients: usize) -> thread::JoinHandle<Vec<Option<usize>>> {
    thread::spawn(move || (0..clients).map(|_| mallory_once(&listener)).collect())
}

/// The same for one client.
fn mallory_once(listener: &Plain) -> Option<usize> {
    let config = {
        let issued = Authority::new("mallory").issue(Leaf::new().dns("db1.example.test"));
        let provider = Arc::new(default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Curious))
            .with_single_cert(issued.chain.clone(), issued.key.clone_key())
            .unwrap();
        config.alpn_protocols = vec![b"countersign-krb5/1".to_vec()];
        Arc::new(config)
    };
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = rustls::ServerConnection::new(config).unwrap();
    while tls.is_handshaking() && tls.complete_io(&mut socket).is_ok() {}
    tls.peer_certificates().map(<[_]>::len)
}

#[test]
fn who_cannot_prove_itself_sees_no_certificate_on_either_connection() {
    in_realm(|realm| {
        for policy in ["", "client = 'prefer'\n"] {
            let listener = Plain::bind("127.0.0.1:0").unwrap();
            let address: SocketAddr = listener.local_addr().unwrap();
            let mallory = mallory(listener, 2);
            let limits = format!("{policy}[limits]\nhandshake-timeout-ms = 3000\n");
            let client = showing(&asking(realm, "alice", &limits), &laptop());
            let name = SERVICE.parse().unwrap();
            let error = countersign::TcpStream::connect_with(&client, address, &name).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Handshake {
                        source: HandshakeError::Truncated
                            | HandshakeError::Kerberos(KerberosFailure::TimedOut { .. })
                            | HandshakeError::TimedOut { .. },
                        ..
                    }
                ),
                "{error}"
            );
            assert_eq!(mallory.join().unwrap(), [None, None]);
        }
    });
}

/// Who has agreed on a proof can do security, whatever it says on the second connection.
#[test]
fn who_takes_the_offer_first_does_not_get_cleartext_on_the_second_connection() {
    in_realm(|realm| {
        let listener = Plain::bind("127.0.0.1:0").unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let mallory = thread::spawn(move || {
            assert_eq!(mallory_once(&listener), None);
            let (mut second, _) = listener.accept().unwrap();
            second.write_all(b"220 hello\r\n").unwrap();
            let _ = second.read(&mut [0; 1024]);
            drop(second);
            listener.set_nonblocking(true).unwrap();
            thread::sleep(Duration::from_millis(200));
            assert!(listener.accept().is_err(), "it came a third time, in clear");
        });
        let policy = asking(realm, "alice", "client = 'prefer'\n");
        let client = showing(&policy, &laptop());
        let insecure =
            SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::ALLOW_INSECURE);
        let mut socket = Socket::stream(&client, address).unwrap();
        socket.set_security(Some(insecure.unwrap())).unwrap();
        socket.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
        let error = socket.connect(address).unwrap_err();
        assert!(
            matches!(error, Error::Handshake { source: HandshakeError::NotTls { .. }, .. }),
            "{error}"
        );
        mallory.join().unwrap();
    });
}
