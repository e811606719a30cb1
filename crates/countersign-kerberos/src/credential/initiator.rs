//! A client's credentials.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use countersign_core::{KerberosFailure, ServiceName};
use zeroize::Zeroizing;

use super::DelegatedCredential;
use super::ready::{Ready, Shelf};
use crate::diagnose::{At, diagnose};
use crate::library::{Cache, Credential, Name, Usage};
use crate::{Awaited, principal};

/// Where a client's credentials come from.
///
/// Making one does not block and looks at nothing: they are acquired when they are needed, and
/// again when they run out. Clones share what was acquired; nobody else does.
///
/// A ticket for a service is copied out of a cache in a file into the memory of this process, and
/// the file is asked for every connection whether it is the same still (stat(2)), so `kinit` and
/// `kdestroy` count at once. Tickets that are not there yet are asked for with the cache itself,
/// which keeps them, as that of every other program. What a keytab or a password brought is kept
/// in memory only.
#[derive(Clone)]
pub struct InitiatorCredential(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) source: Source,
    held: Mutex<Option<Held>>,
    pub(super) shelf: Shelf,
}

pub(super) enum Source {
    Ambient,
    Cache(String),
    ClientKeytab { keytab: String, principal: String },
    Delegated(DelegatedCredential),
    Password { principal: String, password: Zeroizing<String> },
}

/// Credentials that have been acquired.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    credential: Arc<Credential>,
    /// Where their tickets are, if that is ours to remove. It goes after the credential.
    cache: Option<Arc<Cache>>,
    /// Of which these are a part, if they are.
    whole: Option<Arc<Credential>>,
    /// When to acquire them anew.
    until: Option<Instant>,
}

/// Whose credentials these are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The principal, as Kerberos writes it.
    pub principal: String,
    /// For how long they are still good; `None` is for ever.
    pub remaining: Option<Duration>,
}

/// Credentials that are good for less than this are acquired anew, so that none runs out while it
/// is used.
pub(super) const MARGIN: Duration = Duration::from_secs(60);

impl InitiatorCredential {
    /// Those of the environment: the default cache (`KRB5CCNAME`), or a client keytab
    /// (`KRB5_CLIENT_KTNAME`).
    pub fn ambient() -> Self {
        Self::of(Source::Ambient)
    }

    /// Those in a credential cache: a path, or a type and a name such as `KCM:1000`.
    pub fn cache(name: &str) -> Self {
        Self::of(Source::Cache(name.to_owned()))
    }

    /// Those that the KDC gives for a principal's key in a keytab, kept in memory.
    pub fn client_keytab(keytab: &str, principal: &str) -> Self {
        let (keytab, principal) = (keytab.to_owned(), principal.to_owned());
        Self::of(Source::ClientKeytab { keytab, principal })
    }

    /// Those that the KDC gives for a password, which is wiped with the last clone of this. The
    /// domain is the realm, exactly; an empty one is the realm of the host.
    ///
    /// # Errors
    ///
    /// User or domain cannot be one.
    pub fn password(
        user: &str,
        domain: &str,
        password: Zeroizing<String>,
    ) -> Result<Self, KerberosFailure> {
        let is_odd = |c: char| c.is_control() || matches!(c, '@' | '\\');
        if user.is_empty() || user.contains(is_odd) || domain.contains(is_odd) {
            return Err(KerberosFailure::NoCredentials {
                place: "the user and domain that were given".to_owned(),
                detail: "they are no user of a Kerberos realm".to_owned(),
            });
        }
        let principal =
            if domain.is_empty() { user.to_owned() } else { format!("{user}@{domain}") };
        Ok(Self::of(Source::Password { principal, password }))
    }

    /// Those that a client handed on to us.
    pub fn delegated(credential: DelegatedCredential) -> Self {
        Self::of(Source::Delegated(credential))
    }

