//! Why nobody can act for a peer.

use std::io;

use crate::core::{Fault, PeerName, UnfitAccount, WsaError};

/// Why a thread cannot act with the rights of a peer.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// The account must not be used any more.
    #[error("{peer} acts as the account {account} here, which {why}")]
    AccountDisabled {
        /// The peer.
        peer: Box<PeerName>,
        /// Its account.
        account: String,
        /// What the user database says.
        why: String,
    },
    /// The user database cannot be asked.
    #[error("cannot look up the account {account}")]
    Lookup {
        /// The account.
        account: String,
        /// What the database said.
        source: io::Error,
    },
    /// The system's rules for Kerberos principals cannot be asked.
    #[error("cannot find the local name of {peer}: {why}")]
    LocalName {
        /// The peer.
        peer: Box<PeerName>,
        /// What they said.
        why: String,
    },
    /// The process may not become somebody else.
    #[error("this process may not act as somebody else: it lacks {lacks}")]
    MissingCapability {
        /// The capabilities.
        lacks: String,
    },
    /// There is no account of that name.
    #[error("{peer} acts as the account {account} here by {rule}, and there is no such account")]
    NoAccount {
        /// The peer.
        peer: Box<PeerName>,
        /// The account that was looked for.
        account: String,
        /// The rule that chose it.
        rule: String,
    },
    /// The peer has proved no name of the kind that is asked for.
    #[error("the peer has proved no name, so nobody can act for it")]
    NoName,
    /// No rule says who acts for the peer.
    #[error("no [[account]] rule says which local account acts for {peer} ({proof})")]
    NoRule {
        /// The peer.
        peer: Box<PeerName>,
        /// How it proved its name.
        proof: String,
    },
    /// A rule would make root of a peer, or a system account of a captured name.
    #[error("{peer} must not act as the account {account} (uid {uid}), reached by {rule}")]
    Protected {
        /// The peer.
        peer: Box<PeerName>,
        /// The account.
        account: String,
        /// Its user id.
        uid: u32,
        /// The rule that reached it.
        rule: String,
    },
    /// The kernel refused.
    #[error("cannot act as the account {account}: {call} failed")]
    Refused {
        /// The account.
        account: String,
        /// The system call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a thread to act as the peer")]
    Thread(#[source] io::Error),
    /// A rule captured what can be no account.
    #[error(transparent)]
    Unfit(#[from] UnfitAccount),
}

impl RightsError {
    /// Returns who must act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoName => Fault::Peer,
            Self::Lookup { .. }
            | Self::LocalName { .. }
            | Self::MissingCapability { .. }
            | Self::Refused { .. }
            | Self::Thread(_) => Fault::Host,
            Self::AccountDisabled { .. }
            | Self::NoAccount { .. }
            | Self::NoRule { .. }
            | Self::Protected { .. }
            | Self::Unfit(_) => Fault::Caller,
        }
    }

    /// Returns what to try.
    pub fn hint(&self) -> String {
        match self {
            Self::AccountDisabled { account, .. } => format!(
                "if it should be used again: `chage -E -1 {account}`, or choose another account \
                 in the policy's [[account]]"
            ),
            Self::Lookup { .. } => {
                "check the user database: `getent passwd`, and /etc/nsswitch.conf".to_owned()
            }
            Self::LocalName { .. } => {
                "check auth_to_local in krb5.conf, or add an [[account]] rule".to_owned()
            }
            Self::MissingCapability { .. } => format!(
                "run as root, or in the systemd unit: {}; or for a program file: {}",
                Self::SYSTEMD_LINE,
                Self::SETCAP_LINE
            ),
            Self::NoAccount { account, .. } => {
                format!("make the account (`useradd {account}`), or change the rule")
            }
            Self::NoName => {
                "the peer must show a certificate or ticket that proves a name".to_owned()
            }
            Self::NoRule { peer, .. } => format!(
                "add to the policy: [[account]] peer = \"{peer}\" account = \"LOCAL-ACCOUNT\""
            ),
            Self::Protected { uid: 0, .. } => {
                "only a rule that says account = \"root\" makes root of a peer".to_owned()
            }
            Self::Protected { .. } => {
                "a rule reaches a system account by spelling it out, or by its lowest-uid"
                    .to_owned()
            }
            Self::Refused { call: "setgroups" | "setresgid" | "setresuid", .. } => {
                "in a user namespace (container), the account's ids need a mapping, and \
                 /proc/self/setgroups must be allow"
                    .to_owned()
            }
            Self::Refused { .. } | Self::Thread(_) => "run `countersign doctor`".to_owned(),
            Self::Unfit(_) => {
                "have the peer named otherwise, or write a rule for it that spells the account out"
                    .to_owned()
            }
        }
    }

    /// What gives a systemd service the capabilities.
    pub const SYSTEMD_LINE: &'static str = "AmbientCapabilities=CAP_SETUID CAP_SETGID";

    /// What gives a program file the capabilities.
    pub const SETCAP_LINE: &'static str = "setcap cap_setuid,cap_setgid=ep PROGRAM";

    /// Returns the Winsock number (SPEC 3).
    pub fn wsa(&self) -> WsaError {
        match self {
            Self::Lookup { .. } | Self::Refused { .. } | Self::Thread(_) => {
                WsaError::SysCallFailure
            }
            _ => WsaError::Acces,
        }
    }
}
