//! What is shown of a certificate and what an authority's must state.

use aws_lc_rs::digest::{SHA256, digest};
use countersign_core::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

/// The parts of a certificate that people go by.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// The basic constraints say `CA:TRUE` (RFC 5280 section 4.2.1.9).
    pub(super) is_authority: bool,
}

impl Facts {
    /// Reads them, or says what cannot be read.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| format!("it is not X.509: {error}"))?;
        let constraints = parsed
            .basic_constraints()
            .map_err(|_| "its basic constraints cannot be read".to_owned())?;
        let validity = parsed.validity();
        let time = |secs: i64| Timestamp::from_secs(u64::try_from(secs).unwrap_or(0));
        Ok(Self {
            subject: printable(parsed.subject()),
            issuer: printable(parsed.issuer()),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            is_authority: constraints.is_some_and(|constraints| constraints.value.ca),
        })
    }
}

/// Returns the SHA-256 of a certificate in lower-case hexadecimal, as
/// `openssl x509 -fingerprint -sha256` shows it but for colons and case.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hexadecimal(digest(&SHA256, certificate).as_ref())
}

/// Returns bytes in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A distinguished name as it may be shown: strangers choose it, and terminals obey control
/// characters.
fn printable(name: &X509Name<'_>) -> String {
    const SHOWN: usize = 200;
    let text: String = name.to_string().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if text.is_empty() { "(no name)".to_owned() } else { text }
}
