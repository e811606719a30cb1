//! Why a conversation could not be protected.

use std::time::Duration;

use crate::{KerberosFailure, PeerName, Timestamp, WsaError};

/// Who must act for the next attempt to succeed.
#[expect(clippy::exhaustive_enums, reason = "the four parties are complete by definition")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program that called us, or its policy.
    Caller,
    /// The other end of the conversation.
    Peer,
    /// This host: its files, daemons, kernel or clock.
    Host,
    /// Us. Please report it.
    Bug,
}

/// Why a handshake ended without a protected conversation.
///
/// A bad chain is never reported as a wrong name, nor a wrong name as a bad chain: the chain is
/// judged first, and the name only if the chain is good.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The peer's certificate is broken, or breaks a rule that leaves no doubt.
    #[error("the peer's certificate is not acceptable: {why}")]
    BadCertificate {
        /// The rule that it breaks.
        why: String,
    },
    /// The server asks who we are, and its own certificate is none that we would show ours to.
    #[error("the peer asks for our certificate, and its own does not do: {why}")]
    CertificateWithheld {
        /// Why the peer's certificate does not do.
        why: Box<Self>,
    },
    /// The peer's certificate has expired.
    #[error("the peer's certificate expired at {not_after}, and it is {now}")]
    Expired {
        /// Its last moment.
        not_after: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// The Kerberos proof inside the connection did not come about.
    #[error(transparent)]
    Kerberos(#[from] KerberosFailure),
    /// The peer takes no part in Kerberos, and policy requires it.
    #[error("the peer takes no part in Kerberos, which is required here")]
    KerberosRequired,
    /// The program had asked that the connection end when this changes (SPEC 7.4).
    #[error("the connection was ended, as the program had asked: {what}")]
    Changed {
        /// What has changed.
        what: String,
    },
    /// The peer did not send a certificate, and one is required.
    #[error("the peer sent no certificate, and one is required")]
    NoCertificate,
    /// The peer has a good certificate, but no rule lets it in.
    #[error("{peer} is not allowed here: {why}")]
    NotAllowed {
        /// Whom the peer proved to be.
        peer: String,
        /// The rule that is missing.
        why: String,
    },
    /// The peer's certificate is not valid yet.
    #[error("the peer's certificate is valid from {not_before} only, and it is {now}")]
    NotYetValid {
        /// Its first moment.
        not_before: Timestamp,
        /// The time here.
        now: Timestamp,
    },
    /// What the peer sent is not TLS.
    #[error("the peer does not speak TLS: it {what}")]
    NotTls {
        /// What it did instead.
        what: String,
    },
    /// The two sides have no protocol version, suite or group in common.
    #[error("nothing in common with the peer: {what}")]
    NothingShared {
        /// What is missing.
        what: String,
    },
    /// The handshake was given up to make room for others.
    #[error("the handshake was given up: {limit} were under way, and this was the oldest")]
    Overloaded {
        /// How many may be under way at once.
        limit: usize,
    },
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {what}")]
    Protocol {
        /// How.
        what: String,
    },
    /// The peer refused us.
    #[error("the peer refused us: {alert}")]
    RefusedByPeer {
        /// The alert, by its registered name.
        alert: String,
    },
    /// The peer was too slow.
    #[error("the peer did not finish the handshake within {} ms", .after.as_millis())]
    TimedOut {
        /// How long it had.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("the connection ended, and the peer had not said that it was done")]
    Truncated,
    /// The peer's certificate has no issuer that we trust.
    #[error("the peer's certificate was issued by {issuer}, which is not trusted here")]
    UntrustedIssuer {
        /// The issuer's name, as the certificate states it.
        issuer: String,
    },
    /// The peer proved a name, but not the one that was asked for.
    #[error("asked for {asked}, the peer proved {proved}")]
    WrongPeer {
        /// The name that the caller asked for.
        asked: Box<PeerName>,
        /// The names that the peer proved, or that it proved none.
        proved: String,
        /// Why the nearest of them does not do, where that is not plain.
        why: Option<String>,
    },
    /// The peer's certificate is for something else than this use.
    #[error("the peer's certificate is not for this use: {why}")]
    WrongUsage {
        /// The use that is missing.
        why: String,
    },
    /// We could not do our part.
    #[error("our own configuration failed: {what}")]
    OurSide {
        /// What failed.
        what: String,
    },
}

impl HandshakeError {
    /// Returns who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Kerberos(failure) => failure.fault(),
            Self::Changed { .. } => Fault::Caller,
            Self::OurSide { .. } | Self::Overloaded { .. } => Fault::Host,
            _ => Fault::Peer,
        }
    }

    /// Returns what to try.
    pub fn hint(&self) -> String {
        match self {
            Self::BadCertificate { .. } => {
                "look at the peer's certificate with `openssl x509 -text`, and have it issued anew"
            }
            Self::CertificateWithheld { .. } => {
                "have the peer's certificate issued by an authority that this host trusts, or \
                 connect without a certificate of ours: Kerberos alone needs neither"
            }
            Self::Changed { .. } => "connect anew, and query again whether the peer may go on",
            Self::Expired { .. } => "renew the peer's certificate, or check the clock of this host",
            Self::Kerberos(failure) => return failure.hint(),
            Self::KerberosRequired => {
                "give the peer a keytab and kerberos.server, or a ticket and kerberos.client, in \
                 its policy; or let ours say \"prefer\""
            }
            Self::NoCertificate => {
                "give the peer a certificate that this host trusts (`countersign identity issue`), \
                 or do not require one"
            }
            Self::NotAllowed { .. } => {
                "add an [[allow]] rule for this name to the policy, or --allow on the command line"
            }
            Self::NotYetValid { .. } => "check the clock of this host and of the peer's authority",
            Self::NotTls { .. } => {
                "check the port: the service there may be unprotected, or start TLS only later"
            }
            Self::NothingShared { .. } => {
                "the peer must offer TLS 1.3; if it cannot, policy may allow TLS 1.2 \
                 (tls.danger-allow-tls12 = true)"
            }
            Self::Overloaded { .. } => "raise limits.handshakes, or find out who floods this port",
            Self::Protocol { .. } => "check that the peer speaks TLS and nothing alters its bytes",
            Self::RefusedByPeer { alert } => return refusal_hint(alert),
            Self::TimedOut { .. } => {
                "check that the peer is a TLS server and not overloaded, or raise \
                 limits.handshake-timeout-ms"
            }
            Self::Truncated => "look into the peer's log; if it says nothing, something on the path cut the connection",
            Self::UntrustedIssuer { .. } => {
                "if the peer is legitimate, trust its authority: `countersign identity trust FILE` \
                 or trust.anchors in the policy"
            }
            Self::WrongPeer { why: Some(why), .. } => return why.clone(),
            Self::WrongPeer { .. } => {
                "someone else answers there, or the name is mistyped; nothing was sent to it"
            }
            Self::WrongUsage { .. } => "have the certificate issued for this use",
            Self::OurSide { .. } => "run `countersign doctor`",
        }
        .to_owned()
    }

    /// Returns the Winsock number (SPEC 3).
    pub fn wsa(&self) -> WsaError {
        match self {
            Self::Kerberos(failure) => failure.wsa(),
            Self::Changed { .. } => WsaError::ConnAborted,
            Self::TimedOut { .. } => WsaError::TimedOut,
            _ => WsaError::Acces,
        }
    }
}

fn refusal_hint(alert: &str) -> String {
    match alert {
        "certificate_required" => {
            "the peer wants a certificate of ours: name one with --as, or in [identity]"
        }
        "access_denied" => "the peer knows who we are, and its rules do not allow us",
        "unknown_ca" => "the peer does not trust the authority that issued our certificate",
        "certificate_expired" => "renew our certificate (`countersign identity show`)",
        "handshake_failure" | "protocol_version" => {
            "the peer may not offer TLS 1.3; policy may allow TLS 1.2 (tls.danger-allow-tls12)"
        }
        "no_application_protocol" => {
            "the peer requires another protocol inside TLS: if we offered Kerberos, it does not know \
             it (kerberos.client = \"off\"); if we did not, it may require it"
        }
        "unrecognized_name" => "the peer does not serve the host that we asked for",
        _ => "the peer's log says more",
    }
    .to_owned()
}
