//! The store: makes, keeps and finds identities.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use countersign_core::{PeerName, Timestamp};
use countersign_tls::Credential;
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use super::authority::{self, Authority};
use super::directory::Directory;
use super::inventory::{self, Inventory};
use super::issued::{self, CredentialPaths, Fit, IssuedDirectory, Loaded};
use super::location::locate;
use super::request::Request;
use super::slug::slug;
use super::trusted::{self, Offered, TrustedDirectory};
use crate::identity::files::check_anchor;
use crate::identity::{IdentityError, pem, variable};

/// How long a certificate is valid unless something else is asked for: 397 days, a little more
/// than a year, and no more than the strictest clients accept.
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// A local authority, what it has issued, and whom we trust, in a directory.
///
/// | in the directory | is |
/// | --- | --- |
/// | `authority.pem`, `authority.key` | the authority |
/// | `issued/<name>/chain.pem`, `key.pem` | a certificate and its key |
/// | `trusted/<fingerprint>.pem` | an authority that is trusted besides our own |
///
/// Directories are made for us alone (0700) and so are keys (0600). Keys that others can read,
/// files and directories that others can change, and what belongs to somebody other than us and
/// root are refused: an error says so and names the command that puts it right.
///
/// Whoever reads while somebody writes sees what was or what is, whole. Writers wait for one
/// another.
///
/// # Examples
///
/// ```
/// use std::time::SystemTime;
///
/// use countersign::identity::{DEFAULT_VALIDITY, Store};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("store");
/// let store = Store::at(path);
/// store.init()?;
/// let name = "postgres/db1.example.com".parse()?;
/// store.issue(&[name], DEFAULT_VALIDITY, SystemTime::now())?;
///
/// let name = "postgres/db1.example.com".parse()?;
/// let credential = store.credential(&name)?;
/// assert_eq!(credential.names()[0].name(), &name);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    path: PathBuf,
}

/// A certificate that was just issued.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Where it is, and its key.
    pub paths: CredentialPaths,
    /// The names that it was issued for, each once.
    pub names: Vec<PeerName>,
    /// Until when it is good: as long as was asked for, or as long as the authority is.
    pub not_after: Timestamp,
}

impl Store {
    /// Takes the store in the directory `path`, which need not be there yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Takes the store of this user: in `$COUNTERSIGN_HOME` if that is set, else in
    /// `$XDG_DATA_HOME/countersign`, else in `$HOME/.local/share/countersign`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NoHome`] if none of these variables says where, or none counts, since the
    /// process runs set-user-ID or set-group-ID.
    pub fn default_location() -> Result<Self, IdentityError> {
        locate(variable).map(Self::at)
    }

    /// Returns its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the authority: a P-256 key, and a certificate for ten years under which there can be
    /// no other authority.
    ///
    /// # Errors
    ///
    /// [`IdentityError::AuthorityExists`] if there is one, which is never overwritten; others if
    /// the directory cannot be used.
    pub fn init(&self) -> Result<(), IdentityError> {
        let directory = Directory::open_or_create(&self.path)?;
        let _lock = directory.lock()?;
        Authority::create(&directory, timestamp(SystemTime::now()))
    }

    /// Issues one certificate that proves all of `names`, valid from five minutes before `now`
    /// (clocks differ) until `validity` after it, or as long as the authority is.
    ///
    /// | name | stated in the certificate |
    /// | --- | --- |
    /// | `host/H` | dNSName or iPAddress `H` |
    /// | `class/H` | SRVName `_class.H`; also dNSName `H`, so that ordinary TLS clients, which know hosts only, can connect |
    /// | `class/H@REALM` | KRB5PrincipalName as well |
    /// | `class/H[:port][/service]@REALM` | KRB5PrincipalName and dNSName or iPAddress `H` |
    /// | `user@REALM` | KRB5PrincipalName and user principal name; good for clients only |
    /// | `spiffe://…` | URI, one in a certificate |
    ///
    /// A certificate for the same first name is replaced: who reads certificate and key by their
    /// directory gets a pair, before, meanwhile and after.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if no one certificate can prove these names (its message and hint say
    /// which could), if there is no authority, or an expired one, or if files cannot be written.
    pub fn issue(
        &self,
        names: &[PeerName],
        validity: Duration,
        now: SystemTime,
    ) -> Result<Issued, IdentityError> {
        let request = Request::new(names)?;
        let first = request.names.first().ok_or(IdentityError::NoNames)?;
        let directory = Directory::open(&self.path)?.ok_or_else(|| self.no_authority())?;
        let authority = Authority::open(&directory)?;
        let signed = authority.sign(&request, validity, timestamp(now))?;
        let _lock = directory.lock()?;
        let issued = IssuedDirectory::open_or_create(&directory)?;
        let paths = issued.replace(&slug(first), &signed, &request.names)?;
        Ok(Issued { paths, names: request.names, not_after: signed.not_after })
    }

