//! rustls' errors and alerts, as ours.

use std::fmt::Debug;

use countersign_core::HandshakeError;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Says why a handshake failed, from what rustls says of it.
pub(crate) fn from_rustls(error: &Error) -> HandshakeError {
    match error {
        Error::AlertReceived(alert) => HandshakeError::RefusedByPeer { alert: name(*alert) },
        Error::NoCertificatesPresented => HandshakeError::NoCertificate,
        Error::PeerIncompatible(what) => nothing_shared(what),
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            HandshakeError::BadCertificate {
                why: "the peer does not hold its private key".to_owned(),
            }
        }
        Error::InvalidCertificate(other) => HandshakeError::BadCertificate { why: words(other) },
        Error::DecryptError => HandshakeError::Protocol {
            what: "a record was altered on the way, or made with another key".to_owned(),
        },
        Error::InvalidMessage(what) => HandshakeError::Protocol { what: words(what) },
        Error::PeerMisbehaved(what) => HandshakeError::Protocol { what: words(what) },
        Error::InappropriateHandshakeMessage { .. }
        | Error::InappropriateMessage { .. }
        | Error::PeerSentOversizedRecord => HandshakeError::Protocol { what: error.to_string() },
        Error::General(what) if what == NO_SIGNATURE_SCHEME => {
            nothing_shared(&PeerIncompatible::NoSignatureSchemesInCommon)
        }
        _ => HandshakeError::OurSide { what: error.to_string() },
    }
}

/// How rustls says that a client of TLS 1.2 takes no signature that our key can make. In TLS 1.3
/// it has a variant for that. It is what the client offers, and no fault of this host.
const NO_SIGNATURE_SCHEME: &str = "incompatible signing key";

fn nothing_shared(what: &PeerIncompatible) -> HandshakeError {
    HandshakeError::NothingShared { what: words(what) }
}

/// Returns the certificate error of rustls whose alert tells the peer what it may know.
pub(crate) fn to_rustls(refusal: &HandshakeError) -> Error {
    Error::InvalidCertificate(of_certificate(refusal))
}

/// Returns the alert with which rustls would say that.
pub(crate) fn alert_for(refusal: &HandshakeError) -> AlertDescription {
    of_certificate(refusal).into()
}

fn of_certificate(refusal: &HandshakeError) -> CertificateError {
    match refusal {
        HandshakeError::Expired { .. } => CertificateError::Expired,
        HandshakeError::NotAllowed { .. } => CertificateError::ApplicationVerificationFailure,
        HandshakeError::NotYetValid { .. } => CertificateError::NotValidYet,
        HandshakeError::UntrustedIssuer { .. } => CertificateError::UnknownIssuer,
        HandshakeError::WrongPeer { .. } => CertificateError::NotValidForName,
        HandshakeError::WrongUsage { .. } => CertificateError::InvalidPurpose,
        _ => CertificateError::BadEncoding,
    }
}

/// Returns an alert's name as RFC 8446 section 6 writes it.
fn name(alert: AlertDescription) -> String {
    let text = format!("{alert:?}");
    let mut name = String::with_capacity(text.len() + 4);
    let mut previous_is_lower = false;
    for c in text.chars() {
        if c.is_ascii_uppercase() && previous_is_lower {
            name.push('_');
        }
        previous_is_lower = c.is_ascii_lowercase();
        name.push(c.to_ascii_lowercase());
    }
    name.replace("unrecognised", "unrecognized")
}

/// Spells a variant's name out in words, without what it holds.
pub(crate) fn words(variant: &impl Debug) -> String {
    let name = format!("{variant:?}");
    let mut text = String::with_capacity(name.len() + 8);
    for c in name.chars().take_while(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::AlertDescription;

    use super::name;

    #[test]
    fn alerts_have_their_registered_names() {
        for (alert, expected) in [
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::AccessDenied, "access_denied"),
            (AlertDescription::CertificateRequired, "certificate_required"),
            (AlertDescription::BadRecordMac, "bad_record_mac"),
            (AlertDescription::HandshakeFailure, "handshake_failure"),
            (AlertDescription::UnrecognisedName, "unrecognized_name"),
            (AlertDescription::ProtocolVersion, "protocol_version"),
        ] {
            assert_eq!(name(alert), expected);
        }
    }
}
