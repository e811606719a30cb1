//! The embedded store.

use std::path::Path;

use countersign::core::Timestamp;
use countersign::identity::{AuthorityEntry, Inventory, Issued, IssuedEntry, Validity};
use serde_json::{Value, json};

use super::output::{Line, Mark, Output};
use super::words::{count, day, from_now};

impl Output {
    pub(crate) fn made_authority(&self, inventory: &Inventory) {
        let authority = inventory.authority.as_ref();
        self.result(
            || {
                let mut lines =
                    vec![format!("made an authority in {}", inventory.directory.display()).into()];
                if let Some(authority) = authority {
                    lines.push(format!("  {}", authority.subject).into());
                    lines.push(format!("  SHA-256 {}", authority.fingerprint).into());
                }
                lines.push("next: countersign identity issue NAME".into());
                lines.push(
                    "and for the hosts of its peers: countersign identity export > authority.pem"
                        .into(),
                );
                lines
            },
            || {
                json!({
                    "directory": inventory.directory.display().to_string(),
                    "authority": authority.map(authority_json),
                })
            },
        );
    }

    pub(crate) fn issued(&self, issued: &Issued, now: Timestamp) {
        let names: Vec<String> = issued.names.iter().map(ToString::to_string).collect();
        self.result(
            || {
                vec![
                    format!("issued a certificate for {}", names.join(", ")).into(),
                    format!("  expires {}", when(now, issued.not_after)).into(),
                    format!("  certificate {}", issued.paths.certificate.display()).into(),
                    format!("  key         {}", issued.paths.key.display()).into(),
                ]
            },
            || {
                json!({
                    "names": names,
                    "not_after": issued.not_after.to_string(),
                    "certificate": issued.paths.certificate.display().to_string(),
                    "key": issued.paths.key.display().to_string(),
                })
            },
        );
    }

    pub(crate) fn trusted(&self, added: &[AuthorityEntry]) {
        self.result(
            || {
                if added.is_empty() {
                    return vec!["nothing new: all of them were trusted before".into()];
                }
                let mut lines = Vec::new();
                for entry in added {
                    lines.push(format!("now trusted: {}", entry.subject).into());
                    lines.push(format!("  SHA-256 {}", entry.fingerprint).into());
                }
                lines.push(
                    "compare this with what its owner sees in `countersign identity show`".into(),
                );
                lines
            },
            || json!({ "added": added.iter().map(authority_json).collect::<Vec<_>>() }),
        );
    }

    pub(crate) fn inventory(&self, inventory: &Inventory, now: Timestamp) {
        self.result(|| text(inventory, now), || inventory_json(inventory));
    }

    /// Writes certificates (and a key, if one was asked for) as they are.
    pub(crate) fn exported(&self, pem: &str) {
        if self.is_text() {
            self.verbatim(pem);
        } else {
            self.result(Vec::new, || json!({ "pem": pem }));
        }
    }

    /// Says how many pages were written.
    pub(crate) fn generated(&self, files: usize, directory: &Path) {
        let number = u64::try_from(files).unwrap_or(u64::MAX);
        let shown = directory.display();
        self.result(
            || vec![format!("wrote {} into {shown}", count(number, "file")).into()],
            || json!({ "files": files, "directory": shown.to_string() }),
        );
    }
}

fn text(inventory: &Inventory, now: Timestamp) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![format!("store {}", inventory.directory.display()).into()];
    match &inventory.authority {
        Some(authority) => {
            lines.push("our authority".into());
            lines.extend(authority_text(authority, now));
        }
        None => lines.push("no authority of our own (countersign identity init makes one)".into()),
    }
    if !inventory.issued.is_empty() {
        lines.push("our certificates".into());
    }
    lines.extend(inventory.issued.iter().flat_map(|entry| issued_text(entry, now)));
    if !inventory.trusted.is_empty() {
        lines.push("trusted besides".into());
    }
    lines.extend(inventory.trusted.iter().flat_map(|entry| authority_text(entry, now)));
    for problem in &inventory.problems {
        lines.push(Line::marked(Mark::Bad, problem.to_string()));
        lines.push(format!("       hint: {}", problem.hint()).into());
    }
    lines
}

fn authority_text(entry: &AuthorityEntry, now: Timestamp) -> Vec<Line> {
    vec![
        Line::marked(mark(entry.validity), entry.subject.clone()),
        format!("       {}", validity(entry.validity, entry.not_before, entry.not_after, now))
            .into(),
        format!("       SHA-256 {}", entry.fingerprint).into(),
    ]
}

fn issued_text(entry: &IssuedEntry, now: Timestamp) -> Vec<Line> {
    let names: Vec<String> = entry.names.iter().map(ToString::to_string).collect();
    vec![
        Line::marked(mark(entry.validity), names.join(", ")),
        format!("       {}", validity(entry.validity, entry.not_before, entry.not_after, now))
            .into(),
        format!("       {}", entry.paths.certificate.display()).into(),
    ]
}

fn mark(validity: Validity) -> Mark {
    match validity {
        Validity::Current => Mark::Good,
        Validity::ExpiresSoon => Mark::Warn,
        _ => Mark::Bad,
    }
}

fn validity(
    validity: Validity,
    not_before: Timestamp,
    not_after: Timestamp,
    now: Timestamp,
) -> String {
    match validity {
        Validity::Current => format!("expires {}", when(now, not_after)),
        Validity::ExpiresSoon => format!("expires SOON, {}", when(now, not_after)),
        Validity::NotYetValid => format!("NOT YET VALID, only {}", when(now, not_before)),
        _ => format!("EXPIRED {}", when(now, not_after)),
    }
}

fn when(now: Timestamp, then: Timestamp) -> String {
    format!("{} ({})", from_now(now, then), day(then))
}

fn inventory_json(inventory: &Inventory) -> Value {
    let problem = |problem: &countersign::identity::IdentityError| json!({ "error": problem.to_string(), "hint": problem.hint() });
    json!({
        "directory": inventory.directory.display().to_string(),
        "authority": inventory.authority.as_ref().map(authority_json),
        "issued": inventory.issued.iter().map(issued_json).collect::<Vec<_>>(),
        "trusted": inventory.trusted.iter().map(authority_json).collect::<Vec<_>>(),
        "problems": inventory.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn authority_json(entry: &AuthorityEntry) -> Value {
    json!({
        "subject": entry.subject,
        "fingerprint": entry.fingerprint,
        "path": entry.path.display().to_string(),
        "not_before": entry.not_before.to_string(),
        "not_after": entry.not_after.to_string(),
        "validity": word(entry.validity),
    })
}

fn issued_json(entry: &IssuedEntry) -> Value {
    json!({
        "names": entry.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "certificate": entry.paths.certificate.display().to_string(),
        "key": entry.paths.key.display().to_string(),
        "not_before": entry.not_before.to_string(),
        "not_after": entry.not_after.to_string(),
        "validity": word(entry.validity),
    })
}

fn word(validity: Validity) -> &'static str {
    match validity {
        Validity::Current => "current",
        Validity::ExpiresSoon => "expires-soon",
        Validity::NotYetValid => "not-yet-valid",
        _ => "expired",
    }
}
