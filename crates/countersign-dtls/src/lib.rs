//! The DTLS engine of Countersign: datagrams in, datagrams out, and a proved name for each peer.
//!
//! ```text
//!              ┌──────────────────── Endpoint ────────────────────┐
//!  datagram ──▶│ shape ─ hello ─▶ Gate ── good cookie ─▶ Engine … │──▶ Event::Transmit
//!  from where  │       └ other ────────────────────────▶ Engine … │──▶ Event::Secured, Deliver
//!              └──────────────────────────────────────────────────┘
//! ```
//!
//! An [`Endpoint`] is what one UDP socket talks: a table of associations by address, each of them
//! an [`Engine`], of which [`Association`] is the one there is: DTLS 1.2 over the host's libssl,
//! AEAD suites with ephemeral keys only, extended master secret required, no resumption, no
//! renegotiation. Chains and names are judged by `countersign-tls`, as on streams.
//!
//! Two ends may agree (by ALPN, as on streams) on a proof inside the association, such as Kerberos'.
//! [`Event::Prove`] then says so, and between that and [`Event::Secured`] only the proof's own bytes
//! pass, by [`Endpoint::proof`]; they are delivered in order, however the path treats datagrams. What
//! they mean is not known here. From then on each record begins with a byte that says what it is
//! (`frame.rs`).
//!
//! What strangers can make it hold is bounded by [`Limits`]: nothing at all before they have
//! answered from the address they claim.
//!
//! This crate opens no socket and sees no file name: datagrams and the time come in as arguments.
//! libssl alone looks at the host's clock, for the retransmission of handshakes
//! ([`Association`] says more).

#![deny(unsafe_code)]
#![warn(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr)]

mod endpoint;
pub use endpoint::{
    Admitting, Arrival, Endpoint, Event, Limits, Planning, ProofId, Proving, SendError, Side,
    Standing,
};

mod engine;
pub use engine::{Engine, Moment, Output, SealError};

mod association;
pub use association::Association;

mod config;
pub use config::Config;

mod frame;

mod delivery;

mod gate;

mod verdict;

mod shape;

mod queue;

mod error;

#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;

mod libssl;
