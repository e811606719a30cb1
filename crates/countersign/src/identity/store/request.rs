//! What a certificate must state to prove the names that it is asked for.

use countersign_core::{Host, PeerName, ServiceName};
use countersign_tls::{AlternativeName, KerberosName};

use crate::identity::IdentityError;

/// The contents of a certificate for some names.
///
/// | asked for | stated |
/// | --- | --- |
/// | `host/H` | dNSName or iPAddress |
/// | `class/H` | SRVName `_class.H`, and dNSName so that ordinary TLS clients find their host |
/// | `class/H[:port][/service]@REALM` | KRB5PrincipalName and dNSName or iPAddress, and SRVName where there is neither port nor service part: it would state more than was asked for |
/// | `user@REALM` | KRB5PrincipalName and user principal name |
/// | `spiffe://…` | URI |
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) names: Vec<PeerName>,
    pub(super) alternatives: Vec<AlternativeName>,
    pub(super) role: Role,
}

/// What the holder of a certificate may be in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Client or server.
    Service,
    /// Client only.
    User,
}

impl Request {
    /// Decides it, or says why no one certificate can prove these names.
    pub(super) fn new(asked: &[PeerName]) -> Result<Self, IdentityError> {
        let mut names: Vec<PeerName> = Vec::new();
        for name in asked {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let role = role(&names)?;
        check_one_spiffe_id(&names)?;
        // Where any name is a particular service's, a dNSName proves no name any more.
        let for_services = names.iter().any(|name| match name {
            PeerName::Service(name) => !is_plain_host(name),
            _ => false,
        });
        let mut alternatives = Vec::new();
        for name in &names {
            for alternative in alternatives_of(name, for_services)? {
                if !alternatives.contains(&alternative) {
                    alternatives.push(alternative);
                }
            }
        }
        Ok(Self { names, alternatives, role })
    }
}

fn role(names: &[PeerName]) -> Result<Role, IdentityError> {
    let is_user = |name: &&PeerName| matches!(name, PeerName::User(_));
    let user = names.iter().find(is_user);
    let other = names.iter().find(|name| !is_user(name));
    match (user, other) {
        (None, None) => Err(IdentityError::NoNames),
        (None, Some(_)) => Ok(Role::Service),
        (Some(_), None) => Ok(Role::User),
        (Some(user), Some(other)) => Err(IdentityError::MixedNames {
            user: Box::new(user.clone()),
            other: Box::new(other.clone()),
        }),
    }
}

/// X509-SVID section 2: exactly one.
fn check_one_spiffe_id(names: &[PeerName]) -> Result<(), IdentityError> {
    let mut ids = names.iter().filter(|name| matches!(name, PeerName::Spiffe(_)));
    match (ids.next(), ids.next()) {
        (Some(first), Some(second)) => Err(IdentityError::SeveralSpiffeIds {
            first: Box::new(first.clone()),
            second: Box::new(second.clone()),
        }),
        _ => Ok(()),
    }
}

fn alternatives_of(
    name: &PeerName,
    for_services: bool,
) -> Result<Vec<AlternativeName>, IdentityError> {
    let service = match name {
        PeerName::Service(service) => service,
        PeerName::Spiffe(id) => return Ok(vec![AlternativeName::Uri(id.to_string())]),
        PeerName::User(user) => {
            let components = vec![user.user().to_owned()];
            return Ok(vec![
                AlternativeName::Kerberos(KerberosName::new(user.realm().to_owned(), components)),
                AlternativeName::UserPrincipal(user.to_string()),
            ]);
        }
        // A kind of name that is younger than this code.
        _ => return Err(IdentityError::Unproved { name: Box::new(name.clone()) }),
    };
    let mut alternatives = Vec::new();
    match service.realm() {
        Some(realm) => alternatives.push(kerberos(service, realm)),
        None => check_without_realm(name, service, for_services)?,
    }
    let (host, text) = match service.host() {
        Host::Dns(host) => (AlternativeName::Dns(host.clone()), Some(host)),
        Host::Ip(address) => (AlternativeName::Ip(*address), None),
        _ => return Err(IdentityError::Unproved { name: Box::new(name.clone()) }),
    };
    if let Some(text) = text
        && for_services
        && service.port().is_none()
        && service.service().is_none()
        && !service.class().contains('.')
    {
        alternatives.push(AlternativeName::Service {
            class: service.class().to_owned(),
            host: text.clone(),
        });
    }
    alternatives.push(host);
    Ok(alternatives)
}

fn kerberos(service: &ServiceName, realm: &str) -> AlternativeName {
    let host = match service.port() {
        Some(port) => format!("{}:{port}", service.host()),
        None => service.host().to_string(),
    };
    let mut components = vec![service.class().to_owned(), host];
    components.extend(service.service().map(str::to_owned));
    AlternativeName::Kerberos(KerberosName::new(realm.to_owned(), components))
}

/// Without a realm there is the SRVName only, and it has no place for everything.
fn check_without_realm(
    name: &PeerName,
    service: &ServiceName,
    for_services: bool,
) -> Result<(), IdentityError> {
    let boxed = || Box::new(name.clone());
    if service.service().is_some() {
        return Err(IdentityError::NeedsRealm { name: boxed(), part: "service part" });
    }
    if service.port().is_some() {
        return Err(IdentityError::NeedsRealm { name: boxed(), part: "port" });
    }
    let is_address = matches!(service.host(), Host::Ip(_));
    if is_address && !is_plain_host(service) {
        return Err(IdentityError::ServiceOnAddress { name: boxed() });
    }
    if is_address && for_services {
        return Err(IdentityError::AddressAmongServices { name: boxed() });
    }
    // `_a.b.host` would prove `a/b.host`.
    if service.class().contains('.') {
        return Err(IdentityError::DottedClass { name: boxed() });
    }
    Ok(())
}

fn is_plain_host(service: &ServiceName) -> bool {
    service.is_class(ServiceName::HOST_CLASS) && service.realm().is_none()
}

#[cfg(test)]
mod tests {
    use countersign_core::PeerName;
    use countersign_tls::AlternativeName;

