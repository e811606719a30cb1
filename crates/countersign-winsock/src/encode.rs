//! The answer to a query, as bytes of `SOCKET_SECURITY_QUERY_INFO` or its second form.

use crate::layout::{SOCKET_SECURITY_QUERY_INFO, SOCKET_SECURITY_QUERY_INFO_IPSEC2};

/// What a query answers. Tokens are handles that the program closes; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueryInfo {
    pub(crate) protocol: u32,
    pub(crate) flags: u32,
    pub(crate) application: u64,
    pub(crate) machine: u64,
    /// What only the second form has.
    pub(crate) second: Option<SecondInfo>,
}

/// What `SOCKET_SECURITY_QUERY_INFO_IPSEC2` adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecondInfo {
    /// `MmSaId`: the authenticated session.
    pub(crate) session: u64,
    /// `QmSaId`: the traffic keys in force.
    pub(crate) keys: u64,
    /// `NegotiationWinerr`: why the negotiation failed, zero if it did not.
    pub(crate) negotiation: u32,
    /// `SaLookupContext`.
    pub(crate) context: [u8; 16],
}

impl QueryInfo {
    /// The size of the form that is asked for.
    pub(crate) const fn size(is_second: bool) -> usize {
        if is_second {
            size_of::<SOCKET_SECURITY_QUERY_INFO_IPSEC2>()
        } else {
            size_of::<SOCKET_SECURITY_QUERY_INFO>()
        }
    }

    /// Lays it out. Bytes between fields are zero: nothing of ours leaks through them.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::size(self.second.is_some()));
        bytes.extend(self.protocol.to_ne_bytes());
        bytes.extend(self.flags.to_ne_bytes());
        bytes.extend(self.application.to_ne_bytes());
        bytes.extend(self.machine.to_ne_bytes());
        if let Some(second) = self.second {
            bytes.extend(second.session.to_ne_bytes());
            bytes.extend(second.keys.to_ne_bytes());
            bytes.extend(second.negotiation.to_ne_bytes());
            bytes.extend(second.context);
            bytes.resize(Self::size(true), 0);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryInfo, SecondInfo};

    #[test]
    fn spec_2_fields_are_at_their_offsets() {
        let second =
            SecondInfo { session: 0x55, keys: 0x66, negotiation: 0x77, context: [0x88; 16] };
        let info =
            QueryInfo { protocol: 2, flags: 3, application: 4, machine: 5, second: Some(second) };
        let bytes = info.to_bytes();
        assert_eq!(bytes.len(), 64);
        let at: Vec<u8> = [0, 4, 8, 16, 24, 32, 40, 44, 59, 60].map(|i| bytes[i]).to_vec();
        assert_eq!(at, [2, 3, 4, 5, 0x55, 0x66, 0x77, 0x88, 0x88, 0]);
        assert_eq!(QueryInfo { second: None, ..info }.to_bytes(), bytes[..24]);
    }
}
