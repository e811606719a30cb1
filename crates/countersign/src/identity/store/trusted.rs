//! The authorities that the user has told us to trust, one file each.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::directory::{Directory, Secrecy};
use crate::identity::certificate::fingerprint;
use crate::identity::files::check_anchor;
use crate::identity::open::{BUNDLE_LIMIT, Opened};
use crate::identity::{IdentityError, pem};

/// The directory of trusted authorities.
pub(super) struct TrustedDirectory(Directory);

impl TrustedDirectory {
    /// Opens it in the directory of a store, if there is one.
    pub(super) fn open(store: &Directory) -> Result<Option<Self>, IdentityError> {
        Ok(store.below(DIRECTORY)?.map(Self))
    }

    /// Opens it in the directory of a store, or makes it.
    pub(super) fn open_or_create(store: &Directory) -> Result<Self, IdentityError> {
        Ok(Self(store.below_or_create(DIRECTORY)?))
    }

    /// Adds certificates; returns how many were not there yet.
    pub(super) fn add(&self, offered: &Offered) -> Result<usize, IdentityError> {
        let mut known = Vec::new();
        for file in self.files()? {
            known.extend(self.read(&file)?);
        }
        let before = known.len();
        for (anchor, block) in offered.blocks()? {
            if known.contains(&anchor) {
                continue;
            }
            let full = fingerprint(&anchor);
            let short = format!("{}.pem", full.get(..16).unwrap_or(&full));
            // Sixteen digits are for people; somebody might make two that begin alike.
            let name = if self.0.has(&short) { format!("{full}.pem") } else { short };
            let text = [block.trim_ascii_end(), b"\n"].concat();
            self.0.write(&name, Secrecy::Public, &text)?;
            known.push(anchor);
        }
        Ok(known.len() - before)
    }

    /// Returns the names of the files, in order.
    pub(super) fn files(&self) -> Result<Vec<String>, IdentityError> {
        let mut files = self.0.list()?;
        files.retain(|name| name.ends_with(".pem") && !name.starts_with('.'));
        Ok(files)
    }

    /// Reads the certificates of one file.
    pub(super) fn read(&self, file: &str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        match self.0.read(file, Secrecy::Public, BUNDLE_LIMIT)? {
            Some(text) => pem::certificates(&text, &self.0.path().join(file)),
            // Removed since it was listed: nobody trusts it any more.
            None => Ok(Vec::new()),
        }
    }

    /// Returns where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A PEM file with certificates of authorities, every one of them fit to be trusted.
pub(super) struct Offered {
    path: PathBuf,
    text: Zeroizing<Vec<u8>>,
}

impl Offered {
    /// Reads the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, IdentityError> {
        let text = Opened::open(CWD, path, path, OFlags::empty())?.read(BUNDLE_LIMIT)?;
        let offered = Self { path: path.to_owned(), text };
        for (certificate, _) in offered.blocks()? {
            check_anchor(&certificate, path)?;
        }
        Ok(offered)
    }

    fn blocks(&self) -> Result<Vec<(CertificateDer<'static>, &[u8])>, IdentityError> {
        pem::certificate_blocks(&self.text, &self.path)
    }
}

pub(super) const DIRECTORY: &str = "trusted";
