//! Who we are, whom we believe, and what the administrator demands, as one generation of files.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use countersign_tls::{ClientConfig, Credential, ServerConfig, TrustAnchors};

use crate::core::{IdentityRule, PeerName, Policy};
use crate::error::Error;
use crate::identity::{self, IdentityError, Stamp, Store};

/// Who we are, whom we believe, and what the administrator demands.
///
/// Cheap to clone. The files behind it are looked at again when they have changed, at most once a
/// second, and only when a connection is made or accepted; certificate and key are taken as a
/// checked pair or not at all, and the last good generation stays in force. Live connections keep
/// theirs.
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    current: Arc<Generation>,
    stamp: Stamp,
    is_settled: bool,
    looked: Instant,
    failure: Option<Arc<Error>>,
}

/// Everything that one connection needs, from one look at the files.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) policy: Policy,
    pub(crate) client: ClientConfig,
    pub(crate) server: Option<ServerConfig>,
    pub(crate) credential: Option<Credential>,
    pub(crate) anchors: TrustAnchors,
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Context {
    /// Reads the policies of the host (`/etc/countersign/policy.toml`), of the user
    /// (`$XDG_CONFIG_HOME/countersign/policy.toml`) and of `COUNTERSIGN_POLICY`, as far as they
    /// exist, and what they name. Without any of them: no certificate of our own, and the
    /// authorities of the embedded store and of the host.
    ///
    /// The first call that succeeds decides for the process which files these are; later ones
    /// return the same context.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] and [`Error::Identity`] for files that cannot be used. A file that
    /// `COUNTERSIGN_POLICY` names must exist.
    pub fn host() -> Result<Self, Error> {
        static HOST: Mutex<Option<Context>> = Mutex::new(None);
        let mut host = HOST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(context) = &*host {
            return Ok(context.clone());
        }
        let context = Self::read_host()?;
        *host = Some(context.clone());
        Ok(context)
    }

    fn read_host() -> Result<Self, Error> {
        let mut builder = Self::builder();
        for path in optional_policies() {
            builder = builder.optional_policy_file(path);
        }
        if let Some(path) = env::var_os("COUNTERSIGN_POLICY") {
            builder = builder.policy_file(path);
        }
        builder.build()
    }

    /// Starts a context that reads no file but those that are named.
    pub fn builder() -> ContextBuilder {
        ContextBuilder { sources: Sources::default() }
    }

    /// Returns the policy in force.
    pub fn policy(&self) -> Policy {
        self.current().policy.clone()
    }

    /// Returns our certificate and key, if we have them.
    pub fn credential(&self) -> Option<Credential> {
        self.current().credential.clone()
    }

    /// Returns the name that our certificate proves first, if we have one.
    pub fn own_name(&self) -> Option<PeerName> {
        self.current().credential.as_ref()?.names().first().map(|proved| proved.name().clone())
    }

    /// Returns the policy files that [`Self::host`] reads, in order, whether they exist or not.
    pub fn policy_files() -> Vec<PathBuf> {
        let mut paths = optional_policies();
        paths.extend(env::var_os("COUNTERSIGN_POLICY").map(PathBuf::from));
        paths
    }

    /// Returns how many authorities we believe.
    pub fn anchors(&self) -> usize {
        self.current().anchors.len()
    }

    /// Returns the number of the generation in force; it grows with each change that was taken.
    pub fn generation(&self) -> u64 {
        self.current().number
    }

    /// Returns why the files as they are now cannot be used, if so; the generation before stays
    /// in force.
    pub fn reload_failure(&self) -> Option<Arc<Error>> {
        let _ = self.current();
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }

    /// Returns the generation in force, after a look at the files if it is time for one.
    pub(crate) fn current(&self) -> Arc<Generation> {
        let Shared { sources, state } = &*self.shared;
        // The state is replaced in one step, so one that a panic left behind is still whole.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            let mut stamp = sources.stamp(&state.current.policy);
            if stamp != state.stamp || !state.is_settled {
                let number = state.current.number + u64::from(stamp != state.stamp);
                match sources.load(number) {
                    Ok(next) => {
                        // The new policy may name other files. One that changed again while it
                        // was read is not settled, and is read once more.
                        stamp = sources.stamp(&next.policy);
                        state.current = Arc::new(next);
                        state.failure = None;
                    }
                    Err(error) => state.failure = Some(Arc::new(error)),
                }
                state.is_settled = stamp.is_settled(SystemTime::now());
                state.stamp = stamp;
            }
        }
        state.current.clone()
    }
}

/// Says what a [`Context`] is made of.
#[derive(Debug)]
pub struct ContextBuilder {
    sources: Sources,
}

