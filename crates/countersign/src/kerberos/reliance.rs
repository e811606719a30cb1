//! Whether what a peer has proved still counts, where rules have changed since.

use crate::core::{
    Evidence, HandshakeError, KerberosFailure, KerberosRule, KerberosUse, PeerName, Proof,
    ServiceName,
};

/// Returns what part Kerberos has where we ask for somebody: credentials that a program gave are used,
/// or nothing is.
pub(crate) fn relied_on_as_client(rule: &KerberosRule, has_given: bool) -> KerberosUse {
    match (rule.client, has_given) {
        (Some(KerberosUse::Off), _) => KerberosUse::Off,
        (_, true) => KerberosUse::Require,
        (said, false) => said.unwrap_or_default(),
    }
}

/// Decides whether a peer that has proved itself, by a ticket or without one, would count under
/// these rules; `relied_on` is what they say of the part that we play, which is a client's if we
/// asked for somebody.
///
/// # Errors
///
/// Why it would not.
pub(crate) fn still_counts(
    evidence: &Evidence,
    rule: &KerberosRule,
    relied_on: KerberosUse,
) -> Result<(), HandshakeError> {
    let by_ticket = evidence.names().iter().find(|it| it.proof() == Proof::KerberosTicket);
    match (by_ticket, relied_on) {
        (Some(ticket), _) => {
            check_ticket(ticket.name(), evidence.is_of_own_realm(), rule, relied_on)?;
            let service = match (evidence.asked(), evidence.service()) {
                (Some(_), _) => ticket.name().to_string(),
                (None, Some(own)) => {
                    check_service(own, rule)?;
                    own.to_string()
                }
                (None, None) => "this service".to_owned(),
            };
            check_encryption(service, evidence, rule)
        }
        (None, KerberosUse::Require) => Err(HandshakeError::KerberosRequired),
        (None, _) => Ok(()),
    }
}

/// Decides whether a ticket of this principal would count, which is or is not of our own realm.
fn check_ticket(
    principal: &PeerName,
    is_own_realm: bool,
    rule: &KerberosRule,
    relied_on: KerberosUse,
) -> Result<(), HandshakeError> {
    if relied_on == KerberosUse::Off {
        let what = "Kerberos, which is off by now".to_owned();
        return Err(HandshakeError::NothingShared { what });
    }
    let realm = match principal {
        PeerName::Service(name) => name.realm(),
        PeerName::User(name) => Some(name.realm()),
        _ => None,
    };
    match (&rule.realms, realm) {
        (Some(realms), Some(realm)) if !realms.iter().any(|it| it == realm) => {
            let allowed = if realms.is_empty() { "none".to_owned() } else { realms.join(", ") };
            let realm = realm.to_owned();
            Err(KerberosFailure::RealmNotAllowed { realm, allowed }.into())
        }
        (None, Some(realm)) if !is_own_realm => {
            let (realm, allowed) = (realm.to_owned(), "our own".to_owned());
            Err(KerberosFailure::RealmNotAllowed { realm, allowed }.into())
        }
        _ => Ok(()),
    }
}

/// Decides whether we are a service still.
fn check_service(service: &ServiceName, rule: &KerberosRule) -> Result<(), HandshakeError> {
    if rule.services.iter().any(|own| service.satisfies(own)) {
        return Ok(());
    }
    let own: Vec<String> = rule.services.iter().map(ToString::to_string).collect();
    let (asked, own) = (service.to_string(), own.join(", "));
    Err(KerberosFailure::WrongService { asked, own }.into())
}

/// Decides whether a ticket for the service that is encrypted as this one would count.
fn check_encryption(
    service: String,
    evidence: &Evidence,
    rule: &KerberosRule,
) -> Result<(), HandshakeError> {
    match evidence.ticket_encryption().and_then(|found| found.unfit(&rule.encryption)) {
        None => Ok(()),
        Some((what, used)) => {
            let accepted = rule.encryption.clone();
            Err(KerberosFailure::WeakEncryption { what, service, used, accepted }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::still_counts;
    use crate::core::{
        Evidence, HandshakeError, KerberosFailure, KerberosRule, KerberosUse, Mechanism, Proof,
        ProvedPeer, SessionId, Timestamp,
    };

    /// Of a peer whose ticket is of this realm.
    fn evidence(realm: &str, is_own: bool) -> Evidence {
        let name = format!("alice@{realm}").parse().unwrap();
        let names = vec![ProvedPeer::vouch(name, Proof::KerberosTicket)];
        let session = SessionId::from_exported([0; 16]);
        let (suite, group) = ("suite".to_owned(), "group".to_owned());
        Evidence::new(Mechanism::Tls13, suite, group, session, Timestamp::from_secs(0))
            .with_own_realm(is_own)
            .with_peer(None, names, None)
    }

    #[test]
    fn another_realm_counts_as_long_as_it_is_listed_and_our_own_without_a_list() {
        let outcome = |realm: &str, is_own, listed: Option<&[&str]>| {
            let mut rule = KerberosRule::default();
            rule.realms = listed.map(|it| it.iter().map(ToString::to_string).collect());
            match still_counts(&evidence(realm, is_own), &rule, KerberosUse::Prefer) {
                Ok(()) => None,
                Err(HandshakeError::Kerberos(KerberosFailure::RealmNotAllowed {
                    realm,
                    allowed,
                })) => Some((realm, allowed)),
                Err(other) => panic!("{other}"),
            }
        };
        let refused = |realm: &str, allowed: &str| Some((realm.to_owned(), allowed.to_owned()));
        assert_eq!(outcome("OTHER.TEST", false, Some(&["OTHER.TEST"])), None);
        assert_eq!(outcome("OTHER.TEST", false, None), refused("OTHER.TEST", "our own"));
        assert_eq!(
            outcome("OTHER.TEST", false, Some(&["A.TEST"])),
            refused("OTHER.TEST", "A.TEST")
        );
        assert_eq!(outcome("OWN.TEST", true, None), None);
        assert_eq!(outcome("OWN.TEST", true, Some(&[])), refused("OWN.TEST", "none"));
    }
}
