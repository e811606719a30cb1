//! What a connection knows of its peer, as a thing that can be kept.

use std::fmt;
use std::sync::Arc;

use super::mapping::{MappedAccount, map};
use super::{Account, Impersonation, RightsError, thread};
use crate::Context;
use crate::core::{Evidence, PeerName, Proof, ProvedPeer};

/// Whose identity a token is (SPEC 7.3).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// The host that authenticated.
    Machine,
    /// The user or service that authenticated.
    User,
}

/// What a peer has proved beside its principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claims {
    /// Every name that it proved.
    pub names: Vec<ProvedPeer>,
    /// The groups that its domain says it is in, as security identifiers (`S-1-5-21-…`).
    pub groups: Vec<String>,
}

/// A credential that the peer has lent us, to act for it elsewhere. Opaque here: whoever put it in
/// knows how to take it out.
#[derive(Clone)]
pub struct DelegatedCredential(Arc<dyn std::any::Any + Send + Sync>);

impl DelegatedCredential {
    /// Takes a credential.
    pub fn new(credential: impl std::any::Any + Send + Sync) -> Self {
        Self(Arc::new(credential))
    }

    /// Returns the credential, if it is of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for DelegatedCredential {
    /// Never the credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelegatedCredential")
    }
}

impl PartialEq for DelegatedCredential {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DelegatedCredential {}

/// Who a peer is: the principal, how it was proved, what else was, and which local account acts for
/// it.
///
/// Cheap to clone; it closes when the last clone is dropped, and outlives the connection. The
/// account is looked up when it is asked for, by the policy that is in force then, and remembered
/// for a few seconds.
#[derive(Clone, Debug)]
pub struct PeerToken {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    principal: ProvedPeer,
    kind: TokenKind,
    claims: Claims,
    delegated: Option<DelegatedCredential>,
    context: Context,
}

impl PeerToken {
    /// Makes the token of the user or service that authenticated, if one did.
    pub fn application(evidence: &Evidence, context: &Context) -> Option<Self> {
        let principal = evidence.application()?;
        Some(Self::new(principal.clone(), TokenKind::User, evidence, context))
    }

    /// Makes the token of the host that authenticated, if one did.
    pub fn machine(evidence: &Evidence, context: &Context) -> Option<Self> {
        let principal = evidence.machine()?;
        Some(Self::new(principal.clone(), TokenKind::Machine, evidence, context))
    }

    /// Makes the token that impersonation takes: the user's if there is one, else the machine's
    /// (SPEC 8.2).
    pub fn of_peer(evidence: &Evidence, context: &Context) -> Option<Self> {
        Self::application(evidence, context).or_else(|| Self::machine(evidence, context))
    }

    fn new(principal: ProvedPeer, kind: TokenKind, evidence: &Evidence, context: &Context) -> Self {
        let claims = Claims { names: evidence.names().to_vec(), groups: Vec::new() };
        let context = context.clone();
        Self { inner: Arc::new(Inner { principal, kind, claims, delegated: None, context }) }
    }

    /// Adds a credential that the peer has lent us.
    #[must_use]
    pub fn with_delegated(self, credential: DelegatedCredential) -> Self {
        let Inner { principal, kind, claims, context, .. } = &*self.inner;
        Self {
            inner: Arc::new(Inner {
                principal: principal.clone(),
                kind: *kind,
                claims: claims.clone(),
                delegated: Some(credential),
                context: context.clone(),
            }),
        }
    }

    /// Returns who it is.
    pub fn principal(&self) -> &PeerName {
        self.inner.principal.name()
    }

    /// Returns how that was proved.
    pub fn proof(&self) -> Proof {
        self.inner.principal.proof()
    }

    /// Returns whether it is a user or a machine.
    pub fn kind(&self) -> TokenKind {
        self.inner.kind
    }

    /// Returns what else was proved.
    pub fn claims(&self) -> &Claims {
        &self.inner.claims
    }

    /// Returns the credential that the peer has lent us, if it has.
    pub fn delegated(&self) -> Option<&DelegatedCredential> {
        self.inner.delegated.as_ref()
    }

    /// Returns the name of the account that acts for it, and which rule says so.
    ///
    /// # Errors
    ///
    /// As [`super::map`].
    pub fn mapped(&self) -> Result<MappedAccount, RightsError> {
        map(&self.inner.context.current().policy, self.principal(), self.proof())
    }

    /// Returns the local account that acts for it.
    ///
    /// # Errors
    ///
    /// [`RightsError`], which says which rule is missing, or why the account cannot be used. It may
    /// wait for the user database.
    pub fn account(&self) -> Result<Arc<Account>, RightsError> {
        self.mapped()?.look_up(self.principal())
    }

    /// Runs `work` with the rights of the peer's account, on this thread (SPEC 8).
    ///
    /// When it ends, also in a panic, the thread is who it was before; if that cannot be, the process
    /// is aborted. Within, another token may be used; when that is done, this one holds again.
    ///
    /// # Errors
    ///
    /// [`RightsError`], and then `work` was not run and nothing has changed.
    pub fn impersonate<R>(
        &self,
        work: impl FnOnce(&Impersonation<'_>) -> R,
    ) -> Result<R, RightsError> {
        thread::within(self.account()?, work)
    }

    /// Returns whether it can be used for impersonation, as far as that is known without asking the
    /// user database: a rule speaks of it, and the process may become somebody else.
    /// `CONNECTION_IMPERSONATED` of the query (SPEC 7.5).
    pub fn is_impersonable(&self) -> bool {
        self.mapped().is_ok() && thread::may_impersonate().is_ok()
    }
}

impl PartialEq for PeerToken {
    /// The same principal, proved in the same way with the same claims.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&*self.inner, &*other.inner);
        one.principal == two.principal
            && one.kind == two.kind
            && one.claims == two.claims
            && one.delegated == two.delegated
    }
}

impl Eq for PeerToken {}
