//! `fuzz`: each fuzz target for some seconds.
//!
//! Not a part of `test`, because it needs a nightly compiler that a fresh machine does not have; the
//! same parsers meet random and mutated input in the ordinary tests too.

use std::process::{Command, ExitCode};

use crate::step::{self, Failure};

/// What must be there first: a name, the program that shows it, its arguments, how to get it.
const NEEDED: &[(&str, &str, &[&str], &str)] = &[
    (
        "nightly",
        "rustup",
        &["run", "nightly", "rustc", "--version"],
        "rustup toolchain install nightly --profile minimal",
    ),
    ("cargo-fuzz", "cargo-fuzz", &["--version"], "cargo install cargo-fuzz --locked"),
    ("C++ compiler", "c++", &["--version"], "apt-get install g++"),
];

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    let seconds = seconds(arguments)?;
    for (name, program, words, remedy) in NEEDED {
        step::ask(name, &mut step::program(program, words))
            .map_err(|failure| failure.with_remedy(remedy))?;
    }
    let targets = step::ask("fuzz targets", &mut cargo_fuzz(&["list"]))?;
    let targets: Vec<&str> = targets.lines().filter(|line| !line.trim().is_empty()).collect();
    if targets.is_empty() {
        return Err(Failure::new("fuzz targets", "fuzz/Cargo.toml names none"));
    }
    let limit = format!("-max_total_time={seconds}");
    for target in &targets {
        step::run(target, &mut cargo_fuzz(&["run", target, "--", &limit]))?;
    }
    eprintln!("fuzz: {} targets, {seconds} s each, no finding", targets.len());
    Ok(ExitCode::SUCCESS)
}

/// How long each target runs.
fn seconds(arguments: &[String]) -> Result<u32, Failure> {
    let refuse = || Failure::new("arguments", "only --seconds N is understood, N from 1 up");
    match arguments {
        [] => Ok(10),
        // 0 would mean "for ever" to the fuzzer.
        [flag, number] if flag == "--seconds" => {
            number.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(refuse)
        }
        _ => Err(refuse()),
    }
}

fn cargo_fuzz(words: &[&str]) -> Command {
    let mut command = step::program("rustup", &["run", "nightly", "cargo", "fuzz"]);
    // Ours is the stable one that `cargo xtask` runs under.
    command.args(words).env_remove("CARGO");
    step::forget_our_package(&mut command);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: Option<u32>) {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        assert_eq!(seconds(&arguments).ok(), expected);
    }

    #[test]
    fn seconds_are_a_positive_number() {
        check(&[], Some(10));
        check(&["--seconds", "60"], Some(60));
        check(&["--seconds", "0"], None);
        check(&["--seconds", "-1"], None);
        check(&["--seconds"], None);
        check(&["60"], None);
    }
}
