//! Datagrams: one socket, many peers, a name for each.

mod udp;
pub use udp::{Received, UdpSocket};

#[cfg(feature = "tokio")]
mod asynchronous;

mod drive;

mod adopt;

mod state;

mod proofs;

mod proving;