    use super::{Request, Role};

    fn names(texts: &[&str]) -> Vec<PeerName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[track_caller]
    fn stated(asked: &[&str], expected: &[&str]) {
        let request = Request::new(&names(asked)).unwrap();
        let shown: Vec<String> = request
            .alternatives
            .iter()
            .map(|alternative| match alternative {
                AlternativeName::Dns(name) => format!("DNS {name}"),
                AlternativeName::Ip(address) => format!("IP {address}"),
                AlternativeName::Kerberos(name) => {
                    format!("KRB {} @ {}", name.components.join(" "), name.realm)
                }
                AlternativeName::Service { class, host } => format!("SRV _{class}.{host}"),
                AlternativeName::Uri(uri) => format!("URI {uri}"),
                AlternativeName::UserPrincipal(name) => format!("UPN {name}"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[track_caller]
    fn refused(asked: &[&str], expected: &str, hint: &str) {
        let error = Request::new(&names(asked)).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.hint(), hint);
    }

    #[test]
    fn each_kind_of_name_is_stated_its_way() {
        stated(&["db1"], &["DNS db1"]);
        stated(&["192.0.2.7"], &["IP 192.0.2.7"]);
        stated(&["postgres/db1"], &["SRV _postgres.db1", "DNS db1"]);
        stated(&["postgres/db1@A"], &["KRB postgres db1 @ A", "SRV _postgres.db1", "DNS db1"]);
        stated(&["host/db1@A"], &["KRB host db1 @ A", "SRV _host.db1", "DNS db1"]);
        stated(&["HTTP/www:8080@A"], &["KRB HTTP www:8080 @ A", "DNS www"]);
        stated(&["ldap/dc1/a.b@A"], &["KRB ldap dc1 a.b @ A", "DNS dc1"]);
        stated(&["x.y/db1@A"], &["KRB x.y db1 @ A", "DNS db1"]);
        stated(&["x/[2001:db8::7]:443@A"], &["KRB x [2001:db8::7]:443 @ A", "IP 2001:db8::7"]);
        stated(&["alice@A"], &["KRB alice @ A", "UPN alice@A"]);
        stated(&["spiffe://prod/a"], &["URI spiffe://prod/a"]);
    }

    #[test]
    fn several_names_share_what_they_can() {
        stated(&["db1", "DB1."], &["DNS db1"]);
        stated(&["db1", "db2"], &["DNS db1", "DNS db2"]);
        stated(&["db1", "postgres/db1"], &["SRV _host.db1", "DNS db1", "SRV _postgres.db1"]);
        stated(&["spiffe://prod/a", "a"], &["URI spiffe://prod/a", "DNS a"]);
    }

    #[test]
    fn only_users_are_clients_only() {
        assert_eq!(Request::new(&names(&["alice@A"])).unwrap().role, Role::User);
        assert_eq!(Request::new(&names(&["db1"])).unwrap().role, Role::Service);
        assert_eq!(Request::new(&names(&["spiffe://a/b"])).unwrap().role, Role::Service);
    }

    #[test]
    fn what_cannot_be_stated_says_what_could() {
        refused(
            &[],
            "a certificate needs a name, and none was given",
            "run `countersign identity issue NAME`",
        );
        refused(
            &["postgres/192.0.2.7"],
            "postgres/192.0.2.7 names a service on an address, which a certificate can state in a realm only",
            "give the host a DNS name, or name the address itself: host/192.0.2.7",
        );
        refused(
            &["192.0.2.7", "postgres/db1"],
            "host/192.0.2.7 cannot share a certificate with services",
            "issue it alone: countersign identity issue host/192.0.2.7",
        );
        let realm =
            "add @REALM, or leave it out: a certificate for the class and host serves every port";
        refused(
            &["postgres/db1:5432"],
            "postgres/db1:5432 has a port but no realm, and a certificate can state it in a realm only",
            realm,
        );
        refused(
            &["ldap/dc1/example.com"],
            "ldap/dc1/example.com has a service part but no realm, and a certificate can state it in a realm only",
            realm,
        );
        refused(
            &["a.b/db1"],
            "the class of a.b/db1 holds a dot, which a certificate can state in a realm only",
            "write class/host@REALM, or a class without a dot",
        );
        refused(
            &["alice@A", "db1"],
            "alice@A and host/db1 cannot share a certificate",
            "issue two: countersign identity issue alice@A; countersign identity issue host/db1",
        );
        refused(
            &["spiffe://a/b", "spiffe://a/c"],
            "spiffe://a/b and spiffe://a/c cannot share a certificate",
            "issue one certificate for each SPIFFE ID",
        );
    }
}
