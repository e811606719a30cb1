//! Why a command did not do what it was asked for.

use std::fmt;
use std::io;
use std::time::Duration;

use countersign::core::{NameError, WsaError};
use countersign::identity::IdentityError;
use countersign::{Error, Fault};

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library says why.
    Library(Error),
    /// A host has no address.
    Lookup { host: String, source: io::Error },
    /// Nothing has gone through a tunnel for too long.
    Silent { after: Duration },
    /// This command was stopped before a connection had ended.
    Stopped,
    /// The command line asks for what cannot be.
    Usage { what: String, hint: String },
}

impl Failure {
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: hint.into() }
    }

    /// A text of the command line, called `what`, is not the name or pattern it should be.
    pub(crate) fn name(what: &str, typed: &str, error: &NameError) -> Self {
        Self::usage(format!("{what} \"{typed}\": {error}"), error.hint())
    }

    /// The system refuses something.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| match source.downcast::<Error>() {
            Ok(error) => Self::Library(error),
            Err(source) => Self::Library(Error::Io { doing, source }),
        }
    }

    /// Returns who must act.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Library(error) => error.fault(),
            Self::Lookup { .. } => Fault::Host,
            Self::Silent { .. } => Fault::Peer,
            Self::Stopped => Fault::Host,
            Self::Usage { .. } => Fault::Caller,
        }
    }

    /// Returns what to try.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::Library(Error::Io { source, .. }) if is_break(source) => {
                "the other side broke off: its log may say why".to_owned()
            }
            Self::Library(error) => error.hint(),
            Self::Lookup { .. } => {
                "check the spelling, and that this host can look names up; a numeric address \
                 needs no look-up"
                    .to_owned()
            }
            Self::Silent { .. } => {
                "give it more time with --idle-ms, or have either side send something now and then"
                    .to_owned()
            }
            Self::Stopped => "give connections more time to end with --drain-ms".to_owned(),
            Self::Usage { hint, .. } => hint.clone(),
        }
    }

    /// Returns the Winsock number.
    pub(crate) fn wsa(&self) -> WsaError {
        match self {
            Self::Library(error) => error.wsa(),
            Self::Lookup { .. } => WsaError::SysCallFailure,
            Self::Silent { .. } => WsaError::TimedOut,
            Self::Stopped => WsaError::ConnAborted,
            Self::Usage { .. } => WsaError::Inval,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => {
                write!(f, "{error}")?;
                // Those that do not say their cause themselves.
                match error {
                    Error::Identity(IdentityError::Io { .. }) | Error::Rights(_) => {
                        write_cause(error, f)
                    }
                    _ => Ok(()),
                }
            }
            Self::Lookup { host, source } => write!(f, "cannot look up {host}: {source}"),
            Self::Silent { after } => {
                write!(f, "nothing has gone through for {} ms", after.as_millis())
            }
            Self::Stopped => {
                f.write_str("this command was stopped before the connection had ended")
            }
            Self::Usage { what, .. } => f.write_str(what),
        }
    }
}

fn is_break(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

fn write_cause(error: &Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match std::error::Error::source(error) {
        Some(cause) => write!(f, ": {cause}"),
        None => Ok(()),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self::Library(error.into())
    }
}
