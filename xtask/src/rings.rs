//! `test` and `ci`: everything that a change must pass, cheapest first.
//!
//! A ring either passes or stops the run; none is left out because the machine lacks something.
//! What is not among them is named at the end.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::step::{self, Failure};
use crate::{gate, generated, launch, place, setup};

/// One group of checks that can fail by itself.
struct Ring {
    name: &'static str,
    says: &'static str,
    run: fn() -> Result<(), Failure>,
}

const RINGS: &[Ring] = &[
    Ring { name: "setup", says: "the machine has what the tests need", run: setup::tests },
    Ring { name: "format", says: "rustfmt would change nothing", run: format },
    Ring { name: "licences", says: "deny.toml allows the dependency tree", run: licences },
    Ring { name: "architecture", says: "ARCHITECTURE.md is true; xtask works", run: architecture },
    Ring { name: "lint", says: "clippy is silent on each package by itself", run: lint },
    Ring { name: "tests", says: "unit, pair, stranger and doc tests", run: tests },
    Ring { name: "docs", says: "rustdoc is silent, private items included", run: docs },
    Ring { name: "demo", says: "the release build does the main job", run: demo },
    Ring { name: "instructions", says: "nothing takes notably more of them", run: gate::check },
    Ring { name: "manual", says: "man pages and completions can be made", run: manual },
];

/// Said after every run, so that nothing is skipped in silence.
const NOT_HERE: &str = "\
Not part of this: `cargo xtask fuzz` (needs nightly) and `cargo xtask bench` (needs a quiet machine).";

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    if !arguments.is_empty() {
        let reason = "takes none; for one crate there is `cargo test -p CRATE`";
        return Err(Failure::new("arguments", reason));
    }
    let mut times = Vec::new();
    let mut outcome = Ok(());
    for ring in RINGS {
        eprintln!("\n===== {}: {}", ring.name, ring.says);
        let start = Instant::now();
        outcome = (ring.run)();
        times.push(start.elapsed());
        if outcome.is_err() {
            break;
        }
    }
    eprintln!("\n{}\n{NOT_HERE}\n", table(&times, outcome.is_ok()));
    outcome.map(|()| ExitCode::SUCCESS)
}

/// The summary: all rings that have a time have run, and only the last of them can have failed.
fn table(times: &[Duration], passed: bool) -> String {
    let mut text = "ring           result    seconds  says\n".to_owned();
    for (index, ring) in RINGS.iter().enumerate() {
        let time = times.get(index);
        let result = match time {
            None => "not run",
            Some(_) if !passed && index + 1 == times.len() => "FAILED",
            Some(_) => "passed",
        };
        let seconds = time.map_or_else(String::new, |time| format!("{:.1}", time.as_secs_f32()));
        let _ = writeln!(text, "{:<14} {result:<8} {seconds:>8}  {}", ring.name, ring.says);
    }
    let total: Duration = times.iter().sum();
    let result = if passed { "passed" } else { "FAILED" };
    let _ = writeln!(text, "{:<14} {result:<8} {:>8.1}", "all", total.as_secs_f32());
    text
}

fn format() -> Result<(), Failure> {
    step::run("format", &mut step::cargo(&["fmt", "--all", "--check"]))?;
    // The fuzz targets stand outside the workspace, so that nobody needs nightly to build it.
    let fuzz = "fuzz/Cargo.toml";
    if place::root().join(fuzz).exists() {
        step::run("format fuzz", &mut step::cargo(&["fmt", "--manifest-path", fuzz, "--check"]))?;
    }
    Ok(())
}

fn licences() -> Result<(), Failure> {
    let mut deny = Command::new(setup::cargo_deny()?);
    deny.args(["check", "bans", "licenses", "sources"]).current_dir(place::root());
    step::forget_our_package(&mut deny);
    step::run("licences", &mut deny)
}

fn architecture() -> Result<(), Failure> {
    step::run("architecture", &mut step::cargo(&["test", "--package=xtask"]))
}

/// By itself, so that no package borrows another's features.
fn lint() -> Result<(), Failure> {
    for package in place::packages()? {
        let words = ["clippy", "--package", &package, "--all-targets", "--", "-D", "warnings"];
        step::run(&format!("lint {package}"), &mut step::cargo(&words))?;
    }
    Ok(())
}

/// The tests of xtask have had a ring of their own.
fn tests() -> Result<(), Failure> {
    step::run("tests", &mut step::cargo(&["test", "--workspace", "--exclude=xtask"]))
}

/// In two parts: the command and the library are both called `countersign`, and in one run Cargo
/// would let them write over each other. The library comes last, so its pages are the ones to read.
fn docs() -> Result<(), Failure> {
    let common = ["doc", "--no-deps", "--all-features", "--document-private-items"];
    let command: &[&str] = &["--package=countersign-cli"];
    let rest: &[&str] = &["--workspace", "--exclude=countersign-cli"];
    for part in [command, rest] {
        step::run("docs", step::cargo(&common).args(part).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

fn demo() -> Result<(), Failure> {
    launch::build()?;
    step::run("demo", Command::new(place::binary()?).arg("demo"))
}

fn manual() -> Result<(), Failure> {
    generated::lay_out(&place::target()?.join("xtask/prefix"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn results(ran: usize, passed: bool) -> (usize, usize, usize) {
        let table = table(&vec![Duration::from_secs(1); ran], passed);
        let rows: Vec<&str> = table.lines().skip(1).take(RINGS.len()).collect();
        let count = |word| rows.iter().filter(|row| row.contains(word)).count();
        (count(" passed "), count(" FAILED "), count(" not run "))
    }

    #[test]
    fn every_ring_has_a_row_with_its_result() {
        let all = RINGS.len();
        assert_eq!(results(all, true), (all, 0, 0));
        assert_eq!(results(3, false), (2, 1, all - 3));
        assert_eq!(results(all, false), (all - 1, 1, 0));
    }
}
