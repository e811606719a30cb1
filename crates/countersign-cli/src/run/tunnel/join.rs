//! Both directions of a tunnel, in one task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep};

use super::end::{PlainEnd, SecuredEnd};
use super::flow::Flow;
use super::tunnels::Tunnels;
use super::units::Units;
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
    let mut both = Both::new(&tunnels.units, called);
    let mut watch = tunnels.idle.map(Watch::new);
    poll_fn(|task| match both.poll(task, &mut plain.stream, &mut secured.stream) {
        Poll::Pending => watched(&mut watch, task, || both.has_moved()),
        done => done,
    })
    .await?;
    plain.is_over();
    secured.is_over();
    Ok(())
}

/// The two directions of a connection.
#[derive(Debug)]
struct Both<'a> {
    forth: Flow<'a>,
    back: Flow<'a>,
    is_back_first: bool,
}

impl<'a> Both<'a> {
    fn new(units: &'a Units, called: Called<'a>) -> Self {
        let forth = Flow::new(units, called.plain, called.secured);
        let back = Flow::new(units, called.secured, called.plain);
        Self { forth, back, is_back_first: false }
    }

    /// Carries as much as goes without waiting; ready when both ends have been passed on.
    ///
    /// Whoever goes first may use up what tokio lets a task do in one turn, so they take turns at
    /// that: else the answers to a peer that never rests would wait until it does.
    fn poll(
        &mut self,
        task: &mut Task<'_>,
        plain: &mut (impl AsyncRead + AsyncWrite + Unpin),
        secured: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        let (forth, back) = if self.is_back_first {
            let back = self.back.poll(task, secured, plain)?;
            (self.forth.poll(task, plain, secured)?, back)
        } else {
            let forth = self.forth.poll(task, plain, secured)?;
            (forth, self.back.poll(task, secured, plain)?)
        };
        self.is_back_first = !self.is_back_first;
        if forth.is_ready() && back.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn has_moved(&mut self) -> bool {
        self.forth.has_moved() | self.back.has_moved()
    }
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context as Task, Poll, ready};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::runtime::Builder;
    use tokio::task::coop::poll_proceed;
    use tokio::task::yield_now;

    use super::{Both, Called};
    use crate::run::tunnel::units::Units;

    /// Has always more to read and always room, for as long as it is the task's turn.
    #[derive(Default)]
    struct Restless {
        written: usize,
    }

    impl AsyncRead for Restless {
        fn poll_read(
            self: Pin<&mut Self>,
            task: &mut Task<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            ready!(poll_proceed(task)).made_progress();
            into.put_slice(b"x");
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Restless {
        fn poll_write(
            mut self: Pin<&mut Self>,
            task: &mut Task<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            ready!(poll_proceed(task)).made_progress();
            self.written += bytes.len();
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn no_direction_waits_for_the_other_to_rest() {
        let units = Units::default();
        let mut both = Both::new(&units, Called { plain: "a", secured: "b" });
        let (mut plain, mut secured) = (Restless::default(), Restless::default());
        let turns = async {
            for _ in 0..10 {
                poll_fn(|task| {
                    assert!(both.poll(task, &mut plain, &mut secured).is_pending());
                    Poll::Ready(())
                })
                .await;
                yield_now().await;
            }
        };
        Builder::new_current_thread().build().unwrap().block_on(turns);
        let (least, most) =
            (plain.written.min(secured.written), plain.written.max(secured.written));
        assert!(least > 0 && most < 2 * least, "{most} bytes one way and {least} the other");
    }
}
