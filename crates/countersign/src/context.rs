//! Who we are, whom we believe, and what the administrator demands, as one generation of files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
#[cfg(feature = "tokio")]
use std::sync::TryLockError;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use countersign_tls::{ClientConfig, Credential, ServerConfig, TrustAnchors};
use rustix::io::Errno;
use rustls_pki_types::CertificateDer;

use crate::core::{IdentityRule, KerberosUse, Limits, PeerName, Policy, TrustRule};
use crate::error::Error;
use crate::identity::{self, IdentityError, Stamp, Store, variable};
use crate::kerberos::{self, KerberosFiles};
use crate::rights;

/// Who we are, whom we believe, and what the administrator demands.
///
/// Cheap to clone. The files behind it are looked at again when they have changed, at most once a
/// second, and only when a connection is made or accepted. They are taken when they are at rest
/// (unchanged for two seconds, or between two looks), all together, certificate and key as a
/// checked pair; otherwise the last good generation stays in force. It also does when a policy
/// file is gone: what it demanded stays demanded until the process starts anew. Live connections
/// keep their generation. The authorities of the host (`trust.system`) are read with the others, and
/// a change of them alone is not noticed.
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<Shared>,
    /// Whether this handle looks at the files by itself, or somebody does it for it who may wait.
    looks: bool,
}

#[derive(Debug)]
struct Shared {
    sources: Sources,
    /// Locked for as long as somebody looks at the files.
    state: Mutex<State>,
    /// The generation of `state`, for those who must not wait for files.
    in_force: Mutex<Arc<Generation>>,
}

