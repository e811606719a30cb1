//! Credentials and anchors of any authority, in files.

use std::env;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::slice;

use countersign_tls::{Credential, CredentialError, TrustAnchors};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustls_native_certs::ErrorKind;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate::Facts;
use super::open::{BUNDLE_LIMIT, CREDENTIAL_LIMIT, Opened, POLICY_LIMIT, errno, failed};
use super::{IdentityError, pem, variable};
use crate::clock;

/// Reads a certificate chain and its private key from PEM files, which may be one and the same.
///
/// The chain begins with the certificate of the key. The key may be in PKCS #8, PKCS #1 or SEC1,
/// not encrypted, and nobody but its owner may be able to read it. A key that belongs to root may
/// be readable by its group, so that Debian's habit works: `root:ssl-cert`, mode 0640.
///
/// If both files are in one directory, that directory is opened once for both: where it is a
/// symbolic link that moves from one generation to the next, the pair is of one generation. A
/// pair that does not fit is read a few times more, since it may be about to be replaced.
///
/// # Errors
///
/// [`IdentityError`] if a file cannot be read, is no regular file, is larger than 1 MiB or holds
/// no such block; if the key is encrypted, readable by others or of another certificate; if the
/// chain is out of order. Its hint says what to run.
pub fn load_credential(certificate: &Path, key: &Path) -> Result<Credential, IdentityError> {
    again_if_replaced(|| {
        let (Some(directory), Some(chain_name), Some(key_name)) =
            (common_directory(certificate, key), certificate.file_name(), key.file_name())
        else {
            return load_pair(CWD, [certificate, key], [certificate, key]);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, directory, flags, Mode::empty()).map_err(failed("open", directory))?;
        load_pair(fd.as_fd(), [chain_name.as_ref(), key_name.as_ref()], [certificate, key])
    })
}

/// Reads the certificates of authorities from a PEM file, or from every `*.pem` and `*.crt` in a
/// directory, in the order of their names. Those that have expired are left out.
///
/// # Errors
///
/// [`IdentityError`] if a file cannot be read, is no regular file, is larger than 16 MiB, holds
/// no certificate, or one that is no authority's; if a directory has no such file; if all have
/// expired.
pub fn load_anchors(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let is_directory =
        fs::metadata(path).map_err(|error| failed("open", path)(errno(&error)))?.is_dir();
    if !is_directory {
        return without_expired(load_anchor_file(path)?, path);
    }
    let mut files = Vec::new();
    let failed = |error: std::io::Error| failed("list", path)(errno(&error));
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "pem" || extension == "crt") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(IdentityError::NoCertificate { path: path.to_owned(), found: None });
    }
    files.sort();
    let mut anchors: Vec<CertificateDer<'static>> = Vec::new();
    for file in &files {
        for anchor in load_anchor_file(file)? {
            // Directories often have each certificate alone and all of them in a bundle.
            if !anchors.contains(&anchor) {
                anchors.push(anchor);
            }
        }
    }
    without_expired(anchors, path)
}

/// Reads a policy file, if nobody but root and we can have written it.
pub(crate) fn read_policy(path: &Path) -> Result<String, IdentityError> {
    let file = Opened::open(CWD, path, path, OFlags::empty())?;
    file.permissions.check_store(path)?;
    let text = file.read(POLICY_LIMIT)?;
    String::from_utf8(text.to_vec()).map_err(|_| failed("read", path)(Errno::ILSEQ))
}

/// Returns the authorities that this host trusts, from where OpenSSL looks for them: the
/// variables `SSL_CERT_FILE` and `SSL_CERT_DIR` if set, else the system's own places.
///
/// Certificates that cannot be anchors, and files that cannot be read, are passed over as long as
/// anything is left.
///
/// # Errors
///
/// [`IdentityError::NoSystemAnchors`] if there is none, or if one of the variables is set in a
/// process that runs set-user-ID or set-group-ID, which goes by no variable.
/// [`IdentityError::Io`] if this process has too many files open to say.
pub fn system_anchors() -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if env::var_os(name).is_some() && variable(name).is_none() {
            let what = format!("{name} is set, and a set-id process goes by no variable");
            return Err(IdentityError::NoSystemAnchors { what });
        }
    }
    let mut found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        if let ErrorKind::Io { inner, path } = &error.kind
            && let errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM) = errno(inner)
        {
            return Err(failed("read", path)(errno));
        }
    }
    let all = found.certs.len();
    found.certs.retain(|one| !TrustAnchors::lenient(&[], slice::from_ref(one)).is_empty());
    if !found.certs.is_empty() {
        return Ok(found.certs);
    }
    let what = match found.errors.first() {
        Some(error) => error.to_string(),
        None if all > 0 => format!("none of {all} certificates can be an anchor"),
        None => "no certificate was found".to_owned(),
    };
    Err(IdentityError::NoSystemAnchors { what })
}

