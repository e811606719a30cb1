//! What is demanded beyond the proof itself.

use std::fmt;

use countersign_core::{EncryptionRule, KerberosFailure, TicketEncryption};

/// What is demanded beyond the proof itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// Whose principals count.
    pub realms: Realms,
    /// Whether credentials are handed on, or taken.
    pub delegation: Delegation,
    /// How tickets, and the keys that come with them, may be encrypted.
    pub encryption: EncryptionRule,
}

impl Terms {
    /// Demands a peer of one of these realms.
    #[must_use]
    pub fn with_realms(mut self, realms: Realms) -> Self {
        self.realms = realms;
        self
    }

    /// Hands credentials on, or takes them.
    #[must_use]
    pub fn with_delegation(mut self, delegation: Delegation) -> Self {
        self.delegation = delegation;
        self
    }

    /// Demands tickets, and keys with them, that are encrypted in one of these ways.
    #[must_use]
    pub fn with_encryption(mut self, encryption: EncryptionRule) -> Self {
        self.encryption = encryption;
        self
    }

    /// Refuses a ticket for `service` that is not encrypted as it must be.
    pub(crate) fn demand_encryption(
        &self,
        service: &str,
        found: TicketEncryption,
    ) -> Result<(), KerberosFailure> {
        match found.unfit(&self.encryption) {
            None => Ok(()),
            Some((what, used)) => {
                let (service, accepted) = (service.to_owned(), self.encryption.clone());
                Err(KerberosFailure::WeakEncryption { what, service, used, accepted })
            }
        }
    }
}

/// The realms whose principals count. A realm's KDC can speak for every name in it, so another
/// realm is let in by name only. The realm in which a client asks for a service is part of what
/// both sides confirm, so one to which a KDC refers it (RFC 6806 section 8) does not stand in.
#[expect(clippy::exhaustive_enums, reason = "a third kind would be a way to let everybody in")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Realms {
    /// That of our own principal.
    #[default]
    Own,
    /// These, compared exactly, and no other, not even our own.
    Listed(Vec<String>),
}

impl Realms {
    /// Returns whether a peer of realm `peer` counts for us, who are of realm `own`.
    pub(crate) fn allow(&self, own: &str, peer: &str) -> bool {
        match self {
            Self::Own => own == peer,
            Self::Listed(realms) => realms.iter().any(|realm| realm == peer),
        }
    }

    /// Returns them in words.
    pub(crate) fn list(&self, own: &str) -> String {
        match self {
            Self::Own => own.to_owned(),
            Self::Listed(realms) if realms.is_empty() => "none".to_owned(),
            Self::Listed(realms) => realms.join(", "),
        }
    }
}

/// Whether a client's credentials go to the server with the proof, so that it can act for the
/// client elsewhere.
#[expect(clippy::exhaustive_enums, reason = "unconditional delegation is not offered")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delegation {
    /// A client hands none on, a server drops what it is given.
    #[default]
    Never,
    /// A client hands them on if the KDC says that the service is trusted with them
    /// (`ok-as-delegate`, RFC 5896); a server keeps what it is given. They leave with the first
    /// token, encrypted for the service's key, before the server has proved anything.
    IfTrusted,
}

impl fmt::Display for Delegation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "never",
            Self::IfTrusted => "if the KDC trusts the service with it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Realms;

    #[test]
    fn realms_count_exactly() {
        let listed = Realms::Listed(vec!["OTHER.TEST".to_owned()]);
        assert!(Realms::Own.allow("EXAMPLE.TEST", "EXAMPLE.TEST"));
        assert!(!Realms::Own.allow("EXAMPLE.TEST", "example.test"));
        assert!(!Realms::Own.allow("EXAMPLE.TEST", "OTHER.TEST"));
        assert!(listed.allow("EXAMPLE.TEST", "OTHER.TEST"));
        assert!(!listed.allow("EXAMPLE.TEST", "EXAMPLE.TEST"));
        assert!(!Realms::Listed(Vec::new()).allow("EXAMPLE.TEST", "EXAMPLE.TEST"));
    }
}
