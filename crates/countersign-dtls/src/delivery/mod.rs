//! Carries the bytes of a proof over a path that loses, repeats and reorders them.
//!
//! Each side numbers the parts that it sends and repeats them until the other acknowledges them;
//! each part that arrives is acknowledged at once, and so long before anybody has thought about what
//! it says: a peer that waits for a KDC keeps nobody sending.
//!
//! Nothing here looks at a clock or allocates by what a peer says: memory is bounded by constants.

mod inbound;
pub(crate) use inbound::Inbound;

mod outbound;
pub(crate) use outbound::Outbound;

/// How many parts may be on the way unacknowledged: about as many bytes as the certificates of a
/// handshake, which libssl sends in one go too.
const WINDOW: usize = 16;

#[cfg(test)]
mod tests;
