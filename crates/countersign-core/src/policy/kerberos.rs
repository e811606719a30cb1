//! What the administrator says about Kerberos: `[kerberos]`.

use std::path::{Path, PathBuf};

use crate::{EncryptionRule, ServiceName};

/// How much a side relies on Kerberos.
#[expect(clippy::exhaustive_enums, reason = "not at all, if possible, always: there is no fourth")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KerberosUse {
    /// It takes no part in Kerberos; certificates prove names.
    #[default]
    Off,
    /// It uses Kerberos with a peer that does too, and certificates with all others. A proof by
    /// Kerberos that was begun is final: if it fails, no certificate stands in for it.
    Prefer,
    /// It turns peers away that do not use Kerberos.
    Require,
}

impl KerberosUse {
    /// Returns the word that policy files use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

/// Where our tickets and keys are, what we prove with them, and whom we believe: `[kerberos]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KerberosRule {
    /// What sockets that connect do; off if it is not said.
    pub client: Option<KerberosUse>,
    /// What sockets that listen do; off if it is not said.
    pub server: Option<KerberosUse>,
    /// The names that a server proves.
    pub services: Vec<ServiceName>,
    /// The server's keys; without it, those of the host (krb5.conf(5), `default_keytab_name`).
    pub keytab: Option<PathBuf>,
    /// The client's tickets, as `FILE:/path`, `KEYRING:…` and so on, or as a path; without it, those
    /// of the environment (`KRB5CCNAME`).
    pub cache: Option<String>,
    /// Keys with which the client gets tickets by itself.
    pub client_keytab: Option<PathBuf>,
    /// Whom the client is; needed with `client_keytab`.
    pub principal: Option<String>,
    /// The realms whose principals a peer may be; without it, those of our own services or tickets.
    pub realms: Option<Vec<String>>,
    /// Whether a client's tickets go to servers to which its KDC lets them (`ok-as-delegate`), and
    /// whether a server takes those of its clients; by default neither.
    pub delegate: Option<bool>,
    /// How tickets, and the keys that come with them, may be encrypted; without it, in every way
    /// that is not weak.
    pub encryption: EncryptionRule,
}

impl KerberosRule {
    /// Puts `next` over this. Its values replace, but a demand stays: what was required stays so,
    /// a realm or an encryption type must be in each list there is, and what was forbidden stays
    /// forbidden.
    pub(super) fn overlay(self, next: Self) -> Self {
        let strictest = |old: Option<KerberosUse>, new: Option<KerberosUse>| match old {
            Some(KerberosUse::Require) => old,
            _ => new.or(old),
        };
        let realms = match (self.realms, next.realms) {
            (Some(old), Some(new)) => Some(new.into_iter().filter(|it| old.contains(it)).collect()),
            (old, new) => new.or(old),
        };
        let names_client = next.client_keytab.is_some() || next.principal.is_some();
        let (client_keytab, principal) = match names_client {
            true => (next.client_keytab, next.principal),
            false => (self.client_keytab, self.principal),
        };
        Self {
            client: strictest(self.client, next.client),
            server: strictest(self.server, next.server),
            services: if next.services.is_empty() { self.services } else { next.services },
            keytab: next.keytab.or(self.keytab),
            cache: next.cache.or(self.cache),
            client_keytab,
            principal,
            realms,
            delegate: match (self.delegate, next.delegate) {
                (Some(old), Some(new)) => Some(old && new),
                (old, new) => new.or(old),
            },
            encryption: self.encryption.overlay(next.encryption),
        }
    }

    /// Makes every relative path one below `base`.
    pub(super) fn with_paths_below(mut self, base: &Path) -> Self {
        for path in [&mut self.keytab, &mut self.client_keytab].into_iter().flatten() {
            *path = base.join(&path);
        }
        if let Some(cache) = &mut self.cache
            && is_path(cache)
            && let Some(joined) = base.join(&cache).to_str()
        {
            *cache = joined.to_owned();
        }
        self
    }

    /// Returns whether a server has a part in Kerberos but no name to prove.
    pub fn lacks_services(&self) -> bool {
        self.server.unwrap_or_default() != KerberosUse::Off && self.services.is_empty()
    }
}

/// A credential cache without a type is a path (ccache names in krb5's documentation).
fn is_path(cache: &str) -> bool {
    !cache.contains(':')
}
