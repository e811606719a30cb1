//! `demo`: the main job, and every way in which it is refused, with real sockets.

mod attempt;
pub(super) use attempt::{Attempt, attempt};

mod datagrams;

mod kerberos;

mod recorder;

mod rights;

mod scenario;
pub(crate) use scenario::{Outcome, Scenario};

mod scenarios;

mod stage;
pub(super) use stage::Stage;

use std::time::Instant;

use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Demo;

/// Runs every scenario, each shown as soon as it is over.
///
/// # Errors
///
/// If the stage cannot be set: no temporary directory, no loopback interface.
pub(super) fn run(what: Demo, output: &Output) -> Result<Verdict, Failure> {
    if let Demo::Kerberos = what {
        return kerberos::run(output);
    }
    let started = Instant::now();
    let stage = Stage::new()?;
    output.demo_begins(&stage.asked());
    let mut scenarios = Vec::new();
    for scenario in scenarios::ALL {
        let scenario = scenario(&stage)?;
        output.demo_scenario(&scenario);
        scenarios.push(scenario);
    }
    output.demo_ends(&scenarios, started.elapsed());
    let all = scenarios.iter().all(|scenario| scenario.is_as_expected);
    Ok(if all { Verdict::AsExpected } else { Verdict::Different })
}
