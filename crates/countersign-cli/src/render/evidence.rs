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
            let ticket = evidence.ticket_encryption();
            let ticket = ticket.map(|it| format!(", ticket by {it}")).unwrap_or_default();
            let (suite, group) = (evidence.cipher_suite(), evidence.key_exchange());
            format!("{}, {suite}, {group}{ticket}", evidence.mechanism())
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
        "ticket_encryption": evidence.ticket_encryption().map(|it| json!({
            "ticket": it.ticket.to_string(),
            "session_key": it.session_key.to_string(),
            "subkey": it.subkey.to_string(),
        })),
        "session": evidence.session().to_string(),
        "since": evidence.since().to_string(),
        "expires": evidence.expires().map(|at| at.to_string()),
    })
}
