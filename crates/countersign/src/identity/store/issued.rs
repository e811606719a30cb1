//! Certificates that the authority has issued, each with its key in one directory.
//!
//! `issued/<slug>` is a symbolic link to `issued/.generation-<random>`, which holds `chain.pem` and
//! `key.pem` and never changes. Issuing anew makes another generation, moves the link, and
//! removes the old one. Whoever opens the directory once and then both files in it reads a pair,
//! or finds one of them gone and looks again.

use std::path::PathBuf;

use countersign_core::{PeerName, Proof, ProvedPeer, Timestamp};
use countersign_tls::Credential;
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::authority::Signed;
use super::directory::{Directory, Secrecy, TEMPORARY, random_word};
use crate::identity::open::CREDENTIAL_LIMIT;
use crate::identity::{IdentityError, files, pem};

/// Where a certificate and its key are.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialPaths {
    /// The chain, end-entity certificate first, in PEM.
    pub certificate: PathBuf,
    /// The private key, PKCS #8 in PEM.
    pub key: PathBuf,
}

/// A certificate with its key, as the files have it and as it was understood.
pub(super) struct Loaded {
    pub(super) credential: Credential,
    pub(super) paths: CredentialPaths,
    pub(super) chain: Zeroizing<Vec<u8>>,
    pub(super) key: Zeroizing<Vec<u8>>,
}

/// The directory of issued certificates.
pub(super) struct IssuedDirectory(Directory);

impl IssuedDirectory {
    /// Opens it in the directory of a store, if there is one.
    pub(super) fn open(store: &Directory) -> Result<Option<Self>, IdentityError> {
        Ok(store.below(DIRECTORY)?.map(Self))
    }

    /// Opens it in the directory of a store, or makes it.
    pub(super) fn open_or_create(store: &Directory) -> Result<Self, IdentityError> {
        Ok(Self(store.below_or_create(DIRECTORY)?))
    }

    /// Puts a new pair in the place of the one for `slug`, if it proves `names`. The caller holds
    /// the lock of the store.
    pub(super) fn replace(
        &self,
        slug: &str,
        signed: &Signed,
        names: &[PeerName],
    ) -> Result<CredentialPaths, IdentityError> {
        let generation = format!("{GENERATION}{}", random_word()?);
        let switched = self.fill(&generation, signed).and_then(|()| {
            let loaded = self.load(&generation)?;
            for name in names {
                if !loaded.credential.names().iter().any(|proved| Fit::of(proved, name).is_some()) {
                    return Err(IdentityError::Unproved { name: Box::new(name.clone()) });
                }
            }
            self.0.point(slug, &generation)
        });
        self.sweep();
        switched.map(|()| self.paths(slug))
    }

    /// Returns the slugs for which there are certificates, in order.
    pub(super) fn slugs(&self) -> Result<Vec<String>, IdentityError> {
        let mut slugs = self.0.list()?;
        slugs.retain(|name| !name.starts_with('.'));
        Ok(slugs)
    }

    /// Reads the pair for `slug`.
    pub(super) fn load(&self, slug: &str) -> Result<Loaded, IdentityError> {
        files::again_if_replaced(|| {
            let paths = self.paths(slug);
            let absent = |path: &PathBuf| IdentityError::Io {
                doing: "open",
                path: path.clone(),
                errno: Errno::NOENT,
            };
            let pair = self.0.below(slug)?.ok_or_else(|| absent(&paths.certificate))?;
            let chain = pair.read(CHAIN_FILE, Secrecy::Public, CREDENTIAL_LIMIT)?;
            let chain = chain.ok_or_else(|| absent(&paths.certificate))?;
            let key = pair.read(KEY_FILE, Secrecy::Secret, CREDENTIAL_LIMIT)?;
            let key = key.ok_or_else(|| absent(&paths.key))?;
            let credential = files::join(
                pem::certificates(&chain, &paths.certificate)?,
                &*pem::private_key(&key, &paths.key)?,
                [&paths.certificate, &paths.key],
            )?;
            Ok(Loaded { credential, paths, chain, key })
        })
    }

    fn fill(&self, generation: &str, signed: &Signed) -> Result<(), IdentityError> {
        let pair = self.0.create_below(generation)?;
        pair.write_new(KEY_FILE, Secrecy::Secret, signed.key.as_bytes())?;
        pair.write_new(CHAIN_FILE, Secrecy::Public, signed.chain.as_bytes())?;
        pair.sync()
    }

