//! What stands in for the socket below libssl: datagrams in, datagrams out.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Datagrams on their way to and from libssl; one read is one datagram, and so is one write.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    arrived: Vec<u8>,
    /// libssl has not taken what arrived last.
    is_new: bool,
    leaving: VecDeque<Vec<u8>>,
}

impl Queue {
    pub(crate) fn arrive(&mut self, datagram: &[u8]) {
        // Each is taken before the next arrives; of two, the first would be lost.
        self.arrived.clear();
        self.arrived.extend_from_slice(datagram);
        self.is_new = true;
    }

    pub(crate) fn leave(&mut self) -> Option<Vec<u8>> {
        self.leaving.pop_front()
    }

    /// Forgets what libssl has not taken.
    pub(crate) fn clear(&mut self) {
        self.is_new = false;
        self.leaving.clear();
    }
}

impl Read for Queue {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !std::mem::take(&mut self.is_new) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.arrived.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), self.arrived.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl Write for Queue {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.leaving.push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
