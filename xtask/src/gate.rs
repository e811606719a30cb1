//! `gate`: instructions that the hot paths take, counted under callgrind and compared with those
//! that were accepted.
//!
//! Time on a shared machine moves by half; a count of instructions by a thousandth. What is counted
//! is a function each of `bench/instructions/src/counted.rs`, in the release build; what was accepted
//! stands in `bench/instructions.toml`, and a change of it is part of the change that caused it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::step::{self, Failure};
use crate::{place, setup};

/// One thing that is counted.
struct Counted {
    /// The function, and the entry in the file.
    name: &'static str,
    /// How often it is done; what is shown and kept is the count of one.
    times: u64,
    says: &'static str,
}

/// Handshakes differ by the random numbers in them, so there are several.
const COUNTED: &[Counted] = &[
    Counted { name: "handshakes", times: 20, says: "a handshake, both sides, both prove names" },
    Counted { name: "resumed", times: 20, says: "a resumed session, the ticket for the next" },
    Counted { name: "bulk", times: 1, says: "1 MiB in 16 KiB writes, both sides" },
    Counted { name: "round_trips", times: 100, says: "64 B there and back, both sides" },
    Counted { name: "socket_bulk", times: 1, says: "1 MiB in 16 KiB writes, by sockets" },
    Counted { name: "socket_round_trips", times: 100, says: "64 B there and back, by sockets" },
];

/// How far a count may be from the accepted one, in percent.
const TOLERANCE: f64 = 5.0;

const FILE: &str = "bench/instructions.toml";

const HEAD: &str = "\
# Instructions of one of each, as `cargo xtask gate` counted them under callgrind.
# `cargo xtask gate --accept` writes this file; say in the commit why a count changed.
# Another valgrind, or a processor without AVX2, counts others.
";

type Counts = BTreeMap<String, u64>;

/// Runs `cargo xtask gate`.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    match arguments {
        [] => check()?,
        [word] if word == "--accept" => {
            setup::packages(setup::TESTS)?;
            let counts = count_all()?;
            eprintln!("{}", table(&counts, &accepted().unwrap_or_default()));
            let path = place::root().join(FILE);
            let text = written(&counts, &valgrind()?);
            fs::write(path, text).map_err(|error| Failure::io("gate", FILE, &error))?;
        }
        _ => return Err(Failure::new("arguments", "only --accept is understood")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts, and compares with what was accepted.
pub(crate) fn check() -> Result<(), Failure> {
    setup::packages(setup::TESTS)?;
    let accepted = accepted()?;
    let counts = count_all()?;
    eprintln!("{}", table(&counts, &accepted));
    let complaints = compare(&counts, &accepted);
    if complaints.is_empty() {
        return Ok(());
    }
    let mut reason = complaints.join("\n");
    reason += "\nif it is meant to be so: `cargo xtask gate --accept`, and say why in the commit";
    let (here, there) = (valgrind()?, accepted_valgrind()?);
    if here != there {
        let _ = write!(reason, "\nbut this is {here}, and {there} counted what was accepted");
    }
    Err(Failure::new("gate", reason))
}

/// Says what differs too much. Fewer is good, but a gate that stands too high lets the next
/// change waste it all.
fn compare(counts: &Counts, accepted: &Counts) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, count) in counts {
        let Some(before) = accepted.get(name) else {
            complaints.push(format!("{name}: {FILE} has no count of it"));
            continue;
        };
        let change = change(*count, *before);
        if change.abs() > TOLERANCE {
            let word = if change > 0.0 { "more" } else { "fewer" };
            let change = change.abs();
            complaints.push(format!(
                "{name}: {count} instructions, {change:.1} % {word} than the accepted {before}"
            ));
        }
    }
    for name in accepted.keys().filter(|name| !counts.contains_key(*name)) {
        complaints.push(format!("{name}: {FILE} has a count of it, and nobody counts it"));
    }
    complaints
}

