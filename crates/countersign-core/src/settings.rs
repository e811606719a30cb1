//! What a program asks of its socket.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::WsaError;

/// Which security protocol (`SOCKET_SECURITY_PROTOCOL`, SPEC 1).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// What the administrator's policy says.
    #[default]
    Default,
    /// IPsec.
    Ipsec,
    /// IPsec, with the second form of query.
    Ipsec2,
}

impl SecurityProtocol {
    /// Reads Winsock's number.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] for a number that names no protocol.
    pub fn from_number(number: u32) -> Result<Self, WsaError> {
        match number {
            0 => Ok(Self::Default),
            1 => Ok(Self::Ipsec),
            2 => Ok(Self::Ipsec2),
            _ => Err(WsaError::Inval),
        }
    }
}

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($(#[$flag_doc:meta])* $flag:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(u32);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: Self = Self($value);)+
            /// No flag.
            pub const NONE: Self = Self(0);

            /// Reads Winsock's bits.
            ///
            /// # Errors
            ///
            /// [`WsaError::Inval`] if a bit has no meaning.
            pub fn from_bits(bits: u32) -> Result<Self, WsaError> {
                if bits & !(0 $(| $value)+) == 0 { Ok(Self(bits)) } else { Err(WsaError::Inval) }
            }

            /// Returns Winsock's bits.
            pub fn bits(self) -> u32 {
                self.0
            }

            /// Returns whether every flag of `other` is set.
            pub fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }
    };
}
pub(crate) use flags;

flags! {
    /// `SecurityFlags` of the settings (SPEC 1, 4.5, 4.6).
    SecurityFlags {
        /// No byte leaves unless it is encrypted.
        GUARANTEE_ENCRYPTION = 0x1,
        /// Cleartext is permitted when the peer cannot do security.
        ALLOW_INSECURE = 0x2,
    }
}

flags! {
    /// `IpsecFlags` of the settings (SPEC 1).
    IpsecFlags {
        /// Do not plumb filters for the socket.
        SKIP_FILTER_INSTANTIATION = 0x1,
        /// A peer need not prove the name; the query then says so.
        OPTIONAL_PEER_NAME_VERIFICATION = 0x2,
        /// The first inbound packet may be in clear.
        ALLOW_FIRST_INBOUND_PKT_UNENCRYPTED = 0x4,
        /// The name of the peer is in the raw format of the protocol.
        PEER_NAME_IS_RAW_FORMAT = 0x8,
    }
}

/// Credentials that a program gives with its settings (SPEC 4.10); wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    user: String,
    domain: String,
    password: String,
}

impl Credentials {
    /// Takes a user, its domain or realm, and its password.
    pub fn new(user: String, domain: String, password: String) -> Self {
        Self { user, domain, password }
    }

    /// Returns the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the domain or realm.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the password. Never log it.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}@{}, password not shown)", self.user, self.domain)
    }
}

/// The part of the settings that only the extended structure has
/// (`SOCKET_SECURITY_SETTINGS_IPSEC`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IpsecSettings {
    /// `IpsecFlags`.
    pub flags: IpsecFlags,
    /// GUID of the main-mode policy, zero for the host's.
    pub main_mode_policy: [u8; 16],
    /// GUID of the quick-mode policy, zero for the host's.
    pub quick_mode_policy: [u8; 16],
    /// Credentials to authenticate with.
    pub credentials: Option<Credentials>,
}

/// What a program asks of its socket (`SOCKET_SECURITY_SETTINGS`, SPEC 4). The default is the
/// default of the host's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecuritySettings {
    protocol: SecurityProtocol,
    flags: SecurityFlags,
    ipsec: Option<IpsecSettings>,
    credentials: Option<Credentials>,
}

impl SecuritySettings {
    /// Takes a protocol and flags.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] if both flags are set: they contradict each other (SPEC 4.6).
    pub fn new(protocol: SecurityProtocol, flags: SecurityFlags) -> Result<Self, WsaError> {
        let both = SecurityFlags::GUARANTEE_ENCRYPTION | SecurityFlags::ALLOW_INSECURE;
        if flags.contains(both) {
            return Err(WsaError::Inval);
        }
        Ok(Self { protocol, flags, ..Self::default() })
    }