/// Loads, and does so again if what failed may be a pair that is being replaced: each time it is
/// looked up anew. Enough times for a replacement to be over, few enough not to be noticed.
pub(super) fn again_if_replaced<T>(
    mut load: impl FnMut() -> Result<T, IdentityError>,
) -> Result<T, IdentityError> {
    const TRIES: usize = 8;
    let mut result = load();
    for _ in 1..TRIES {
        match &result {
            Err(
                IdentityError::Mismatch { .. }
                | IdentityError::ChainOrder { .. }
                | IdentityError::Io { errno: Errno::NOENT, .. },
            ) => result = load(),
            _ => break,
        }
    }
    result
}

/// Joins a chain and a key, and says what is wrong in terms of their files.
pub(super) fn join(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
    [certificate, key_path]: [&Path; 2],
) -> Result<Credential, IdentityError> {
    let error = match Credential::new(chain.clone(), key.clone_key()) {
        Ok(credential) => return Ok(credential),
        Err(error) => error,
    };
    Err(match error {
        CredentialError::BadKey { what } => {
            IdentityError::BadKey { path: key_path.to_owned(), what }
        }
        CredentialError::Mismatch => {
            let fits = |leaf| Credential::new(vec![leaf], key.clone_key()).is_ok();
            match chain.into_iter().position(fits) {
                Some(index) => {
                    IdentityError::ChainOrder { path: certificate.to_owned(), position: index + 1 }
                }
                None => IdentityError::Mismatch {
                    certificate: certificate.to_owned(),
                    key: key_path.to_owned(),
                },
            }
        }
        CredentialError::NoCertificate => {
            IdentityError::NoCertificate { path: certificate.to_owned(), found: None }
        }
        CredentialError::BadCertificate { what } => {
            IdentityError::BadCertificate { path: certificate.to_owned(), what }
        }
        other => {
            IdentityError::BadCertificate { path: certificate.to_owned(), what: other.to_string() }
        }
    })
}

fn load_pair(
    at: BorrowedFd<'_>,
    [chain_name, key_name]: [&Path; 2],
    paths @ [certificate, key_path]: [&Path; 2],
) -> Result<Credential, IdentityError> {
    let chain = Opened::open(at, chain_name, certificate, OFlags::empty())?;
    let chain = pem::certificates(&chain.read(CREDENTIAL_LIMIT)?, certificate)?;
    let key = Opened::open(at, key_name, key_path, OFlags::empty())?;
    key.permissions.check_any_key(key_path)?;
    let key = pem::private_key(&key.read(CREDENTIAL_LIMIT)?, key_path)?;
    join(chain, &key, paths)
}

fn load_anchor_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = Opened::open(CWD, path, path, OFlags::empty())?.read(BUNDLE_LIMIT)?;
    let certificates = pem::certificates(&text, path)?;
    for certificate in &certificates {
        check_anchor(certificate, path)?;
    }
    Ok(certificates)
}

/// Refuses what is not the certificate of an authority; `path` is where it comes from.
pub(super) fn check_anchor(
    certificate: &CertificateDer<'_>,
    path: &Path,
) -> Result<(), IdentityError> {
    let bad = |what| IdentityError::BadCertificate { path: path.to_owned(), what };
    let Facts { subject, issuer, is_authority, .. } = Facts::read(certificate).map_err(bad)?;
    if !is_authority {
        return Err(IdentityError::NotAuthority { path: path.to_owned(), subject, issuer });
    }
    TrustAnchors::new([certificate]).map(drop).map_err(|error| match error {
        CredentialError::BadCertificate { what } => bad(what),
        other => bad(other.to_string()),
    })
}

/// Leaves out the authorities that have expired, if any has not: whoever gets hold of their keys,
/// which nobody may guard any more, should gain nothing.
fn without_expired(
    mut anchors: Vec<CertificateDer<'static>>,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let now = clock::now();
    let end = |anchor: &CertificateDer<'_>| Facts::read(anchor).ok().map(|facts| facts.not_after);
    let last = anchors.iter().filter_map(end).max();
    match last {
        Some(not_after) if not_after < now => {
            Err(IdentityError::AnchorsExpired { path: path.to_owned(), not_after })
        }
        _ => {
            anchors.retain(|anchor| end(anchor).is_some_and(|not_after| not_after >= now));
            Ok(anchors)
        }
    }
}

/// The directory that both files are in, if it is one.
fn common_directory<'a>(one: &'a Path, other: &Path) -> Option<&'a Path> {
    let directory = one.parent()?;
    (Some(directory) == other.parent()).then_some(if directory == Path::new("") {
        Path::new(".")
    } else {
        directory
    })
}
