//! Why a Kerberos proof did not come about.

use std::time::Duration;

use super::{Encrypted, EncryptionRule, EncryptionType, KerberosRefusal};
use crate::{Fault, WsaError};

/// Why a Kerberos proof did not come about.
///
/// A `detail` is what the Kerberos library says, in its words.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KerberosFailure {
    /// The peer is nobody: its ticket hides who it is (RFC 8062).
    #[error("the peer showed an anonymous ticket")]
    Anonymous,
    /// The ticket was shown on another connection than the one for which it was made.
    #[error("the ticket was made for another connection than this one")]
    BindingMismatch,
    /// The clocks of the two hosts differ by more than Kerberos allows, usually five minutes.
    #[error("the clocks of the two hosts, or of one and the KDC, differ too much: {detail}")]
    ClockSkew {
        /// In the library's words.
        detail: String,
    },
    /// The peer holds the key, but could not confirm this connection and this name with it.
    #[error("the peer could not confirm that this connection is for {service}")]
    ConfirmationFailed {
        /// The service that the client asked for.
        service: String,
    },
    /// The KDC does not give tickets for these credentials: unknown, locked, expired or with
    /// another password or key.
    #[error("the KDC refused the credentials of {principal}: {detail}")]
    CredentialsRefused {
        /// Whose they are.
        principal: String,
        /// In the library's words.
        detail: String,
    },
    /// No KDC of the realm answers.
    #[error("no KDC answers: {detail}")]
    KdcUnreachable {
        /// In the library's words.
        detail: String,
    },
    /// The KDC answers, but does not give the ticket.
    #[error("the KDC gives no ticket for {service}: {detail}")]
    KdcRefused {
        /// The service that was asked for.
        service: String,
        /// In the library's words.
        detail: String,
    },
    /// The key of the service has been changed, and one side does not know it yet.
    #[error("{outdated} is from before the service's key was changed: {detail}")]
    KeyVersion {
        /// Which side is behind.
        outdated: Outdated,
        /// In the library's words.
        detail: String,
    },
    /// There is no keytab, or it cannot be read.
    #[error("the keytab {keytab} cannot be used: {why}")]
    KeytabMissing {
        /// Which.
        keytab: String,
        /// Why not.
        why: String,
    },
    /// The Kerberos libraries are not installed, or too old.
    #[error("{library} cannot be used: {why}")]
    LibraryMissing {
        /// Its file name.
        library: &'static str,
        /// Why not.
        why: String,
    },
    /// We have no ticket, and nothing to get one with.
    #[error("no Kerberos credentials in {place}: {detail}")]
    NoCredentials {
        /// Where they were looked for.
        place: String,
        /// In the library's words.
        detail: String,
    },
    /// The peer's ticket was refused for a reason that is none of the others.
    #[error("the peer's ticket is not acceptable: {detail}")]
    NotAccepted {
        /// In the library's words.
        detail: String,
    },
    /// Kerberos as used here proves services, which hold keys, and not users.
    #[error("{name} is not a service, so it cannot prove itself with a keytab")]
    NotAService {
        /// The name that was asked for.
        name: String,
    },
    /// The ticket came without a word about the connection for which it was made.
    #[error("the peer's ticket is not bound to this connection")]
    NotBound,
    /// The keytab has no key for the service.
    #[error("no key for {service} in the keytab {keytab}: {detail}")]
    NotInKeytab {
        /// The service.
        service: String,
        /// The keytab.
        keytab: String,
        /// In the library's words.
        detail: String,
    },
    /// The peer proved itself, but did not let us do so, or the other way round.
    #[error("the proof is not mutual")]
    NotMutual,
    /// The peer broke the protocol of the proof.
    #[error("the peer broke the protocol of the Kerberos proof: {what}")]
    Protocol {
        /// How.
        what: String,
    },
    /// The peer's realm is not among those whose word counts here.
    #[error("the peer is of realm {realm}, and accepted are {allowed}")]
    RealmNotAllowed {
        /// The peer's realm.
        realm: String,
        /// The realms that are accepted.
        allowed: String,
    },
    /// The peer gave up, and said why. Its word is not proved.
    #[error("the peer broke off the Kerberos proof: {reason}{}", in_brackets(.detail))]
    RefusedByPeer {
        /// The reason, as it says.
        reason: KerberosRefusal,
        /// What its Kerberos library says, if it passed that on.
        detail: Option<String>,
    },
    /// The same ticket and authenticator were shown before.
    #[error("the peer's ticket was shown before: {detail}")]
    Replayed {
        /// In the library's words.
        detail: String,
    },
    /// The ticket has expired.
    #[error("the Kerberos ticket has expired: {detail}")]
    TicketExpired {
        /// In the library's words.
        detail: String,
    },
    /// The ticket is not valid yet.
    #[error("the Kerberos ticket is not valid yet: {detail}")]
    TicketNotYetValid {
        /// In the library's words.
        detail: String,
    },
    /// The Kerberos library did not come back in time: usually a KDC that is silent.
    #[error("the Kerberos proof was not done within {} ms", .after.as_millis())]
    TimedOut {
        /// How long it had.
        after: Duration,
    },
    /// No KDC that we know serves the service's realm.
    #[error("the realm of {service} is not known: {detail}")]
    UnknownRealm {
        /// The service that was asked for.
        service: String,
        /// In the library's words.
        detail: String,
    },
    /// The KDC knows no such service.
    #[error("the KDC knows no service {service}: {detail}")]
    UnknownService {
        /// The service that was asked for.
        service: String,
        /// In the library's words.
        detail: String,
    },
    /// The KDC says that the service has no keytab, so it would take a user-to-user ticket.
    #[error("{service} can be reached user to user only, which proves no service: {detail}")]
    UserToUser {
        /// The service that was asked for.
        service: String,
        /// In the library's words.
        detail: String,
    },
    /// A ticket, or a key that belongs to it, is encrypted in a way that is not accepted here.
    #[error("{what} for {service} is {used}, and accepted here are {accepted}")]
    WeakEncryption {
        /// What is.
        what: Encrypted,
        /// The service that the ticket, or the key, is for.
        service: String,
        /// The way that it is encrypted.
        used: EncryptionType,
        /// What is accepted.
        accepted: EncryptionRule,
    },
    /// The ticket does not decrypt with the service's key.
    #[error("the ticket does not decrypt with the key of {service}: {detail}")]
    WrongKey {
        /// The service whose key was tried.
        service: String,
        /// In the library's words.
        detail: String,
    },
    /// Something other than Kerberos was negotiated.
    #[error("the peer used the mechanism {mechanism} instead of Kerberos")]
    WrongMechanism {
        /// Its object identifier.
        mechanism: String,
    },
    /// The client meant another service.
    #[error("asked for {asked}, and this is {own}")]
    WrongService {
        /// The service that the client asked for.
        asked: String,
        /// Who is here.
        own: String,
    },
    /// The Kerberos library failed in a way that has no name here.
    #[error("the Kerberos library failed: {text}")]
    Other {
        /// In the library's words.
        text: String,
    },
}

