//! Plaintext, from bytes of the wire that lie with us or with the caller.

use std::io::{self, BufRead as _};

use countersign_core::{HandshakeError, Timestamp};

use super::{Engine, Link, Opened, Phase};

impl Engine {
    /// Hands out plaintext that has arrived by [`Self::handle_input`].
    ///
    /// # Errors
    ///
    /// As [`Self::open_from`].
    pub fn open(&mut self, into: &mut [u8]) -> Result<Opened, HandshakeError> {
        // There are no bytes but those that came then.
        let now = self.heard;
        self.open_from(&mut [], into, || now).map(|(_, opened)| opened)
    }

    /// Hands out plaintext straight from `wire`, and returns how many bytes of that were used. They
    /// must be taken off its front, and the rest must be there at the next call as this one left
    /// it: opened, perhaps, where it did not fit. `clock` is asked for the time where rustls carries
    /// the records and when a ticket came; else none is needed, and reading a clock costs as much as a
    /// short record.
    ///
    /// # Errors
    ///
    /// Whatever ended the conversation; plaintext that arrived before is handed out first, if the
    /// evidence was.
    pub fn open_from(
        &mut self,
        wire: &mut [u8],
        into: &mut [u8],
        clock: impl FnOnce() -> Timestamp,
    ) -> Result<(usize, Opened), HandshakeError> {
        if !self.is_evidence_out {
            return match &self.phase {
                Phase::Failed(error) => Err(error.clone()),
                _ => Ok((0, Opened::Starved)),
            };
        }
        if !self.opened.is_empty() {
            return Ok((0, Opened::Data(take_front(&mut self.opened, into))));
        }
        if let Link::Buffered(_) = self.link {
            return self.open_buffered(wire, into, clock());
        }
        let opened = self.open_records(wire, into);
        if let Link::Records(records) = &self.link
            && records.has_ticket()
        {
            self.keep_ticket(clock());
        }
        match (opened, &self.phase) {
            (Ok((_, Opened::Starved)), Phase::Failed(error)) => Err(error.clone()),
            (Err(error), _) => Err(self.fail(error)),
            (opened, _) => opened,
        }
    }

    /// Returns whether [`Self::open_from`] may have something to say without more of the wire:
    /// plaintext, the end, an error. Whoever waits for the wire must have heard that first.
    pub fn has_more(&mut self) -> bool {
        if !self.opened.is_empty() || !self.incoming.is_empty() {
            return true;
        }
        match (&mut self.link, &self.phase) {
            (_, Phase::Failed(_)) => true,
            (Link::Records(records), _) => records.has_more(),
            (Link::Buffered(connection), _) => match connection.reader().fill_buf() {
                Err(error) => error.kind() != io::ErrorKind::WouldBlock,
                Ok(_) => true,
            },
            _ => false,
        }
    }

    fn open_records(
        &mut self,
        wire: &mut [u8],
        into: &mut [u8],
    ) -> Result<(usize, Opened), HandshakeError> {
        let Link::Records(records) = &mut self.link else { return Ok((0, Opened::Starved)) };
        let mut used = 0;
        // What came with the last of the handshake is completed to whole records first.
        while !self.incoming.is_empty() {
            let taken = records.open(&mut self.incoming, into)?;
            self.incoming.drain(..taken.wire);
            if self.incoming.is_empty() {
                // It is not needed again.
                self.incoming = Vec::new();
            }
            if taken.found != Opened::Starved {
                return Ok((used, taken.found));
            }
            if self.incoming.is_empty() {
                break;
            }
            let rest = wire.get(used..).unwrap_or_default();
            let missing = missing_of_record(&self.incoming).min(rest.len());
            if missing == 0 {
                return Ok((used, Opened::Starved));
            }
            self.incoming.extend_from_slice(rest.get(..missing).unwrap_or_default());
            used += missing;
        }
        let taken = records.open(wire.get_mut(used..).unwrap_or_default(), into)?;
        Ok((used + taken.wire, taken.found))
    }

    fn open_buffered(
        &mut self,
        wire: &[u8],
        into: &mut [u8],
        now: Timestamp,
    ) -> Result<(usize, Opened), HandshakeError> {
        let mut used = 0;
        while let Link::Buffered(connection) = &mut self.link {
            match io::Read::read(&mut connection.reader(), into) {
                Ok(0) if into.is_empty() => return Ok((used, Opened::Data(0))),
                Ok(0) => return Ok((used, Opened::Closed)),
                Ok(count) => return Ok((used, Opened::Data(count))),
                Err(_) => {}
            }
            if let Phase::Failed(error) = &self.phase {
                return Err(error.clone());
            }
            let rest = wire.get(used..).unwrap_or_default();
            // An error is told when the plaintext before it has been.
            match self.feed(rest, now) {
                Ok(0) => break,
                Ok(count) => used += count,
                Err(_) => used = wire.len(),
            }
        }
        Ok((used, Opened::Starved))
    }
}

/// Returns how many bytes the record that `wire` begins with lacks; of its header, if that is not
/// whole.
fn missing_of_record(wire: &[u8]) -> usize {
    const HEADER: usize = 5;
    match wire {
        [_, _, _, high, low, rest @ ..] => {
            usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(rest.len())
        }
        _ => HEADER - wire.len(),
    }
}

/// Moves bytes from the front of `from`, as many as fit, and returns how many.
fn take_front(from: &mut Vec<u8>, into: &mut [u8]) -> usize {
    let count = from.len().min(into.len());
    if let (Some(to), Some(from)) = (into.get_mut(..count), from.get(..count)) {
        to.copy_from_slice(from);
    }
    from.drain(..count);
    if from.is_empty() {
        *from = Vec::new();
    }
    count
}
