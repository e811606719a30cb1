//! Streams: TCP with a named peer.

mod channel;
mod latch;
pub(crate) use channel::Channel;
#[cfg(feature = "tokio")]
pub(crate) use channel::Left;

mod handshake;
pub(crate) use handshake::{Advance, Handshake, Waiting};

mod inbound;
pub(crate) use inbound::Inbound;

mod standing;

mod tcp;
pub use tcp::TcpStream;
