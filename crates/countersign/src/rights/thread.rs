//! The calling thread becomes a peer's account, and comes back.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::process;
use std::sync::Arc;

use countersign_sys::{Credentials, Missing, SwitchError};

use super::{Account, PeerToken, RightsError};

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// A thread that impersonates.
struct State {
    /// Who it was before the first impersonation.
    own: Credentials,
    account: Arc<Account>,
}

/// Proof, inside a closure, that the thread acts for a peer.
///
/// It exists only while the closure runs, and only there: it is neither [`Send`] nor [`Sync`], and
/// nobody can make one, move one out, or keep one across an await.
///
/// ```compile_fail
/// # fn test(token: countersign::rights::PeerToken) {
/// let kept = token.impersonate(|guard| guard); // it does not leave the closure
/// # }
/// ```
///
/// ```compile_fail
/// fn sends<T: Send>() {}
/// sends::<countersign::rights::Impersonation<'static>>();
/// ```
///
/// ```compile_fail
/// fn shares<T: Sync>() {}
/// shares::<countersign::rights::Impersonation<'static>>();
/// ```
///
/// ```compile_fail
/// # async fn work() {}
/// # fn test(token: countersign::rights::PeerToken) {
/// token.impersonate(|_| work().await); // nothing is awaited in there
/// # }
/// ```
#[derive(Debug)]
pub struct Impersonation<'a> {
    account: &'a Account,
    not_send: PhantomData<*const ()>,
}

impl Impersonation<'_> {
    /// Returns the account that the thread acts as.
    pub fn account(&self) -> &Account {
        self.account
    }
}

/// Returns whether this process may act as somebody else at all.
///
/// # Errors
///
/// [`RightsError::MissingCapability`], whose hint has the lines that grant it. A thread that
/// impersonates is judged by who it was before.
pub fn may_impersonate() -> Result<(), RightsError> {
    STATE.with_borrow(|state| match state {
        Some(state) => lacks(&state.own),
        None => lacks(&read()?),
    })
}

/// Makes the calling thread act for a peer until [`revert`] (`WSAImpersonateSocketPeer`, SPEC 8).
///
/// A second call replaces the peer of the first; [`revert`] returns to who the thread was before
/// the first. Rust programs have it easier with [`PeerToken::impersonate`], which cannot forget to
/// revert.
///
/// # Errors
///
/// [`RightsError`], and then the thread is who it was.
pub fn assume(token: &PeerToken) -> Result<(), RightsError> {
    let account = token.account()?;
    become_account(account)
}

/// Makes the calling thread who it was before it impersonated (`WSARevertImpersonation`, SPEC 8.5);
/// nothing happens if it does not. A thread that cannot revert must not go on: it aborts the
/// process.
pub fn revert() {
    let Some(State { own, .. }) = STATE.take() else { return };
    restore_or_abort(&own);
}

/// Returns whether the calling thread acts for a peer.
pub fn is_impersonating() -> bool {
    STATE.with_borrow(Option::is_some)
}

/// Returns the account that the calling thread acts as, if it does.
pub fn impersonated() -> Option<Arc<Account>> {
    STATE.with_borrow(|state| state.as_ref().map(|state| state.account.clone()))
}

/// Runs `work` as the account; afterwards the thread is who it was before this call.
pub(super) fn within<R>(
    account: Arc<Account>,
    work: impl FnOnce(&Impersonation<'_>) -> R,
) -> Result<R, RightsError> {
    let _back = Back { to: impersonated() };
    become_account(account.clone())?;
    Ok(work(&Impersonation { account: &account, not_send: PhantomData }))
}

/// Runs `work` as whom the thread was before it impersonated, if it does.
pub(crate) fn as_process<R>(work: impl FnOnce() -> R) -> R {
    let Some(account) = impersonated() else { return work() };
    let _back = Back { to: Some(account) };
    revert();
    work()
}

/// Makes the thread who it was when it is dropped, also in a panic.
struct Back {
    to: Option<Arc<Account>>,
}

impl Drop for Back {
    fn drop(&mut self) {
        match self.to.take() {
            None => revert(),
            Some(account) => {
                if let Err(error) = become_account(account) {
                    // What could be done a moment ago cannot be done now, and the server's rights
                    // are not what the code that follows expects.
                    abort(&error);
                }
            }
        }
    }
}

fn become_account(account: Arc<Account>) -> Result<(), RightsError> {
    STATE.with_borrow_mut(|state| {
        if let Some(State { account: now, .. }) = state
            && *now == account
        {
            return Ok(());
        }
        let own = match state {
            Some(State { own, .. }) => {
                restore_or_abort(own);
                own.clone()
            }
            None => {
                let own = read()?;
                lacks(&own)?;
                own
            }
        };
        let switched = switch(&own, &account);
        match (switched, &*state) {
            (Ok(()), _) => {
                *state = Some(State { own, account });
                Ok(())
            }
            // Nothing changes: it is the peer of before again.
            (Err(error), Some(before)) => {
                if let Err(again) = switch(&before.own, &before.account) {
                    abort(&again);
                }
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    })
}

fn switch(own: &Credentials, account: &Account) -> Result<(), RightsError> {
    own.assume(account.identity()).map_err(|error| match error {
        SwitchError::Refused { call, source } => {
            RightsError::Refused { account: account.name().to_owned(), call, source }
        }
        other => abort(&other),
    })
}

fn read() -> Result<Credentials, RightsError> {
    Credentials::of_thread().map_err(|source| RightsError::Refused {
        account: "of the process".to_owned(),
        call: "capget",
        source,
    })
}

fn lacks(own: &Credentials) -> Result<(), RightsError> {
    let lacks = match own.missing() {
        None => return Ok(()),
        Some(Missing { setuid: true, setgid: true }) => "CAP_SETUID and CAP_SETGID",
        Some(Missing { setuid: true, .. }) => "CAP_SETUID",
        Some(_) => "CAP_SETGID",
    };
    Err(RightsError::MissingCapability { lacks: lacks.to_owned() })
}

fn restore_or_abort(own: &Credentials) {
    if let Err(error) = own.restore() {
        abort(&error);
    }
}

/// A thread that is half somebody else must not go on, and no other thread may believe that it
/// did.
fn abort(why: &dyn std::fmt::Debug) -> ! {
    let text = format!(
        "countersign: this thread cannot become who it was, so the process ends: {why:?}\n"
    );
    // Nothing can be done if even that does not go out.
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    process::abort()
}
