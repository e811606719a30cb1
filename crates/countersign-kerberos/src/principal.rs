//! Principals as Kerberos writes them, and the names that they are here.

use countersign_core::{PeerName, ServiceName};

/// Returns the realm of a principal as the library writes it: what follows the one `@` that is not
/// escaped. No realm, an empty one, or two of them is none.
pub(crate) fn realm(principal: &str) -> Option<&str> {
    let mut at = None;
    let mut characters = principal.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '@' if at.is_some() => return None,
            '@' => at = Some(index),
            _ => {}
        }
    }
    principal.get(at? + 1..).filter(|realm| !realm.is_empty())
}

/// Returns the name that a principal is, if there is one that says the same in the same letters:
/// Kerberos tells cases apart, and names here do not.
pub(crate) fn name(principal: &str) -> Option<PeerName> {
    realm(principal)?;
    let name: PeerName = principal.parse().ok()?;
    (name.to_string() == principal).then_some(name)
}

/// Returns the service that a principal is, if it is one; the case of its host is folded.
pub(crate) fn service(principal: &str) -> Option<ServiceName> {
    realm(principal)?;
    principal.parse().ok()
}

/// Returns the principal of a service in a realm, for a name that states one or none.
pub(crate) fn of_service(name: &ServiceName, realm: &str) -> String {
    match name.realm() {
        Some(_) => name.to_string(),
        None => format!("{name}@{realm}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{name, of_service, realm, service};

    #[test]
    fn a_realm_follows_the_only_bare_sign() {
        assert_eq!(realm("alice@EXAMPLE.TEST"), Some("EXAMPLE.TEST"));
        assert_eq!(realm(r"alice\@EVIL.TEST@EXAMPLE.TEST"), Some("EXAMPLE.TEST"));
        assert_eq!(realm(r"alice\\@EXAMPLE.TEST"), Some("EXAMPLE.TEST"));
        for none in ["alice", r"alice\@EXAMPLE.TEST", "alice@", "a@B@C", "", r"\"] {
            assert_eq!(realm(none), None, "{none}");
        }
    }

    #[test]
    fn a_principal_is_a_name_only_letter_by_letter() {
        for same in ["alice@EXAMPLE.TEST", "host/db1.test@EXAMPLE.TEST", "DB1$@EXAMPLE.TEST"] {
            assert_eq!(name(same).unwrap().to_string(), same);
        }
        let others = ["host/DB1.test@EXAMPLE.TEST", r"a\@b@EXAMPLE.TEST", "alice", "a/b/c/d@R"];
        for other in others.into_iter().chain(["host/b\u{fc}cher.test@R", r"a\/b@R", "x y@R"]) {
            assert_eq!(name(other), None, "{other}");
        }
        assert!(service("host/DB1.test@EXAMPLE.TEST").is_some());
        assert!(service("host/db1.test").is_none());
        assert!(service("alice@EXAMPLE.TEST").is_none());
    }

    #[test]
    fn a_service_keeps_its_realm() {
        let with = "host/a.test@R".parse().unwrap();
        let without = "MyProto/a.test:9000".parse().unwrap();
        assert_eq!(of_service(&with, "S"), "host/a.test@R");
        assert_eq!(of_service(&without, "S"), "MyProto/a.test:9000@S");
    }
}
