//! What a failed call of the library means, and which reason the peer is told.

use countersign_core::{KerberosFailure, KerberosRefusal, Outdated};

use crate::AcceptorCredential;
use crate::library::{Call, Status, meaning};

/// What was being done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'a> {
    /// A client's ticket is judged.
    Accepting { service: &'a str, credential: &'a AcceptorCredential },
    /// A client's credentials are acquired.
    Acquiring { place: &'a str, principal: &'a str },
    /// A server's answer is judged.
    Concluding { service: &'a str },
    /// A confirmation is made or checked.
    Confirming { service: &'a str },
    /// A ticket for a service is got.
    Initiating { service: &'a str, place: &'a str },
    /// A principal is mapped to an account.
    Mapping,
    /// A server's keys are taken.
    Owning { service: &'a str, keytab: &'a str },
    /// Credentials are written to a cache.
    Storing,
}

/// Error numbers of RFC 4120 section 7.5.9, and those of MIT's `krb5.h` from 128 on.
mod number {
    pub(super) const NAME_EXPIRED: u8 = 1;
    pub(super) const CLIENT_UNKNOWN: u8 = 6;
    pub(super) const SERVICE_UNKNOWN: u8 = 7;
    pub(super) const POLICY: u8 = 12;
    pub(super) const BAD_OPTION: u8 = 13;
    pub(super) const NO_ENCRYPTION: u8 = 14;
    pub(super) const CLIENT_REVOKED: u8 = 18;
    pub(super) const SERVICE_REVOKED: u8 = 19;
    pub(super) const KEY_EXPIRED: u8 = 23;
    pub(super) const PREAUTH_FAILED: u8 = 24;
    pub(super) const PREAUTH_REQUIRED: u8 = 25;
    pub(super) const MUST_USE_USER_TO_USER: u8 = 27;
    pub(super) const BAD_INTEGRITY: u8 = 31;
    pub(super) const TICKET_EXPIRED: u8 = 32;
    pub(super) const TICKET_NOT_YET_VALID: u8 = 33;
    pub(super) const REPEAT: u8 = 34;
    pub(super) const NOT_US: u8 = 35;
    pub(super) const CLOCK_SKEW: u8 = 37;
    pub(super) const BAD_KEY_VERSION: u8 = 44;
    pub(super) const NO_KEY: u8 = 45;
    pub(super) const MUTUAL_FAILED: u8 = 46;
    pub(super) const NOT_IN_CACHE: u8 = 141;
    pub(super) const REALM_UNKNOWN: u8 = 154;
    pub(super) const KDC_UNREACHABLE: u8 = 156;
    pub(super) const NOT_IN_KEYTAB: u8 = 181;
    pub(super) const NO_CACHE_FILE: u8 = 195;
    pub(super) const REALM_UNRESOLVED: u8 = 220;
}

/// Names the failure of a call.
pub(crate) fn diagnose(call: Call, at: &At<'_>) -> KerberosFailure {
    let status = match call {
        Call::Library(failure) => return failure,
        Call::Status(status) => status,
    };
    let code = status.kerberos().or_else(|| by_words(&status.text));
    let detail = status.text.clone();
    match *at {
        At::Accepting { service, credential } => {
            accepting(&status, code, service, credential, detail)
        }
        At::Acquiring { place, principal } => acquiring(&status, code, place, principal, detail),
        At::Concluding { service } => concluding(&status, code, service, detail),
        At::Confirming { service } => match status.major {
            Status::FAILURE if status.minor == 0 => KerberosFailure::Other { text: detail },
            _ => KerberosFailure::ConfirmationFailed { service: service.to_owned() },
        },
        At::Initiating { service, place } => initiating(&status, code, service, place, detail),
        At::Owning { service, keytab } => {
            let (service, keytab) = (service.to_owned(), keytab.to_owned());
            if detail.contains("nonexistent or empty") {
                KerberosFailure::KeytabMissing { keytab, why: detail }
            } else {
                KerberosFailure::NotInKeytab { service, keytab, detail }
            }
        }
        At::Mapping | At::Storing => KerberosFailure::Other { text: detail },
    }
}

fn accepting(
    status: &Status,
    code: Option<u8>,
    service: &str,
    credential: &AcceptorCredential,
    detail: String,
) -> KerberosFailure {
    let keytab = credential.keytab().to_owned();
    let (principal, service) = (service, service.to_owned());
    match (status.major, code) {
        (Status::BAD_BINDINGS, _) => KerberosFailure::BindingMismatch,
        (Status::DUPLICATE_TOKEN, _) | (_, Some(number::REPEAT)) => {
            KerberosFailure::Replayed { detail }
        }
        (Status::NO_CRED, _) => KerberosFailure::KeytabMissing { keytab, why: detail },
        // The library takes a ticket that does not decrypt for one that is another's.
        (_, Some(number::BAD_INTEGRITY | number::NOT_US)) => {
            KerberosFailure::WrongKey { service, detail }
        }
        (_, Some(number::BAD_KEY_VERSION)) => {
            let outdated = outdated(&detail, credential.versions(principal));
            KerberosFailure::KeyVersion { outdated, detail }
        }
        (_, Some(number::NO_KEY | number::NOT_IN_KEYTAB)) => {
            KerberosFailure::NotInKeytab { service, keytab, detail }
        }
        (_, Some(number::TICKET_EXPIRED)) => KerberosFailure::TicketExpired { detail },
        (_, Some(number::TICKET_NOT_YET_VALID)) => KerberosFailure::TicketNotYetValid { detail },
        (_, Some(number::CLOCK_SKEW)) => KerberosFailure::ClockSkew { detail },
        (Status::DEFECTIVE_TOKEN, _) => {
            KerberosFailure::Protocol { what: format!("its token is no AP-REQ: {detail}") }
        }
        _ => KerberosFailure::NotAccepted { detail },
    }
}

/// Returns which is behind, when the keytab has no key of the ticket's version: the ticket, unless
/// its version is later than all that we have. The library states it in words only.
fn outdated(detail: &str, held: impl Iterator<Item = u32>) -> Outdated {
    let after = detail.split_once("kvno ").map_or("", |(_, after)| after);
    let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let newest = held.max().unwrap_or(u32::MAX);
    match digits.parse::<u32>() {
        Ok(version) if version > newest => Outdated::Keytab,
        _ if detail.contains("keytab is likely out of date") => Outdated::Keytab,
        _ => Outdated::Ticket,
    }
}

fn acquiring(
    status: &Status,
    code: Option<u8>,
    place: &str,
    principal: &str,
    detail: String,
) -> KerberosFailure {
    let (place, principal) = (place.to_owned(), principal.to_owned());
    match (status.major, code) {
        (Status::CREDENTIALS_EXPIRED, _) | (_, Some(number::TICKET_EXPIRED)) => {
            KerberosFailure::TicketExpired { detail }
        }
        (_, Some(number::CLOCK_SKEW)) => KerberosFailure::ClockSkew { detail },
        (_, Some(number::KDC_UNREACHABLE)) => KerberosFailure::KdcUnreachable { detail },
        (_, Some(number::REALM_UNKNOWN | number::REALM_UNRESOLVED)) => {
            KerberosFailure::UnknownRealm { service: principal, detail }
        }
        (
            _,
            Some(
                number::NAME_EXPIRED
                | number::CLIENT_UNKNOWN
                | number::CLIENT_REVOKED
                | number::KEY_EXPIRED
                | number::PREAUTH_FAILED
                | number::PREAUTH_REQUIRED
                | number::BAD_INTEGRITY
                | number::POLICY
                | number::NO_ENCRYPTION,
            ),
        ) => KerberosFailure::CredentialsRefused { principal, detail },
        (Status::NO_CRED, _)
        | (_, Some(number::NOT_IN_CACHE | number::NO_CACHE_FILE | number::NOT_IN_KEYTAB)) => {
            KerberosFailure::NoCredentials { place, detail }
        }
        _ => KerberosFailure::Other { text: detail },
    }
}

fn initiating(
    status: &Status,
    code: Option<u8>,
    service: &str,
    place: &str,
    detail: String,
) -> KerberosFailure {
    let service = service.to_owned();
    match (status.major, code) {
        (_, Some(number::SERVICE_UNKNOWN)) if detail.contains("krbtgt/") => {
            KerberosFailure::UnknownRealm { service, detail }
        }
        (_, Some(number::REALM_UNKNOWN | number::REALM_UNRESOLVED)) => {
            KerberosFailure::UnknownRealm { service, detail }
        }
        (_, Some(number::SERVICE_UNKNOWN)) => KerberosFailure::UnknownService { service, detail },
        (_, Some(number::MUST_USE_USER_TO_USER)) => KerberosFailure::UserToUser { service, detail },
        (_, Some(number::TICKET_EXPIRED)) => KerberosFailure::TicketExpired { detail },
        (_, Some(number::TICKET_NOT_YET_VALID)) => KerberosFailure::TicketNotYetValid { detail },
        (_, Some(number::CLOCK_SKEW)) => KerberosFailure::ClockSkew { detail },
        (_, Some(number::KDC_UNREACHABLE)) => KerberosFailure::KdcUnreachable { detail },
        (
            _,
            Some(
                number::POLICY
                | number::BAD_OPTION
                | number::NO_ENCRYPTION
                | number::SERVICE_REVOKED
                | number::NAME_EXPIRED
                | number::CLIENT_REVOKED,
            ),
        ) => KerberosFailure::KdcRefused { service, detail },
        (Status::NO_CRED, _) | (_, Some(number::NOT_IN_CACHE | number::NO_CACHE_FILE)) => {
            KerberosFailure::NoCredentials { place: place.to_owned(), detail }
        }
        _ => KerberosFailure::Other { text: detail },
    }
}

fn concluding(status: &Status, code: Option<u8>, service: &str, detail: String) -> KerberosFailure {
    match (status.major, code) {
        // The answer is not made with the key of the ticket.
        (_, Some(number::BAD_INTEGRITY | number::MUTUAL_FAILED)) => {
            KerberosFailure::ConfirmationFailed { service: service.to_owned() }
        }
        (Status::DEFECTIVE_TOKEN, _) => {
            KerberosFailure::Protocol { what: format!("its answer is no AP-REP: {detail}") }
        }
        // It is a KRB-ERROR.
        _ => {
            let (reason, detail) = (KerberosRefusal::Other, meaning(status));
            KerberosFailure::RefusedByPeer { reason, detail }
        }
    }
}

/// Numbers by what the library says: gssproxy's plugin moves them to where they are not known.
fn by_words(text: &str) -> Option<u8> {
    const WORDS: [(&str, u8); 13] = [
        ("Clock skew too great", number::CLOCK_SKEW),
        ("Ticket not yet valid", number::TICKET_NOT_YET_VALID),
        ("Ticket expired", number::TICKET_EXPIRED),
        ("likely out of date", number::BAD_KEY_VERSION),
        ("Request is a replay", number::REPEAT),
        ("Cannot decrypt ticket", number::BAD_INTEGRITY),
        ("not found in keytab", number::NOT_IN_KEYTAB),
        ("No key table entry found", number::NOT_IN_KEYTAB),
        ("Cannot contact any KDC", number::KDC_UNREACHABLE),
        ("Cannot find KDC for realm", number::REALM_UNKNOWN),
        ("Server not found in Kerberos database", number::SERVICE_UNKNOWN),
        ("Client not found in Kerberos database", number::CLIENT_UNKNOWN),
        ("Preauthentication failed", number::PREAUTH_FAILED),
    ];
    WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, number)| *number)
}

