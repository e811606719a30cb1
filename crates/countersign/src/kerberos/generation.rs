//! What a generation of files has for Kerberos.

use std::path::PathBuf;
use std::sync::OnceLock;

use countersign_kerberos::{AcceptorCredential, InitiatorCredential};
use zeroize::Zeroizing;

use super::{Party, terms};
use crate::Error;
use crate::core::{Credentials, KerberosFailure, KerberosRule, KerberosUse, ServiceName};
use crate::identity::variable;

/// Keys and tickets, or where they are, as one policy names them. They leave memory with the last
/// connection of the generation.
#[derive(Debug)]
pub(crate) struct KerberosFiles {
    rule: KerberosRule,
    /// Tickets of the client, or keys that get it some: one credential for all connections, which
    /// finds out by itself what has changed.
    client: InitiatorCredential,
    server: OnceLock<AcceptorCredential>,
}

impl KerberosFiles {
    /// Reads no file yet.
    pub(crate) fn new(rule: &KerberosRule) -> Self {
        let client = match (&rule.client_keytab, &rule.principal, &rule.cache) {
            (Some(keytab), Some(principal), _) => {
                InitiatorCredential::client_keytab(&keytab.to_string_lossy(), principal)
            }
            (_, _, Some(cache)) => InitiatorCredential::cache(cache),
            (_, _, None) => InitiatorCredential::ambient(),
        };
        Self { rule: rule.clone(), client, server: OnceLock::new() }
    }

    /// Returns what a client brings to a proof of `asked`: the credentials that the program gave,
    /// else those of the policy, else those of the environment.
    ///
    /// # Errors
    ///
    /// If the credentials cannot be any.
    pub(crate) fn client(
        &self,
        asked: &ServiceName,
        given: Option<Credentials>,
    ) -> Result<(Party, InitiatorCredential), KerberosFailure> {
        let credential = match given {
            Some(given) => {
                let password = Zeroizing::new(given.password().to_owned());
                InitiatorCredential::password(given.user(), given.domain(), password)?
            }
            None => self.tickets(),
        };
        let party = Party::Client {
            asked: asked.clone(),
            credential: credential.clone(),
            terms: terms(&self.rule),
        };
        Ok((party, credential))
    }

    /// Returns the tickets of the policy, else those of the environment.
    pub(super) fn tickets(&self) -> InitiatorCredential {
        self.client.clone()
    }

    /// Returns what a server brings to a proof. The first call reads the keytab.
    ///
    /// # Errors
    ///
    /// Why the keytab cannot be used; [`Error::NoService`] if policy names no service, since a
    /// server that is whatever its keytab holds could stand in for another on the same host.
    pub(crate) fn server(&self) -> Result<Party, Error> {
        if self.rule.lacks_services() {
            return Err(Error::NoService);
        }
        Ok(Party::Server { credential: self.keys()?, terms: terms(&self.rule) })
    }

    /// Returns the keys of the policy's services. The first call reads the keytab.
    ///
    /// # Errors
    ///
    /// Why the keytab cannot be used.
    pub(super) fn keys(&self) -> Result<AcceptorCredential, KerberosFailure> {
        if let Some(keys) = self.server.get() {
            return Ok(keys.clone());
        }
        // A failure is not kept: its reason may be none that the files would show.
        let keytab = self.rule.keytab.as_ref().map(|path| path.to_string_lossy());
        let keys = AcceptorCredential::load(keytab.as_deref(), &self.rule.services)?;
        Ok(self.server.get_or_init(|| keys).clone())
    }

    /// Returns whether a server uses its keys.
    pub(crate) fn is_serving(&self) -> bool {
        self.server.get().is_some()
    }
}

/// Returns the keytab that a server of this policy reads, if it is a file and there is a server.
pub(crate) fn keytab(rule: &KerberosRule) -> Option<PathBuf> {
    if rule.server.unwrap_or_default() == KerberosUse::Off {
        return None;
    }
    if let Some(path) = &rule.keytab {
        return Some(path.clone());
    }
    // krb5.conf may name another with default_keytab_name; that one is read when we start only.
    let named = variable("KRB5_KTNAME").and_then(|name| name.into_string().ok());
    let path = match named.as_deref() {
        None => "/etc/krb5.keytab",
        Some(name) => match name.split_once(':') {
            None => name,
            Some(("FILE" | "WRFILE", path)) => path,
            Some(_) => return None,
        },
    };
    Some(PathBuf::from(path))
}
