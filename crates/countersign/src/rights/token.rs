//! What a connection knows of its peer, as a thing that can be kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::mapping::{MappedAccount, is_mapped, map};
use super::{Account, Impersonation, RightsError, thread};
use crate::Context;
use crate::core::{Evidence, PeerName, Proof, ProvedPeer};
use crate::kerberos::DelegatedCredential;

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

/// Who a peer is: the principal, how it was proved, what else was, and which local account acts for
/// it.
///
/// Cheap to clone; it closes when the last clone is dropped, and outlives the connection. The
/// account is looked up when it is asked for, by the policy that is in force then (a second ago at
/// most), and remembered for a few seconds.
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
    /// The account, and when it was last found out.
    recent: Mutex<Option<(Instant, Arc<Account>)>>,
}

/// How long a token believes its account without another look at policy and user database: as long
/// as a context believes its files.
const RECENT: Duration = Duration::from_secs(1);

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
        let claims = Claims {
            names: evidence.names().to_vec(),
            groups: evidence.groups().iter().map(ToString::to_string).collect(),
        };
        let context = context.clone();
        let recent = Mutex::default();
        let inner = Inner { principal, kind, claims, delegated: None, context, recent };
        Self { inner: Arc::new(inner) }
    }

    /// Adds the tickets that the peer has delegated, if it has, to the identity that they are of.
    pub(crate) fn with_delegated(mut self, tickets: Option<&DelegatedCredential>) -> Self {
        if self.proof() == Proof::KerberosTicket
            && let Some(inner) = Arc::get_mut(&mut self.inner)
        {
            inner.delegated = tickets.cloned();
        }
        self
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

    /// Returns the tickets that the peer has delegated, with which we can act for it at other
    /// services; [`DelegatedCredential::store`] makes a credential cache of them.
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
        let recent = || self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, account)) = &*recent()
            && at.elapsed() < RECENT
        {
            return Ok(account.clone());
        }
        let account = self.mapped()?.look_up(self.principal())?;
        *recent() = Some((Instant::now(), account.clone()));
        Ok(account)
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
        is_impersonable(&self.inner.principal, &self.inner.context)
    }
}

/// Returns whether whoever authenticated can be acted for, as [`PeerToken::is_impersonable`] does.
pub(crate) fn can_act_for(evidence: &Evidence, context: &Context) -> bool {
    let principal = evidence.application().or_else(|| evidence.machine());
    principal.is_some_and(|principal| is_impersonable(principal, context))
}

fn is_impersonable(principal: &ProvedPeer, context: &Context) -> bool {
    is_mapped(&context.in_force().policy, principal.name(), principal.proof())
        && thread::may_impersonate().is_ok()
}

impl PartialEq for PeerToken {
    /// The same principal, proved in the same way with the same claims.
    fn eq(&self, other: &Self) -> bool {
        let (one, two) = (&*self.inner, &*other.inner);
        one.principal == two.principal && one.kind == two.kind && one.claims == two.claims
    }
}

impl Eq for PeerToken {}
