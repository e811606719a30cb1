//! What protects a connection and who the peer is, as people and programs read it.

use countersign::Evidence;
use countersign::core::ProvedPeer;
use serde_json::{Value, json};

/// Returns who the peer proved to be.
pub(crate) fn who(evidence: Option<&Evidence>) -> String {
    match evidence.map(Evidence::peer) {
        Some(Some(peer)) => format!("{} ({})", peer.name(), peer.proof()),
        Some(None) => "a peer without a proved name".to_owned(),
        None => "anyone (cleartext)".to_owned(),
    }
}

/// Returns what protects the connection.
pub(crate) fn protection(evidence: Option<&Evidence>) -> String {
    match evidence {
        Some(evidence) => {
            let resumed = match evidence.is_resumed() {
                true => format!(", resumed: proved at {}", evidence.authenticated()),
                false => String::new(),
            };
            format!(
                "{}, {}, {}{resumed}",
                evidence.mechanism(),
                evidence.cipher_suite(),
                evidence.key_exchange()
            )
        }
        None => "nothing: the peer cannot do security".to_owned(),
    }
}

/// Returns all of it; null is cleartext.
pub(crate) fn json(evidence: Option<&Evidence>) -> Value {
    let Some(evidence) = evidence else { return Value::Null };
    let proved = |peer: &ProvedPeer| json!({ "name": peer.name().to_string(), "proof": peer.proof().to_string() });
    json!({
        "peer": evidence.peer().map(proved),
        "names": evidence.names().iter().map(proved).collect::<Vec<_>>(),
        "application": evidence.application().map(proved),
        "machine": evidence.machine().map(proved),
        "groups": evidence.groups().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "asked": evidence.asked().map(ToString::to_string),
        "name_verified": evidence.is_peer_name_verified(),
        "protocol": evidence.mechanism().to_string(),
        "cipher_suite": evidence.cipher_suite(),
        "key_exchange": evidence.key_exchange(),
        "session": evidence.session().to_string(),
        "since": evidence.since().to_string(),
        "resumed": evidence.is_resumed(),
        "authenticated": evidence.authenticated().to_string(),
        "expires": evidence.expires().map(|at| at.to_string()),
    })
}
