//! One direction of a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context as Task, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::end::is_gone;
use super::units::{Unit, Units};
use crate::failure::Failure;

/// One direction: what is read from one end is sent to the other, and its end passed on.
///
/// No more is read before everything is sent, so who does not read stops who sends to him, and
/// nobody else. Between two reads it has no buffer.
#[derive(Debug)]
pub(super) struct Flow<'a> {
    units: &'a Units,
    from: &'a str,
    to: &'a str,
    unit: Option<Unit<'a>>,
    stage: Stage,
    /// What was written may not have left the stream.
    is_unflushed: bool,
    /// Something was read or sent since somebody asked.
    has_moved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Carrying,
    /// The end was read, and is to be passed on.
    Ending,
    Ended,
}

impl<'a> Flow<'a> {
    /// Starts one; errors call its ends `from` and `to`.
    pub(super) fn new(units: &'a Units, from: &'a str, to: &'a str) -> Self {
        let (stage, is_unflushed, has_moved) = (Stage::Carrying, false, false);
        Self { units, from, to, unit: None, stage, is_unflushed, has_moved }
    }

    /// Carries as much as goes without waiting; ready when the end has been passed on.
    ///
    /// # Errors
    ///
    /// What broke either end.
    pub(super) fn poll(
        &mut self,
        task: &mut Task<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        loop {
            ready!(self.send(task, to))?;
            if self.stage == Stage::Ended {
                return Poll::Ready(Ok(()));
            }
            if self.receive(task, from)?.is_pending() {
                self.flush(task, to)?;
                return Poll::Pending;
            }
        }
    }

    /// As [`Self::poll`], with the same stream at both ends.
    pub(super) fn poll_echo(
        &mut self,
        task: &mut Task<'_>,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        loop {
            ready!(self.send(task, stream))?;
            if self.stage == Stage::Ended {
                return Poll::Ready(Ok(()));
            }
            if self.receive(task, stream)?.is_pending() {
                self.flush(task, stream)?;
                return Poll::Pending;
            }
        }
    }

    /// Returns whether anything was carried since the last time that this was asked.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Sends what was read; ready when there is room for more.
    fn send(
        &mut self,
        task: &mut Task<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Failure>> {
        let mut to = Pin::new(to);
        while let Some(unit) = &mut self.unit
            && !unit.pending().is_empty()
        {
            let sent = match ready!(to.as_mut().poll_write(task, unit.pending())) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            unit.sent(sent.map_err(sending(self.to))?);
            (self.is_unflushed, self.has_moved) = (true, true);
        }
        if self.stage == Stage::Ending {
            self.unit = None;
            match ready!(to.as_mut().poll_shutdown(task)) {
                Err(error) if !is_gone(&error) => {
                    return Poll::Ready(Err(
                        Failure::io(format!("finish sending to {}", self.to))(error),
                    ));
                }
                _ => self.stage = Stage::Ended,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what there is; pending if there is nothing.
    fn receive(
        &mut self,
        task: &mut Task<'_>,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Poll<()>, Failure> {
        let mut from = Pin::new(from);
        let units = self.units;
        loop {
            let unit = self.unit.get_or_insert_with(|| units.lend());
            match unit.fill(|buffer| from.as_mut().poll_read(task, buffer)) {
                (_, Poll::Pending) => {
                    self.unit = None;
                    return Ok(Poll::Pending);
                }
                (count, Poll::Ready(Ok(()))) => {
                    self.has_moved = true;
                    if count == 0 {
                        self.stage = Stage::Ending;
                    }
                    return Ok(Poll::Ready(()));
                }
                (_, Poll::Ready(Err(error))) if error.kind() == io::ErrorKind::Interrupted => {}
                (_, Poll::Ready(Err(error))) => {
                    return Err(Failure::io(format!("receive from {}", self.from))(error));
                }
            }
        }
    }

    /// Sends what the stream has accepted and kept.
    fn flush(
        &mut self,
        task: &mut Task<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Failure> {
        if self.is_unflushed {
            match Pin::new(to).poll_flush(task) {
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(error)) => return Err(sending(self.to)(error)),
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

/// Called for each unit, so the words are made only if they are needed.
fn sending(to: &str) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::io(format!("send to {to}"))(error)
}
