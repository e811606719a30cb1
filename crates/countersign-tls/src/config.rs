//! Everything about TLS that connections share: built once for each generation of files.

use std::sync::Arc;

use countersign_core::{Policy, Timestamp};
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::UnixTime;

use crate::credential::{Credential, TrustAnchors};
use crate::provider::provider;
use crate::scope;
use crate::verify::Verifier;

/// What all clients of one generation share.
#[derive(Clone, Debug)]
pub struct ClientConfig(pub(crate) Arc<rustls::ClientConfig>);

impl ClientConfig {
    /// Builds it; the credential, if any, is shown to servers that ask for one, after they have
    /// proved their name.
    ///
    /// # Panics
    ///
    /// Never: the provider supports the versions asked for.
    pub fn new(policy: &Policy, anchors: &TrustAnchors, credential: Option<&Credential>) -> Self {
        let verifier = Arc::new(Verifier::new(anchors.clone()));
        let builder = client_builder(policy).dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match credential {
            Some(credential) => builder.with_client_cert_resolver(resolver(credential)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.require_ems = true;
        Self(Arc::new(config))
    }
}

/// What all connections to a listener of one generation share.
#[derive(Clone, Debug)]
pub struct ServerConfig(pub(crate) Arc<rustls::ServerConfig>);

impl ServerConfig {
    /// Builds it.
    ///
    /// # Panics
    ///
    /// Never: the provider supports the versions asked for.
    pub fn new(policy: &Policy, anchors: &TrustAnchors, credential: &Credential) -> Self {
        let verifier = Arc::new(Verifier::new(anchors.clone()));
        let mut config = server_builder(policy)
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver(credential));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.require_ems = true;
        Self(Arc::new(config))
    }
}

fn client_builder(
    policy: &Policy,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::WantsVerifier> {
    rustls::ClientConfig::builder_with_details(provider(), Arc::new(ScopedTime))
        .with_protocol_versions(versions(policy))
        .expect("the provider has suites and groups for TLS 1.2 and 1.3")
}

fn server_builder(
    policy: &Policy,
) -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::WantsVerifier> {
    rustls::ServerConfig::builder_with_details(provider(), Arc::new(ScopedTime))
        .with_protocol_versions(versions(policy))
        .expect("the provider has suites and groups for TLS 1.2 and 1.3")
}

fn versions(policy: &Policy) -> &'static [&'static SupportedProtocolVersion] {
    const STRICT: &[&SupportedProtocolVersion] = &[&TLS13];
    const LAX: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    if policy.allows_tls12() { LAX } else { STRICT }
}

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
