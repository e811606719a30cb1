//! The system's own rules for Kerberos principals.

use std::fmt::Debug;
use std::sync::OnceLock;

use countersign_kerberos::HostSettings;

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

/// Says who knows in place of the host's Kerberos library, once for the process and before anybody
/// is asked; returns whether it was in time.
pub fn set_local_names(names: Box<dyn LocalNames>) -> bool {
    NAMES.set(names).is_ok()
}

pub(super) fn local_names() -> Option<&'static dyn LocalNames> {
    Some(&**NAMES.get_or_init(|| Box::new(HostKerberos)))
}

/// The host's Kerberos library, and the realm that `krb5.conf` calls its own.
#[derive(Debug)]
struct HostKerberos;

impl LocalNames for HostKerberos {
    fn is_by_ticket(&self, proof: Proof) -> bool {
        proof == Proof::KerberosTicket
    }

    fn realms(&self) -> Vec<String> {
        // Read once: which realm is this host's own does not change while it runs.
        static REALM: OnceLock<Option<String>> = OnceLock::new();
        let own = || HostSettings::read().ok().and_then(|settings| settings.default_realm);
        REALM.get_or_init(own).iter().cloned().collect()
    }

    fn local_name(&self, principal: &str) -> Result<Option<String>, String> {
        countersign_kerberos::local_name(principal).map_err(|failure| failure.to_string())
    }
}
