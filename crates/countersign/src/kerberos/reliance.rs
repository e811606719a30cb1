//! Whether what a peer has proved still counts, where rules have changed since.

use crate::core::{
    Evidence, HandshakeError, KerberosFailure, KerberosRule, KerberosUse, PeerName, Proof,
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
            check_ticket(ticket.name(), rule, relied_on)?;
            // A server's own name is not in the evidence.
            let service = match evidence.asked() {
                Some(_) => ticket.name().to_string(),
                None => "this service".to_owned(),
            };
            check_encryption(service, evidence, rule)
        }
        (None, KerberosUse::Require) => Err(HandshakeError::KerberosRequired),
        (None, _) => Ok(()),
    }
}

/// Decides whether a ticket of this principal would count.
fn check_ticket(
    principal: &PeerName,
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
            let (realm, allowed) = (realm.to_owned(), realms.join(", "));
            Err(KerberosFailure::RealmNotAllowed { realm, allowed }.into())
        }
        _ => Ok(()),
    }
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
