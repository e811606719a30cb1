//! Connections as they come and go: `connect`, `serve` and `forward`.

use std::net::SocketAddr;
use std::time::Duration;

use countersign::rights::Account;
use countersign::{Evidence, PeerName};
use serde_json::{Value, json};

use super::evidence;
use super::output::{Line, Output, failure_json};
use super::words::{self, size, took};
use crate::failure::Failure;

/// How much went through a connection, and how long it took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) time: Duration,
}

impl Output {
    /// Says that we accept connections; `name` is ours.
    pub(crate) fn listening(&self, at: SocketAddr, name: &PeerName) {
        self.event(
            || vec![format!("listening on {at} as {name}").into()],
            || json!({ "event": "listening", "address": at.to_string(), "name": name.to_string() }),
        );
    }

    /// Says that we accept plain connections; `name` is the peer's to which they go.
    pub(crate) fn forwarding(&self, at: SocketAddr, to: &str, name: &PeerName) {
        self.event(
            || vec![format!("listening on {at} for {name} at {to}").into()],
            || {
                json!({
                    "event": "listening", "address": at.to_string(), "to": to,
                    "name": name.to_string(),
                })
            },
        );
    }

    /// Says who is at the other end.
    pub(crate) fn connected(&self, at: Option<SocketAddr>, evidence: Option<&Evidence>) {
        self.event(
            || {
                let (who, at) = (evidence::who(evidence), place(at));
                let protection = evidence::protection(evidence);
                vec![
                    format!("connected to {who} at {at}").into(),
                    format!("protected by {protection}").into(),
                ]
            },
            || arrival("connected", at, evidence),
        );
    }

    /// Logs a client that is who it must be.
    pub(crate) fn accepted(&self, from: SocketAddr, evidence: Option<&Evidence>) {
        self.event(
            || {
                let who = match evidence.map(Evidence::peer) {
                    Some(None) => "anonymous".to_owned(),
                    _ => evidence::who(evidence),
                };
                let protection = evidence::protection(evidence);
                vec![format!("accepted {from}: {who}; {protection}").into()]
            },
            || arrival("accepted", Some(from), evidence),
        );
    }

    /// Logs as whom something is done for a client.
    pub(crate) fn acting(&self, from: SocketAddr, peer: &PeerName, account: &Account) {
        let (name, uid, groups) = (account.name(), account.uid(), account.groups());
        self.event(
            || {
                let groups = words::list(&groups);
                vec![
                    format!("acting {from}: as {name} (uid {uid}, groups {groups}) for {peer}")
                        .into(),
                ]
            },
            || {
                json!({
                    "event": "acting", "address": from.to_string(), "peer": peer.to_string(),
                    "account": super::explain_peer::account_json(account),
                })
            },
        );
    }

    /// Logs a client that was turned away.
    pub(crate) fn refused(&self, from: SocketAddr, why: &Failure) {
        self.trouble("refused", from, why);
    }

    /// Logs a connection that did not end well.
    pub(crate) fn broken(&self, from: SocketAddr, why: &Failure) {
        self.trouble("broken", from, why);
    }

    /// Says that no more connections are taken, and how long those under way have.
    pub(crate) fn stopping(&self, connections: usize, time: Duration) {
        self.event(
            || {
                let time = took(time);
                vec![format!("stopping: {connections} connections may end within {time}").into()]
            },
            || {
                json!({
                    "event": "stopping", "connections": connections,
                    "milliseconds": milliseconds(time),
                })
            },
        );
    }

    /// Sums up a connection, for programs always and for people if it was a long one.
    pub(crate) fn ended(&self, traffic: Traffic) {
        if self.is_text() && traffic.time < LONG {
            return;
        }
        self.event(
            || vec![progress(traffic).into()],
            || {
                json!({
                    "event": "ended", "sent": traffic.sent, "received": traffic.received,
                    "milliseconds": milliseconds(traffic.time),
                })
            },
        );
    }

    /// Shows how far a long transfer has come.
    pub(crate) fn progress(&self, traffic: Traffic) {
        if traffic.time >= LONG {
            self.passing(&progress(traffic));
        }
    }

    /// Says what deserves attention, but stops nothing.
    pub(crate) fn warning(&self, what: &str) {
        self.event(
            || vec![format!("countersign: warning: {what}").into()],
            || json!({ "event": "warning", "warning": what }),
        );
    }

    fn trouble(&self, event: &str, from: SocketAddr, why: &Failure) {
        self.event(
            || {
                let reason = reason(from, why);
                vec![Line::from(format!("{event} {from}: {reason}; hint: {}", why.hint()))]
            },
            || {
                let mut value = failure_json(why);
                if let Value::Object(fields) = &mut value {
                    fields.insert("event".to_owned(), event.into());
                    fields.insert("address".to_owned(), from.to_string().into());
                }
                value
            },
        );
    }
}

/// The reason without the address, where that stands before it already.
fn reason(from: SocketAddr, why: &Failure) -> String {
    match why {
        Failure::Library(countersign::Error::Handshake { peer, source }) if *peer == from => {
            source.to_string()
        }
        other => other.to_string(),
    }
}

fn arrival(event: &str, at: Option<SocketAddr>, evidence: Option<&Evidence>) -> Value {
    json!({
        "event": event,
        "address": at.map(|at| at.to_string()),
        "evidence": evidence::json(evidence),
    })
}

fn place(at: Option<SocketAddr>) -> String {
    at.map_or_else(|| "an address that is gone".to_owned(), |at| at.to_string())
}

fn progress(Traffic { sent, received, time }: Traffic) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one digit")]
    let rate = (sent + received) as f64 / time.as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is positive, and no network carries more than 16 EiB/s"
    )]
    let rate = rate as u64;
    format!("sent {}, received {} in {} ({}/s)", size(sent), size(received), took(time), size(rate))
}

/// Returns milliseconds with three digits after the point.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Shorter transfers need no comment.
const LONG: Duration = Duration::from_secs(1);