impl KerberosFailure {
    /// Returns who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::CredentialsRefused { .. }
            | Self::NoCredentials { .. }
            | Self::NotAService { .. }
            | Self::UnknownService { .. }
            | Self::UserToUser { .. } => Fault::Caller,
            Self::ClockSkew { .. }
            | Self::KdcRefused { .. }
            | Self::KdcUnreachable { .. }
            | Self::KeyVersion { outdated: Outdated::Keytab, .. }
            | Self::KeytabMissing { .. }
            | Self::LibraryMissing { .. }
            | Self::NotInKeytab { .. }
            | Self::Other { .. }
            | Self::TimedOut { .. }
            | Self::UnknownRealm { .. }
            | Self::WeakEncryption { .. }
            | Self::WrongKey { .. } => Fault::Host,
            _ => Fault::Peer,
        }
    }

    /// Returns what to try.
    pub fn hint(&self) -> String {
        match self {
            Self::Anonymous => "the peer must use a ticket with its name in it, not `kinit -n`",
            Self::BindingMismatch => {
                "someone may stand between you and the peer and pass its bytes on; look for a \
                 TLS proxy on the path"
            }
            Self::ClockSkew { .. } => {
                "set the clocks of both hosts by NTP (`timedatectl`); Kerberos allows 300 s"
            }
            Self::ConfirmationFailed { .. } => {
                "someone may stand between you and the peer, or another service with the same \
                 key answers; nothing was sent to it"
            }
            Self::CredentialsRefused { .. } => {
                "check user, password and realm with `kinit PRINCIPAL`, and the account in the KDC"
            }
            Self::KdcUnreachable { .. } => {
                "check the realm's KDCs in /etc/krb5.conf or DNS, and that port 88 is open; \
                 `KRB5_TRACE=/dev/stderr kinit` shows which were tried"
            }
            Self::KdcRefused { .. } => "look into the KDC's log: its policy forbids this ticket",
            Self::KeyVersion { outdated: Outdated::Keytab, .. } => {
                "add the new key to the keytab (`kadmin ktadd`, `samba-tool domain \
                 exportkeytab`); keep the old one in it until old tickets have expired"
            }
            Self::KeyVersion { outdated: Outdated::Ticket, .. } => {
                "the client gets a new ticket with `kdestroy` and `kinit`; next time leave the \
                 old key in the keytab beside the new one"
            }
            Self::KeytabMissing { .. } => {
                "name the keytab in the policy (kerberos.keytab) and let this user read it, or \
                 let gssproxy hold it (GSS_USE_PROXY=yes)"
            }
            Self::LibraryMissing { .. } => "install the Debian package libgssapi-krb5-2",
            Self::NoCredentials { .. } => {
                "get a ticket with `kinit`, or name a cache or a client keytab in the policy"
            }
            Self::NotAccepted { .. } => "`klist -e` at the client shows its tickets",
            Self::NotAService { .. } => {
                "ask for the service that the user runs, such as host/NAME; user-to-user tickets \
                 are not used"
            }
            Self::NotBound => {
                "the Kerberos libraries of both ends must know channel bindings (MIT 1.19 or later)"
            }
            Self::NotInKeytab { .. } => {
                "`klist -kte KEYTAB` shows whose keys it holds; add this one with `kadmin ktadd`"
            }
            Self::NotMutual | Self::WrongMechanism { .. } | Self::Protocol { .. } => {
                "check that the peer is Countersign, and of the same version"
            }
            Self::RealmNotAllowed { .. } => {
                "add the realm to kerberos.realms, if you trust its KDC"
            }
            Self::RefusedByPeer { reason, .. } => return refusal_hint(*reason).to_owned(),
            Self::Replayed { .. } => "someone may send recorded bytes again",
            Self::TicketExpired { .. } => {
                "get a new ticket with `kinit`, and check the clocks of both hosts"
            }
            Self::TicketNotYetValid { .. } => {
                "check the clocks of this host, the peer and the KDC, then get a new ticket"
            }
            Self::TimedOut { .. } => {
                "a KDC does not answer at all: check the realm in /etc/krb5.conf and the firewall, \
                 or raise limits.handshake-timeout-ms"
            }
            Self::UnknownRealm { .. } => {
                "check the realm's spelling, which is usually in upper case, [domain_realm] in \
                 /etc/krb5.conf, and trust between the realms"
            }
            Self::UnknownService { .. } => {
                "check the name's spelling; the realm's administrator adds it with \
                 `kadmin addprinc -randkey` or `setspn`"
            }
            Self::UserToUser { .. } => {
                "give the service an account of its own with a key in a keytab"
            }
            Self::WeakEncryption { used: EncryptionType::RC4, .. } => {
                "have the KDC make AES keys for the service's account and the client's (`kadmin \
                 cpw`; in Active Directory msDS-SupportedEncryptionTypes = 24, then a new \
                 password), export the keytab anew and get new tickets; \
                 kerberos.danger-allow-rc4 lets RC4 in until then"
            }
            Self::WeakEncryption { used, .. } if used.is_weak() => {
                "have the KDC make AES keys for the service's account and the client's (`kadmin \
                 cpw`), export the keytab anew and get new tickets"
            }
            Self::WeakEncryption { .. } => {
                "add it to kerberos.encryption-types in the policy, or have the KDC make keys of \
                 the listed types for the service's account and the client's"
            }
            Self::WrongKey { .. } => {
                "the keytab holds another key under this version: export it anew from the KDC"
            }
            Self::WrongService { .. } => {
                "correct the name that the client asks for, or add it to kerberos.services"
            }
            Self::Other { .. } => "`KRB5_TRACE=/dev/stderr` shows what the library does",
        }
        .to_owned()
    }

    /// Returns the Winsock number (SPEC 3).
    pub fn wsa(&self) -> WsaError {
        match self {
            Self::TimedOut { .. } => WsaError::TimedOut,
            _ => WsaError::Acces,
        }
    }
}