    /// Trusts the authorities in the PEM file `file`: copies their certificates. Returns how many
    /// were not trusted before.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NoCertificate`] if there is none in it, [`IdentityError::NotAuthority`] if
    /// one is not an authority's; then none is taken. Others if files cannot be read or written.
    pub fn trust(&self, file: &Path) -> Result<usize, IdentityError> {
        let offered = Offered::read(file)?;
        let directory = Directory::open_or_create(&self.path)?;
        let _lock = directory.lock()?;
        TrustedDirectory::open_or_create(&directory)?.add(&offered)
    }

    /// Returns what the store holds, and how long it will be good as seen at `now`. What cannot
    /// be used is among the problems.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the directory itself cannot be used; one that is not there is empty.
    pub fn show(&self, now: SystemTime) -> Result<Inventory, IdentityError> {
        let directory = Directory::open(&self.path)?;
        Ok(inventory::take(directory.as_ref(), self.path.clone(), timestamp(now)))
    }

    /// Returns, in PEM, the certificate of the authority, or the chain for `name` and, if
    /// `include_key`, its key. The text is wiped when dropped.
    ///
    /// # Errors
    ///
    /// [`IdentityError::AuthorityKeyStays`] if the key of the authority is asked for; others if
    /// there is no such certificate, or none that is good now.
    pub fn export(
        &self,
        name: Option<&PeerName>,
        include_key: bool,
    ) -> Result<Zeroizing<String>, IdentityError> {
        let Some(name) = name else {
            if include_key {
                return Err(IdentityError::AuthorityKeyStays);
            }
            let directory = Directory::open(&self.path)?.ok_or_else(|| self.no_authority())?;
            let text = authority::read_text(&directory)?.ok_or_else(|| self.no_authority())?;
            return join([], &text, &self.path.join(authority::CERTIFICATE_FILE));
        };
        let Loaded { chain, key, paths, .. } = self.find(name, timestamp(SystemTime::now()))?;
        if include_key {
            join([&**key], &chain, &paths.certificate)
        } else {
            join([], &chain, &paths.certificate)
        }
    }

    /// Returns a certificate that proves `name` now, with its key: one for this very name if there
    /// is one, else one that its peers accept for it.
    ///
    /// # Errors
    ///
    /// [`IdentityError::NoAuthority`] or [`IdentityError::NoCredential`] if there is none,
    /// [`IdentityError::Expired`] if there is one for another time; others if files that might
    /// hold it cannot be used.
    pub fn credential(&self, name: &PeerName) -> Result<Credential, IdentityError> {
        self.find(name, timestamp(SystemTime::now())).map(|loaded| loaded.credential)
    }

    /// Returns the certificate that is good now, with its key, if there is exactly one.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if there is none, and files that might hold one cannot be used.
    pub fn sole_credential(&self) -> Result<Option<Credential>, IdentityError> {
        let now = timestamp(SystemTime::now());
        let (loaded, problem) = self.load_all(None)?;
        let mut current =
            loaded.into_iter().map(|one| one.credential).filter(|one| issued::is_current(one, now));
        match (current.next(), current.next(), problem) {
            (Some(sole), None, _) => Ok(Some(sole)),
            (None, _, Some(problem)) => Err(problem),
            _ => Ok(None),
        }
    }

