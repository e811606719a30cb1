//! One end of a conversation in memory: our engine, or a stranger that keeps the same calls.

use std::fmt::Debug;

use countersign_core::{Evidence, HandshakeError, Timestamp};
use countersign_tls::{Engine, Opened, Output};

/// What a [`Pair`](crate::Pair) needs of each of its sides. The calls are those of [`Engine`].
pub trait End {
    /// What it has when the handshake is done.
    type Secured: Clone + Debug;
    /// Why it gave up.
    type Failure: Clone + Debug;

    /// Takes bytes that arrived, and returns how many it took.
    ///
    /// # Errors
    ///
    /// Why it gives up.
    fn handle_input(&mut self, wire: &[u8], now: Timestamp) -> Result<usize, Self::Failure>;

    /// Learns that nothing more will arrive.
    ///
    /// # Errors
    ///
    /// That the peer had not said so before.
    fn handle_end_of_input(&mut self) -> Result<(), Self::Failure>;

    /// Says that the handshake is done, once.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    fn poll(&mut self, now: Timestamp) -> Result<Option<Self::Secured>, Self::Failure>;

    /// Takes plaintext to protect, and returns how much it took.
    fn seal(&mut self, plain: &[u8]) -> usize;

    /// Appends the plaintext that has arrived, and returns whether the peer has closed.
    ///
    /// # Errors
    ///
    /// Why it gave up.
    fn open(&mut self, plain: &mut Vec<u8>) -> Result<bool, Self::Failure>;

    /// Appends what waits for the peer.
    fn transmit(&mut self, wire: &mut Vec<u8>);

    /// Says that it will send no more.
    fn close(&mut self);
}

impl End for Engine {
    type Secured = Evidence;
    type Failure = HandshakeError;

    fn handle_input(&mut self, wire: &[u8], now: Timestamp) -> Result<usize, HandshakeError> {
        Self::handle_input(self, wire, now)
    }

    fn handle_end_of_input(&mut self) -> Result<(), HandshakeError> {
        Self::handle_end_of_input(self)
    }

    fn poll(&mut self, now: Timestamp) -> Result<Option<Evidence>, HandshakeError> {
        let mut secured = None;
        while let Output::Secured(evidence) = Self::poll(self, now)? {
            assert!(secured.is_none(), "evidence came out twice");
            secured = Some(*evidence);
        }
        Ok(secured)
    }

    fn seal(&mut self, plain: &[u8]) -> usize {
        Self::seal(self, plain)
    }

    fn open(&mut self, plain: &mut Vec<u8>) -> Result<bool, HandshakeError> {
        let mut piece = vec![0; 4096];
        loop {
            match Self::open(self, &mut piece)? {
                Opened::Closed => return Ok(true),
                Opened::Data(count) => plain.extend(piece.iter().take(count)),
                _ => return Ok(false),
            }
        }
    }

    fn transmit(&mut self, wire: &mut Vec<u8>) {
        while self.wants_transmit() {
            Self::transmit(self, wire).expect("memory takes everything");
        }
    }

    fn close(&mut self) {
        Self::close(self);
    }
}
