//! Datagrams: one socket, many peers, a name for each.

mod state;
mod udp;

pub use udp::UdpSocket;
