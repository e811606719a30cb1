//! Every peer in turn, as often as there are rounds.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cpu;
use crate::figure::{Bench, Case, Figure};
use crate::host;
use crate::material::Material;
use crate::options::Options;
use crate::results::{Measured, Results, Runs};

/// Measures those of the figures that were asked for.
pub(crate) fn all<'a>(
    figures: impl Iterator<Item = &'a Figure>,
    options: &Options,
) -> io::Result<Results> {
    let bench = Bench { material: Material::make()?, duration: options.duration };
    let is_wanted = |figure: &&Figure| {
        figure.title.contains(&options.figure) || figure.id.contains(&options.figure)
    };
    let (date, commit) = (host::date(), host::commit());
    let figures = figures.filter(is_wanted).map(|figure| one(&bench, figure, options)).collect();
    Ok(Results {
        date,
        commit,
        machine: host::machine(),
        versions: host::versions(),
        rounds: options.rounds,
        seconds: options.duration.as_secs_f64(),
        figures,
    })
}

fn one(bench: &Bench, figure: &Figure, options: &Options) -> Measured {
    let wanted = figure.cases.iter().filter(|case| case.to_string().contains(&options.peer));
    let mut runs: Vec<(Case, Runs)> = wanted.map(|case| (*case, Ok(Vec::new()))).collect();
    for round in 1..=options.rounds {
        for (case, runs) in &mut runs {
            // Who has failed once would have fewer runs than the others.
            let Ok(values) = runs else { continue };
            eprintln!("{}: {case} {round}/{}", figure.title, options.rounds);
            match attempt(bench, figure, *case) {
                Ok(run) => values.push(run),
                Err(reason) => {
                    eprintln!("  NOT RUN: {reason}");
                    *runs = Err(reason);
                }
            }
        }
    }
    Measured::new(figure, runs)
}

/// Runs a case once; whatever goes wrong in it is a reason, and the others go on.
fn attempt(bench: &Bench, figure: &Figure, case: Case) -> Result<Vec<f64>, String> {
    // The run before may have pinned us.
    cpu::unpin();
    match catch_unwind(AssertUnwindSafe(|| (figure.run)(bench, case))) {
        Ok(Ok(run)) if run.len() == figure.columns.len() => Ok(run),
        Ok(Ok(run)) => Err(format!("{} numbers for {} columns", run.len(), figure.columns.len())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(format!("it panicked: {}", words(&*panic))),
    }
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
