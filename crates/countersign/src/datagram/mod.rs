//! Datagrams: one socket, many peers, a name for each.

mod udp;
pub use udp::{Received, UdpSocket};

#[cfg(feature = "tokio")]
mod asynchronous;

mod drive;

mod adopt;

mod query;

mod state;

mod rules;

mod outbound;

mod proving;

mod proofs;
