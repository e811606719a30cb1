//! Keeps our certificate from servers whose own does not do.
//!
//! A client that offers a proof inside the connection defers its verdict on the server's
//! certificate. Ours must not go out meanwhile: whoever answers would learn who we are. rustls
//! chooses the certificate before it has seen the server's, so what refuses is the key, which is
//! asked to sign after that and before anything is sent. By then the choice cannot be taken back;
//! the caller connects once more, and shows [`nothing`].

use std::sync::Arc;

use countersign_core::HandshakeError;
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::SubjectPublicKeyInfoDer;

use crate::credential::Credential;
use crate::scope;

/// Returns what shows `credential` to servers whose certificates do.
pub(crate) fn resolver(credential: &Credential) -> Arc<dyn ResolvesClientCert> {
    let CertifiedKey { cert, key, .. } = &*credential.key;
    let withheld = CertifiedKey::new(cert.clone(), Arc::new(WithheldKey(key.clone())));
    Arc::new(SingleCertAndKey::from(withheld))
}

/// Returns what shows no certificate to anybody.
pub(crate) fn nothing() -> Arc<dyn ResolvesClientCert> {
    Arc::new(Nothing)
}

#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct WithheldKey(Arc<dyn SigningKey>);

impl SigningKey for WithheldKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.0
            .choose_scheme(offered)
            .map(|signer| -> Box<dyn Signer> { Box::new(WithheldSigner(signer)) })
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        self.0.public_key()
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[derive(Debug)]
struct WithheldSigner(Box<dyn Signer>);

impl Signer for WithheldSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match scope::deferred() {
            None => self.0.sign(message),
            Some(why) => {
                let refusal = HandshakeError::CertificateWithheld { why: Box::new(why) };
                let text = refusal.to_string();
                scope::report(Err(refusal));
                Err(Error::General(text))
            }
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }
}
