//! Keying material that both ends of a connection can compute and nobody in between (RFC 8446
//! section 7.5).
//!
//! rustls exports it from its own connections only, and not from the one that leads to records of
//! ours. So its exporter secret is taken where rustls offers it, as it derives it ([`KeyLog`]), and
//! the rest of the derivation is done here, over rustls' HKDF.

use countersign_core::HandshakeError;
use rustls::crypto::tls13::OkmBlock;
use rustls::{KeyLog, SupportedCipherSuite};
use zeroize::Zeroizing;

use crate::scope;

/// The exporter secret of one connection.
pub(crate) struct ExporterSecret(Zeroizing<Vec<u8>>);

/// Takes the exporter secret of the connection under way, and no other secret.
#[derive(Debug)]
pub(crate) struct Capture;

const LABEL: &str = "EXPORTER_SECRET";

impl KeyLog for Capture {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == LABEL {
            scope::keep(ExporterSecret(Zeroizing::new(secret.to_vec())));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == LABEL
    }
}

impl ExporterSecret {
    /// Exports keying material for `label`, with an empty context.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::OurSide`] for a suite that is not one of TLS 1.3.
    pub(crate) fn export<const SIZE: usize>(
        &self,
        suite: SupportedCipherSuite,
        label: &[u8],
    ) -> Result<[u8; SIZE], HandshakeError> {
        let suite = suite.tls13().ok_or_else(|| ours("no suite of TLS 1.3"))?;
        let hash = suite.common.hash_provider;
        let nothing = hash.hash(&[]);
        if self.0.len() > OkmBlock::MAX_LEN {
            return Err(ours("a secret of an unknown size"));
        }
        let outer = suite.hkdf_provider.expander_for_okm(&OkmBlock::new(&self.0));
        let mut secret = Zeroizing::new(vec![0; hash.output_len()]);
        expand(&*outer, label, nothing.as_ref(), &mut secret)?;
        let inner = suite.hkdf_provider.expander_for_okm(&OkmBlock::new(&secret));
        let mut exported = [0; SIZE];
        expand(&*inner, b"exporter", nothing.as_ref(), &mut exported)?;
        Ok(exported)
    }
}

impl std::fmt::Debug for ExporterSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExporterSecret(not shown)")
    }
}

/// HKDF-Expand-Label (RFC 8446 section 7.1).
fn expand(
    expander: &dyn rustls::crypto::tls13::HkdfExpander,
    label: &[u8],
    context: &[u8],
    into: &mut [u8],
) -> Result<(), HandshakeError> {
    const PREFIX: &[u8] = b"tls13 ";
    let too_long = || ours("a label that is too long");
    let length = u16::try_from(into.len()).map_err(|_| too_long())?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).map_err(|_| too_long())?];
    let context_length = [u8::try_from(context.len()).map_err(|_| too_long())?];
    let info = [&length[..], &label_length, PREFIX, label, &context_length, context];
    expander.expand_slice(&info, into).map_err(|_| too_long())
}

fn ours(what: &str) -> HandshakeError {
    HandshakeError::OurSide { what: format!("keying material could not be exported: {what}") }
}
