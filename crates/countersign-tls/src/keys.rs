//! Notices each change of the traffic keys, which rustls does on its own and tells nobody of.
//!
//! Whenever TLS 1.3 has new keys (RFC 8446 section 4.6.3), rustls asks the cipher suite for the
//! cipher that uses them. The suites of our provider are rustls' own, but for a step in between
//! that counts these questions for the thread that is at work, where the engine finds the number.
//! Records pass by none of this.

use std::cell::Cell;

use rustls::crypto::CipherSuiteCommon;
use rustls::crypto::cipher::{
    AeadKey, Iv, MessageDecrypter, MessageEncrypter, Tls13AeadAlgorithm, UnsupportedOperationError,
};
use rustls::{ConnectionTrafficSecrets, SupportedCipherSuite, Tls13CipherSuite};

thread_local! {
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// Returns how many ciphers have been made on this thread.
pub(crate) fn made() -> u64 {
    MADE.get()
}

/// Returns a suite whose keys are counted. It lives as long as the process, as rustls wants it.
pub(crate) fn counted(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(suite) = suite else {
        // TLS 1.2 has one set of keys, and renegotiation is not there.
        return suite;
    };
    let Tls13CipherSuite { common, hkdf_provider, aead_alg, quic } = suite;
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit, .. } = common;
    let common = CipherSuiteCommon {
        suite: *suite,
        hash_provider: *hash_provider,
        confidentiality_limit: *confidentiality_limit,
    };
    let (hkdf_provider, quic) = (*hkdf_provider, *quic);
    let aead_alg: &'static Counted = Box::leak(Box::new(Counted(*aead_alg)));
    let counted = Tls13CipherSuite { common, hkdf_provider, aead_alg, quic };
    SupportedCipherSuite::Tls13(Box::leak(Box::new(counted)))
}

struct Counted(&'static dyn Tls13AeadAlgorithm);

impl Tls13AeadAlgorithm for Counted {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        MADE.set(MADE.get().wrapping_add(1));
        self.0.encrypter(key, iv)
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        MADE.set(MADE.get().wrapping_add(1));
        self.0.decrypter(key, iv)
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn extract_keys(
        &self,
        key: AeadKey,
        iv: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        self.0.extract_keys(key, iv)
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}
