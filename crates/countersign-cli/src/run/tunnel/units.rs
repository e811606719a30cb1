//! Buffers of one unit each, lent while bytes are in them.

use std::sync::{Mutex, PoisonError};

use tokio::io::ReadBuf;

use crate::run::join::PIECE;

/// How many are kept for the next ones; more are given back to the system.
const KEPT: usize = 64;

/// The buffers that nobody has at the moment.
///
/// A connection has one for each direction in which bytes are under way, so a quiet one has none,
/// and all together have no more than twice as many as there are connections.
#[derive(Debug, Default)]
pub(super) struct Units {
    spare: Mutex<Vec<Box<[u8]>>>,
}

/// A buffer, and the part of it that is still to be sent. Given back when dropped.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    from: &'a Units,
}

impl Units {
    /// Lends one.
    pub(super) fn lend(&self) -> Unit<'_> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.unwrap_or_else(|| vec![0; PIECE].into_boxed_slice());
        Unit { bytes, start: 0, end: 0, from: self }
    }
}

impl Unit<'_> {
    /// Returns what is to be sent.
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Notes that some of it has been.
    pub(super) fn sent(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Has it filled anew, and returns how much came of it and what `fill` said.
    pub(super) fn fill<T>(&mut self, fill: impl FnOnce(&mut ReadBuf<'_>) -> T) -> (usize, T) {
        let mut buffer = ReadBuf::new(&mut self.bytes);
        let said = fill(&mut buffer);
        (self.start, self.end) = (0, buffer.filled().len());
        (self.end, said)
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        let mut spare = self.from.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Units};

    #[test]
    fn what_is_given_back_is_lent_again_and_not_hoarded() {
        let units = Units::default();
        let lent: Vec<_> = (0..KEPT + 10).map(|_| units.lend()).collect();
        assert_eq!(units.spare.lock().unwrap().len(), 0);
        drop(lent);
        assert_eq!(units.spare.lock().unwrap().len(), KEPT);
        let _one = units.lend();
        assert_eq!(units.spare.lock().unwrap().len(), KEPT - 1);
    }

    #[test]
    fn nothing_of_the_last_user_is_pending() {
        let units = Units::default();
        let mut unit = units.lend();
        unit.fill(|buffer| buffer.put_slice(b"a secret"));
        assert_eq!(unit.pending(), b"a secret");
        unit.sent(2);
        assert_eq!(unit.pending(), b"secret");
        drop(unit);
        let mut next = units.lend();
        assert_eq!(next.pending(), b"");
        let (count, ()) = next.fill(|buffer| buffer.put_slice(b"b"));
        assert_eq!((count, next.pending()), (1, &b"b"[..]));
    }
}
