//! `demo --kerberos`: names proved by tickets, in a realm that lasts as long as the demo.
//!
//! The Kerberos library learns from its environment which realm it is in, and only when a process
//! starts. So there are two: this one starts the KDC, and then itself once more inside the realm.

mod realm;
use realm::Realm;

mod scenarios;

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::stage::name;
use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;

/// Says in which directory the realm is, to the process inside it.
const INSIDE: &str = "COUNTERSIGN_DEMO_REALM";

/// Runs every scenario, each shown as soon as it is over.
///
/// # Errors
///
/// If the stage cannot be set: no KDC installed, no temporary directory, no loopback interface.
pub(super) fn run(output: &Output) -> Result<Verdict, Failure> {
    match env::var_os(INSIDE) {
        Some(directory) => inside(Path::new(&directory), output),
        None => outside(),
    }
}

/// Starts the realm, and this program in it.
fn outside() -> Result<Verdict, Failure> {
    let realm = Realm::start()?;
    realm.populate()?;
    let program = env::current_exe().map_err(Failure::io("find this program"))?;
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1)).envs(realm.environment()).env(INSIDE, realm.directory());
    let status = again.status().map_err(Failure::io("start this program in the realm"))?;
    match status.code() {
        Some(0) => Ok(Verdict::AsExpected),
        Some(1) => Ok(Verdict::Different),
        _ => {
            let ended = std::io::Error::other(format!("it ended with {status}"));
            Err(Failure::io("run this program in the realm")(ended))
        }
    }
}

fn inside(directory: &Path, output: &Output) -> Result<Verdict, Failure> {
    let started = Instant::now();
    output.demo_of_kerberos_begins(&name(realm::SERVICE));
    let mut scenarios = Vec::new();
    for scenario in scenarios::ALL {
        let scenario = scenario(directory)?;
        output.demo_scenario(&scenario);
        scenarios.push(scenario);
    }
    output.demo_of_kerberos_ends(&scenarios, started.elapsed());
    let all = scenarios.iter().all(|scenario| scenario.is_as_expected);
    Ok(if all { Verdict::AsExpected } else { Verdict::Different })
}
