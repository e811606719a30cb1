//! One direction of a conversation: it keeps every byte that was ever on it, and may alter them
//! or lose them on the way.

/// The bytes that one side transmitted, in order, and how far they have got.
///
/// Offsets count from the first byte that the side ever transmitted.
#[derive(Debug, Default)]
pub struct Wire {
    sent: Vec<u8>,
    arrived: usize,
    flips: Vec<usize>,
    cut: Option<usize>,
    is_end_known: bool,
}

impl Wire {
    /// Will invert the lowest bit of the byte at `offset`.
    ///
    /// # Panics
    ///
    /// If that byte has arrived already.
    pub fn flip(&mut self, offset: usize) {
        assert!(offset >= self.arrived, "the byte at {offset} has arrived already");
        self.flips.push(offset);
    }

    /// Will lose what follows the first `offset` bytes, and end there.
    ///
    /// # Panics
    ///
    /// If more than that has arrived already.
    pub fn cut(&mut self, offset: usize) {
        assert!(offset >= self.arrived, "the byte at {offset} has arrived already");
        self.cut = Some(offset);
    }

    /// Ends after what has been transmitted until now.
    pub fn end(&mut self) {
        self.cut = Some(self.cut.map_or(self.sent.len(), |cut| cut.min(self.sent.len())));
    }

    /// Returns every byte as it was transmitted: what someone who listens at the sender sees.
    pub fn bytes(&self) -> &[u8] {
        &self.sent
    }

    /// Returns the end, to append to.
    pub(crate) fn sent(&mut self) -> &mut Vec<u8> {
        &mut self.sent
    }

    /// Returns the next bytes to arrive, as they arrive, at most `count` of them.
    pub(crate) fn next(&self, count: usize) -> Vec<u8> {
        let end = self.limit().min(self.arrived.saturating_add(count));
        let mut next = self.sent.get(self.arrived..end).unwrap_or_default().to_vec();
        for flip in &self.flips {
            if let Some(byte) = flip.checked_sub(self.arrived).and_then(|at| next.get_mut(at)) {
                *byte ^= 1;
            }
        }
        next
    }

    /// Counts bytes as arrived.
    pub(crate) fn arrive(&mut self, count: usize) {
        self.arrived += count;
    }

    /// Returns whether the receiver must be told now that nothing more will arrive; once.
    pub(crate) fn take_end(&mut self) -> bool {
        let at_end = !self.is_end_known && self.cut.is_some() && self.arrived == self.limit();
        self.is_end_known |= at_end;
        at_end
    }

    fn limit(&self) -> usize {
        self.cut.map_or(self.sent.len(), |cut| cut.min(self.sent.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::Wire;

    #[test]
    fn a_flip_alters_what_arrives_and_not_what_was_sent() {
        let mut wire = Wire::default();
        wire.sent().extend(b"abc");
        wire.flip(1);
        assert_eq!(wire.next(1), b"a");
        wire.arrive(1);
        assert_eq!(wire.next(9), b"cc");
        assert_eq!(wire.bytes(), b"abc");
    }

    #[test]
    fn a_cut_loses_the_rest_and_then_ends_once() {
        let mut wire = Wire::default();
        wire.sent().extend(b"abc");
        wire.cut(2);
        assert_eq!(wire.next(9), b"ab");
        assert!(!wire.take_end());
        wire.arrive(2);
        assert!(wire.take_end());
        assert!(!wire.take_end());
    }
}
