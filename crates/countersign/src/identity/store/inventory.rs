//! What a store holds, for people to look at.

use std::path::PathBuf;
use std::time::Duration;

use countersign_core::{PeerName, Timestamp};
use rustls_pki_types::CertificateDer;

use super::authority::{self, Authority};
use super::directory::Directory;
use super::issued::{CredentialPaths, IssuedDirectory};
use super::trusted::TrustedDirectory;
use crate::identity::IdentityError;
use crate::identity::certificate::{Facts, fingerprint};

/// What a store holds.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Where the store is, whether there is anything or not.
    pub directory: PathBuf,
    /// Our own authority, if there is one.
    pub authority: Option<AuthorityEntry>,
    /// The certificates that it has issued, in the order of their files.
    pub issued: Vec<IssuedEntry>,
    /// The authorities that are trusted besides our own, in the order of their files.
    pub trusted: Vec<AuthorityEntry>,
    /// What is there but cannot be used, and why.
    pub problems: Vec<IdentityError>,
}

/// An authority in a store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityEntry {
    /// The file with its certificate.
    pub path: PathBuf,
    /// Its name, as its certificate states it.
    pub subject: String,
    /// The SHA-256 of its certificate, in lower-case hexadecimal: to be compared with its owner's
    /// by other means before it is trusted.
    pub fingerprint: String,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
    /// What that means now.
    pub validity: Validity,
}

/// An issued certificate in a store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedEntry {
    /// The files with certificate and key.
    pub paths: CredentialPaths,
    /// The names that it proves.
    pub names: Vec<PeerName>,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
    /// What that means now.
    pub validity: Validity,
}

/// How a certificate stands at some moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is good, and will be for some time.
    Current,
    /// It is no longer good.
    Expired,
    /// It is good, but for less than [`Self::SOON`] or a third of its life, whichever is less.
    ExpiresSoon,
    /// It is not good yet.
    NotYetValid,
}

impl Validity {
    /// How long before the end a certificate should be replaced, if its life is long enough.
    pub const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Judges a certificate at the time `now`.
    pub fn at(now: Timestamp, not_before: Timestamp, not_after: Timestamp) -> Self {
        let life = not_after.since(not_before);
        if now > not_after {
            Self::Expired
        } else if now < not_before {
            Self::NotYetValid
        } else if not_after.since(now) < Self::SOON.min(life / 3) {
            Self::ExpiresSoon
        } else {
            Self::Current
        }
    }
}

/// Looks at everything in `directory`, if there is one; what cannot be read becomes a problem.
pub(super) fn take(directory: Option<&Directory>, path: PathBuf, now: Timestamp) -> Inventory {
    let mut inventory = Inventory {
        directory: path,
        authority: None,
        issued: Vec::new(),
        trusted: Vec::new(),
        problems: Vec::new(),
    };
    if let Some(directory) = directory {
        for part in [take_authority, take_issued, take_trusted] {
            if let Err(problem) = part(&mut inventory, directory, now) {
                inventory.problems.push(problem);
            }
        }
    }
    inventory
}

fn take_authority(
    inventory: &mut Inventory,
    directory: &Directory,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let Some(certificate) = authority::read_certificate(directory)? else { return Ok(()) };
    let path = directory.path().join(authority::CERTIFICATE_FILE);
    inventory.authority = Some(authority_entry(path, &certificate, now)?);
    // That the key is there, ours alone and the right one is worth knowing before it is needed.
    Authority::open(directory).map(|_| ())
}

fn take_issued(
    inventory: &mut Inventory,
    directory: &Directory,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let Some(issued) = IssuedDirectory::open(directory)? else { return Ok(()) };
    for slug in issued.slugs()? {
        match issued.load(&slug) {
            Ok(loaded) => {
                let credential = &loaded.credential;
                let (not_before, not_after) = (credential.not_before(), credential.not_after());
                let mut names: Vec<PeerName> = Vec::new();
                for proved in credential.names() {
                    if !names.contains(proved.name()) {
                        names.push(proved.name().clone());
                    }
                }
                inventory.issued.push(IssuedEntry {
                    paths: loaded.paths,
                    names,
                    not_before,
                    not_after,
                    validity: Validity::at(now, not_before, not_after),
                });
            }
            Err(problem) => inventory.problems.push(problem),
        }
    }
    Ok(())
}

fn take_trusted(
    inventory: &mut Inventory,
    directory: &Directory,
    now: Timestamp,
) -> Result<(), IdentityError> {
    let Some(trusted) = TrustedDirectory::open(directory)? else { return Ok(()) };
    for file in trusted.files()? {
        let path = trusted.path().join(&file);
        let entries = trusted.read(&file).and_then(|certificates| {
            certificates.iter().map(|one| authority_entry(path.clone(), one, now)).collect()
        });
        match entries {
            Ok(entries) => {
                let entries: Vec<AuthorityEntry> = entries;
                inventory.trusted.extend(entries);
            }
            Err(problem) => inventory.problems.push(problem),
        }
    }
    Ok(())
}

fn authority_entry(
    path: PathBuf,
    certificate: &CertificateDer<'_>,
    now: Timestamp,
) -> Result<AuthorityEntry, IdentityError> {
    let facts = Facts::read(certificate)
        .map_err(|what| IdentityError::BadCertificate { path: path.clone(), what })?;
    let Facts { subject, not_before, not_after, .. } = facts;
    let validity = Validity::at(now, not_before, not_after);
    let fingerprint = fingerprint(certificate);
    Ok(AuthorityEntry { path, subject, fingerprint, not_before, not_after, validity })
}

#[cfg(test)]
mod tests {
    use countersign_core::Timestamp;

    use super::Validity;

    #[track_caller]
    fn check(now: u64, not_before: u64, not_after: u64, expected: Validity) {
        let day = |days: u64| Timestamp::from_secs(days * 24 * 60 * 60);
        assert_eq!(Validity::at(day(now), day(not_before), day(not_after)), expected);
    }

    #[test]
    fn soon_is_a_month_or_a_third_of_a_short_life() {
        check(99, 100, 500, Validity::NotYetValid);
        check(100, 100, 500, Validity::Current);
        check(470, 100, 500, Validity::Current);
        check(471, 100, 500, Validity::ExpiresSoon);
        check(500, 100, 500, Validity::ExpiresSoon);
        check(501, 100, 500, Validity::Expired);
        check(103, 100, 106, Validity::Current);
        check(105, 100, 106, Validity::ExpiresSoon);
    }
}
