//! Why a text is not a name.

use crate::{Fault, PeerName, WsaError};

/// Why a text is not the name of a peer, or not a pattern of such names.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A character stands where it may not.
    #[error("the {part} holds {found:?} at byte {at}, which it may not")]
    BadCharacter {
        /// The character.
        found: char,
        /// Its offset in bytes from the start of the part.
        at: usize,
        /// The part of the name.
        part: &'static str,
    },
    /// A pattern or an account of `[[account]]` has braces where none are understood.
    #[error(
        "{pattern:?} has a {{capture}} where none is understood, or text that cannot stand there"
    )]
    BadCapture {
        /// The pattern or the account as written.
        pattern: String,
    },
    /// The host is neither a DNS name nor an IP address.
    #[error("{host:?} is neither a DNS name nor an IP address: {why}")]
    BadHost {
        /// The host as written.
        host: String,
        /// What rule it breaks.
        why: &'static str,
    },
    /// The port is not a number from 1 to 65535.
    #[error("port {port:?} is not a number from 1 to 65535")]
    BadPort {
        /// The port as written.
        port: String,
    },
    /// A SPIFFE ID breaks the SPIFFE ID specification, section 2.
    #[error("{id:?} is not a SPIFFE ID: {why}")]
    BadSpiffeId {
        /// The ID as written.
        id: String,
        /// What rule it breaks.
        why: &'static str,
    },
    /// A pattern has a star where none is understood.
    #[error("pattern {pattern:?} has a star where none is understood")]
    BadStar {
        /// The pattern as written.
        pattern: String,
    },
    /// There is nothing.
    #[error("the name is empty")]
    Empty,
    /// A part of the name is empty.
    #[error("the {part} of the name is empty")]
    EmptyPart {
        /// The part.
        part: &'static str,
    },
    /// A service was wanted, and this has a realm or a host and no class.
    #[error("{name:?} is the name of a user, and of no service")]
    NotAService {
        /// The name as written.
        name: String,
    },
    /// The name is longer than any name may be.
    #[error("the name has {bytes} bytes, more than {}", PeerName::MAX_LEN)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// A service principal name has more than three parts.
    #[error("the name has more parts than class/host/service")]
    TooManyParts,
    /// There are two `@`.
    #[error("the name holds more than one '@'")]
    TwoRealms,
    /// A URI of a scheme that names no peer.
    #[error("names of scheme {scheme:?} are not understood")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },
}

impl NameError {
    /// Returns who must act: the one who wrote the name.
    pub fn fault(&self) -> Fault {
        Fault::Caller
    }

    /// Returns what to try.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::BadHost { .. } => {
                "write the host as a DNS name, an IPv4 address, or an IPv6 address in brackets"
            }
            Self::BadStar { .. } => {
                "understood are *, class/*.domain, */host, */host@REALM, *@REALM and \
                 spiffe://domain/path/*"
            }
            Self::BadCapture { .. } => {
                "understood are {user}@REALM, {user}/INSTANCE@REALM, spiffe://domain/path/{name} and \
                 class/{label}.domain, each capture once"
            }
            Self::NotAService { .. } => {
                "write class/host[:port][/service][@REALM]; what GSS-API calls service@host is \
                 service/host here"
            }
            Self::BadPort { .. } => "to name a host and its port write host/NAME:PORT",
            _ => {
                "write class/host[:port][/service][@REALM], user@REALM, a DNS name, or \
                 spiffe://domain/path"
            }
        }
    }

    /// Returns the Winsock number for it (SPEC 3: a malformed name is invalid).
    pub fn wsa(&self) -> WsaError {
        WsaError::Inval
    }
}
