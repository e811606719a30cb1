//! What `cargo xtask gate` counts under callgrind: `instructions WHAT TIMES`.
//!
//! Everything that is counted happens in a function of [`counted`], on one thread, and in memory
//! or in the order that one thread gives; so the same program yields the same count wherever it
//! runs, up to what depends on random numbers.

#![forbid(unsafe_code)]

mod counted;
mod engines;
mod sessions;
mod streams;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let run = match words.first().map(String::as_str) {
        Some("handshakes") => engines::handshakes,
        Some("resumed") => sessions::resumed,
        Some("bulk") => engines::bulk,
        Some("round_trips") => engines::round_trips,
        Some("socket_bulk") => streams::bulk,
        Some("socket_round_trips") => streams::round_trips,
        _ => return usage(),
    };
    let Some(times) = words.get(1).and_then(|times| times.parse().ok()) else { return usage() };
    run(times);
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: instructions FUNCTION TIMES, a function of bench/instructions/src/counted.rs"
    );
    ExitCode::from(2)
}
