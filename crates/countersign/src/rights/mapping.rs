//! From a proved name to the name of an account.

use std::fmt;
use std::sync::Arc;

use super::local_names::local_names;
use super::{Account, RightsError, lookup};
use crate::core::{AccountChoice, AccountRule, PeerName, Policy, Proof};

/// Which account acts for a peer, by which rule. It has not been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappedAccount {
    /// The name of the account.
    pub account: String,
    /// What chose it.
    pub source: AccountSource,
}

impl MappedAccount {
    /// Looks the account up, and checks that it may act for the peer.
    ///
    /// # Errors
    ///
    /// [`RightsError`], which says why it cannot be used. It may wait for the user database.
    pub fn look_up(&self, peer: &PeerName) -> Result<Arc<Account>, RightsError> {
        lookup::look_up(self, peer)
    }
}

/// What chose an account.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountSource {
    /// The system's rules for Kerberos principals.
    LocalName,
    /// A rule of the policy.
    Rule(Box<AccountRule>),
}

impl AccountSource {
    /// Returns whether the account is one that the administrator spelled out.
    pub(super) fn is_literal(&self) -> bool {
        matches!(self, Self::Rule(rule) if rule.is_literal())
    }

    /// Returns the lowest user id that may be reached without having been spelled out.
    pub(super) fn lowest_uid(&self) -> u32 {
        match self {
            Self::LocalName => AccountRule::LOWEST_UID,
            Self::Rule(rule) => rule.lowest_uid,
        }
    }
}

impl fmt::Display for AccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalName => f.write_str("auth_to_local of krb5.conf"),
            Self::Rule(rule) => write!(f, "the rule {rule}"),
        }
    }
}

/// Says which account acts for a peer with a name that is proved in this way; looks nothing up but, for a Kerberos ticket, the local name.
///
/// # Errors
///
/// [`RightsError::NoRule`] if nothing says so, [`RightsError::Unfit`] if a rule captured what can be
/// no account, [`RightsError::LocalName`] if Kerberos fails.
pub fn map(policy: &Policy, peer: &PeerName, by: Proof) -> Result<MappedAccount, RightsError> {
    let no_rule = || RightsError::NoRule { peer: Box::new(peer.clone()), proof: by.to_string() };
    match policy.account_for(peer, by)? {
        Some(AccountChoice::Named { rule, account }) => {
            Ok(MappedAccount { account, source: AccountSource::Rule(Box::new(rule.clone())) })
        }
        // The pattern of the rule has checked the realm.
        Some(AccountChoice::LocalName(rule)) => {
            let account = by_ticket(peer, by)?.ok_or_else(no_rule)?;
            Ok(MappedAccount { account, source: AccountSource::Rule(Box::new(rule.clone())) })
        }
        Some(_) => Err(no_rule()),
        None if is_of_our_realm(peer) => {
            let account = by_ticket(peer, by)?.ok_or_else(no_rule)?;
            Ok(MappedAccount { account, source: AccountSource::LocalName })
        }
        None => Err(no_rule()),
    }
}

/// Returns whether [`map`] would find an account, as far as that is known without asking the system's
/// own rules, which are files.
pub(super) fn is_mapped(policy: &Policy, peer: &PeerName, by: Proof) -> bool {
    let is_by_ticket = || local_names().is_some_and(|names| names.is_by_ticket(by));
    match policy.account_for(peer, by) {
        Ok(Some(AccountChoice::Named { .. })) => true,
        Ok(Some(AccountChoice::LocalName(_))) => is_by_ticket(),
        Ok(None) => is_by_ticket() && is_of_our_realm(peer),
        _ => false,
    }
}

fn is_of_our_realm(peer: &PeerName) -> bool {
    let Some(names) = local_names() else { return false };
    let realm = match peer {
        PeerName::User(user) => Some(user.realm()),
        PeerName::Service(service) => service.realm(),
        _ => None,
    };
    realm.is_some_and(|realm| names.realms().iter().any(|ours| ours == realm))
}

fn by_ticket(peer: &PeerName, by: Proof) -> Result<Option<String>, RightsError> {
    let Some(names) = local_names().filter(|names| names.is_by_ticket(by)) else {
        return Ok(None);
    };
    names
        .local_name(&peer.to_string())
        .map_err(|why| RightsError::LocalName { peer: Box::new(peer.clone()), why })
}
