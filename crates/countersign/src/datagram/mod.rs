//! Datagrams: one socket, many peers, a name for each.

mod udp;
pub use udp::{Received, UdpSocket};

mod drive;

mod adopt;

mod state;
