//! A server's credentials.

use std::env;
use std::fmt;
use std::sync::Arc;

use countersign_core::{Encrypted, EncryptionRule, EncryptionType, KerberosFailure, ServiceName};

use crate::diagnose::{At, diagnose};
use crate::library::{
    Call, Credential, KeytabKey, MemoryKeytab, Name, Usage, default_keytab, default_realm,
    read_keytab,
};
use crate::principal;

/// The keys of a server, for the services that it is.
///
/// They are copied from the keytab when this is made, and only those of its services, so that no
/// file is looked at while clients connect, and a server that has given its rights up keeps them.
/// After a rotation of keys, make a new one. They are wiped with the last clone of this.
///
/// A keytab that this process must not read can be served by gssproxy (`GSS_USE_PROXY=yes` in the
/// environment); then each client costs a call of that process. Its plugin wants a cache that it
/// can write, such as `KRB5CCNAME=MEMORY:x`.
#[derive(Clone)]
pub struct AcceptorCredential(Arc<Inner>);

struct Inner {
    keytab: String,
    keys: Vec<KeytabKey>,
    services: Vec<ServiceName>,
    owned: Vec<Own>,
    /// Its keys go after the credentials that use them.
    memory: Option<MemoryKeytab>,
}

/// One of a server's services.
#[derive(Debug)]
pub(crate) struct Own {
    /// With its realm.
    pub(crate) service: ServiceName,
    /// As the keytab writes it.
    pub(crate) principal: String,
    pub(crate) credential: Credential,
}

impl AcceptorCredential {
    /// Reads the keytab, a path or a type and a name, or that of the host
    /// (`KRB5_KTNAME`, `/etc/krb5.keytab`); and is those of `services`, or, if there are none,
    /// every service whose key it holds. Blocks as files do.
    ///
    /// # Errors
    ///
    /// The keytab cannot be read, or has no key for one of the services.
    pub fn load(keytab: Option<&str>, services: &[ServiceName]) -> Result<Self, KerberosFailure> {
        let keytab = match keytab {
            Some(name) if name.starts_with('/') => format!("FILE:{name}"),
            Some(name) => name.to_owned(),
            None => default_keytab()?,
        };
        match read_keytab(&keytab)? {
            Ok(keys) if keys.is_empty() => {
                Err(KerberosFailure::KeytabMissing { keytab, why: "it holds no keys".to_owned() })
            }
            Ok(keys) => Self::own(keytab, keys, services),
            Err(_) if is_proxy_wanted() => Self::proxied(keytab, services),
            Err(why) => Err(KerberosFailure::KeytabMissing { keytab, why }),
        }
    }

    /// Returns the services that it is, with their realms.
    pub fn services(&self) -> &[ServiceName] {
        &self.0.services
    }

    /// Returns what is in the keytab. Empty if gssproxy holds it.
    pub fn keys(&self) -> &[KeytabKey] {
        &self.0.keys
    }

    /// Returns whether gssproxy holds the keys.
    pub fn is_proxied(&self) -> bool {
        self.0.memory.is_none()
    }

    /// Returns the keytab's name.
    pub fn keytab(&self) -> &str {
        &self.0.keytab
    }

    /// Checks that there is a key for each service with which a ticket may be encrypted. Of keys that
    /// gssproxy holds nothing is known.
    ///
    /// # Errors
    ///
    /// [`KerberosFailure::WeakEncryption`] names the first service without one.
    pub fn check_encryption(&self, rule: &EncryptionRule) -> Result<(), KerberosFailure> {
        for own in &self.0.owned {
            let keys = self.0.keys.iter().filter(|key| key.principal == own.principal);
            // What has no name here is weak.
            let kinds = keys.map(|key| {
                key.encryption.parse().unwrap_or_else(|_| EncryptionType::from_number(0))
            });
            let kinds: Vec<EncryptionType> = kinds.collect();
            let is_fit = kinds.iter().any(|it| rule.accepts(*it));
            if let (Some(used), false) = (EncryptionType::strongest(kinds), is_fit) {
                return Err(KerberosFailure::WeakEncryption {
                    what: Encrypted::Keytab,
                    service: own.principal.clone(),
                    used,
                    accepted: rule.clone(),
                });
            }
        }
        Ok(())
    }

