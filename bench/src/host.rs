//! The circumstances of a measurement: which machine, which versions, which commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use countersign_core::Timestamp;

use crate::tunnels;

/// The crates whose versions say what was compared.
const CRATES: &[&str] = &["countersign", "rustls", "aws-lc-rs", "tokio", "tokio-rustls", "openssl"];

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    ours.parent().expect("bench lies one folder below the root").to_owned()
}

/// Now, in UTC.
pub(crate) fn date() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_secs(since.map_or(0, |since| since.as_secs())).to_string()
}

/// The commit, and whether the sources differ from it.
pub(crate) fn commit() -> String {
    let Some(commit) = ask("git", &["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    // What a measurement writes is no source.
    let changed = ask("git", &["status", "--porcelain", "--", "*.rs", "*.toml", "Cargo.lock"]);
    match changed {
        Some(changed) if changed.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

/// What the machine is, as its kernel tells.
pub(crate) fn machine() -> Vec<(String, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut processor = after(&cpu, "model name").unwrap_or("unknown").to_owned();
    if cpu.split_whitespace().any(|word| word == "hypervisor") {
        processor += ", virtual machine";
    }
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kibibytes =
        after(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse().ok());
    let gibibytes = kibibytes.unwrap_or(0.0_f64) / 1024.0 / 1024.0;
    let facts = [
        ("processor", processor),
        ("cores", cores.to_string()),
        ("memory", format!("{gibibytes:.0} GiB")),
        ("system", quoted(&system, "PRETTY_NAME").unwrap_or("unknown").to_owned()),
        ("kernel", kernel.trim().to_owned()),
    ];
    facts.map(|(word, fact)| (word.to_owned(), fact)).into()
}

/// What was compared, and with what it was compiled.
pub(crate) fn versions() -> Vec<(String, String)> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let mut versions: Vec<(String, String)> = CRATES
        .iter()
        .map(|name| {
            let version = locked(&lock, name).unwrap_or("unknown");
            (format!("{name} (crate)"), version.to_owned())
        })
        .collect();
    let rustc = ask("rustc", &["--version"]).unwrap_or_default();
    let rustc = rustc.split(' ').nth(1).unwrap_or("unknown").to_owned();
    versions.push(("rustc".to_owned(), rustc));
    versions.push(("libssl".to_owned(), openssl::version::version().to_owned()));
    for (program, version) in tunnels::versions() {
        let version = version.unwrap_or_else(|reason| format!("none: {reason}"));
        versions.push((program.to_owned(), version));
    }
    versions
}

/// The version of a package in Cargo.lock.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let head = format!("name = \"{name}\"\n");
    quoted(lock.split(&head).nth(1)?, "version")
}

/// What stands behind a word and a colon, in the manner of /proc.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(word))?;
    line.split_once(':').map(|(_, fact)| fact.trim())
}

/// What stands in quotes behind a word and an equals sign.
fn quoted<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(word))?;
    line.split_once('=').map(|(_, fact)| fact.trim().trim_matches('"'))
}

fn ask(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).current_dir(root()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{CRATES, after, locked, quoted, root};

    #[test]
    fn every_crate_that_is_named_is_in_the_lock_file() {
        let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
        for name in CRATES {
            assert!(locked(&lock, name).is_some(), "{name}");
        }
        assert_eq!(locked(&lock, "no-such-crate"), None);
    }

    #[test]
    fn facts_are_found() {
        assert_eq!(after("a\t: b c\nd: e\n", "d"), Some("e"));
        assert_eq!(quoted("A=1\nB=\"two words\"\n", "B"), Some("two words"));
    }
}