    /// Adds what the extended structure has.
    ///
    /// # Errors
    ///
    /// [`WsaError::Inval`] if the protocol is the default one (SPEC 4.3).
    pub fn with_ipsec(mut self, ipsec: IpsecSettings) -> Result<Self, WsaError> {
        if self.protocol == SecurityProtocol::Default {
            return Err(WsaError::Inval);
        }
        self.ipsec = Some(ipsec);
        Ok(self)
    }

    /// Gives a user, domain and password to authenticate with (SPEC 4.10), which the extended
    /// structure carries for IPsec, for the default protocol: by Kerberos, which is required then.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Returns the credentials to authenticate with, if any were given.
    pub fn credentials(&self) -> Option<&Credentials> {
        let extended = self.ipsec.as_ref().and_then(|ipsec| ipsec.credentials.as_ref());
        self.credentials.as_ref().or(extended)
    }

    /// Takes the credentials out, to use and then wipe them.
    pub fn take_credentials(&mut self) -> Option<Credentials> {
        let extended = self.ipsec.as_mut().and_then(|ipsec| ipsec.credentials.take());
        self.credentials.take().or(extended)
    }

    /// Lets the peer prove any name, or none that we know, as long as its certificate is one that
    /// we trust: `OPTIONAL_PEER_NAME_VERIFICATION` (SPEC 5.5) for a protocol other than IPsec.
    #[must_use]
    pub fn danger_optional_peer_name(mut self) -> Self {
        let ipsec = self.ipsec.get_or_insert_default();
        ipsec.flags = ipsec.flags | IpsecFlags::OPTIONAL_PEER_NAME_VERIFICATION;
        self
    }

    /// Returns the protocol asked for.
    pub fn protocol(&self) -> SecurityProtocol {
        self.protocol
    }

    /// Returns the flags.
    pub fn flags(&self) -> SecurityFlags {
        self.flags
    }

    /// Returns what the extended structure added.
    pub fn ipsec(&self) -> Option<&IpsecSettings> {
        self.ipsec.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Credentials, IpsecFlags, IpsecSettings, SecurityFlags, SecurityProtocol, SecuritySettings,
    };
    use crate::WsaError;

    #[test]
    fn spec_1_values_are_abi() {
        assert_eq!(SecurityFlags::GUARANTEE_ENCRYPTION.bits(), 1);
        assert_eq!(SecurityFlags::ALLOW_INSECURE.bits(), 2);
        assert_eq!(IpsecFlags::PEER_NAME_IS_RAW_FORMAT.bits(), 8);
        assert_eq!(SecurityFlags::from_bits(4), Err(WsaError::Inval));
        assert_eq!(SecurityProtocol::from_number(2), Ok(SecurityProtocol::Ipsec2));
        assert_eq!(SecurityProtocol::from_number(3), Err(WsaError::Inval));
    }

    #[test]
    fn spec_4_3_extended_settings_name_ipsec() {
        let plain = SecuritySettings::default();
        assert_eq!(plain.with_ipsec(IpsecSettings::default()), Err(WsaError::Inval));
        let ipsec = SecuritySettings::new(SecurityProtocol::Ipsec, SecurityFlags::NONE).unwrap();
        assert!(ipsec.with_ipsec(IpsecSettings::default()).is_ok());
    }

    #[test]
    fn spec_4_6_both_flags_contradict() {
        let both = SecurityFlags::from_bits(3).unwrap();
        assert_eq!(SecuritySettings::new(SecurityProtocol::Default, both), Err(WsaError::Inval));
    }

    #[test]
    fn password_is_not_shown() {
        let it = Credentials::new("alice".into(), "EXAMPLE.COM".into(), "s3cret".into());
        assert!(!format!("{it:?}").contains("s3cret"));
    }
}
