//! Whether what a peer sends first is TLS.

use countersign_core::HandshakeError;

use crate::verify::printable;

/// How many of the first bytes are kept for the message that they are not TLS.
pub(super) const FIRST_BYTES: usize = 40;

/// A TLS record of a handshake begins with its type and version major 3 (RFC 8446 section 5.1).
pub(super) fn looks_like_tls(first: &[u8]) -> bool {
    match first {
        [kind] => (0x14..=0x17).contains(kind),
        [kind, major, ..] => (0x14..=0x17).contains(kind) && *major == 3,
        [] => false,
    }
}

/// A server that greets as clients do echoes what it hears.
pub(super) fn is_client_greeting(first: &[u8]) -> bool {
    const HANDSHAKE: u8 = 0x16;
    const CLIENT_HELLO: u8 = 1;
    matches!(first, [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, ..])
}

pub(super) fn not_tls(first: &[u8]) -> HandshakeError {
    if is_client_greeting(first) {
        return HandshakeError::NotTls { what: "echoed our own greeting".to_owned() };
    }
    let text = String::from_utf8_lossy(first);
    let line = text.lines().next().unwrap_or_default();
    HandshakeError::NotTls { what: format!("sent \"{}\"", printable(line)) }
}