/// Which side does not know of a service's new key.
#[expect(clippy::exhaustive_enums, reason = "a ticket and a keytab are all there is")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// The server's keytab: the ticket is newer.
    Keytab,
    /// The client's ticket: the keytab has no longer the key.
    Ticket,
}

impl std::fmt::Display for Outdated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keytab => "the keytab",
            Self::Ticket => "the ticket",
        })
    }
}

fn in_brackets(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default()
}

fn refusal_hint(reason: KerberosRefusal) -> &'static str {
    match reason {
        KerberosRefusal::BindingMismatch
        | KerberosRefusal::ConfirmationFailed
        | KerberosRefusal::NotBound => {
            "someone may stand between you and the peer; look for a TLS proxy on the path"
        }
        KerberosRefusal::ClockSkew => "set the clocks of both hosts by NTP (`timedatectl`)",
        KerberosRefusal::TicketExpired | KerberosRefusal::TicketOutdated => {
            "get a new ticket: `kdestroy`, then `kinit`"
        }
        KerberosRefusal::TicketNotYetValid => "check the clocks of both hosts and the KDC",
        KerberosRefusal::KeytabOutdated
        | KerberosRefusal::NotInKeytab
        | KerberosRefusal::WrongKey => {
            "the peer's administrator must export its keytab anew; `klist -kte` shows what is in it"
        }
        KerberosRefusal::RealmNotAllowed => {
            "the peer's administrator adds our realm to kerberos.realms, if it is to be trusted"
        }
        KerberosRefusal::NotAllowed => {
            "the peer's administrator adds an [[allow]] rule for our principal, if it is to be let in"
        }
        KerberosRefusal::WeakEncryption => {
            "`klist -e` shows how our tickets are encrypted; the realm's administrator gives the \
             service's account and ours AES keys, or the peer's accepts more \
             (kerberos.encryption-types)"
        }
        KerberosRefusal::WrongService => "correct the name that was asked for",
        KerberosRefusal::Ticketless => {
            "the client's log says why it has no ticket; `kinit` there may be all it takes"
        }
        KerberosRefusal::OwnTrouble | KerberosRefusal::Other | KerberosRefusal::Protocol => {
            "the peer's log says more"
        }
    }
}