    /// Acquires them, and returns whose they are. Blocks, and may ask a KDC.
    ///
    /// # Errors
    ///
    /// There are none, or the KDC gives none.
    pub fn holder(&self) -> Result<Holder, KerberosFailure> {
        self.acquire()?.holder(&self.place())
    }

    /// Acquires them, or takes those that are held and still good for a while.
    pub(crate) fn acquire(&self) -> Result<Held, KerberosFailure> {
        let now = Instant::now();
        // Not locked while a KDC is asked: one that is silent must not keep others waiting.
        let held = self.lock().clone().filter(|held| held.until.is_some_and(|until| now < until));
        if let Some(held) = held {
            return Ok(held);
        }
        let held = self.acquire_anew(now)?;
        if held.until.is_some() {
            *self.lock() = Some(held.clone());
        }
        Ok(held)
    }

    /// Returns whether there are tickets for a service with which it can be asked at once, without
    /// a file, a KDC or another thread. Never blocks.
    pub fn is_ready_for(&self, asked: &ServiceName) -> bool {
        self.ready(asked).is_some()
    }

    /// Returns whom [`Self::holder`] may have to wait for.
    pub fn awaits(&self) -> Awaited {
        match self.principal() {
            Some(principal) => Awaited::kdc(realm_of(principal), ""),
            None => self.awaits_files(),
        }
    }

    /// Returns whom [`Self::look`] may have to wait for.
    pub(crate) fn awaits_files(&self) -> Awaited {
        Awaited::files(&self.place())
    }

    /// Returns whom a request to a KDC may have to wait for; `owner` is whose tickets these are,
    /// and `realm` that of the service, as far as they are known.
    pub(crate) fn awaits_kdc(&self, owner: Option<&str>, realm: &str) -> Awaited {
        match owner.or_else(|| self.principal()) {
            Some(owner) => Awaited::kdc(realm_of(owner), realm),
            None => Awaited::kdc(&self.place(), realm),
        }
    }

    /// Returns tickets for a service that are at hand. Never blocks.
    pub(crate) fn ready(&self, asked: &ServiceName) -> Option<Ready> {
        self.0.shelf.take(&asked.to_string())
    }

    /// Returns the principal that these are to be acquired for, if that is known beforehand.
    fn principal(&self) -> Option<&str> {
        match &self.0.source {
            Source::ClientKeytab { principal, .. } | Source::Password { principal, .. } => {
                Some(principal)
            }
            Source::Ambient | Source::Cache(_) | Source::Delegated(_) => None,
        }
    }

    /// Makes the next who needs them acquire them anew, if these are still the ones that are held.
    pub(crate) fn forget(&self, stale: &Held) {
        self.0.shelf.forget(stale);
        let gone = self.lock().take_if(|held| held.is(stale));
        drop(gone);
    }

    /// Returns where these come from, in words.
    pub(crate) fn place(&self) -> String {
        match &self.0.source {
            Source::Ambient => "the environment".to_owned(),
            Source::Cache(name) => format!("the cache {name}"),
            Source::ClientKeytab { keytab, principal } => format!("{keytab} for {principal}"),
            Source::Delegated(_) => "what a client handed on".to_owned(),
            Source::Password { principal, .. } => format!("the password of {principal}"),
        }
    }

