//! What an association is to those who drive it, whatever library speaks its protocol.

use std::fmt;
use std::time::Instant;

use countersign_core::{Evidence, HandshakeError, Timestamp};
use countersign_tls::{Question, TrustAnchors};

/// A point in time: on the clock that deadlines are counted on, and on the one that certificates
/// are judged by.
#[expect(clippy::exhaustive_structs, reason = "there are these two clocks")]
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For deadlines.
    pub instant: Instant,
    /// For certificates.
    pub time: Timestamp,
}

/// A conversation with one peer, as a state machine without a socket.
///
/// `handle_*` take what comes from the world; then [`Self::poll`] is called until it says
/// [`Output::Wait`].
pub trait Engine: fmt::Debug + Send {
    /// Takes a datagram from the peer's address. One that is not the peer's changes nothing.
    fn handle_datagram(&mut self, datagram: &[u8], now: Moment);

    /// Learns that the deadline which [`Output::Wait`] named has come.
    fn handle_timeout(&mut self, now: Moment);

    /// Protects a datagram of at most [`Self::max_datagram_size`] bytes.
    ///
    /// # Errors
    ///
    /// [`SealError`]; nothing is sent then.
    fn seal(&mut self, plain: &[u8]) -> Result<(), SealError>;

    /// Tells the peer that the conversation is over.
    fn close(&mut self);

    /// Returns what is to be done next.
    fn poll(&mut self, now: Moment) -> Output;

    /// Judges the peer's certificate once more, as if it were shown now.
    ///
    /// # Errors
    ///
    /// Why the association would not be made.
    fn judge_anew(
        &self,
        question: &Question,
        anchors: &TrustAnchors,
        now: Timestamp,
    ) -> Result<(), HandshakeError>;

    /// Returns how many bytes of plaintext one datagram holds.
    fn max_datagram_size(&self) -> usize;
}

/// What is to be done for an association.
#[non_exhaustive]
#[derive(Debug)]
pub enum Output {
    /// It is over: in order, or why not. Said once, and last.
    Closed(Result<(), HandshakeError>),
    /// Hand this datagram to the program. Never before [`Output::Secured`].
    Deliver(Vec<u8>),
    /// The peer is who it must be, and datagrams may flow. Said once.
    Secured(Box<Evidence>),
    /// Send this datagram to the peer.
    Transmit(Vec<u8>),
    /// Nothing before the next datagram, or before this moment.
    Wait(Option<Instant>),
}

/// Why a datagram was not protected.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// There are no keys: not yet, or not any more.
    NoKeys,
    /// It has more bytes than a datagram holds, or none: libssl writes no empty record.
    Size,
}
