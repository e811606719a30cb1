//! What an association is to those who drive it, whatever library speaks its protocol.

use std::fmt;
use std::time::Instant;

use countersign_core::{Evidence, HandshakeError, PeerName, Sid, Timestamp};
use countersign_tls::{ProofBinding, Proven, Question, TrustAnchors};

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

    /// Returns bytes of the proof that have arrived; outside of the proof there are none.
    fn proof_input(&self) -> &[u8];

    /// Takes away bytes of the proof that were used.
    fn consume_proof(&mut self, count: usize);

    /// Takes bytes of the proof to deliver, and returns how many were taken: none outside of the
    /// proof, and no more than there is room for.
    fn seal_proof(&mut self, bytes: &[u8], now: Moment) -> usize;

    /// Says whether a client that proves to hold this name, and to be in these groups, would be let
    /// in. It decides nothing, and nothing need be proved yet: [`Self::conclude`] decides.
    ///
    /// # Errors
    ///
    /// As [`Self::conclude`]; [`HandshakeError::OurSide`] for a proof of a server.
    fn would_admit(&self, name: &PeerName, groups: &[Sid]) -> Result<(), HandshakeError>;

    /// Ends the proof with what it has proved, and judges that. [`Output::Secured`] follows.
    ///
    /// # Errors
    ///
    /// Why the peer is refused, as by [`Self::refuse`].
    fn conclude(&mut self, proven: Proven, now: Moment) -> Result<(), HandshakeError>;

    /// Ends the proof: it failed. What was sealed for it before is still delivered, and then the peer
    /// is told that it is refused, until [`Self::close`] or the peer ends that.
    fn refuse(&mut self, now: Moment);

    /// Returns whether the peer may not have all of our part of the proof yet.
    fn owes_proof(&self) -> bool;

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
    /// Bytes of the proof have arrived, or there is room for more of ours.
    ProofMoves,
    /// The handshake is done, and the peers have agreed on a proof inside the connection: it must be
    /// bound to this, and concluded before anything else. Said once.
    Prove(ProofBinding),
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
