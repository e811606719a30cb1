//! Accounts of the user database, remembered for a moment.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use countersign_sys::{Identity, account, groups_of, shadow};

use super::mapping::MappedAccount;
use super::{Account, RightsError, thread};
use crate::core::PeerName;

/// How long an account is believed: a change of its groups, or its end, counts after that.
const FRESH: Duration = Duration::from_secs(5);

/// How many accounts are remembered; peers choose which, so there must be a bound.
const MOST: usize = 1024;

/// Each with the time at which it was looked up.
type Accounts = HashMap<String, (Instant, Arc<Account>)>;

static CACHE: LazyLock<Mutex<Accounts>> = LazyLock::new(Mutex::default);

/// Looks up the account that acts for a peer, and checks that it may.
pub(super) fn look_up(
    mapped: &MappedAccount,
    peer: &PeerName,
) -> Result<Arc<Account>, RightsError> {
    let account = match remembered(&mapped.account) {
        Some(account) => account,
        None => {
            // As the server: the peer may read less of the database.
            let found = thread::as_process(|| ask(mapped, peer))?;
            remember(&mapped.account, found)
        }
    };
    // After the memory, which does not know by which rule the account was reached.
    check(&account, mapped, peer)?;
    Ok(account)
}

fn ask(mapped: &MappedAccount, peer: &PeerName) -> Result<Account, RightsError> {
    let name = &mapped.account;
    let failed = |source| RightsError::Lookup { account: name.clone(), source };
    let entry = account(name).map_err(failed)?.ok_or_else(|| RightsError::NoAccount {
        peer: Box::new(peer.clone()),
        account: name.clone(),
        rule: mapped.source.to_string(),
    })?;
    if let Some(why) = why_disabled(&entry.name).map_err(failed)? {
        return Err(RightsError::AccountDisabled {
            peer: Box::new(peer.clone()),
            account: name.clone(),
            why,
        });
    }
    let groups = groups_of(&entry.name, entry.gid).map_err(failed)?;
    let identity = Identity::new(entry.uid, entry.gid, &groups).map_err(|_| {
        failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "one of its ids is 4294967295, which is none",
        ))
    })?;
    Ok(Account::new(entry.name, identity, entry.home, entry.shell))
}

/// Root only where a rule spells `root` out, whatever the account is called; system accounts only
/// where a rule spells them out.
fn check(account: &Account, mapped: &MappedAccount, peer: &PeerName) -> Result<(), RightsError> {
    let is_literal = mapped.source.is_literal();
    let is_allowed = match account.uid() {
        0 => is_literal && mapped.account == "root",
        uid => is_literal || uid >= mapped.source.lowest_uid(),
    };
    if is_allowed {
        return Ok(());
    }
    Err(RightsError::Protected {
        peer: Box::new(peer.clone()),
        account: account.name().to_owned(),
        uid: account.uid(),
        rule: mapped.source.to_string(),
    })
}

/// As pam_unix(8) judges an account: by the day on which it expires, and by how long its password
/// has been too old. A locked password or a shell that lets nobody in say how one may log in, not
/// that the account is no longer in use. Only root can read this; without root it is not judged.
fn why_disabled(name: &str) -> io::Result<Option<String>> {
    let ageing = match shadow(name) {
        Ok(Some(ageing)) => ageing,
        Ok(None) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(error),
    };
    const DAY: u64 = 24 * 60 * 60;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let today = i64::try_from(since_1970 / DAY).unwrap_or(i64::MAX);
    Ok(match (ageing.expires, ageing.inactive_after) {
        (Some(day), _) if today >= day => Some("has expired (chage -l)".to_owned()),
        (_, Some(day)) if today > day => {
            Some("is inactive, because its password is too old (chage -l)".to_owned())
        }
        _ => None,
    })
}

fn remembered(name: &str) -> Option<Arc<Account>> {
    let cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, account) = cache.get(name)?;
    (since.elapsed() < FRESH).then(|| account.clone())
}

fn remember(name: &str, account: Account) -> Arc<Account> {
    let account = Arc::new(account);
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= MOST {
        cache.retain(|_, (since, _)| since.elapsed() < FRESH);
    }
    if cache.len() < MOST {
        cache.insert(name.to_owned(), (Instant::now(), account.clone()));
    }
    account
}