    fn acquire_anew(&self, now: Instant) -> Result<Held, KerberosFailure> {
        let place = self.place();
        let acquiring =
            |principal| move |call| diagnose(call, &At::Acquiring { place: &place, principal });
        match &self.0.source {
            Source::Ambient => Credential::acquire(None, Usage::Initiate, &[])
                .map(Held::for_once)
                .map_err(acquiring("this user")),
            Source::Cache(name) => Credential::acquire(None, Usage::Initiate, &[(c"ccache", name)])
                .map(Held::for_once)
                .map_err(acquiring("this user")),
            Source::ClientKeytab { keytab, principal } => {
                let cache = Cache::new();
                let store = [(c"client_keytab", keytab.as_str()), (c"ccache", cache.name())];
                Name::principal(principal)
                    .and_then(|name| Credential::acquire(Some(&name), Usage::Initiate, &store))
                    .and_then(|credential| Held::to_keep(credential, Some(cache), now))
                    .map_err(acquiring(principal))
            }
            Source::Delegated(credential) => Ok(Held::shared(credential.shared())),
            Source::Password { principal, password } => Name::principal(principal)
                .and_then(|name| Credential::with_password(&name, password.as_bytes()))
                .and_then(|credential| Held::to_keep(credential, None, now))
                .map_err(acquiring(principal)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(source: Source) -> Self {
        Self(Arc::new(Inner { source, held: Mutex::new(None), shelf: Shelf::default() }))
    }
}

impl fmt::Debug for InitiatorCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitiatorCredential({})", self.place())
    }
}

impl Held {
    fn for_once(credential: Credential) -> Self {
        Self::shared(Arc::new(credential))
    }

    fn shared(credential: Arc<Credential>) -> Self {
        Self { credential, cache: None, whole: None, until: None }
    }

    /// Those in a copy of tickets, which may be a part of others.
    pub(super) fn of_copy(
        credential: Credential,
        cache: Cache,
        whole: Option<Arc<Credential>>,
    ) -> Self {
        let (credential, cache) = (Arc::new(credential), Some(Arc::new(cache)));
        Self { credential, cache, whole, until: None }
    }

    /// Returns the name of the cache that they are in and these themselves, if it is ours.
    pub(super) fn cache(&self) -> Option<(&str, Arc<Credential>)> {
        let cache = self.cache.as_ref()?;
        Some((cache.name(), Arc::clone(&self.credential)))
    }

    fn to_keep(
        credential: Credential,
        cache: Option<Cache>,
        now: Instant,
    ) -> Result<Self, crate::library::Call> {
        let (_, seconds) = credential.inquire()?;
        let good = seconds.map_or(MARGIN * 2, |seconds| Duration::from_secs(u64::from(seconds)));
        let until = good.checked_sub(MARGIN).map(|good| now + good);
        let (credential, cache) = (Arc::new(credential), cache.map(Arc::new));
        Ok(Self { credential, cache, whole: None, until })
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Returns whether these are the same, or parts of the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let whole = |held: &Self| Arc::as_ptr(held.whole.as_ref().unwrap_or(&held.credential));
        whole(self) == whole(other)
    }

    /// Returns whose they are; `place` is where they come from.
    pub(crate) fn holder(&self, place: &str) -> Result<Holder, KerberosFailure> {
        let at = At::Acquiring { place, principal: "this user" };
        let failed = |call| diagnose(call, &at);
        let (name, seconds) = self.credential.inquire().map_err(failed)?;
        let principal = name.map(|name| name.text()).transpose().map_err(failed)?;
        let principal = principal.filter(|principal| principal::realm(principal).is_some());
        let remaining = seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let nobody = || KerberosFailure::NoCredentials {
            place: place.to_owned(),
            detail: "they are nobody's".to_owned(),
        };
        Ok(Holder { principal: principal.ok_or_else(nobody)?, remaining })
    }
}

/// Returns the realm of a principal that may state none, which is that of the host.
pub(super) fn realm_of(principal: &str) -> &str {
    principal::realm(principal).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::InitiatorCredential;
    use zeroize::Zeroizing;

    #[test]
    fn a_user_is_one_of_a_realm() {
        let secret = || Zeroizing::new("secret-word".to_owned());
        for (user, domain) in [("", "R"), ("a@b", "R"), ("a", "R@S"), ("DOM\\a", ""), ("a\0", "R")]
        {
            assert!(InitiatorCredential::password(user, domain, secret()).is_err(), "{user}");
        }
        let made = InitiatorCredential::password("alice", "EXAMPLE.TEST", secret()).unwrap();
        assert_eq!(format!("{made:?}"), "InitiatorCredential(the password of alice@EXAMPLE.TEST)");
    }
}
