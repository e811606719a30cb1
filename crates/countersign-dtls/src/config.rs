//! Everything about DTLS that associations share: built once for each generation of files.

use std::fmt;
use std::sync::Arc;

use countersign_core::HandshakeError;
use countersign_tls::{Credential, TrustAnchors};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslOptions, SslSessionCacheMode, SslVersion,
};
use openssl::x509::X509;

use crate::error::our_side;
use crate::{gate, libssl, verdict};

/// What all associations of one generation share. Cheap to clone.
#[derive(Clone)]
pub struct Config {
    shared: Arc<Shared>,
}

struct Shared {
    client: SslContext,
    server: Option<SslContext>,
    anchors: TrustAnchors,
    mtu: u16,
    proves_by_certificate: bool,
}

/// AES-GCM with a key exchange of its own for each session, and nothing else: no peer needs more,
/// and that all records have one shortest length is what keeps short ones from libssl (`shape`).
const SUITES: &str = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
     ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
const GROUPS: &str = "X25519:P-256:P-384";
const SIGNATURES: &str = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:\
     rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:\
     RSA+SHA256:RSA+SHA384:RSA+SHA512";
/// The longest chain of a peer, in bytes and in certificates between leaf and anchor.
const MAX_CHAIN: u16 = 16 * 1024;
const MAX_CHAIN_DEPTH: u32 = 8;

impl Config {
    /// The largest UDP payload that is sent if nobody says otherwise: it passes unfragmented
    /// through Ethernet with a tunnel or two.
    pub const DEFAULT_MTU: u16 = 1400;
    /// The smallest that can be asked for: a hello with the longest name is still one datagram, as
    /// it must be, since a gate that keeps nothing cannot put pieces together.
    pub const MIN_MTU: u16 = 512;
    /// The largest that can be asked for: a whole record.
    pub const MAX_MTU: u16 = 16_384;

    /// Builds it; without a credential, an endpoint serves nobody, and shows nothing to servers.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] if libssl cannot use the credential.
    pub fn new(
        anchors: &TrustAnchors,
        credential: Option<&Credential>,
        mtu: u16,
    ) -> Result<Self, HandshakeError> {
        Self::build(anchors, [credential, credential], mtu)
    }

    /// Builds it for a host that has no certificate whose name anyone would believe: as a server it
    /// uses this credential, and refuses clients that do not offer a proof inside the connection; as
    /// a client it shows none.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn for_proofs_only(
        anchors: &TrustAnchors,
        credential: &Credential,
        mtu: u16,
    ) -> Result<Self, HandshakeError> {
        Self::build(anchors, [None, Some(credential)], mtu)
    }

    /// Builds it with what a client shows and what a server does.
    fn build(
        anchors: &TrustAnchors,
        [shown, serves]: [Option<&Credential>; 2],
        mtu: u16,
    ) -> Result<Self, HandshakeError> {
        let client = context(SslMethod::dtls_client(), shown, mtu);
        let server = serves.map(|own| server_context(own, mtu)).transpose();
        Ok(Self {
            shared: Arc::new(Shared {
                client: client.map_err(|errors| our_side(&errors))?.build(),
                server: server.map_err(|errors| our_side(&errors))?,
                anchors: anchors.clone(),
                mtu: mtu.clamp(Self::MIN_MTU, Self::MAX_MTU),
                proves_by_certificate: shown.is_some(),
            }),
        })
    }

    /// Returns the largest UDP payload that is sent.
    pub fn mtu(&self) -> u16 {
        self.shared.mtu
    }

    /// Returns whether there is something to show to clients.
    pub fn can_serve(&self) -> bool {
        self.shared.server.is_some()
    }

    /// Returns whether clients that do not offer a proof inside the connection are served: whether
    /// there is a certificate that says who we are.
    pub fn proves_by_certificate(&self) -> bool {
        self.shared.proves_by_certificate
    }

    pub(crate) fn client(&self) -> &SslContext {
        &self.shared.client
    }

    pub(crate) fn server(&self) -> Option<&SslContext> {
        self.shared.server.as_ref()
    }

    pub(crate) fn anchors(&self) -> &TrustAnchors {
        &self.shared.anchors
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

fn server_context(credential: &Credential, mtu: u16) -> Result<SslContext, ErrorStack> {
    let mut context = context(SslMethod::dtls_server(), Some(credential), mtu)?;
    context.set_options(SslOptions::COOKIE_EXCHANGE | SslOptions::CIPHER_SERVER_PREFERENCE);
    context.set_session_id_context(b"countersign")?;
    gate::set_cookie_callbacks(&mut context);
    context.set_alpn_select_callback(verdict::select);
    Ok(context.build())
}

fn context(
    method: SslMethod,
    credential: Option<&Credential>,
    mtu: u16,
) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContext::builder(method)?;
    context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_max_proto_version(Some(SslVersion::DTLS1_2))?;
    context.set_security_level(2);
    context.set_cipher_list(SUITES)?;
    context.set_groups_list(GROUPS)?;
    context.set_sigalgs_list(SIGNATURES)?;
    // A resumed session skips the verifier, and with it the name.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_QUERY_MTU,
    );
    context.set_verify_depth(MAX_CHAIN_DEPTH);
    libssl::set_max_chain(&mut context, MAX_CHAIN);
    libssl::set_max_send_fragment(&mut context, mtu.max(512));
    if let Some(credential) = credential {
        let mut chain = credential.chain().iter();
        if let Some(leaf) = chain.next() {
            context.set_certificate(&*X509::from_der(leaf)?)?;
        }
        for issuer in chain {
            context.add_extra_chain_cert(X509::from_der(issuer)?)?;
        }
        context.set_private_key(&*PKey::private_key_from_der(credential.secret_der())?)?;
    }
    Ok(context)
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("mtu", &self.shared.mtu)
            .field("can_serve", &self.can_serve())
            .field("proves_by_certificate", &self.proves_by_certificate())
            .finish_non_exhaustive()
    }
}
