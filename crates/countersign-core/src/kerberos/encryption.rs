//! How tickets are encrypted, and which ways are good enough.

use std::fmt;
use std::str::FromStr;

/// A way to encrypt in Kerberos, by its number ([registry]).
///
/// [registry]: https://www.iana.org/assignments/kerberos-parameters/kerberos-parameters.xhtml
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EncryptionType(i32);

impl EncryptionType {
    /// AES with 128 bits and SHA-1 (RFC 3962).
    pub const AES128_SHA1: Self = Self(17);
    /// AES with 256 bits and SHA-1 (RFC 3962).
    pub const AES256_SHA1: Self = Self(18);
    /// AES with 128 bits and SHA-2 (RFC 8009).
    pub const AES128_SHA2: Self = Self(19);
    /// AES with 256 bits and SHA-2 (RFC 8009).
    pub const AES256_SHA2: Self = Self(20);
    /// RC4, whose key is the unsalted MD4 of a password (RFC 4757; against it, RFC 8429).
    pub const RC4: Self = Self(23);
    /// Camellia with 128 bits (RFC 6803).
    pub const CAMELLIA128: Self = Self(25);
    /// Camellia with 256 bits (RFC 6803).
    pub const CAMELLIA256: Self = Self(26);

    /// What nobody knows how to break, the strongest first.
    const STRONG: [Self; 6] = [
        Self::AES256_SHA2,
        Self::AES256_SHA1,
        Self::AES128_SHA2,
        Self::AES128_SHA1,
        Self::CAMELLIA256,
        Self::CAMELLIA128,
    ];

    /// Names as MIT Kerberos has them in `kdc.conf`(5): the one that is shown comes first.
    const NAMES: [(i32, &'static [&'static str]); 12] = [
        (1, &["des-cbc-crc"]),
        (2, &["des-cbc-md4"]),
        (3, &["des-cbc-md5"]),
        (16, &["des3-cbc-sha1", "des3-hmac-sha1", "des3-cbc-sha1-kd"]),
        (17, &["aes128-cts-hmac-sha1-96", "aes128-cts", "aes128-sha1"]),
        (18, &["aes256-cts-hmac-sha1-96", "aes256-cts", "aes256-sha1"]),
        (19, &["aes128-cts-hmac-sha256-128", "aes128-sha2"]),
        (20, &["aes256-cts-hmac-sha384-192", "aes256-sha2"]),
        (23, &["arcfour-hmac", "rc4-hmac", "arcfour-hmac-md5"]),
        (24, &["arcfour-hmac-exp", "rc4-hmac-exp", "arcfour-hmac-md5-exp"]),
        (25, &["camellia128-cts-cmac", "camellia128-cts"]),
        (26, &["camellia256-cts-cmac", "camellia256-cts"]),
    ];

    /// Takes a number of the registry; one that is not in it is a type as well, and weak.
    pub fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Returns its number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Returns the strongest of some, if there is one. Of those that are weaker than RC4 it is any.
    pub fn strongest(of: impl IntoIterator<Item = Self>) -> Option<Self> {
        let rank =
            |it: &Self| Self::STRONG.iter().chain([&Self::RC4]).position(|known| known == it);
        of.into_iter().min_by_key(|it| rank(it).unwrap_or(usize::MAX))
    }

    /// Returns whether it is broken, or nobody can say that it is not: DES, triple DES and RC4
    /// (RFC 6649, RFC 8429), and whatever has no name here.
    pub fn is_weak(self) -> bool {
        !Self::STRONG.contains(&self)
    }
}

impl FromStr for EncryptionType {
    type Err = UnknownEncryption;

    fn from_str(text: &str) -> Result<Self, UnknownEncryption> {
        let known = Self::NAMES.iter().find(|(_, names)| names.contains(&text));
        let number = known.map(|(number, _)| *number);
        number.map(Self).ok_or_else(|| UnknownEncryption { name: text.to_owned() })
    }
}

impl fmt::Display for EncryptionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::NAMES.iter().find(|(number, _)| *number == self.0);
        match known.and_then(|(_, names)| names.first()) {
            Some(name) => f.write_str(name),
            None => write!(f, "encryption type {}", self.0),
        }
    }
}

/// A text names no way to encrypt in Kerberos.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no encryption type of Kerberos that is known here")]
pub struct UnknownEncryption {
    /// The text.
    pub name: String,
}

