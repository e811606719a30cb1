//! The command of Countersign.
//!
//! ```text
//! argv ── args ──▶ what was typed ── request ──▶ what it means ── run ──▶ what came of it
//!                                                                  │            │
//!                                                  stdout, stderr ◀── render    exit ──▶ status
//! ```
//!
//! It decides nothing about security: names, plans, proofs and refusals are the library's. It reads
//! no certificate, speaks no protocol, and prints nowhere but in `render`.

#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod args;
mod exit;
mod failure;
mod render;
mod request;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Arguments;
use crate::render::{Form, Output};
use crate::request::Task;

fn main() -> ExitCode {
    let typed = match Arguments::try_parse() {
        Ok(typed) => typed,
        Err(error) => {
            // What was typed is not understood, so the form asked for is a guess.
            let wants_json = std::env::args_os().any(|word| word == "--json");
            let form = if wants_json { Form::Json } else { Form::Text };
            Output::new(form).usage(&error);
            return if error.use_stderr() { exit::usage() } else { ExitCode::SUCCESS };
        }
    };
    let output = Output::new(if typed.shared.json { Form::Json } else { Form::Text });
    let ending = Task::new(typed).and_then(|task| run::run(task, &output));
    if let Err(failure) = &ending {
        output.failure(failure);
    }
    let status = exit::number(&ending);
    countersign::kerberos::exit_while_waiting(status);
    ExitCode::from(status)
}
