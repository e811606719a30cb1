//! Everything about TLS that connections share: built once for each generation of files.

use std::sync::Arc;

use countersign_core::{Policy, Timestamp};
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::server::{NoServerSessionStorage, WantsServerCert};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::UnixTime;

use crate::credential::{Credential, TrustAnchors};
use crate::exporter::Capture;
use crate::provider::provider;
use crate::verify::Verifier;
use crate::{scope, withhold};

/// The protocol by which two ends agree on a proof inside the connection (ALPN, RFC 7301).
pub const PROOF_PROTOCOL: &[u8] = b"countersign-krb5/1";

/// What all clients of one generation share.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// TLS 1.2 may come out of it.
    pub(crate) is_lax: bool,
    pub(crate) plain: Arc<rustls::ClientConfig>,
    /// The same, but it offers a proof inside the connection.
    pub(crate) proving: Arc<rustls::ClientConfig>,
}

impl ClientConfig {
    /// Builds it; the credential, if any, is shown to servers that ask for one, after they have
    /// proved their name by a certificate.
    ///
    /// # Panics
    ///
    /// Never: the provider supports the versions asked for.
    pub fn new(policy: &Policy, anchors: &TrustAnchors, credential: Option<&Credential>) -> Self {
        let verifier = Arc::new(Verifier::new(anchors.clone()));
        let builder = client_builder(policy).dangerous().with_custom_certificate_verifier(verifier);
        let mut plain = match credential {
            Some(credential) => builder.with_client_cert_resolver(resolver(credential)),
            None => builder.with_no_client_auth(),
        };
        plain.resumption = Resumption::disabled();
        plain.require_ems = true;
        plain.enable_secret_extraction = true;
        plain.key_log = Arc::new(Capture);
        let mut proving = plain.clone();
        proving.alpn_protocols = vec![PROOF_PROTOCOL.to_vec()];
        if let Some(credential) = credential {
            proving.client_auth_cert_resolver = withhold::resolver(credential);
        }
        let is_lax = policy.allows_tls12();
        Self { is_lax, plain: Arc::new(plain), proving: Arc::new(proving) }
    }

    /// Returns the same for clients that show no certificate, whoever asks for one: for a second
    /// connection after [`HandshakeError::CertificateWithheld`](countersign_core::HandshakeError).
    #[must_use]
    pub fn without_certificate(&self) -> Self {
        let bare = |config: &Arc<rustls::ClientConfig>| {
            let mut config = rustls::ClientConfig::clone(config);
            config.client_auth_cert_resolver = withhold::nothing();
            Arc::new(config)
        };
        Self { is_lax: self.is_lax, plain: bare(&self.plain), proving: bare(&self.proving) }
    }
}

/// What all connections to a listener of one generation share.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// TLS 1.2 may come out of the plain one.
    pub(crate) is_lax: bool,
    /// For clients that know us by our certificate.
    pub(crate) plain: Option<Arc<rustls::ServerConfig>>,
    /// For clients that offer a proof inside the connection.
    pub(crate) proving: Arc<rustls::ServerConfig>,
}

impl ServerConfig {
    /// Builds it.
    ///
    /// # Panics
    ///
    /// Never: the provider supports the versions asked for.
    pub fn new(policy: &Policy, anchors: &TrustAnchors, credential: &Credential) -> Self {
        let verifier = || Arc::new(Verifier::new(anchors.clone()));
        let plain = server_builder(versions(policy)).with_client_cert_verifier(verifier());
        let proving = server_builder(TLS13_ONLY).with_client_cert_verifier(verifier());
        Self {
            is_lax: policy.allows_tls12(),
            plain: Some(Arc::new(server(plain, credential))),
            proving: Arc::new(proves(server(proving, credential))),
        }
    }

    /// Builds it for a server that has no certificate whose name anyone would believe: clients that
    /// do not offer a proof inside the connection are refused.
    ///
    /// It asks nobody for a certificate: who shows his to a server that has not proved its name tells
    /// a stranger who he is, and clients of ours would rather end the connection.
    ///
    /// # Panics
    ///
    /// Never: the provider supports TLS 1.3.
    pub fn for_proofs_only(credential: &Credential) -> Self {
        let builder = server_builder(TLS13_ONLY).with_no_client_auth();
        let proving = Arc::new(proves(server(builder, credential)));
        Self { is_lax: false, plain: None, proving }
    }

    /// Returns whether it serves clients that know us by our certificate.
    pub fn proves_by_certificate(&self) -> bool {
        self.plain.is_some()
    }
}

/// Agrees on a proof inside the connection.
fn proves(mut config: rustls::ServerConfig) -> rustls::ServerConfig {
    config.alpn_protocols = vec![PROOF_PROTOCOL.to_vec()];
    config
}

fn server(
    builder: rustls::ConfigBuilder<rustls::ServerConfig, WantsServerCert>,
    credential: &Credential,
) -> rustls::ServerConfig {
    let mut config = builder.with_cert_resolver(resolver(credential));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.require_ems = true;
    config.enable_secret_extraction = true;
    config.key_log = Arc::new(Capture);
    config
}

fn client_builder(
    policy: &Policy,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier> {
    rustls::ClientConfig::builder_with_details(provider(), Arc::new(ScopedTime))
        .with_protocol_versions(versions(policy))
        .expect("the provider has suites and groups for TLS 1.2 and 1.3")
}

fn server_builder(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier> {
    rustls::ServerConfig::builder_with_details(provider(), Arc::new(ScopedTime))
        .with_protocol_versions(versions)
        .expect("the provider has suites and groups for TLS 1.2 and 1.3")
}

fn versions(policy: &Policy) -> &'static [&'static SupportedProtocolVersion] {
    const LAX: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    if policy.allows_tls12() { LAX } else { TLS13_ONLY }
}

/// Proofs inside the connection are bound to it by the exporter of TLS 1.3 (RFC 9266).
const TLS13_ONLY: &[&SupportedProtocolVersion] = &[&TLS13];

fn resolver(credential: &Credential) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(rustls::sign::CertifiedKey::clone(&credential.key)))
}

/// Time as the caller gives it; outside of a call there is none.
#[derive(Debug)]
struct ScopedTime;

impl TimeProvider for ScopedTime {
    fn current_time(&self) -> Option<UnixTime> {
        scope::now().map(|now: Timestamp| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_secs()))
        })
    }
}