/// Which ways to encrypt are good enough for a ticket, and for the keys that come with it.
///
/// Without a word from the administrator: those that are not weak. What comes from a weak key is no
/// proof of much: who records one ticket of a service tries passwords until one opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionRule {
    listed: Option<Vec<EncryptionType>>,
    danger_allow_rc4: Option<bool>,
}

impl EncryptionRule {
    /// Accepts these and no others, if there is a list; RC4 only if both the list, where there is
    /// one, and `danger_allow_rc4` say so; and no other weak one ever.
    pub fn new(listed: Option<Vec<EncryptionType>>, danger_allow_rc4: Option<bool>) -> Self {
        Self { listed, danger_allow_rc4 }
    }

    /// Returns whether this is good enough.
    pub fn accepts(&self, used: EncryptionType) -> bool {
        let is_sound = !used.is_weak() || (used == EncryptionType::RC4 && self.allows_rc4());
        is_sound && self.listed.as_ref().is_none_or(|listed| listed.contains(&used))
    }

    /// Returns all that is accepted, the strongest first.
    pub fn accepted(&self) -> Vec<EncryptionType> {
        let known = EncryptionType::STRONG.into_iter().chain([EncryptionType::RC4]);
        known.filter(|it| self.accepts(*it)).collect()
    }

    /// Returns whether RC4 is let in, as far as no list is against it.
    pub fn allows_rc4(&self) -> bool {
        self.danger_allow_rc4.unwrap_or(false)
    }

    /// Puts `next` over this: what either leaves out is out, and RC4 that was forbidden stays so.
    #[must_use]
    pub fn overlay(self, next: Self) -> Self {
        let listed = match (self.listed, next.listed) {
            (Some(old), Some(new)) => Some(new.into_iter().filter(|it| old.contains(it)).collect()),
            (old, new) => new.or(old),
        };
        let danger_allow_rc4 = match (self.danger_allow_rc4, next.danger_allow_rc4) {
            (Some(old), Some(new)) => Some(old && new),
            (old, new) => new.or(old),
        };
        Self { listed, danger_allow_rc4 }
    }
}

impl fmt::Display for EncryptionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.accepted().iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [] => f.write_str("none"),
            names => f.write_str(&names.join(", ")),
        }
    }
}

/// How the ticket of a proof was encrypted, and what came with it.
#[expect(clippy::exhaustive_structs, reason = "Kerberos has these keys, and no others in a proof")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketEncryption {
    /// The ticket, by the key that the service shares with its KDC.
    pub ticket: EncryptionType,
    /// The key in the ticket, which client and service share.
    pub session_key: EncryptionType,
    /// The key that they made of that for this one connection, and confirm it with.
    pub subkey: EncryptionType,
}

impl TicketEncryption {
    /// Returns the first of the three that is not good enough, and what it is.
    pub fn unfit(&self, rule: &EncryptionRule) -> Option<(Encrypted, EncryptionType)> {
        let all = [
            (Encrypted::Ticket, self.ticket),
            (Encrypted::SessionKey, self.session_key),
            (Encrypted::Subkey, self.subkey),
        ];
        all.into_iter().find(|(_, used)| !rule.accepts(*used))
    }
}

impl fmt::Display for TicketEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, session_key, subkey } = self;
        if ticket == session_key && ticket == subkey {
            return ticket.fmt(f);
        }
        write!(f, "ticket {ticket}, session key {session_key}, subkey {subkey}")
    }
}

/// What is encrypted, or encrypts.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encrypted {
    /// Every key that a keytab holds of a service.
    Keytab,
    /// The key in a ticket.
    SessionKey,
    /// The key of one connection.
    Subkey,
    /// A ticket.
    Ticket,
}

