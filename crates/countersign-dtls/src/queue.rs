//! What stands in for the socket below libssl: datagrams in, datagrams out.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Datagrams on their way to and from libssl; one read is one datagram, and so is one write.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    arrived: VecDeque<Vec<u8>>,
    leaving: VecDeque<Vec<u8>>,
}

impl Queue {
    pub(crate) fn arrive(&mut self, datagram: &[u8]) {
        self.arrived.push_back(datagram.to_vec());
    }

    pub(crate) fn leave(&mut self) -> Option<Vec<u8>> {
        self.leaving.pop_front()
    }

    /// Forgets what libssl has not taken.
    pub(crate) fn clear(&mut self) {
        self.arrived.clear();
        self.leaving.clear();
    }
}

impl Read for Queue {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.arrived.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let count = datagram.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), datagram.get(..count)) {
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
