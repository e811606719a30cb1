//! Datagrams: `connect --udp`, `serve --udp` and `forward --udp`.

mod connect;
pub(super) use connect::{connect, dial};

mod forward;
pub(super) use forward::forward;

mod lane;

mod serve;
pub(super) use serve::serve;

/// More than any datagram has (RFC 768: the length is 16 bits).
const LARGEST: usize = 1 << 16;
