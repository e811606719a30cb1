//! Datagrams: one socket, many peers, a name for each.

mod udp;
pub use udp::UdpSocket;

#[cfg(feature = "tokio")]
mod asynchronous;

mod drive;

mod state;
