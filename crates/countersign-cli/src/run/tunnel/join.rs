//! Both directions of a tunnel, in one task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::end::{PlainEnd, SecuredEnd};
use super::flow::Flow;
use super::tunnels::Tunnels;
use crate::failure::Failure;

/// What errors call the ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct Called<'a> {
    pub(in crate::run) plain: &'a str,
    pub(in crate::run) secured: &'a str,
}

/// Joins two ends until both directions are done. An end that one side meant is passed on to the
/// other; a broken side breaks the other.
///
/// # Errors
///
/// The first thing that went wrong; both ends are cut when they are dropped then.
pub(in crate::run) async fn join(
    plain: &mut PlainEnd,
    secured: &mut SecuredEnd,
    called: Called<'_>,
    tunnels: &Tunnels,
) -> Result<(), Failure> {
    let mut forth = Flow::new(&tunnels.units, called.plain, called.secured);
    let mut back = Flow::new(&tunnels.units, called.secured, called.plain);
    let mut watch = tunnels.idle.map(Watch::new);
    poll_fn(|task| {
        let is_forth_done = forth.poll(task, &mut plain.stream, &mut secured.stream)?.is_ready();
        let is_back_done = back.poll(task, &mut secured.stream, &mut plain.stream)?.is_ready();
        if is_forth_done && is_back_done {
            return Poll::Ready(Ok(()));
        }
        watched(&mut watch, task, || forth.has_moved() | back.has_moved())
    })
    .await?;
    plain.is_over();
    secured.is_over();
    Ok(())
}

/// Sends everything back to who sent it.
///
/// # Errors
///
/// As [`join`].
pub(in crate::run) async fn echo(
    secured: &mut SecuredEnd,
    called: &str,
    tunnels: &Tunnels,
) -> Result<(), Failure> {
    let mut flow = Flow::new(&tunnels.units, called, called);
    let mut watch = tunnels.idle.map(Watch::new);
    poll_fn(|task| match flow.poll_echo(task, &mut secured.stream) {
        Poll::Pending => watched(&mut watch, task, || flow.has_moved()),
        done => done,
    })
    .await?;
    secured.is_over();
    Ok(())
}

/// Looks now and then whether anything moves.
#[derive(Debug)]
struct Watch {
    idle: Duration,
    alarm: Pin<Box<Sleep>>,
    silent: u32,
}

/// In how many parts the time of silence is measured: it lasts as long as was asked for, and one
/// part more at most.
const PARTS: u32 = 8;

impl Watch {
    fn new(idle: Duration) -> Self {
        Self { idle, alarm: Box::pin(sleep(idle / PARTS)), silent: 0 }
    }
}

/// Pending until there has been silence for too long, which is an error.
fn watched(
    watch: &mut Option<Watch>,
    task: &mut Task<'_>,
    mut has_moved: impl FnMut() -> bool,
) -> Poll<Result<(), Failure>> {
    let Some(watch) = watch else { return Poll::Pending };
    while watch.alarm.as_mut().poll(task).is_ready() {
        watch.silent = if has_moved() { 0 } else { watch.silent + 1 };
        if watch.silent > PARTS {
            return Poll::Ready(Err(Failure::Silent { after: watch.idle }));
        }
        watch.alarm.as_mut().reset(Instant::now() + watch.idle / PARTS);
    }
    Poll::Pending
}