#[derive(Debug)]
struct State {
    current: Arc<Generation>,
    /// The files of the current generation, as they were before it was read and after.
    stamp: Stamp,
    /// A later change of these files cannot have left the same stamp.
    is_settled: bool,
    /// The files at the last look.
    seen: Stamp,
    looked: Instant,
    failure: Option<Arc<Error>>,
    /// Whether a secured listener lives by the files, or did: what follows must serve it too.
    is_listening: bool,
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
    pub(crate) kerberos: KerberosFiles,
    /// What datagrams of the usual size need, made when the first socket needs it.
    pub(crate) datagrams: OnceLock<countersign_dtls::Config>,
    /// The policy files that there were; from now on they must be.
    policy_files: Vec<PathBuf>,
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often files that change while they are read are read anew before the first generation is
/// taken as it comes, and how long we wait in between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

impl Context {
    /// Reads the policies of the host (`/etc/countersign/policy.toml`), of the user
    /// (`$XDG_CONFIG_HOME/countersign/policy.toml`) and of `COUNTERSIGN_POLICY`, as far as they
    /// exist, and what they name. Without any of them: no certificate of our own, and the
    /// authorities of the embedded store and of the host.
    ///
    /// A policy file must belong to root or to us, and others must not be able to write it. A
    /// process that runs set-user-ID or set-group-ID goes by no variable of its environment.
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
        if let Some(path) = variable("COUNTERSIGN_POLICY") {
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

    /// Returns the limits of the policy in force, without a copy of all its rules.
    pub fn limits(&self) -> Limits {
        self.current().policy.limits()
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
        paths.extend(variable("COUNTERSIGN_POLICY").map(PathBuf::from));
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

    /// Takes note that a secured listener lives by the files from now on.
    pub(crate) fn note_listener(&self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).is_listening = true;
    }

    /// Returns the generation in force, without a look at the files, nor a wait for whoever looks.
    pub(crate) fn in_force(&self) -> Arc<Generation> {
        self.shared.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the generation in force, after a look at the files if it is time for one.
    pub(crate) fn current(&self) -> Arc<Generation> {
        if !self.looks {
            return self.in_force();
        }
        let Shared { sources, state, in_force } = &*self.shared;
        // The state changes field by field, but none of them promises anything about another that
        // a panic in between could break: the worst is a look too many.
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            // As the process, also while this thread acts for a peer, who may not read them.
            rights::as_process(|| state.look(sources));
            *in_force.lock().unwrap_or_else(PoisonError::into_inner) = state.current.clone();
        }
        state.current.clone()
    }
}

/// For those that must not wait for files: they look elsewhere.
#[cfg(feature = "tokio")]
impl Context {
    /// Returns whether it is time to look at the files; `false` also while somebody does.
    pub(crate) fn is_look_due(&self) -> bool {
        match self.shared.state.try_lock() {
            Ok(state) => state.looked.elapsed() >= LOOK,
            // Somebody's look ended in a panic, and must not be the last.
            Err(TryLockError::Poisoned(state)) => state.into_inner().looked.elapsed() >= LOOK,
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// Looks at the files, if it is time to.
    pub(crate) fn look(&self) {
        let _ = Self { looks: true, ..self.clone() }.current();
    }

    /// Returns a handle that never looks at the files by itself.
    pub(crate) fn without_looks(&self) -> Self {
        Self { looks: false, ..self.clone() }
    }
}

impl State {
    /// Looks at the files, and takes them if they have changed and are at rest.
    ///
    /// A file that is being written may be a whole policy with half of its demands, or an empty
    /// one with none. So nothing is taken that was still changing a moment ago or that changes
    /// while it is read; and what failed is tried again each time, since the reason may be gone
    /// without a trace in the files.
    fn look(&mut self, sources: &Sources) {
        let is_known = self.is_settled && self.failure.is_none();
        if is_known && sources.stamp(&self.current.policy) == self.stamp {
            return;
        }
        // The policy may name other files by now.
        let named = sources.load_policy(&self.current.policy_files).map(|(policy, _)| policy);
        let before = sources.stamp(named.as_ref().unwrap_or(&self.current.policy));
        let is_settled = before.is_settled(SystemTime::now());
        let is_at_rest = is_settled || before == self.seen;
        self.seen = before.clone();
        if !is_at_rest {
            return;
        }
        let number = self.current.number + u64::from(before != self.stamp);
        let loaded = sources.load(number, &self.current.policy_files);
        // A datagram socket listens once a peer has greeted it.
        let serves = self.is_listening || self.current.kerberos.is_serving();
        let loaded = loaded.and_then(|next| match serves {
            true => next.serves_as_well_as(&self.current).map(|()| next),
            false => Ok(next),
        });
        match loaded {
            Ok(next) if sources.stamp(&next.policy) == before => {
                self.current = Arc::new(next);
                self.stamp = before;
                self.is_settled = is_settled;
                self.failure = None;
            }
            // It changed meanwhile.
            Ok(_) => {}
            Err(error) => self.failure = Some(Arc::new(error)),
        }
    }
}

impl Generation {
    /// Reads the keytab, if a server is to prove itself by one, so that a broken one is found before
    /// it is taken; else there must be a certificate, if there was.
    fn serves_as_well_as(&self, before: &Self) -> Result<(), Error> {
        match self.policy.kerberos().server.unwrap_or_default() {
            KerberosUse::Off if self.server.is_none() && before.server.is_some() => {
                Err(Error::NoCertificate)
            }
            KerberosUse::Off => Ok(()),
            _ => self.kerberos.server().map(drop),
        }
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
        let mut tries = TRIES;
        let (current, stamp, is_settled) = loop {
            let (policy, _) = sources.load_policy(&[])?;
            let before = sources.stamp(&policy);
            let current = sources.load(1, &[])?;
            let is_unchanged = sources.stamp(&current.policy) == before;
            tries -= 1;
            if is_unchanged || tries == 0 {
                let is_settled = is_unchanged && before.is_settled(SystemTime::now());
                break (current, before, is_settled);
            }
            thread::sleep(PAUSE);
        };
        let state = State {
            current: Arc::new(current),
            seen: stamp.clone(),
            stamp,
            is_settled,
            looked: Instant::now(),
            failure: None,
            is_listening: false,
        };
        let in_force = Mutex::new(state.current.clone());
        let shared = Arc::new(Shared { sources, state: Mutex::new(state), in_force });
        Ok(Context { shared, looks: true })
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
    /// Reads everything; `required` are the policy files that must be there.
    fn load(&self, number: u64, required: &[PathBuf]) -> Result<Generation, Error> {
        let (policy, policy_files) = self.load_policy(required)?;
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
        let server = match &credential {
            Some(own) => Some(ServerConfig::new(&policy, &anchors, own)),
            // A server that proves itself by its keytab shows some certificate, because TLS needs
            // one; nobody has to believe it.
            None if policy.kerberos().server.unwrap_or_default() != KerberosUse::Off => {
                let nobody = identity::throw_away_credential()?;
                Some(ServerConfig::for_proofs_only(&nobody))
            }
            None => None,
        };
        let kerberos = KerberosFiles::new(policy.kerberos());
        let datagrams = OnceLock::new();
        Ok(Generation {
            number,
            policy,
            client,
            server,
            credential,
            anchors,
            kerberos,
            datagrams,
            policy_files,
        })
    }

    /// Reads the policy, and says which files it is made of.
    fn load_policy(&self, required: &[PathBuf]) -> Result<(Policy, Vec<PathBuf>), Error> {
        let mut policy = Policy::default();
        let mut found = Vec::new();
        for (path, presence) in &self.policy_files {
            let may_be_absent = *presence == Presence::Optional && !required.contains(path);
            let text = match identity::read_policy(path) {
                Ok(text) => text,
                Err(IdentityError::Io { errno: Errno::NOENT, .. }) if may_be_absent => continue,
                Err(IdentityError::Io { errno, .. }) => {
                    let doing = format!("read the policy {}", path.display());
                    return Err(Error::io(doing)(errno.into()));
                }
                Err(error) => return Err(error.into()),
            };
            found.push(path.clone());
            let next = Policy::parse(&text, &path.display().to_string())?;
            let base = path.parent().unwrap_or_else(|| Path::new(""));
            policy = policy.overlay(next.with_paths_below(base));
        }
        Ok((policy.overlay(self.policy.clone()), found))
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
        let public = if trust.system { Self::system_anchors(policy)? } else { Vec::new() };
        let anchors = TrustAnchors::lenient(&certificates, &public);
        if anchors.is_empty() && has_trust_rule(policy) {
            return Err(IdentityError::NobodyToBelieve.into());
        }
        Ok(anchors)
    }

    fn system_anchors(policy: &Policy) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
        match identity::system_anchors() {
            Err(IdentityError::NoSystemAnchors { .. }) if !has_trust_rule(policy) => Ok(Vec::new()),
            found => found,
        }
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
        paths.extend(kerberos::keytab(policy.kerberos()));
        if let Some(store) = self.any_store() {
            paths.extend(store.watched());
        }
        Stamp::of(&paths)
    }
}

/// Returns whether a policy says whom to believe. One that does not believes the authorities of
/// the host as far as there are any; one that does must get what it asks for.
fn has_trust_rule(policy: &Policy) -> bool {
    // A rule stands out against another below it.
    let nobody = TrustRule::default();
    let below = Policy::default().with_trust(nobody.clone());
    below.overlay(policy.clone()).trust() != nobody
}

/// The policy files of the host and the user.
fn optional_policies() -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::from("/etc/countersign/policy.toml")];
    paths.extend(user_policy(variable));
    paths
}

/// The policy file of the user, as the environment says. Paths that are not absolute count for
/// nothing (XDG Base Directory Specification): who chooses the working directory would choose the
/// policy.
fn user_policy(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute =
        |name| variable(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .map(|config| config.join("countersign/policy.toml"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use countersign_lab::Authority;

    use super::{Context, LOOK, has_trust_rule, user_policy};
    use crate::core::Policy;

    fn context() -> Context {
        Context::builder().anchors(Authority::new("root").anchors()).build().unwrap()
    }

    #[test]
    #[cfg(feature = "tokio")]
    fn who_must_not_wait_for_files_does_not_wait_for_who_looks_at_them() {
        let context = context();
        // As whoever looks at a file that does not answer.
        let looking = context.shared.state.lock().unwrap();
        let (done, is_done) = mpsc::channel();
        let quiet = context.without_looks();
        thread::spawn(move || done.send((quiet.generation(), quiet.is_look_due())));
        assert_eq!(is_done.recv_timeout(Duration::from_secs(20)), Ok((1, false)));
        drop(looking);
    }

    #[test]
    #[cfg(feature = "tokio")]
    fn a_look_that_ended_in_a_panic_is_not_the_last() {
        let context = context();
        let looking = context.clone();
        let look = thread::spawn(move || {
            let mut state = looking.shared.state.lock().unwrap();
            state.looked -= 2 * LOOK;
            panic!("as a look might");
        });
        look.join().unwrap_err();
        assert!(context.is_look_due());
        context.look();
        assert!(!context.is_look_due());
    }

    #[track_caller]
    fn check_user(variables: &[(&str, &str)], expected: Option<&str>) {
        let found = user_policy(|name| {
            let variable = variables.iter().find(|variable| variable.0 == name);
            variable.map(|(_, value)| value.into())
        });
        assert_eq!(found, expected.map(PathBuf::from));
    }

    #[test]
    fn the_policy_of_the_user_is_at_an_absolute_path_or_nowhere() {
        let in_home = Some("/h/.config/countersign/policy.toml");
        check_user(&[("HOME", "/h")], in_home);
        check_user(
            &[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")],
            Some("/x/countersign/policy.toml"),
        );
        check_user(&[("XDG_CONFIG_HOME", "x"), ("HOME", "/h")], in_home);
        check_user(&[("XDG_CONFIG_HOME", ""), ("HOME", "/h")], in_home);
        check_user(&[("HOME", "h")], None);
        check_user(&[("HOME", "")], None);
        check_user(&[], None);
    }

    #[test]
    fn only_a_rule_is_a_rule() {
        for (text, expected) in [
            ("", false),
            ("[server]\nclient-certificates = 'require'\n", false),
            ("[trust]\nsystem = true\n", true),
            ("[trust]\nsystem = true\nstore = true\n", true),
            ("[trust]\nstore = true\n", true),
        ] {
            assert_eq!(has_trust_rule(&Policy::parse(text, "p").unwrap()), expected, "{text}");
        }
    }
}
