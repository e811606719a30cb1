//! One step of a chore: a program that is announced, run, timed and believed only on exit code 0.

use std::fmt;
use std::io;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use crate::place;

/// The step that went wrong, and how.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    reason: String,
}

impl Failure {
    pub(crate) fn new(step: &str, reason: impl Into<String>) -> Self {
        Self { step: step.to_owned(), reason: reason.into() }
    }

    /// Adds what a person can do about it.
    pub(crate) fn with_remedy(mut self, remedy: &str) -> Self {
        self.reason += &format!("\nget it with `{remedy}`");
        self
    }

    /// For a file that could not be read, written or copied.
    pub(crate) fn io(step: &str, what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(step, format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}` failed: {}", self.step, self.reason)
    }
}

/// Returns `cargo WORDS`, run from the root of the workspace as a person would run it.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(place::root());
    forget_our_package(&mut command);
    command
}

/// Removes what `cargo run` told us about the package xtask.
///
/// A build script that watches one of these variables would otherwise run again each time a person
/// changes between `cargo build` and `cargo xtask`.
pub(crate) fn forget_our_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
}

/// Returns `program WORDS`, run from the root of the workspace.
pub(crate) fn program(program: &str, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(words).current_dir(place::root());
    command
}

/// Runs a step that has nothing to ask: it gets no standard input.
///
/// # Errors
///
/// When the program cannot start or does not exit with 0.
pub(crate) fn run(step: &str, command: &mut Command) -> Result<(), Failure> {
    let status = timed(step, command.stdin(Stdio::null()))?;
    if status.success() { Ok(()) } else { Err(Failure::new(step, describe(status))) }
}

/// Runs a step that belongs to the person at the terminal, and passes its exit code on.
///
/// # Errors
///
/// When the program cannot start; its own exit code is an answer, not an error.
pub(crate) fn hand_over(step: &str, command: &mut Command) -> Result<ExitCode, Failure> {
    let status = timed(step, command)?;
    // A code above 255 does not exist; death by signal has none at all.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map(ExitCode::from).ok_or_else(|| Failure::new(step, describe(status)))
}

/// Runs a quick question in silence and returns what it printed.
///
/// # Errors
///
/// When the program cannot start or does not exit with 0; its own words are part of the message.
pub(crate) fn ask(step: &str, command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::io(step, show(command), &error))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let reason = format!("{}: {}; {}", show(command), describe(output.status), words.trim());
        return Err(Failure::new(step, reason));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn timed(step: &str, command: &mut Command) -> Result<ExitStatus, Failure> {
    eprintln!("==> {step}: {}", show(command));
    let start = Instant::now();
    let status = command.status().map_err(|error| Failure::io(step, show(command), &error))?;
    eprintln!("    {step}: {}, {:.1} s", describe(status), start.elapsed().as_secs_f32());
    Ok(status)
}

/// Program and arguments as typed, without the folders of the program.
fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or_else(|| command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn describe(status: ExitStatus) -> String {
    if status.success() { "done".to_owned() } else { status.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exit_code_zero_is_success() {
        assert!(run("true", &mut Command::new("true")).is_ok());
        let failure = run("false", &mut Command::new("false")).unwrap_err();
        assert_eq!(failure.to_string(), "step `false` failed: exit status: 1");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run("absent", &mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert!(failure.to_string().starts_with("step `absent` failed: no-such-program: "));
    }

    #[test]
    fn a_handed_over_exit_code_comes_back() {
        let code = hand_over("code", Command::new("sh").args(["-c", "exit 7"])).unwrap();
        assert_eq!(code, ExitCode::from(7));
    }

    #[test]
    fn death_by_signal_is_a_failure() {
        assert!(hand_over("signal", Command::new("sh").args(["-c", "kill -9 $$"])).is_err());
    }

    #[test]
    fn a_failed_question_carries_the_words_of_the_program() {
        let failure = ask("ask", Command::new("sh").args(["-c", "echo why >&2; exit 2"]));
        assert!(failure.unwrap_err().to_string().ends_with("exit status: 2; why"));
    }
}
