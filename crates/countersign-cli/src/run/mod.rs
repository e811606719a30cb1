//! What the commands do. Nothing here prints: results go to `render` as values.

mod conversation;

mod datagrams;

mod demo;
pub(crate) use demo::{Outcome, Scenario};

mod dial;

mod doctor;
pub(crate) use doctor::Check;

mod explain;
pub(crate) use explain::{Decision, Explanation};

mod explain_peer;
pub(crate) use explain_peer::{Acting, PeerExplanation};

mod forward;

mod generate;

mod host;

mod identity;

mod join;

mod serve;

mod service;

mod slots;

mod tunnel;

use std::time::{SystemTime, UNIX_EPOCH};

use countersign::core::Timestamp;

use crate::exit::Verdict;
use crate::failure::Failure;
use crate::render::Output;
use crate::request::Task;

/// Does what was asked for.
///
/// # Errors
///
/// [`Failure`], which says who must act and what to try.
pub(crate) fn run(task: Task, output: &Output) -> Result<Verdict, Failure> {
    match task {
        Task::Connect(request) => conversation::run(&request, output),
        Task::Demo(what) => demo::run(what, output),
        Task::Doctor(request) => Ok(doctor::run(&request, output)),
        Task::Explain(request) => explain::run(&request, output),
        Task::ExplainPeer(request) => explain_peer::run(&request, output),
        Task::Forward(request) => forward::run(&request, output),
        Task::Generate(request) => generate::run(&request, output),
        Task::Identity { home, identity } => identity::run(home, identity, output),
        Task::Serve(request) => serve::run(&request, output),
    }
}

/// Returns the time now; before 1970 it is 1970.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::from_secs(since.map_or(0, |since| since.as_secs()))
}