impl ContextBuilder {
    /// Demands this, over the policy files.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.sources.policy = policy;
        self
    }

    /// Reads this policy file over those named before.
    #[must_use]
    pub fn policy_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.policy_files.push((path.into(), Presence::Required));
        self
    }

    /// Reads this policy file over those named before, if it exists.
    #[must_use]
    pub fn optional_policy_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.policy_files.push((path.into(), Presence::Optional));
        self
    }

    /// Shows this certificate, whatever the policy names.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        self.sources.credential = Some(credential);
        self
    }

    /// Believes these authorities, whatever the policy names.
    #[must_use]
    pub fn anchors(mut self, anchors: TrustAnchors) -> Self {
        self.sources.anchors = Some(anchors);
        self
    }

    /// Uses this embedded store instead of the user's.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.sources.store = Some(store);
        self
    }

    /// Reads the files and checks them.
    ///
    /// # Errors
    ///
    /// [`Error::Policy`] and [`Error::Identity`] for files that cannot be used.
    pub fn build(self) -> Result<Context, Error> {
        let sources = self.sources;
        let current = sources.load(1)?;
        let stamp = sources.stamp(&current.policy);
        let is_settled = stamp.is_settled(SystemTime::now());
        let state = State {
            current: Arc::new(current),
            stamp,
            is_settled,
            looked: Instant::now(),
            failure: None,
        };
        Ok(Context { shared: Arc::new(Shared { sources, state: Mutex::new(state) }) })
    }
}

#[derive(Debug, Default)]
struct Sources {
    policy: Policy,
    policy_files: Vec<(PathBuf, Presence)>,
    credential: Option<Credential>,
    anchors: Option<TrustAnchors>,
    store: Option<Store>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

impl Sources {
    fn load(&self, number: u64) -> Result<Generation, Error> {
        let policy = self.load_policy()?;
        let credential = match (&self.credential, policy.identity()) {
            (Some(credential), _) => Some(credential.clone()),
            (None, Some(IdentityRule::Files { certificate, key })) => {
                Some(identity::load_credential(certificate, key)?)
            }
            (None, Some(IdentityRule::Store { name })) => {
                Some(self.required_store()?.credential(name)?)
            }
            (None, _) => None,
        };
        let anchors = match &self.anchors {
            Some(anchors) => anchors.clone(),
            None => self.load_anchors(&policy)?,
        };
        let client = ClientConfig::new(&policy, &anchors, credential.as_ref());
        let server = credential.as_ref().map(|own| ServerConfig::new(&policy, &anchors, own));
        Ok(Generation { number, policy, client, server, credential, anchors })
    }

    fn load_policy(&self) -> Result<Policy, Error> {
        let mut policy = Policy::default();
        for (path, presence) in &self.policy_files {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error)
                    if error.kind() == std::io::ErrorKind::NotFound
                        && *presence == Presence::Optional =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(Error::io(format!("read the policy {}", path.display()))(error));
                }
            };
            let next = Policy::parse(&text, &path.display().to_string())?;
            let base = path.parent().unwrap_or_else(|| Path::new(""));
            policy = policy.overlay(next.with_paths_below(base));
        }
        Ok(policy.overlay(self.policy.clone()))
    }

    fn load_anchors(&self, policy: &Policy) -> Result<TrustAnchors, Error> {
        let trust = policy.trust();
        let mut certificates = Vec::new();
        for path in &trust.anchors {
            certificates.extend(identity::load_anchors(path)?);
        }
        if trust.store
            && let Some(store) = self.any_store()
        {
            certificates.extend(store.anchors()?);
        }
        let public = if trust.system { identity::system_anchors()? } else { Vec::new() };
        Ok(TrustAnchors::lenient(&certificates, &public))
    }

    /// Returns the store, given or the user's; `None` if the user has no home.
    fn any_store(&self) -> Option<Store> {
        self.store.clone().or_else(|| Store::default_location().ok())
    }

    fn required_store(&self) -> Result<Store, IdentityError> {
        self.store.clone().map_or_else(Store::default_location, Ok)
    }

    /// Returns the identity of every file that this is made of.
    fn stamp(&self, policy: &Policy) -> Stamp {
        let mut paths: Vec<PathBuf> =
            self.policy_files.iter().map(|(path, _)| path.clone()).collect();
        if let (None, Some(IdentityRule::Files { certificate, key })) =
            (&self.credential, policy.identity())
        {
            paths.extend([certificate.clone(), key.clone()]);
        }
        paths.extend(policy.trust().anchors);
        if let Some(store) = self.any_store() {
            paths.extend(store.watched());
        }
        Stamp::of(&paths)
    }
}

/// The policy files of the host and the user.
fn optional_policies() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/etc/countersign/policy.toml")];
    let config = env::var_os("XDG_CONFIG_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    paths.extend(config.map(|config| config.join("countersign/policy.toml")));
    paths
}
