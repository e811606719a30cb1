//! The embedded authority: a key, its certificate, and what it signs.

use std::path::PathBuf;
use std::time::Duration;

use countersign_core::Timestamp;
use countersign_tls::encode;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustix::io::Errno;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::directory::{Directory, Secrecy, random, random_word};
use super::request::{Request, Role};
use crate::identity::certificate::Facts;
use crate::identity::open::{CREDENTIAL_LIMIT, failed};
use crate::identity::{IdentityError, files, pem};

/// The authority of a store, ready to sign.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    key: Zeroizing<KeyPair>,
    path: PathBuf,
    not_after: Timestamp,
}

/// A certificate and its key as they go into files.
pub(super) struct Signed {
    pub(super) chain: String,
    pub(super) key: Zeroizing<String>,
    pub(super) not_after: Timestamp,
}

impl Authority {
    /// Makes an authority and writes it into `directory`, where there may be none yet.
    pub(super) fn create(directory: &Directory, now: Timestamp) -> Result<(), IdentityError> {
        for file in [KEY_FILE, CERTIFICATE_FILE] {
            if directory.has(file) {
                let path = directory.path().join(file);
                return Err(IdentityError::AuthorityExists { path });
            }
        }
        let key = generate()?;
        let mut params = params(&subject()?, now, VALIDITY)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&*key).map_err(making)?;
        let text = Zeroizing::new(key.serialize_pem());
        directory.write(KEY_FILE, Secrecy::Secret, text.as_bytes())?;
        // Last, so that where there is a certificate there is the key.
        directory.write(CERTIFICATE_FILE, Secrecy::Public, certificate.pem().as_bytes())
    }

    /// Opens the authority of `directory`, certificate and key checked as a pair.
    pub(super) fn open(directory: &Directory) -> Result<Self, IdentityError> {
        let absent = || IdentityError::NoAuthority { directory: directory.path().to_owned() };
        let (path, key_path) =
            (directory.path().join(CERTIFICATE_FILE), directory.path().join(KEY_FILE));
        let certificate = read_certificate(directory)?.ok_or_else(absent)?;
        let text = directory
            .read(KEY_FILE, Secrecy::Secret, CREDENTIAL_LIMIT)?
            .ok_or_else(|| failed("open", &key_path)(Errno::NOENT))?;
        let key = pem::private_key(&text, &key_path)?;
        files::join(vec![certificate.clone()], &key, [&path, &key_path])?;
        let bad = |what| IdentityError::BadCertificate { path: path.clone(), what };
        let facts = Facts::read(&certificate).map_err(bad)?;
        if !facts.is_authority {
            let Facts { subject, issuer, .. } = facts;
            return Err(IdentityError::NotAuthority { path, subject, issuer });
        }
        let key = KeyPair::try_from(&*key)
            .map_err(|error| IdentityError::BadKey { path: key_path, what: error.to_string() })?;
        let not_after = facts.not_after;
        Ok(Self { certificate, key: Zeroizing::new(key), path, not_after })
    }

    /// Signs a certificate for a new key, valid for `validity` from `now`, but not longer than
    /// the authority is.
    pub(super) fn sign(
        &self,
        request: &Request,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Signed, IdentityError> {
        if now >= self.not_after {
            let (path, not_after) = (self.path.clone(), self.not_after);
            return Err(IdentityError::AuthorityExpired { path, not_after });
        }
        if validity < Duration::from_secs(1) {
            return Err(IdentityError::NoValidity);
        }
        let validity = validity.min(self.not_after.since(now));
        let first = request.names.first().ok_or(IdentityError::NoNames)?.to_string();

        let key = generate()?;
        let mut params = params(&first, now, validity)?;
        // Writes CA:FALSE, and with it the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match request.role {
            Role::Service => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Role::User => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        // rcgen knows some of the names only, so the whole list is ours.
        params.custom_extensions = vec![CustomExtension::from_oid_content(
            SUBJECT_ALTERNATIVE_NAME,
            encode(&request.alternatives),
        )];
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key).map_err(making)?;
        let certificate = params.signed_by(&*key, &issuer).map_err(making)?;
        Ok(Signed {
            chain: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
            not_after: Timestamp::from_secs(now.as_secs().saturating_add(validity.as_secs())),
        })
    }
}

/// Reads the certificate of the authority of `directory`, if there is one.
pub(super) fn read_certificate(
    directory: &Directory,
) -> Result<Option<CertificateDer<'static>>, IdentityError> {
    let Some(text) = read_text(directory)? else { return Ok(None) };
    let path = directory.path().join(CERTIFICATE_FILE);
    Ok(pem::certificates(&text, &path)?.into_iter().next())
}

/// Reads the file with the certificate of the authority of `directory`, if there is one.
pub(super) fn read_text(
    directory: &Directory,
) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    directory.read(CERTIFICATE_FILE, Secrecy::Public, CREDENTIAL_LIMIT)
}

fn generate() -> Result<Zeroizing<KeyPair>, IdentityError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map(Zeroizing::new).map_err(making)
}

/// What every certificate has: a random serial number, a subject and a time.
fn params(
    subject: &str,
    now: Timestamp,
    validity: Duration,
) -> Result<CertificateParams, IdentityError> {
    // X.520 allows a common name 64 characters. Nobody should look at it, it is for people.
    const LONGEST_COMMON_NAME: usize = 64;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, subject.chars().take(LONGEST_COMMON_NAME).collect::<String>());
    let mut serial: [u8; 16] = random()?;
    if let Some(first) = serial.first_mut() {
        // Positive, and of one length (RFC 5280 section 4.1.2.2).
        *first = *first & 0x7f | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date(now.as_secs().saturating_sub(BACKDATED.as_secs()), now)?;
    params.not_after = date(now.as_secs().saturating_add(validity.as_secs()), now)?;
    Ok(params)
}

fn date(seconds: u64, now: Timestamp) -> Result<OffsetDateTime, IdentityError> {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(IdentityError::ClockOutOfRange { now })
}

/// A name by which people tell authorities apart: this host's, and chance.
fn subject() -> Result<String, IdentityError> {
    const LONGEST_HOST: usize = 18;
    let system = rustix::system::uname();
    let host: String = system
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        .take(LONGEST_HOST)
        .collect();
    Ok(format!("Countersign local authority {host} {}", random_word()?))
}

fn making(error: rcgen::Error) -> IdentityError {
    IdentityError::Making { what: error.to_string() }
}

pub(super) const CERTIFICATE_FILE: &str = "authority.pem";
pub(super) const KEY_FILE: &str = "authority.key";
/// Ten years, two leap days among them at least.
const VALIDITY: Duration = Duration::from_secs(3652 * 24 * 60 * 60);
/// So that a peer whose clock is a little late accepts what was just issued.
const BACKDATED: Duration = Duration::from_secs(5 * 60);
/// id-ce-subjectAltName (RFC 5280 section 4.2.1.6).
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