impl fmt::Display for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keytab => "the best key in the keytab",
            Self::SessionKey => "the session key of the ticket",
            Self::Subkey => "the key of the connection",
            Self::Ticket => "the ticket",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Encrypted, EncryptionRule, EncryptionType, TicketEncryption};

    fn types(names: &[&str]) -> Vec<EncryptionType> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn every_name_means_its_number_and_one_is_shown() {
        for (number, names) in EncryptionType::NAMES {
            let it = EncryptionType::from_number(number);
            assert_eq!(it.to_string(), names[0]);
            assert!(names.iter().all(|name| name.parse() == Ok(it)), "{names:?}");
        }
        let odd = EncryptionType::from_number(511);
        assert_eq!(odd.to_string(), "encryption type 511");
        assert!(odd.is_weak());
        let best = |names: &[&str]| EncryptionType::strongest(types(names));
        assert_eq!(best(&["des3-cbc-sha1", "arcfour-hmac"]), Some(EncryptionType::RC4));
        let sound = ["arcfour-hmac", "camellia128-cts", "aes128-sha1", "aes256-sha1"];
        assert_eq!(best(&sound), Some(EncryptionType::AES256_SHA1));
        assert_eq!(best(&[]), None);
        assert!("rot13".parse::<EncryptionType>().is_err());
        assert!("AES256-CTS".parse::<EncryptionType>().is_err(), "as krb5.conf writes them");
    }

    #[test]
    fn what_is_broken_or_unknown_is_not_accepted() {
        let rule = EncryptionRule::default();
        for weak in [-128, 0, 1, 2, 3, 5, 7, 16, 23, 24, 27, 511, i32::MAX] {
            assert!(!rule.accepts(EncryptionType::from_number(weak)), "{weak}");
        }
        for strong in [17, 18, 19, 20, 25, 26] {
            assert!(rule.accepts(EncryptionType::from_number(strong)), "{strong}");
        }
        let lax = EncryptionRule::new(None, Some(true));
        assert!(lax.accepts(EncryptionType::RC4));
        assert!(!lax.accepts(EncryptionType::from_number(24)), "RC4 with 56 bits");
        assert!(!lax.accepts(EncryptionType::from_number(3)));
    }

    #[test]
    fn a_list_is_all_there_is_and_no_list_lets_a_weak_type_in() {
        let rule =
            EncryptionRule::new(Some(types(&["aes256-sha2", "rc4-hmac", "des3-cbc-sha1"])), None);
        assert_eq!(rule.accepted(), types(&["aes256-sha2"]));
        let both = EncryptionRule::new(Some(types(&["aes256-sha2", "rc4-hmac"])), Some(true));
        assert_eq!(both.to_string(), "aes256-cts-hmac-sha384-192, arcfour-hmac");
        let without = EncryptionRule::new(Some(types(&["aes256-sha2"])), Some(true));
        assert!(!without.accepts(EncryptionType::RC4));
        assert_eq!(EncryptionRule::new(Some(Vec::new()), Some(true)).to_string(), "none");
    }

    #[test]
    fn a_later_file_takes_nothing_back() {
        let rule = |listed: Option<&[&str]>, rc4| EncryptionRule::new(listed.map(types), rc4);
        let host = rule(Some(&["aes256-sha2", "aes256-sha1"]), None);
        let user = rule(Some(&["aes256-sha1", "aes128-sha1"]), Some(true));
        assert_eq!(host.clone().overlay(user).accepted(), types(&["aes256-sha1"]));
        assert!(!host.overlay(rule(None, Some(true))).accepts(EncryptionType::RC4));
        let forbidden = rule(None, Some(false)).overlay(rule(None, Some(true)));
        assert!(!forbidden.accepts(EncryptionType::RC4));
        let said = rule(None, None).overlay(rule(None, Some(true)));
        assert!(said.accepts(EncryptionType::RC4));
    }

    #[test]
    fn each_of_the_three_keys_counts() {
        let strong = EncryptionType::AES256_SHA1;
        let good = TicketEncryption { ticket: strong, session_key: strong, subkey: strong };
        let rule = EncryptionRule::default();
        assert_eq!(good.unfit(&rule), None);
        assert_eq!(good.to_string(), "aes256-cts-hmac-sha1-96");
        let weak = EncryptionType::RC4;
        let found = |it: TicketEncryption| it.unfit(&rule);
        let ticket = TicketEncryption { ticket: weak, ..good };
        assert_eq!(found(ticket), Some((Encrypted::Ticket, weak)));
        assert!(ticket.to_string().starts_with("ticket arcfour-hmac, session key aes256"));
        let session = TicketEncryption { session_key: weak, ..good };
        assert_eq!(found(session), Some((Encrypted::SessionKey, weak)));
        let subkey = TicketEncryption { subkey: weak, ..good };
        assert_eq!(found(subkey), Some((Encrypted::Subkey, weak)));
    }
}