    /// Removes what no slug points to: the generation before, and what an interrupted run left.
    fn sweep(&self) {
        let Ok(names) = self.0.list() else { return };
        let (hidden, slugs): (Vec<&String>, Vec<&String>) =
            names.iter().partition(|name| name.starts_with('.'));
        let in_use: Vec<String> = slugs.iter().filter_map(|slug| self.0.target(slug)).collect();
        for name in hidden {
            if name.starts_with(TEMPORARY) {
                self.0.remove(name);
            } else if name.starts_with(GENERATION) && !in_use.contains(name) {
                self.0.remove_below(name);
            }
        }
    }

    fn paths(&self, slug: &str) -> CredentialPaths {
        let directory = self.0.path().join(slug);
        CredentialPaths { certificate: directory.join(CHAIN_FILE), key: directory.join(KEY_FILE) }
    }
}

/// How well a proved name fits the one that is asked for, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// A peer that asks for the port accepts it: a name in a certificate other than Kerberos'
    /// has no place for one.
    ButForThePort,
    /// The realm was not asked for.
    ButForTheRealm,
    /// Equal.
    Exactly,
}

impl Fit {
    pub(super) fn of(proved: &ProvedPeer, asked: &PeerName) -> Option<Self> {
        if proved.name() == asked {
            return Some(Self::Exactly);
        }
        let (PeerName::Service(name), PeerName::Service(asked)) = (proved.name(), asked) else {
            return None;
        };
        if name.satisfies(asked) {
            return Some(Self::ButForTheRealm);
        }
        let has_no_place = matches!(
            proved.proof(),
            Proof::CertificateDnsName | Proof::CertificateIpAddress | Proof::CertificateServiceName
        );
        let fits = has_no_place
            && name.is_class(asked.class())
            && name.host() == asked.host()
            && asked.service().is_none()
            && asked.realm().is_none();
        fits.then_some(Self::ButForThePort)
    }

    /// Returns the best fit among the names of `credential`.
    pub(super) fn best(credential: &Credential, asked: &PeerName) -> Option<Self> {
        credential.names().iter().filter_map(|proved| Self::of(proved, asked)).max()
    }
}

/// Returns whether `credential` is good at the time `now`.
pub(super) fn is_current(credential: &Credential, now: Timestamp) -> bool {
    credential.not_before() <= now && now <= credential.not_after()
}

pub(super) const DIRECTORY: &str = "issued";
const CHAIN_FILE: &str = "chain.pem";
const KEY_FILE: &str = "key.pem";
const GENERATION: &str = ".generation-";

#[cfg(test)]
mod tests {
    use countersign_core::{Proof, ProvedPeer};

    use super::Fit;

    #[track_caller]
    fn check(proved: &str, proof: Proof, asked: &str, expected: Option<Fit>) {
        let proved = ProvedPeer::vouch(proved.parse().unwrap(), proof);
        assert_eq!(Fit::of(&proved, &asked.parse().unwrap()), expected);
    }

    #[test]
    fn names_fit_as_peers_will_judge_them() {
        use Proof::{CertificateDnsName, CertificateKerberosName, CertificateServiceName};
        let service = CertificateServiceName;
        check("postgres/db1", service, "POSTGRES/db1.", Some(Fit::Exactly));
        check("postgres/db1", service, "postgres/db1:5432", Some(Fit::ButForThePort));
        check("postgres/db1", service, "postgres/db1@A", None);
        check("postgres/db1", service, "postgres/db1/x", None);
        check("postgres/db1", service, "mysql/db1", None);
        check("host/db1", CertificateDnsName, "host/db1:443", Some(Fit::ButForThePort));
        let kerberos = CertificateKerberosName;
        check("postgres/db1@A", kerberos, "postgres/db1", Some(Fit::ButForTheRealm));
        check("postgres/db1@A", kerberos, "postgres/db1@B", None);
        check("postgres/db1@A", kerberos, "postgres/db1:5432", None);
        check("alice@A", kerberos, "alice@A", Some(Fit::Exactly));
        check("alice@A", kerberos, "alice@B", None);
    }
}
