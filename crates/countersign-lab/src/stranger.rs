//! A peer that does not keep our rules: rustls with whatever configuration a test wants, which
//! shows certificates that our side would not, offers versions and groups that it does not, and
//! remembers sessions.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use countersign_core::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, Connection, Error, HandshakeKind, RootCertStore, ServerConfig,
    ServerConnection, SupportedProtocolVersion,
};
use rustls_pki_types::ServerName;

use crate::{Authority, End, Issued};

/// One end of a conversation that is played by rustls without us. It lives by the clock of this
/// host, whatever time its pair keeps.
#[derive(Debug)]
pub struct Stranger {
    connection: Connection,
    is_secured: bool,
    failure: Option<Error>,
}

impl Stranger {
    /// Makes a server.
    ///
    /// # Panics
    ///
    /// If rustls refuses the configuration.
    pub fn server(config: impl Into<Arc<ServerConfig>>) -> Self {
        let connection = ServerConnection::new(config.into()).expect("the configuration is whole");
        Self::new(connection.into())
    }

    /// Makes a client that asks for `host`.
    ///
    /// # Panics
    ///
    /// If rustls refuses the configuration or the name.
    pub fn client(config: impl Into<Arc<ClientConfig>>, host: &str) -> Self {
        let host = ServerName::try_from(host.to_owned()).expect("the test writes a host");
        let connection =
            ClientConnection::new(config.into(), host).expect("the configuration is whole");
        Self::new(connection.into())
    }

    /// Makes a server with rustls' defaults, which shows this whatever it says.
    pub fn showing(issued: &Issued) -> Self {
        Self::server(Self::server_config(
            issued,
            aws_lc_rs::default_provider(),
            rustls::ALL_VERSIONS,
        ))
    }

    /// Returns the configuration of a server that shows this and asks for no certificate.
    ///
    /// # Panics
    ///
    /// If the provider and the versions do not fit, or the key is of no use.
    pub fn server_config(
        issued: &Issued,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let key = provider.key_provider.load_private_key(issued.key.clone_key());
        let shown = CertifiedKey::new(issued.chain.clone(), key.expect("the key is of use"));
        ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the provider has what the versions need")
            .with_no_client_auth()
            // Not `with_single_cert`, which would look at what is shown.
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
    }

    /// Returns the configuration of a client that believes this authority and shows, if anything,
    /// this.
    ///
    /// # Panics
    ///
    /// If the provider and the versions do not fit, or the key is of no use.
    pub fn client_config(
        authority: &Authority,
        shown: Option<&Issued>,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).expect("the root is a certificate");
        let shown = shown.map(|issued| {
            let key = provider.key_provider.load_private_key(issued.key.clone_key());
            CertifiedKey::new(issued.chain.clone(), key.expect("the key is of use"))
        });
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the provider has what the versions need")
            .with_root_certificates(roots);
        match shown {
            Some(shown) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
            None => builder.with_no_client_auth(),
        }
    }

    /// Returns how many tickets for a later session it has been sent.
    pub fn tickets(&self) -> u32 {
        match &self.connection {
            Connection::Client(client) => client.tls13_tickets_received(),
            Connection::Server(_) => 0,
        }
    }

    fn new(connection: Connection) -> Self {
        Self { connection, is_secured: false, failure: None }
    }

    fn fail(&mut self, error: Error) -> Error {
        self.failure = Some(error.clone());
        error
    }
}

impl End for Stranger {
    type Secured = HandshakeKind;
    type Failure = Error;

    fn handle_input(&mut self, mut wire: &[u8], _now: Timestamp) -> Result<usize, Error> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let taken = self.connection.read_tls(&mut wire).unwrap_or(0);
        match self.connection.process_new_packets() {
            Ok(_) => Ok(taken),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn handle_end_of_input(&mut self) -> Result<(), Error> {
        let closed =
            self.connection.process_new_packets().is_ok_and(|state| state.peer_has_closed());
        if closed { Ok(()) } else { Err(self.fail(Error::General("truncated".to_owned()))) }
    }

    fn poll(&mut self, _now: Timestamp) -> Result<Option<HandshakeKind>, Error> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        if self.is_secured || self.connection.is_handshaking() {
            return Ok(None);
        }
        self.is_secured = true;
        Ok(self.connection.handshake_kind())
    }

    fn seal(&mut self, plain: &[u8]) -> usize {
        if self.is_secured { self.connection.writer().write(plain).unwrap_or(0) } else { 0 }
    }

    fn open(&mut self, plain: &mut Vec<u8>) -> Result<bool, Error> {
        match self.connection.reader().read_to_end(plain) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.failure.clone().map_or(Ok(false), Err)
            }
            Err(error) => Err(Error::General(error.to_string())),
        }
    }

    fn transmit(&mut self, wire: &mut Vec<u8>) {
        while self.connection.wants_write() {
            self.connection.write_tls(wire).expect("memory takes everything");
        }
    }

    fn close(&mut self) {
        self.connection.send_close_notify();
    }
}
