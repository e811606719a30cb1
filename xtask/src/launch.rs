//! `demo` and `bench`: set up what they need, build in release mode, hand over the terminal.

use std::process::{Command, ExitCode};

use crate::step::{self, Failure};
use crate::{place, setup, unpacked};

/// Runs `countersign demo` and passes its exit code on.
pub(crate) fn demo(arguments: &[String]) -> Result<ExitCode, Failure> {
    setup::packages(setup::BUILD)?;
    build()?;
    // The person's own folder, so that a file named in the arguments is the one they mean.
    step::hand_over("demo", Command::new(place::binary()?).arg("demo").args(arguments))
}

/// Builds the command as a release does.
pub(crate) fn build() -> Result<(), Failure> {
    step::run("build", &mut step::cargo(&["build", "--release", "--package=countersign-cli"]))
}

/// Runs the benchmarks and passes their exit code on.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode, Failure> {
    setup::packages(setup::BUILD)?;
    // Tunnels of others are compared where there are any; the benchmark names those that lack.
    if let Err(failure) = setup::packages(setup::PEERS) {
        eprintln!("bench: goes on without some of the others: {failure}");
    }
    if let Err(failure) = unpacked::packages("nginx", setup::NGINX) {
        eprintln!("bench: goes on without nginx: {failure}");
    }
    // Ours is one of the tunnels.
    build()?;
    let mut bench = step::cargo(&["run", "--release", "--package=bench", "--"]);
    step::hand_over("bench", bench.args(arguments))
}
