//! libssl's errors and alerts, as ours.

use countersign_core::HandshakeError;
use openssl::error::ErrorStack;
use openssl::ssl::SslAlert;

/// Says why a conversation failed, from what libssl says of it.
pub(crate) fn from_openssl(errors: Option<&ErrorStack>) -> HandshakeError {
    let Some(error) = errors.and_then(|stack| stack.errors().first()) else {
        return HandshakeError::Protocol { what: "libssl ended it without a reason".to_owned() };
    };
    if let Some(alert) = SslAlert::from_reason_code(error.reason_code()) {
        return HandshakeError::RefusedByPeer { alert: registered(&alert.to_string()) };
    }
    let what = error.reason().unwrap_or("an error without a name").to_owned();
    match error.reason_code() {
        PEER_DID_NOT_RETURN_A_CERTIFICATE => HandshakeError::NoCertificate,
        NO_SHARED_CIPHER
        | NO_SUITABLE_SIGNATURE_ALGORITHM
        | NO_SHARED_GROUPS
        | UNSUPPORTED_PROTOCOL
        | WRONG_SSL_VERSION
        | WRONG_VERSION_NUMBER => HandshakeError::NothingShared { what },
        _ => HandshakeError::Protocol { what },
    }
}

/// Says that the peer has refused us with this alert.
pub(crate) fn from_alert(alert: u8) -> HandshakeError {
    // libssl's reasons for alerts that it received (<openssl/sslerr.h>, SSL_AD_REASON_OFFSET).
    let known = SslAlert::from_reason_code(1000 + i32::from(alert)).map(|it| it.to_string());
    let shown = known.unwrap_or_else(|| format!("alert {alert}"));
    HandshakeError::RefusedByPeer { alert: registered(&shown) }
}

// Alerts of our own (RFC 5246 section 7.2, RFC 7301 section 3.2).
pub(crate) const ACCESS_DENIED: u8 = 49;
pub(crate) const NO_APPLICATION_PROTOCOL: u8 = 120;
pub(crate) const UNEXPECTED_MESSAGE: u8 = 10;

/// Says that libssl cannot do its part.
pub(crate) fn our_side(errors: &ErrorStack) -> HandshakeError {
    let reason = errors.errors().first().and_then(|error| error.reason());
    HandshakeError::OurSide { what: format!("libssl: {}", reason.unwrap_or("no reason")) }
}

// Reasons of <openssl/sslerr.h>.
const NO_SHARED_CIPHER: i32 = 193;
const NO_SHARED_GROUPS: i32 = 410;
const NO_SUITABLE_SIGNATURE_ALGORITHM: i32 = 118;
const PEER_DID_NOT_RETURN_A_CERTIFICATE: i32 = 199;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const WRONG_SSL_VERSION: i32 = 266;
const WRONG_VERSION_NUMBER: i32 = 267;

/// Returns an alert's name as RFC 5246 section 7.2 writes it.
fn registered(shown: &str) -> String {
    shown.to_ascii_lowercase().replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use openssl::ssl::SslAlert;

    use super::registered;

    #[test]
    fn alerts_have_their_registered_names() {
        for (alert, expected) in [
            (SslAlert::UNKNOWN_CA, "unknown_ca"),
            (SslAlert::HANDSHAKE_FAILURE, "handshake_failure"),
            (SslAlert::BAD_CERTIFICATE, "bad_certificate"),
            (SslAlert::CERTIFICATE_EXPIRED, "certificate_expired"),
            (SslAlert::PROTOCOL_VERSION, "protocol_version"),
        ] {
            assert_eq!(registered(&alert.to_string()), expected);
        }
    }
}
