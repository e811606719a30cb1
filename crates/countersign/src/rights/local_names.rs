//! The system's own rules for Kerberos principals.

use std::fmt::Debug;
use std::sync::OnceLock;

use crate::core::Proof;

/// Who knows the local names of Kerberos principals (`gss_localname` of MIT Kerberos).
///
/// MIT's rules can map the user of *any* realm (`auth_to_local_names` ignores the realm), so they
/// are asked only for names of [`Self::realms`], or of an `[[account]]` rule with `local-name`.
pub trait LocalNames: Debug + Send + Sync {
    /// Returns whether this way of proving a name is a Kerberos ticket.
    fn is_by_ticket(&self, proof: Proof) -> bool;

    /// Returns the realms whose users these rules are for, our own as a rule.
    fn realms(&self) -> Vec<String>;

    /// Returns the local name of a principal; `None` if it has none.
    ///
    /// # Errors
    ///
    /// What the library said.
    fn local_name(&self, principal: &str) -> Result<Option<String>, String>;
}

static NAMES: OnceLock<Box<dyn LocalNames>> = OnceLock::new();

/// Says who knows, once for the process; returns whether nobody had before.
pub fn set_local_names(names: Box<dyn LocalNames>) -> bool {
    NAMES.set(names).is_ok()
}

pub(super) fn local_names() -> Option<&'static dyn LocalNames> {
    NAMES.get().map(|names| &**names)
}
