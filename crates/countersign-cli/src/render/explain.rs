//! The plan for an address.

use countersign::core::{
    AllowRule, Asked, Cleartext, ClientCertificates, ClientPlan, EncryptionType, KerberosUse,
    ServerPlan,
};
use serde_json::{Value, json};

use super::output::{Line, Output};
use super::words::{count, day};
use crate::run::{Decision, Explanation};

impl Output {
    pub(crate) fn explanation(&self, explanation: &Explanation) {
        self.result(|| text(explanation), || to_json(explanation));
    }
}

/// A decision in the words that both forms use.
struct Words {
    plan: &'static str,
    /// Who must prove what, and where that comes from.
    peer: Option<(String, String)>,
    cleartext: Option<&'static str>,
    kerberos: Option<&'static str>,
}

fn words(explanation: &Explanation) -> Words {
    let tls = match (explanation.is_datagrams, explanation.allows_tls12) {
        (true, _) => "DTLS 1.2",
        (false, true) => "TLS 1.3 or 1.2",
        (false, false) => "TLS 1.3",
    };
    match &explanation.decision {
        Some(Decision::Connect(ClientPlan::Tls { asked, kerberos, cleartext })) => Words {
            plan: tls,
            peer: Some(of_asked(asked)),
            cleartext: Some(of_cleartext(*cleartext)),
            kerberos: Some(match kerberos {
                KerberosUse::Off => "not used: a certificate proves the name",
                KerberosUse::Prefer => "a ticket proves the name if the peer uses Kerberos too",
                KerberosUse::Require => "a ticket must prove the name",
            }),
        },
        Some(Decision::Listen(ServerPlan::Tls { admission, cleartext })) => {
            let demand = match admission.demand() {
                ClientCertificates::None => "not asked for a certificate",
                ClientCertificates::Request => "asked for a certificate, and served without one",
                ClientCertificates::Require => "refused without a certificate",
                _ => "as the policy says",
            };
            Words {
                plan: tls,
                peer: Some(("clients".to_owned(), demand.to_owned())),
                cleartext: Some(of_cleartext(*cleartext)),
                kerberos: Some(match admission.kerberos() {
                    KerberosUse::Off => "not used: certificates prove names",
                    KerberosUse::Prefer => "clients that use it prove themselves by a ticket alone",
                    KerberosUse::Require => "refused without a ticket",
                }),
            }
        }
        Some(_) => Words { plan: "cleartext", peer: None, cleartext: None, kerberos: None },
        None => Words { plan: "none", peer: None, cleartext: None, kerberos: None },
    }
}

/// Returns whether a ticket may prove a name.
fn uses_tickets(it: &Explanation) -> bool {
    match &it.decision {
        Some(Decision::Connect(ClientPlan::Tls { kerberos, .. })) => *kerberos != KerberosUse::Off,
        Some(Decision::Listen(ServerPlan::Tls { admission, .. })) => {
            admission.kerberos() != KerberosUse::Off
        }
        _ => false,
    }
}

fn of_asked(asked: &Asked) -> (String, String) {
    match asked {
        Asked::Name { name, from } => (name.to_string(), from.to_string()),
        _ => ("anyone whom we believe".to_owned(), "the program".to_owned()),
    }
}

fn of_cleartext(cleartext: Cleartext) -> &'static str {
    match cleartext {
        Cleartext::Never => "never",
        _ => "DANGER: if the peer cannot do security",
    }
}

