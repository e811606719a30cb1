//! What an authority hands out: a chain and its private key.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use countersign_tls::Credential;
use rcgen::{Certificate, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate chain, end entity first and without the root, and its private key.
#[non_exhaustive]
pub struct Issued {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    chain_pem: String,
    key_pem: String,
}

/// Where [`Issued::write`] wrote.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Written {
    /// The chain, as PEM.
    pub certificate: PathBuf,
    /// The key, as PEM that its owner alone may read.
    pub key: PathBuf,
}

impl Issued {
    pub(crate) fn new(chain: &[Certificate], key: &KeyPair) -> Self {
        Self {
            chain: chain.iter().map(|certificate| certificate.der().clone()).collect(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            chain_pem: chain.iter().map(Certificate::pem).collect(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Returns it as our own side shows it.
    ///
    /// # Panics
    ///
    /// If our side would not show such a certificate; a [`Stranger`](crate::Stranger) would.
    pub fn credential(&self) -> Credential {
        Credential::new(self.chain.clone(), self.key.clone_key())
            .expect("the certificate is one that we can show")
    }

    /// Returns the chain as PEM.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// Returns the key as PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Writes the chain as STEM.pem and the key as STEM.key, in place of what was there.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write(&self, directory: &Path, stem: &str) -> io::Result<Written> {
        let certificate = directory.join(format!("{stem}.pem"));
        let key = directory.join(format!("{stem}.key"));
        fs::write(&certificate, &self.chain_pem)?;
        // A file that is there keeps its mode when it is opened, so it must not be there.
        match fs::remove_file(&key) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
        file.write_all(self.key_pem.as_bytes())?;
        Ok(Written { certificate, key })
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued(a chain of {})", self.chain.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::{Authority, Leaf};

    #[test]
    fn written_key_is_for_its_owner_alone_also_when_it_replaces_another() {
        let directory = tempfile::tempdir().unwrap();
        let issued = Authority::new("root").issue(Leaf::new().dns("a.test"));
        std::fs::write(directory.path().join("a.key"), "open to all").unwrap();
        let written = issued.write(directory.path(), "a").unwrap();
        let mode = std::fs::metadata(&written.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&written.key).unwrap(), issued.key_pem());
        assert_eq!(std::fs::read_to_string(&written.certificate).unwrap(), issued.chain_pem());
    }

    #[test]
    fn our_side_can_show_what_it_was_issued() {
        let issued = Authority::new("root").issue(Leaf::new().service("postgres", "db1.test"));
        let credential = issued.credential();
        let names: Vec<_> = credential.names().iter().map(|it| it.name().to_string()).collect();
        assert_eq!(names, ["postgres/db1.test"]);
    }
}