    /// Returns the certificates of the authorities that we believe: our own, if there is one, and
    /// those that are trusted besides.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if a file cannot be used: an authority that was trusted is not silently
    /// left out.
    pub fn anchors(&self) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        let Some(directory) = Directory::open(&self.path)? else { return Ok(Vec::new()) };
        let mut anchors: Vec<_> = authority::read_certificate(&directory)?.into_iter().collect();
        if let Some(trusted) = TrustedDirectory::open(&directory)? {
            for file in trusted.files()? {
                for anchor in trusted.read(&file)? {
                    // The file may have come there without us.
                    check_anchor(&anchor, &trusted.path().join(&file))?;
                    if !anchors.contains(&anchor) {
                        anchors.push(anchor);
                    }
                }
            }
        }
        Ok(anchors)
    }

    /// Returns the paths whose [`Stamp`](crate::identity::Stamp) changes when what
    /// [`Self::credential`] or [`Self::anchors`] returns may have, be it because permissions were
    /// put right. Ask for them each time: there may be more when something was issued.
    pub fn watched(&self) -> Vec<PathBuf> {
        let issued = self.path.join(issued::DIRECTORY);
        let mut pairs: Vec<PathBuf> = fs::read_dir(&issued)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        pairs.sort();
        let mut watched = vec![self.path.clone(), issued, self.path.join(trusted::DIRECTORY)];
        watched.append(&mut pairs);
        watched
    }

    /// Finds the best pair for `name`: its own if that will do, so that the others are not read.
    fn find(&self, name: &PeerName, now: Timestamp) -> Result<Loaded, IdentityError> {
        let own = slug(name);
        let suits = |one: &Loaded| {
            Fit::best(&one.credential, name) == Some(Fit::Exactly)
                && issued::is_current(&one.credential, now)
        };
        if let Some(issued) = self.issued()?
            && let Ok(loaded) = issued.load(&own)
            && suits(&loaded)
        {
            return Ok(loaded);
        }
        let (loaded, problem) = self.load_all(Some(&own))?;
        let best = loaded
            .into_iter()
            .filter_map(|one| Fit::best(&one.credential, name).map(|fit| (fit, one)))
            .max_by_key(|(fit, one)| {
                let is_current = issued::is_current(&one.credential, now);
                (is_current, *fit, one.credential.not_after())
            });
        match (best, problem) {
            (Some((_, one)), _) if issued::is_current(&one.credential, now) => Ok(one),
            (_, Some(problem)) => Err(problem),
            (Some((_, one)), None) => Err(IdentityError::Expired {
                name: Box::new(name.clone()),
                not_before: one.credential.not_before(),
                not_after: one.credential.not_after(),
                now,
            }),
            (None, None) => Err(IdentityError::NoCredential {
                name: Box::new(name.clone()),
                directory: self.path.clone(),
            }),
        }
    }

    /// Loads every issued certificate that can be loaded, and the first reason why one cannot, be
    /// it that of `preferred` if there is one.
    fn load_all(
        &self,
        preferred: Option<&str>,
    ) -> Result<(Vec<Loaded>, Option<IdentityError>), IdentityError> {
        let Some(issued) = self.issued()? else { return Ok((Vec::new(), None)) };
        let mut slugs = issued.slugs()?;
        slugs.sort_by_key(|slug| Some(slug.as_str()) != preferred);
        let (mut all, mut problem) = (Vec::new(), None);
        for slug in slugs {
            match issued.load(&slug) {
                Ok(loaded) => all.push(loaded),
                Err(error) => {
                    problem.get_or_insert(error);
                }
            }
        }
        Ok((all, problem))
    }

    /// Opens what was issued, if anything was; without an authority nothing could be.
    fn issued(&self) -> Result<Option<IssuedDirectory>, IdentityError> {
        let directory = Directory::open(&self.path)?.ok_or_else(|| self.no_authority())?;
        let issued = IssuedDirectory::open(&directory)?;
        if issued.is_none() && !directory.has(authority::CERTIFICATE_FILE) {
            return Err(self.no_authority());
        }
        Ok(issued)
    }

    fn no_authority(&self) -> IdentityError {
        IdentityError::NoAuthority { directory: self.path.clone() }
    }
}

/// Joins the certificates in `chain`, and nothing else that may be in it, with `keys` after them.
/// The text is never moved, so no copy of a key stays behind.
fn join<const N: usize>(
    keys: [&[u8]; N],
    chain: &[u8],
    path: &Path,
) -> Result<Zeroizing<String>, IdentityError> {
    let blocks = pem::certificate_blocks(chain, path)?;
    let parts: Vec<&[u8]> = blocks.into_iter().map(|(_, block)| block).chain(keys).collect();
    let length = parts.iter().map(|part| part.len() + 1).sum();
    let mut joined = Zeroizing::new(String::with_capacity(length));
    for part in parts {
        // Certificates and keys that could be read are base64 between lines of ASCII.
        let text = str::from_utf8(part).map_err(|_| IdentityError::BadPem {
            path: path.to_owned(),
            what: "it is no text".to_owned(),
        })?;
        joined.push_str(text.trim_end());
        joined.push('\n');
    }
    Ok(joined)
}

/// Whole seconds: the time before 1970 is 1970.
fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::from_secs(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
