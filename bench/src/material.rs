//! The same certificates, cipher and group for all, and the configuration that each makes of them.
//!
//! ECDSA P-256 under one authority, AES-256-GCM, X25519MLKEM768; OpenSSL 3.0 has X25519 only.
//! Everything lies in files, so that a child process can be told of it.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use countersign::core::{ClientCertificates, PeerName};
use countersign::{Context, Policy};
use countersign_lab::{Authority, Leaf};
use countersign_tls::{Credential, TrustAnchors};
use openssl::ssl::{
    SslAcceptor, SslConnector, SslFiletype, SslMethod, SslOptions, SslVerifyMode, SslVersion,
};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Who proves a name, and whether each connection does so anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    Mutual,
    MutualResumed,
    ServerOnly,
    ServerOnlyResumed,
}

impl Proof {
    pub(crate) fn is_mutual(self) -> bool {
        matches!(self, Self::Mutual | Self::MutualResumed)
    }

    /// Whether sessions are resumed; else every handshake is a full one, whoever measures.
    pub(crate) fn is_resumed(self) -> bool {
        matches!(self, Self::MutualResumed | Self::ServerOnlyResumed)
    }
}

/// Sees to it that from the second connection on what is called resumed is, and nothing else.
#[derive(Debug)]
pub(crate) struct Sessions {
    is_expected: bool,
    is_first: Cell<bool>,
}

impl Sessions {
    pub(crate) fn of(proof: Proof) -> Self {
        Self { is_expected: proof.is_resumed(), is_first: Cell::new(true) }
    }

    pub(crate) fn check(&self, is_resumed: bool) -> io::Result<()> {
        let is_expected = self.is_expected && !self.is_first.replace(false);
        if is_resumed == is_expected {
            return Ok(());
        }
        let what = if is_resumed { "was resumed" } else { "was not resumed" };
        Err(io::Error::other(format!("a session {what}, against what is measured")))
    }
}

/// Where the certificates are.
#[derive(Debug)]
pub(crate) struct Material {
    /// Litter is removed, even though keys of a benchmark are worth nothing.
    _directory: Option<tempfile::TempDir>,
    pub(crate) at: PathBuf,
    /// The server's key, its chain, and both in one file.
    pub(crate) key: PathBuf,
    pub(crate) chain: PathBuf,
    pub(crate) both: PathBuf,
    pub(crate) root: PathBuf,
}

pub(crate) const HOST: &str = "db1.test";
pub(crate) const LOOPBACK: &str = "127.0.0.1:0";

impl Material {
    /// Makes certificates in a temporary directory.
    pub(crate) fn make() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let at = directory.path();
        let authority = Authority::new("bench");
        let server = authority.issue(Leaf::new().dns(HOST));
        server.write(at, "server")?;
        fs::write(at.join("both.pem"), [server.chain_pem(), server.key_pem()].concat())?;
        authority.issue(Leaf::new().dns("client.test")).write(at, "client")?;
        fs::write(at.join("root.pem"), authority.pem())?;
        Ok(Self { _directory: None, ..Self::open(at) }.keep(directory))
    }

    /// Takes certificates that another process has made.
    pub(crate) fn open(at: &Path) -> Self {
        Self {
            _directory: None,
            at: at.to_owned(),
            key: at.join("server.key"),
            chain: at.join("server.pem"),
            both: at.join("both.pem"),
            root: at.join("root.pem"),
        }
    }

    fn keep(mut self, directory: tempfile::TempDir) -> Self {
        self._directory = Some(directory);
        self
    }

    /// What our server shares between connections.
    pub(crate) fn our_server(&self, proof: Proof) -> Context {
        let certificates = match proof.is_mutual() {
            true => ClientCertificates::Require,
            false => ClientCertificates::None,
        };
        let policy = Policy::default()
            .with_client_certificates(certificates)
            .with_resumption(proof.is_resumed());
        let context = Context::builder().anchors(self.anchors()).policy(policy);
        context.credential(self.credential("server")).build().expect("a context")
    }

    /// What our client shares between connections.
    pub(crate) fn our_client(&self, proof: Proof) -> Context {
        let policy = Policy::default().with_resumption(proof.is_resumed());
        let mut context = Context::builder().anchors(self.anchors()).policy(policy);
        if proof.is_mutual() {
            context = context.credential(self.credential("client"));
        }
        context.build().expect("a context")
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::new(&chain(&self.root)).expect("an anchor")
    }

    fn credential(&self, stem: &str) -> Credential {
        let (chain, key) = self.identity(stem);
        Credential::new(chain, key).expect("a credential")
    }

    fn identity(&self, stem: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivateKeyDer::from_pem_file(self.at.join(format!("{stem}.key")));
        (chain(&self.at.join(format!("{stem}.pem"))), key.expect("a key"))
    }

    pub(crate) fn rustls_server(&self, proof: Proof) -> Arc<ServerConfig> {
        let provider = provider();
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3");
        let config = match proof.is_mutual() {
            true => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(self.roots().into(), provider);
                config.with_client_cert_verifier(verifier.build().expect("anchors"))
            }
            false => config.with_no_client_auth(),
        };
        let (chain, key) = self.identity("server");
        let mut config = config.with_single_cert(chain, key).expect("a certificate");
        if !proof.is_resumed() {
            // A full handshake each time, as with the others: nobody comes back with a ticket.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Arc::new(config)
    }

    pub(crate) fn rustls_client(&self, proof: Proof) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(self.roots());
        let mut config = match proof.is_mutual() {
            true => {
                let (chain, key) = self.identity("client");
                config.with_client_auth_cert(chain, key).expect("a certificate")
            }
            false => config.with_no_client_auth(),
        };
        if !proof.is_resumed() {
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        for certificate in chain(&self.root) {
            roots.add(certificate).expect("an anchor");
        }
        roots
    }

    pub(crate) fn openssl_server(&self, proof: Proof) -> SslAcceptor {
        let mut builder = SslAcceptor::mozilla_modern_v5(SslMethod::tls()).expect("OpenSSL");
        builder.set_ciphersuites("TLS_AES_256_GCM_SHA384").expect("a suite");
        builder.set_groups_list("X25519").expect("a group");
        builder.set_private_key_file(&self.key, SslFiletype::PEM).expect("a key");
        builder.set_certificate_chain_file(&self.chain).expect("a chain");
        builder.set_options(SslOptions::NO_TICKET);
        builder.set_num_tickets(0).expect("no tickets");
        if proof.is_mutual() {
            builder.set_ca_file(&self.root).expect("an anchor");
            builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        builder.build()
    }

    pub(crate) fn openssl_client(&self, proof: Proof) -> SslConnector {
        let mut builder = SslConnector::builder(SslMethod::tls()).expect("OpenSSL");
        builder.set_min_proto_version(Some(SslVersion::TLS1_3)).expect("TLS 1.3");
        builder.set_ciphersuites("TLS_AES_256_GCM_SHA384").expect("a suite");
        builder.set_groups_list("X25519").expect("a group");
        builder.set_ca_file(&self.root).expect("an anchor");
        if proof.is_mutual() {
            let (key, chain) = (self.at.join("client.key"), self.at.join("client.pem"));
            builder.set_private_key_file(key, SslFiletype::PEM).expect("a key");
            builder.set_certificate_chain_file(chain).expect("a chain");
        }
        builder.build()
    }
}

/// The name that all clients ask for.
pub(crate) fn asked() -> PeerName {
    HOST.parse().expect("a name")
}

fn chain(file: &Path) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_file_iter(file).expect("a file of ours");
    certificates.map(|certificate| certificate.expect("a certificate of ours")).collect()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}
