//! What the other end gives as its reason.

use std::fmt;

/// Why the other end of a Kerberos proof gave up, as it says itself.
///
/// It travels as one byte before anything has been proved, so it serves diagnosis only: whoever
/// stands in between can say it too, and nothing is decided by it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KerberosRefusal {
    /// The ticket was made for another connection.
    BindingMismatch,
    /// The clocks differ by more than Kerberos allows.
    ClockSkew,
    /// The confirmation did not hold.
    ConfirmationFailed,
    /// Its own keytab, cache or library does not serve.
    OwnTrouble,
    /// Its keytab is older than the ticket.
    KeytabOutdated,
    /// Its rules do not let us in.
    NotAllowed,
    /// The ticket does not say for which connection it was made.
    NotBound,
    /// Its keytab has no key for the service.
    NotInKeytab,
    /// It broke off without a reason that has a number.
    Other,
    /// We broke the protocol.
    Protocol,
    /// It does not accept our realm.
    RealmNotAllowed,
    /// The ticket has expired.
    TicketExpired,
    /// The ticket is not valid yet.
    TicketNotYetValid,
    /// The ticket is older than its keytab.
    TicketOutdated,
    /// It could not get a ticket for us.
    Ticketless,
    /// The ticket, or a key that came with it, is encrypted in a way that it does not accept.
    WeakEncryption,
    /// The ticket cannot be decrypted with the service's key.
    WrongKey,
    /// It is not the service that we asked for.
    WrongService,
}

impl KerberosRefusal {
    const ALL: [(u8, Self, &'static str); 18] = [
        (0, Self::Other, "it gave no reason"),
        (1, Self::BindingMismatch, "the ticket was made for another connection"),
        (2, Self::NotBound, "the ticket is not bound to the connection"),
        (3, Self::ConfirmationFailed, "the confirmation did not hold"),
        (4, Self::WrongService, "it is not the service that was asked for"),
        (5, Self::NotInKeytab, "its keytab has no key for the service"),
        (6, Self::WrongKey, "its key does not decrypt the ticket"),
        (7, Self::TicketOutdated, "the ticket was made with a key from before a rotation"),
        (8, Self::KeytabOutdated, "its keytab lacks the key of the last rotation"),
        (9, Self::TicketExpired, "the ticket has expired"),
        (10, Self::TicketNotYetValid, "the ticket is not valid yet"),
        (11, Self::ClockSkew, "the clocks of the two hosts differ too much"),
        (12, Self::RealmNotAllowed, "it does not accept this realm"),
        (13, Self::Ticketless, "it could not get a ticket"),
        (14, Self::OwnTrouble, "its own Kerberos set-up does not serve"),
        (15, Self::Protocol, "we broke the protocol, as it sees it"),
        (16, Self::NotAllowed, "it knows who we are, and its rules do not let us in"),
        (17, Self::WeakEncryption, "it does not accept how the ticket is encrypted"),
    ];

    /// Returns the number under which it travels.
    pub fn number(self) -> u8 {
        Self::ALL.iter().find(|(_, reason, _)| *reason == self).map_or(0, |(number, ..)| *number)
    }

    /// Returns the reason with a number; numbers that are not known are [`Self::Other`].
    pub fn from_number(number: u8) -> Self {
        let known = Self::ALL.iter().find(|(known, ..)| *known == number);
        known.map_or(Self::Other, |(_, reason, _)| *reason)
    }
}

impl fmt::Display for KerberosRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.iter().find(|(_, reason, _)| reason == self);
        f.write_str(known.map_or("it gave no reason", |(.., words)| words))
    }
}

#[cfg(test)]
mod tests {
    use super::KerberosRefusal;

    #[test]
    fn every_reason_has_a_number_of_its_own() {
        for (number, reason, _) in KerberosRefusal::ALL {
            assert_eq!(reason.number(), number);
            assert_eq!(KerberosRefusal::from_number(number), reason);
        }
        assert_eq!(KerberosRefusal::from_number(200), KerberosRefusal::Other);
    }
}