fn text(it: &Explanation) -> Vec<Line> {
    let words = words(it);
    let mut lines = Lines(Vec::new());
    let role = if it.is_listening { "listen on" } else { "connect to" };
    lines.add(role, it.address);
    lines.add("plan", words.plan);
    if let Some(why) = &it.refusal {
        lines.add("refused", why);
    }
    match &words.peer {
        Some((_, demand)) if it.is_listening => lines.add("clients", demand),
        Some((name, from)) => lines.add("peer", format!("must prove {name} (from {from})")),
        None => {}
    }
    if let Some(kerberos) = words.kerberos {
        lines.add("kerberos", kerberos);
        if uses_tickets(it) {
            let danger = if it.encryption.accepts(EncryptionType::RC4) { "DANGER: " } else { "" };
            lines.add("tickets by", format!("{danger}{}", it.encryption));
        }
    }
    if let Some(cleartext) = words.cleartext {
        lines.add("cleartext", cleartext);
    }
    for gate in &it.gates {
        lines.add("allowed", allowed(gate).join(", "));
    }
    let own = match &it.own {
        None => "nothing: no certificate is configured".to_owned(),
        Some((names, until)) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            format!("{} (until {})", names.join(", "), day(*until))
        }
    };
    lines.add("we show", own);
    let anchors = u64::try_from(it.anchors).unwrap_or(u64::MAX);
    lines.add("we believe", format!("{} ({})", count(anchors, "anchor"), sources(it).join(", ")));
    lines.add("required", or_nothing(&required(it)));
    lines.add(
        "limits",
        format!(
            "connect {} ms, handshake {} ms, {} handshakes at once",
            it.limits.connect_timeout.as_millis(),
            it.limits.handshake_timeout.as_millis(),
            it.limits.handshakes
        ),
    );
    for file in &it.policy_files {
        let state = if file.exists { "read" } else { "not there" };
        lines.add("policy", format!("{} ({state})", file.path.display()));
    }
    lines.0
}

/// Whom a gate lets in.
fn allowed(gate: &[AllowRule]) -> Vec<String> {
    let peers = gate.iter().flat_map(|rule| &rule.peers).map(ToString::to_string);
    let groups = gate.iter().flat_map(|rule| &rule.groups);
    peers.chain(groups.map(|group| format!("members of {group}"))).collect()
}

struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, what: &str, value: impl std::fmt::Display) {
        self.0.push(format!("{what:<12}{value}").into());
    }
}

fn sources(it: &Explanation) -> Vec<String> {
    let mut sources: Vec<String> =
        it.trust.anchors.iter().map(|path| path.display().to_string()).collect();
    sources.extend(it.trust.store.then(|| "the identity store".to_owned()));
    sources.extend(it.trust.system.then(|| "this host".to_owned()));
    if sources.is_empty() { vec!["nobody".to_owned()] } else { sources }
}

fn required(it: &Explanation) -> Vec<&'static str> {
    let all = [
        (it.require.security, "security"),
        (it.require.peer_name, "the peer's name"),
        (it.require.tls13, "TLS 1.3"),
    ];
    all.into_iter().filter_map(|(is_required, what)| is_required.then_some(what)).collect()
}

fn or_nothing(words: &[&str]) -> String {
    if words.is_empty() { "nothing beyond the plan".to_owned() } else { words.join(", ") }
}

fn to_json(it: &Explanation) -> Value {
    let words = words(it);
    let is_listening = it.is_listening;
    let (asked, asked_from, clients) = match words.peer {
        Some((_, demand)) if is_listening => (None, None, Some(demand)),
        Some((name, from)) => (Some(name), Some(from), None),
        None => (None, None, None),
    };
    let gates: Vec<Vec<String>> = it.gates.iter().map(|gate| allowed(gate)).collect();
    let files: Vec<Value> = it
        .policy_files
        .iter()
        .map(|file| json!({ "path": file.path.display().to_string(), "exists": file.exists }))
        .collect();
    let own = it.own.as_ref().map(|(names, until)| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        json!({ "names": names, "not_after": until.to_string() })
    });
    json!({
        "address": it.address.to_string(),
        "listen": is_listening,
        "datagrams": it.is_datagrams,
        "plan": words.plan,
        "asked": asked,
        "asked_from": asked_from,
        "clients": clients,
        "kerberos": words.kerberos,
        "encryption_types": uses_tickets(it).then(|| {
            it.encryption.accepted().iter().map(ToString::to_string).collect::<Vec<_>>()
        }),
        "cleartext": words.cleartext,
        "allowed": gates,
        "own": own,
        "anchors": it.anchors,
        "trust": sources(it),
        "required": required(it),
        "policy_files": files,
        "refused": it.refusal.as_ref().map(ToString::to_string),
    })
}
