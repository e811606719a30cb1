//! The algorithms that we use.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::keys;

/// Returns aws-lc-rs with AEAD suites only and X25519MLKEM768 preferred.
///
/// All of rustls' suites are AEAD; that none other gets in is a test of this file.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
        let usual = aws_lc_rs::default_provider();
        Arc::new(CryptoProvider {
            cipher_suites: usual.cipher_suites.into_iter().map(keys::counted).collect(),
            kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
            ..aws_lc_rs::default_provider()
        })
    });
    PROVIDER.clone()
}

#[cfg(test)]
mod tests {
    use super::provider;

    #[test]
    fn suites_are_aead_and_groups_begin_with_the_hybrid() {
        for suite in &provider().cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(name.contains("GCM") || name.contains("POLY1305"), "{name}");
        }
        let first = provider().kx_groups.first().map(|group| group.name());
        assert_eq!(first, Some(rustls::NamedGroup::X25519MLKEM768));
    }
}