    /// Returns the versions of the keys that we have of a principal.
    pub(crate) fn versions(&self, principal: &str) -> impl Iterator<Item = u32> {
        let keys = self.0.keys.iter().filter(move |key| key.principal == principal);
        keys.map(|key| key.version)
    }

    /// Returns the service of ours that is asked for: the one spelled the same, if several differ
    /// in case only.
    pub(crate) fn find(&self, asked: &ServiceName) -> Option<&Own> {
        let fits = || self.0.owned.iter().filter(|own| own.service.satisfies(asked));
        let realm = |own: &Own| own.service.realm().unwrap_or_default().to_owned();
        let same = |own: &&Own| own.principal == principal::of_service(asked, &realm(own));
        fits().find(same).or_else(|| fits().next())
    }

    fn own(
        keytab: String,
        keys: Vec<KeytabKey>,
        asked: &[ServiceName],
    ) -> Result<Self, KerberosFailure> {
        let mut principals: Vec<&str> = keys.iter().map(|key| key.principal.as_str()).collect();
        principals.sort_unstable();
        principals.dedup();
        let found = Found::new(&principals);
        let wanted = if asked.is_empty() { found.all() } else { found.each(asked) };
        let wanted = wanted.map_err(|missing| KerberosFailure::NotInKeytab {
            service: missing.service,
            keytab: keytab.clone(),
            detail: missing.detail,
        })?;
        let copied = MemoryKeytab::copy(&keytab, |principal| {
            wanted.iter().any(|(_, wanted)| wanted == principal)
        })?;
        let memory =
            copied.map_err(|why| KerberosFailure::KeytabMissing { keytab: keytab.clone(), why })?;
        let place = memory.name();
        let owned = wanted.into_iter().map(|(service, principal)| {
            acquire(service, principal, &place).map_err(|(call, service)| {
                diagnose(call, &At::Owning { service: &service, keytab: &keytab })
            })
        });
        let owned = owned.collect::<Result<_, _>>()?;
        Ok(Self::of(keytab, keys, owned, Some(memory)))
    }

    fn proxied(keytab: String, services: &[ServiceName]) -> Result<Self, KerberosFailure> {
        if services.is_empty() {
            return Err(KerberosFailure::KeytabMissing {
                keytab,
                why: "gssproxy holds it, so the services must be named".to_owned(),
            });
        }
        let realm = default_realm()?;
        let owned = services.iter().map(|service| {
            let realm = service.realm().map(str::to_owned).or_else(|| realm.clone());
            let realm = realm.ok_or_else(|| KerberosFailure::UnknownRealm {
                service: service.to_string(),
                detail: "it states none, and this host has no default".to_owned(),
            })?;
            let principal = principal::of_service(service, &realm);
            let service = principal::service(&principal)
                .ok_or_else(|| KerberosFailure::NotAService { name: principal.clone() })?;
            acquire(service, principal, &keytab).map_err(|(call, service)| {
                diagnose(call, &At::Owning { service: &service, keytab: &keytab })
            })
        });
        let owned = owned.collect::<Result<_, _>>()?;
        Ok(Self::of(keytab, Vec::new(), owned, None))
    }

    fn of(
        keytab: String,
        keys: Vec<KeytabKey>,
        owned: Vec<Own>,
        memory: Option<MemoryKeytab>,
    ) -> Self {
        let services = owned.iter().map(|own| own.service.clone()).collect();
        Self(Arc::new(Inner { keytab, keys, services, owned, memory }))
    }
}

impl fmt::Debug for AcceptorCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcceptorCredential({})", self.0.keytab)
    }
}

/// Acquires the credentials of one service, or says with what it failed for whom.
fn acquire(service: ServiceName, principal: String, keytab: &str) -> Result<Own, (Call, String)> {
    // The bindings to the channel and the confirmations make a replay useless, so no file is
    // kept of what has been seen. The name needs its colon.
    let store = [(c"keytab", keytab), (c"rcache", "none:")];
    let credential = Name::principal(&principal)
        .and_then(|name| Credential::acquire(Some(&name), Usage::Accept, &store));
    match credential {
        Ok(credential) => Ok(Own { service, principal, credential }),
        Err(call) => Err((call, principal)),
    }
}

