//! A certificate that nobody has to believe.

use countersign_tls::Credential;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::IdentityError;

/// Makes a self-signed certificate that states no name: TLS wants one of servers, also of those
/// that prove themselves by something else inside the connection.
///
/// # Errors
///
/// [`IdentityError::Making`] if the library fails.
pub(crate) fn throw_away_credential() -> Result<Credential, IdentityError> {
    let making = |what: String| IdentityError::Making { what };
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map(Zeroizing::new);
    let key = key.map_err(|error| making(error.to_string()))?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "proves nothing; see Kerberos");
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    let certificate = params.self_signed(&*key).map_err(|error| making(error.to_string()))?;
    let secret = Zeroizing::new(key.serialize_der());
    let chain = vec![certificate.der().clone()];
    let pair = Credential::new(chain, PrivatePkcs8KeyDer::from(secret.to_vec()).into());
    pair.map_err(|error| making(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::throw_away_credential;

    #[test]
    fn it_proves_no_name_and_is_another_each_time() {
        let (one, two) = (throw_away_credential().unwrap(), throw_away_credential().unwrap());
        assert_eq!(one.names(), []);
        assert_ne!(one.chain(), two.chain());
    }
}
