//! Alerts of both sides (RFC 8446 section 6).

use countersign_core::HandshakeError;
use rustls::{AlertDescription, Error};

use crate::error::from_rustls;

/// What we say to end our direction well: a warning, close_notify.
pub(super) const CLOSE_NOTIFY: [u8; 2] = [WARNING, 0];

const WARNING: u8 = 1;
const FATAL: u8 = 2;
const USER_CANCELED: u8 = 90;

/// What we say when the peer breaks the protocol.
pub(super) fn fatal(code: u8) -> [u8; 2] {
    [FATAL, code]
}

/// What the peer did wrong, for it and for our caller.
#[derive(Debug)]
pub(super) struct Alert {
    pub(super) code: u8,
    pub(super) error: HandshakeError,
}

impl Alert {
    fn protocol(code: AlertDescription, what: String) -> Self {
        Self { code: code.into(), error: HandshakeError::Protocol { what } }
    }

    /// A record that no key of the peer's has sealed.
    pub(super) fn forged() -> Self {
        let what = "a record was altered on the way, or made with another key".to_owned();
        Self::protocol(AlertDescription::BadRecordMac, what)
    }

    /// A record that is not sealed at all.
    pub(super) fn unsealed(kind: u8) -> Self {
        let what = format!("it sent a record of type {kind} in clear");
        Self::protocol(AlertDescription::UnexpectedMessage, what)
    }

    /// A record of a type that does not exist.
    pub(super) fn unknown(kind: u8) -> Self {
        let what = format!("it sent a record of type {kind}, which has no place here");
        Self::protocol(AlertDescription::UnexpectedMessage, what)
    }

    /// A record that is too large.
    pub(super) fn overflow(length: usize) -> Self {
        let what = format!("it sent a record of {length} bytes");
        Self::protocol(AlertDescription::RecordOverflow, what)
    }

    /// Something that may not come now.
    pub(super) fn unexpected(what: &str) -> Self {
        Self::protocol(AlertDescription::UnexpectedMessage, format!("it sent {what}"))
    }

    /// A value that no one may send.
    pub(super) fn illegal(what: &str) -> Self {
        Self::protocol(AlertDescription::IllegalParameter, format!("it sent {what}"))
    }

    /// Something that cannot be read.
    pub(super) fn malformed(what: &str) -> Self {
        Self::protocol(AlertDescription::DecodeError, format!("it sent {what} that cannot be read"))
    }

    /// It is our own fault.
    pub(super) fn internal(error: HandshakeError) -> Self {
        Self { code: AlertDescription::InternalError.into(), error }
    }
}

/// What the peer says.
pub(super) enum Read {
    /// It will send no more.
    CloseNotify,
    /// Nothing that matters; a close_notify follows.
    Warning,
    /// It has given up.
    Fatal(HandshakeError),
}

/// Reads the body of an alert record. The level counts for nothing in TLS 1.3; all but two alerts
/// are the end (RFC 8446 section 6).
pub(super) fn read(body: &[u8]) -> Result<Read, Alert> {
    let &[_, code] = body else { return Err(Alert::malformed("an alert")) };
    Ok(match code {
        0 => Read::CloseNotify,
        USER_CANCELED => Read::Warning,
        code => {
            let alert = AlertDescription::from(code);
            Read::Fatal(from_rustls(&Error::AlertReceived(alert)))
        }
    })
}