/// The services among the principals of a keytab.
struct Found<'a>(Vec<(ServiceName, &'a str)>);

/// A service that a keytab has no key for.
struct Missing {
    service: String,
    detail: String,
}

type Wanted = Vec<(ServiceName, String)>;

impl<'a> Found<'a> {
    fn new(principals: &[&'a str]) -> Self {
        let services = principals.iter();
        Self(services.filter_map(|text| Some((principal::service(text)?, *text))).collect())
    }

    fn all(&self) -> Result<Wanted, Missing> {
        if self.0.is_empty() {
            let detail = "it holds keys of no service".to_owned();
            return Err(Missing { service: "any service".to_owned(), detail });
        }
        Ok(self.0.iter().map(|(service, text)| (service.clone(), (*text).to_owned())).collect())
    }

    fn each(&self, asked: &[ServiceName]) -> Result<Wanted, Missing> {
        asked.iter().map(|asked| self.one(asked)).collect()
    }

    /// Finds the principal that is this service: the one spelled the same, if several differ in
    /// case only.
    fn one(&self, asked: &ServiceName) -> Result<(ServiceName, String), Missing> {
        let missing = |detail: String| Missing { service: asked.to_string(), detail };
        let fits: Vec<_> = self.0.iter().filter(|(service, _)| service.satisfies(asked)).collect();
        let Some((first, _)) = fits.first() else {
            let held: Vec<&str> = self.0.iter().map(|(_, text)| *text).collect();
            let held = if held.is_empty() { "no service's".to_owned() } else { held.join(", ") };
            return Err(missing(format!("it holds those of {held}")));
        };
        if fits.iter().any(|(service, _)| service.realm() != first.realm()) {
            return Err(missing("it holds those of several realms, so name one".to_owned()));
        }
        let exactly =
            |text: &str| text == principal::of_service(asked, first.realm().unwrap_or(""));
        let best = fits.iter().find(|(_, text)| exactly(text)).or_else(|| fits.first());
        best.map(|(service, text)| (service.clone(), (*text).to_owned()))
            .ok_or_else(|| missing("it holds none".to_owned()))
    }
}

/// Returns whether the host's administrator lets gssproxy serve this process, by the variable that
/// its plugin looks at (gssproxy-mech(8)).
fn is_proxy_wanted() -> bool {
    let value = env::var("GSS_USE_PROXY").unwrap_or_default();
    ["1", "on", "true", "yes"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::Found;

    #[track_caller]
    fn check(keytab: &[&str], asked: &str, expected: Result<&str, &str>) {
        let found = Found::new(keytab).one(&asked.parse().unwrap());
        match (found, expected) {
            (Ok((_, text)), Ok(expected)) => assert_eq!(text, expected),
            (Err(missing), Err(expected)) => {
                assert!(missing.detail.contains(expected), "{}", missing.detail);
            }
            (found, _) => panic!("{:?}", found.map_err(|missing| missing.detail)),
        }
    }

    #[test]
    fn a_service_is_found_by_its_name() {
        let keytab = ["DB1$@R", "HOST/db1.test@R", "host/DB1.test@R", "host/db1.test@R"];
        check(&keytab, "host/db1.test", Ok("host/db1.test@R"));
        check(&keytab, "HOST/db1.test@R", Ok("HOST/db1.test@R"));
        check(&keytab[..3], "Host/db1.test", Ok("HOST/db1.test@R"));
        check(&keytab, "http/db1.test", Err("it holds those of HOST/db1.test@R"));
        check(&keytab, "host/db1.test@S", Err("it holds those of"));
        check(&["host/a.test@R", "host/a.test@S"], "host/a.test", Err("several realms"));
        check(&["host/a.test@R", "host/a.test@S"], "host/a.test@S", Ok("host/a.test@S"));
        check(&["alice@R"], "host/a.test", Err("no service's"));
    }

    #[test]
    fn users_in_a_keytab_are_no_services() {
        assert!(Found::new(&["alice@R", "DB1$@R"]).all().is_err());
        assert_eq!(Found::new(&["alice@R", "host/a.test@R"]).all().map_or(0, |all| all.len()), 1);
    }
}
