//! Looking for tickets where they are kept, and taking copies of those for one service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::{KerberosFailure, ServiceName};

use super::InitiatorCredential;
use super::initiator::{Held, MARGIN, Source, realm_of};
use super::ready::{FileOrigin, Origin, Ready};
use crate::library::{Credential, ForService, Name, Usage, default_cache, host_realm, tickets_for};
use crate::principal;

impl InitiatorCredential {
    /// Returns whether [`Self::look`] may find something.
    pub(crate) fn can_look(&self) -> bool {
        match &self.0.source {
            Source::Ambient => true,
            Source::Cache(name) => file_of(name).is_some(),
            Source::ClientKeytab { .. } | Source::Delegated(_) | Source::Password { .. } => false,
        }
    }

    /// Looks for tickets for a service where they are kept, and keeps them at hand. Reads files,
    /// and asks no KDC.
    pub(crate) fn look(&self, asked: &ServiceName) -> Option<Looked> {
        let mut origin = FileOrigin::begin(matches!(self.0.source, Source::Ambient));
        let path = match &self.0.source {
            Source::Ambient => file_of(&default_cache().ok()?)?.to_owned(),
            Source::Cache(name) => file_of(name)?.to_owned(),
            Source::ClientKeytab { .. } | Source::Delegated(_) | Source::Password { .. } => {
                return None;
            }
        };
        origin.found(PathBuf::from(&path));
        let found =
            tickets_for(&format!("FILE:{path}"), |owner| service_of(asked, owner).ok()).ok()??;
        let looked = Looked {
            realm: principal::realm(&found.service).unwrap_or_default().to_owned(),
            owner: found.owner.clone(),
            // Else what was read may be half of one cache and half of another.
            ready: match origin.is_same() {
                true => self.keep(asked, found, Origin::File(origin), None),
                false => None,
            },
        };
        Some(looked)
    }

    /// Keeps the tickets for a service at hand that are in a memory of ours.
    pub(crate) fn keep_held(&self, asked: &ServiceName, held: &Held) {
        let (Source::ClientKeytab { .. }, Some((cache, whole))) = (&self.0.source, held.cache())
        else {
            return;
        };
        let service = |owner: &str| service_of(asked, owner).ok();
        if let Ok(Some(found)) = tickets_for(cache, service) {
            let _ = self.keep(asked, found, Origin::Memory, Some(whole));
        }
    }

    fn keep(
        &self,
        asked: &ServiceName,
        found: ForService,
        origin: Origin,
        whole: Option<Arc<Credential>>,
    ) -> Option<Ready> {
        let ForService { owner, service, tickets } = found;
        let tickets = tickets?;
        // A client keytab of the host would be used to get others.
        let store = [(c"ccache", tickets.name()), (c"client_keytab", NO_KEYTAB)];
        let credential = Credential::acquire(None, Usage::Initiate, &store).ok()?;
        let (_, seconds) = credential.inquire().ok()?;
        let good = Duration::from_secs(u64::from(seconds.unwrap_or(u32::MAX)));
        let held = Held::of_copy(credential, tickets, whole);
        let target = Arc::new(Name::of_mechanism(&service).ok()?);
        let ready = Ready { owner, service, target, held };
        let good = good.checked_sub(MARGIN)?;
        self.0.shelf.keep(asked.to_string(), ready.clone(), origin, good);
        Some(ready)
    }
}

/// What was found where tickets are kept.
#[derive(Debug)]
pub(crate) struct Looked {
    /// Whose tickets they are.
    pub(crate) owner: String,
    /// The realm of the service.
    pub(crate) realm: String,
    /// Those for the service, if there are some.
    pub(crate) ready: Option<Ready>,
}

/// A keytab with nothing in it.
const NO_KEYTAB: &str = "MEMORY:countersign-nothing";

/// Returns the path of a cache that is a file (krb5-config(1), "FILE" and no type at all).
fn file_of(name: &str) -> Option<&str> {
    match name.split_once(':') {
        None => Some(name),
        Some(("FILE", path)) => Some(path),
        // A colon may also be part of a path.
        Some(_) if Path::new(name).is_absolute() => Some(name),
        Some(_) => None,
    }
}

/// Returns the principal of the service that is asked for: in the realm that the name states, else
/// the host's by the administrator's rules, else this host's own, else the client's. DNS is not
/// asked.
pub(crate) fn service_of(asked: &ServiceName, owner: &str) -> Result<String, KerberosFailure> {
    let realm = match asked.realm() {
        Some(realm) => realm.to_owned(),
        None => match host_realm(&asked.host().to_string())? {
            Some(realm) => realm,
            None => realm_of(owner).to_owned(),
        },
    };
    Ok(principal::of_service(asked, &realm))
}

#[cfg(test)]
mod tests {
    use super::file_of;

    #[test]
    fn caches_in_files_are_told_from_others() {
        for (name, path) in [
            ("FILE:/tmp/krb5cc_0", Some("/tmp/krb5cc_0")),
            ("/tmp/krb5cc_0", Some("/tmp/krb5cc_0")),
            ("/tmp/a:b", Some("/tmp/a:b")),
            ("tickets", Some("tickets")),
            ("KCM:0", None),
            ("KEYRING:persistent:0", None),
            ("DIR::/tmp/cc/tkt", None),
            ("MEMORY:x", None),
        ] {
            assert_eq!(file_of(name), path, "{name}");
        }
    }
}