fn table(counts: &Counts, accepted: &Counts) -> String {
    let mut text = "counted                accepted          now   change  of\n".to_owned();
    for Counted { name, says, .. } in COUNTED {
        let now = counts.get(*name).copied().unwrap_or_default();
        let (before, change) = match accepted.get(*name) {
            None => ("none".to_owned(), String::new()),
            Some(before) => (before.to_string(), format!("{:+.1} %", change(now, *before))),
        };
        let _ = writeln!(text, "{name:<18} {before:>12} {now:>12} {change:>8}  {says}");
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn change(now: u64, before: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

fn count_all() -> Result<Counts, Failure> {
    let words = ["build", "--release", "--package=instructions"];
    step::run("build what is counted", &mut step::cargo(&words))?;
    COUNTED.iter().map(|counted| Ok((counted.name.to_owned(), count(counted)?))).collect()
}

/// Counts one, by what callgrind says at its end: `summary: COUNT`, of what it collected.
fn count(counted: &Counted) -> Result<u64, Failure> {
    let target = place::target()?;
    let output = target.join("xtask").join(format!("callgrind.{}", counted.name));
    fs::create_dir_all(target.join("xtask"))
        .map_err(|error| Failure::io("gate", "target/xtask", &error))?;
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--collect-atstart=no"])
        // With the crate's hash, if the names in the program have one.
        .arg(format!("--toggle-collect=instructions*::counted::{}", counted.name))
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(target.join("release").join("instructions"))
        .args([counted.name, &counted.times.to_string()]);
    step::ask(counted.name, &mut valgrind)?;
    let text = fs::read_to_string(&output)
        .map_err(|error| Failure::io("gate", output.display(), &error))?;
    let total = summary(&text).filter(|total| *total > 0);
    let total = total.ok_or_else(|| {
        let function = counted.name;
        Failure::new("gate", format!("callgrind saw no function instructions::counted::{function}"))
    })?;
    Ok(total / counted.times)
}

fn summary(text: &str) -> Option<u64> {
    let of = |word| text.lines().find_map(|line: &str| line.strip_prefix(word));
    of("summary:").or_else(|| of("totals:"))?.trim().parse().ok()
}

/// What valgrind calls itself, such as `valgrind-3.19.0`.
fn valgrind() -> Result<String, Failure> {
    let mut version = step::program("valgrind", &["--version"]);
    step::ask("valgrind", &mut version).map(|version| version.trim().to_owned())
}

fn accepted() -> Result<Counts, Failure> {
    read()?.into_iter().filter(|(name, _)| name != "valgrind").map(number).collect()
}

fn accepted_valgrind() -> Result<String, Failure> {
    let found = read()?.into_iter().find(|(name, _)| name == "valgrind");
    Ok(found.map_or_else(|| "an unknown valgrind".to_owned(), |(_, version)| version))
}

fn number((name, text): (String, String)) -> Result<(String, u64), Failure> {
    let number = text.replace('_', "").parse();
    let number = number.ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| {
        Failure::new("gate", format!("{FILE}: {name} = {text} is not a number of instructions"))
    })?;
    Ok((name, number))
}

fn read() -> Result<Vec<(String, String)>, Failure> {
    let path: PathBuf = place::root().join(FILE);
    let text = fs::read_to_string(path).map_err(|error| Failure::io("gate", FILE, &error))?;
    entries(&text)
}

/// Reads `name = value` lines: all of TOML that the file uses.
fn entries(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let lines = text.lines().enumerate();
    let meaningful = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    meaningful
        .map(|(index, line)| {
            let entry = line.split_once('=');
            let (name, value) = entry.ok_or_else(|| {
                Failure::new("gate", format!("{FILE}, line {}: not `name = value`", index + 1))
            })?;
            Ok((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        })
        .collect()
}

fn written(counts: &Counts, valgrind: &str) -> String {
    let mut text = format!("{HEAD}valgrind = \"{valgrind}\"\n\n");
    for Counted { name, says, .. } in COUNTED {
        let count = counts.get(*name).copied().unwrap_or_default();
        let _ = writeln!(text, "# {says}\n{name} = {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[track_caller]
    fn check(now: u64, expected: Option<&str>) {
        let complaints = compare(&counts(&[("a", now)]), &counts(&[("a", 1000)]));
        match expected {
            None => assert!(complaints.is_empty(), "{complaints:?}"),
            Some(words) => assert!(complaints[0].contains(words), "{complaints:?}"),
        }
    }

    #[test]
    fn more_than_the_tolerance_is_named_and_so_is_less() {
        check(1000, None);
        check(1049, None);
        check(951, None);
        check(1060, Some("a: 1060 instructions, 6.0 % more than the accepted 1000"));
        check(940, Some("6.0 % fewer"));
    }

    #[test]
    fn a_count_on_one_side_only_is_named() {
        let complaints = compare(&counts(&[("a", 1)]), &counts(&[("b", 1)]));
        assert_eq!(complaints.len(), 2);
        assert!(complaints[0].contains("has no count of it"));
        assert!(complaints[1].contains("nobody counts it"));
    }

    #[test]
    fn what_is_written_is_read() {
        let written = written(&counts(&[("bulk", 7)]), "valgrind-3.19.0");
        let entries = entries(&written).unwrap();
        assert_eq!(entries[0], ("valgrind".to_owned(), "valgrind-3.19.0".to_owned()));
        assert!(entries.contains(&("bulk".to_owned(), "7".to_owned())));
        assert!(entries.iter().all(|(name, _)| !name.starts_with('#')));
    }

    #[test]
    fn the_accepted_counts_are_those_of_what_is_counted() {
        let accepted = accepted().unwrap();
        let names: Vec<&str> = accepted.keys().map(String::as_str).collect();
        let mut counted: Vec<&str> = COUNTED.iter().map(|counted| counted.name).collect();
        counted.sort_unstable();
        assert_eq!(names, counted);
    }

    #[test]
    fn callgrinds_sum_is_found() {
        assert_eq!(summary("events: Ir\nsummary: 42\n\ntotals: 42\n"), Some(42));
        assert_eq!(summary("nothing"), None);
    }
}
