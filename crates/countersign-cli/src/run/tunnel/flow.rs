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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context as Task, Poll, Waker};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Flow, Units};

    /// Yields what it was given, and then nothing; an empty piece is the end.
    struct Source(VecDeque<io::Result<&'static [u8]>>);

    /// Takes as much as there is room for, and passes it on when it is flushed.
    #[derive(Default)]
    struct Drain {
        room: usize,
        kept: Vec<u8>,
        out: Vec<u8>,
        has_ended: bool,
    }

    impl AsyncRead for Source {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Task<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop_front() {
                None => Poll::Pending,
                Some(piece) => Poll::Ready(piece.map(|piece| into.put_slice(piece))),
            }
        }
    }

    impl AsyncWrite for Drain {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Task<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Poll::Pending;
            }
            self.room -= count;
            self.kept.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
            let kept = std::mem::take(&mut self.kept);
            self.out.extend(kept);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
            self.has_ended = true;
            self.poll_flush(task)
        }
    }

    fn source(pieces: &[&'static [u8]]) -> Source {
        Source(pieces.iter().map(|piece| Ok(*piece)).collect())
    }

    fn task() -> Task<'static> {
        Task::from_waker(Waker::noop())
    }

    #[test]
    fn what_a_stream_keeps_is_flushed_and_a_quiet_flow_has_no_buffer() {
        let units = Units::default();
        let (mut from, mut to) =
            (source(&[b"some", b"thing"]), Drain { room: 100, ..Drain::default() });
        let mut flow = Flow::new(&units, "a", "b");
        assert!(flow.poll(&mut task(), &mut from, &mut to).is_pending());
        assert_eq!(to.out, b"something");
        assert!(flow.unit.is_none() && flow.has_moved() && !flow.has_moved());
    }

    #[test]
    fn no_more_is_read_than_can_be_sent() {
        let units = Units::default();
        let (mut from, mut to) =
            (source(&[b"some", b"thing", b""]), Drain { room: 2, ..Drain::default() });
        let mut flow = Flow::new(&units, "a", "b");
        assert!(flow.poll(&mut task(), &mut from, &mut to).is_pending());
        assert_eq!((from.0.len(), to.kept.as_slice()), (2, &b"so"[..]));
        assert!(flow.unit.is_some() && !to.has_ended);
        to.room = 100;
        assert!(matches!(flow.poll(&mut task(), &mut from, &mut to), Poll::Ready(Ok(()))));
        assert_eq!(to.out, b"something");
        assert!(to.has_ended && flow.unit.is_none());
    }

    #[test]
    fn an_error_is_no_end_and_names_the_side() {
        let units = Units::default();
        let broken = io::ErrorKind::UnexpectedEof.into();
        let (mut from, mut to) = (Source([Err(broken)].into()), Drain::default());
        let mut flow = Flow::new(&units, "the client", "b");
        let Poll::Ready(Err(why)) = flow.poll(&mut task(), &mut from, &mut to) else {
            panic!("it goes on");
        };
        assert!(why.to_string().starts_with("cannot receive from the client: "), "{why}");
        assert!(!to.has_ended);
    }
}
