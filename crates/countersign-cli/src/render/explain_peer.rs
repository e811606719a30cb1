//! Who acts for a peer, as people and programs read it.

use std::net::SocketAddr;

use countersign::rights::Account;
use serde_json::{Value, json};

use super::output::{Line, Output};
use super::words::list;
use crate::run::{Acting, PeerExplanation};

impl Output {
    pub(crate) fn peer_explanation(&self, explanation: &PeerExplanation) {
        self.result(|| text(explanation), || to_json(explanation));
    }
}

fn text(it: &PeerExplanation) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |what: &str, value: String| lines.push(format!("{what:<12}{value}").into());
    add("peer", it.peer.to_string());
    for acting in &it.acting {
        add("account", format!("{} ({})", of(acting), acting.proof));
        if let Ok((mapped, _)) = &acting.outcome {
            add("", format!("by {}", mapped.source));
        }
    }
    add(
        "we",
        match &it.unable {
            None => "may act as it".to_owned(),
            Some(why) => format!("may not: {why}"),
        },
    );
    match it.places.as_slice() {
        [] => add("allowed", "everywhere: there are no [[allow]] rules".to_owned()),
        places => {
            for (at, is_allowed) in places {
                add(if *is_allowed { "allowed" } else { "refused" }, place(*at));
            }
        }
    }
    for file in &it.policy_files {
        let state = if file.exists { "read" } else { "not there" };
        add("policy", format!("{} ({state})", file.path.display()));
    }
    lines
}

fn of(acting: &Acting) -> String {
    match &acting.outcome {
        Ok((_, account)) => format!(
            "{}, uid {}, gid {}, groups {}",
            account.name(),
            account.uid(),
            account.gid(),
            list(&account.groups())
        ),
        Err(why) => format!("none: {why}"),
    }
}

/// An address of a rule; what is zero in it is any.
fn place(at: SocketAddr) -> String {
    match (at.ip().is_unspecified(), at.port()) {
        (true, 0) => "on every other address".to_owned(),
        (true, port) => format!("on port {port} of every address"),
        (false, 0) => format!("on every port of {}", at.ip()),
        (false, _) => format!("on {at}"),
    }
}

fn to_json(it: &PeerExplanation) -> Value {
    let acting = it.acting.iter().map(|acting| {
        let (account, rule, reason) = match &acting.outcome {
            Ok((mapped, account)) => {
                (Some(account_json(account)), Some(mapped.source.to_string()), None)
            }
            Err(why) => (None, None, Some(why.to_string())),
        };
        json!({
            "proof": acting.proof.to_string(), "account": account, "rule": rule, "reason": reason,
        })
    });
    let places = it
        .places
        .iter()
        .map(|(at, is_allowed)| json!({ "listen": at.to_string(), "allowed": is_allowed }));
    let files = it
        .policy_files
        .iter()
        .map(|file| json!({ "path": file.path.display().to_string(), "exists": file.exists }));
    json!({
        "peer": it.peer.to_string(),
        "acting": acting.collect::<Vec<_>>(),
        "unable": it.unable.as_ref().map(ToString::to_string),
        "places": places.collect::<Vec<_>>(),
        "policy_files": files.collect::<Vec<_>>(),
    })
}

/// Returns an account for programs.
pub(super) fn account_json(account: &Account) -> Value {
    json!({
        "name": account.name(),
        "uid": account.uid(),
        "gid": account.gid(),
        "groups": account.groups(),
    })
}
