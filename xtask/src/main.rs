//! The chores of the workspace, as `cargo xtask COMMAND`.
//!
//! Every way to build, check and pack Countersign that takes more than one line stands here, in the
//! language of the project, so that a developer, `just` and CI run the same thing. It has no
//! dependencies: on a fresh machine it is compiled before anything else, and in a second.
//!
//! ```text
//!            ┌─ setup ── apt-get, cargo install
//!  main ─────┼─ launch (demo, bench) ─┐
//!  COMMANDS  ├─ rings (test, ci) ─────┼── step ── cargo, countersign, valgrind, tar, …
//!            ├─ fuzz, gate ───────────┤
//!            └─ dist ── generated ────┘
//! ```
//!
//! It does not decide anything that a manifest, `deny.toml` or a test could decide.

#![forbid(unsafe_code)]

mod dist;
mod fuzz;
mod gate;
mod generated;
mod launch;
mod place;
mod rings;
mod setup;
mod step;
mod unpacked;
mod winsock;

use std::process::ExitCode;

use step::Failure;

/// One word after `cargo xtask`.
struct Command {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<ExitCode, Failure>,
}

/// In the order in which a newcomer needs them.
const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        arguments: "[--tests]",
        about: "install what the build (or also the tests) lacks on this machine",
        run: setup::run,
    },
    Command {
        name: "demo",
        arguments: "[ARGS]",
        about: "build the command in release mode and run `countersign demo ARGS`",
        run: launch::demo,
    },
    Command {
        name: "test",
        arguments: "",
        about: "everything a change must pass, ring by ring, with a table at the end",
        run: rings::run,
    },
    Command { name: "ci", arguments: "", about: "the same as test", run: rings::run },
    Command {
        name: "bench",
        arguments: "[ARGS]",
        about: "measure beside rustls, OpenSSL, stunnel, HAProxy and nginx in one run",
        run: launch::bench,
    },
    Command {
        name: "gate",
        arguments: "[--accept]",
        about: "count instructions under callgrind, and compare with those accepted",
        run: gate::run,
    },
    Command {
        name: "fuzz",
        arguments: "[--seconds N]",
        about: "run each fuzz target N seconds (10); needs nightly and cargo-fuzz",
        run: fuzz::run,
    },
    Command {
        name: "dist",
        arguments: "",
        about: "pack binary, manual and completions as target/dist/*.tar.gz",
        run: dist::run,
    },
    Command { name: "help", arguments: "", about: "print this list", run: help },
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(word) = words.next() else {
        eprint!("cargo xtask: say which command\n\n{}", list());
        return ExitCode::FAILURE;
    };
    let word = if matches!(&*word, "-h" | "--help") { "help".to_owned() } else { word };
    let Some(command) = COMMANDS.iter().find(|command| command.name == word) else {
        eprint!("cargo xtask: no command `{word}`\n\n{}", list());
        return ExitCode::FAILURE;
    };
    match (command.run)(&words.collect::<Vec<_>>()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("cargo xtask {word}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn help(_: &[String]) -> Result<ExitCode, Failure> {
    print!("{}", list());
    Ok(ExitCode::SUCCESS)
}

/// The commands as a person reads them.
fn list() -> String {
    let mut text = "Usage: cargo xtask COMMAND\n\n".to_owned();
    for command in COMMANDS {
        let usage = format!("{} {}", command.name, command.arguments);
        text += &format!("  {usage:<21} {}\n", command.about);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_list_and_only_once() {
        let list = list();
        for command in COMMANDS {
            let line = format!("\n  {} ", command.name);
            assert_eq!(list.matches(&line).count(), 1, "{}", command.name);
        }
    }
}
