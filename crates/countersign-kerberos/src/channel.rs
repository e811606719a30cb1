//! The channel inside which the proof runs, and what both sides confirm about it.

use std::fmt;

use zeroize::Zeroizing;

/// What tells this channel from every other: bytes that TLS exports on both sides alike, and on no
/// other connection.
#[derive(Clone)]
pub struct Channel(Zeroizing<[u8; Self::EXPORTED_LEN]>);

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Acceptor,
    Initiator,
}

impl Channel {
    /// The label of the exporter, which is called with an empty context (RFC 9266 section 2).
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-Channel-Binding";
    /// How many bytes are exported (RFC 9266 section 2).
    pub const EXPORTED_LEN: usize = 32;

    /// Takes the exported bytes.
    pub fn new(exported: [u8; Self::EXPORTED_LEN]) -> Self {
        Self(Zeroizing::new(exported))
    }

    /// Returns the channel bindings for GSS-API (RFC 5056 section 2.1, RFC 9266).
    pub(crate) fn binding(&self) -> Vec<u8> {
        [b"tls-exporter:", self.0.as_slice()].concat()
    }

    /// Returns what `role` confirms: that it means this channel, and the service by the name under
    /// which the client asked for it, realm included. No two different inputs make the same message: all parts but
    /// the last have one length.
    pub(crate) fn confirmation(&self, role: Role, asked: &str) -> Vec<u8> {
        let role: &[u8] = match role {
            Role::Acceptor => b"acceptor ",
            Role::Initiator => b"initiator",
        };
        let label: &[u8] = b"countersign kerberos confirmation 1 ";
        [label, role, self.0.as_slice(), asked.as_bytes()].concat()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::{Channel, Role};

    #[test]
    fn confirmations_differ_in_each_part() {
        let (one, two) = (Channel::new([1; 32]), Channel::new([2; 32]));
        let message = one.confirmation(Role::Acceptor, "host/a");
        assert_ne!(message, one.confirmation(Role::Initiator, "host/a"));
        assert_ne!(message, one.confirmation(Role::Acceptor, "host/b"));
        assert_ne!(message, two.confirmation(Role::Acceptor, "host/a"));
        assert_eq!(message.len(), one.confirmation(Role::Initiator, "host/a").len());
    }

    #[test]
    fn exported_bytes_are_not_shown() {
        assert_eq!(format!("{:?}", Channel::new([7; 32])), "Channel(…)");
    }
}