/// Returns the reason that the peer is told.
pub(crate) fn refusal(failure: &KerberosFailure) -> KerberosRefusal {
    match failure {
        KerberosFailure::BindingMismatch => KerberosRefusal::BindingMismatch,
        KerberosFailure::ClockSkew { .. } => KerberosRefusal::ClockSkew,
        KerberosFailure::ConfirmationFailed { .. } => KerberosRefusal::ConfirmationFailed,
        KerberosFailure::KeyVersion { outdated: Outdated::Keytab, .. } => {
            KerberosRefusal::KeytabOutdated
        }
        KerberosFailure::KeyVersion { outdated: Outdated::Ticket, .. } => {
            KerberosRefusal::TicketOutdated
        }
        KerberosFailure::NotBound => KerberosRefusal::NotBound,
        KerberosFailure::NotInKeytab { .. } => KerberosRefusal::NotInKeytab,
        KerberosFailure::Protocol { .. }
        | KerberosFailure::NotMutual
        | KerberosFailure::WrongMechanism { .. } => KerberosRefusal::Protocol,
        KerberosFailure::RealmNotAllowed { .. } => KerberosRefusal::RealmNotAllowed,
        KerberosFailure::TicketExpired { .. } => KerberosRefusal::TicketExpired,
        KerberosFailure::TicketNotYetValid { .. } => KerberosRefusal::TicketNotYetValid,
        KerberosFailure::WeakEncryption { .. } => KerberosRefusal::WeakEncryption,
        KerberosFailure::WrongKey { .. } => KerberosRefusal::WrongKey,
        KerberosFailure::WrongService { .. } => KerberosRefusal::WrongService,
        KerberosFailure::CredentialsRefused { .. }
        | KerberosFailure::KdcRefused { .. }
        | KerberosFailure::KdcUnreachable { .. }
        | KerberosFailure::NoCredentials { .. }
        | KerberosFailure::TimedOut { .. }
        | KerberosFailure::UnknownRealm { .. }
        | KerberosFailure::UnknownService { .. }
        | KerberosFailure::UserToUser { .. } => KerberosRefusal::Ticketless,
        KerberosFailure::KeytabMissing { .. } | KerberosFailure::LibraryMissing { .. } => {
            KerberosRefusal::OwnTrouble
        }
        _ => KerberosRefusal::Other,
    }
}

#[cfg(test)]
mod tests;
