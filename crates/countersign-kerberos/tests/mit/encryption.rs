//! Tickets that are encrypted with what is broken, and who lets them in.

use countersign_core::{
    Encrypted, EncryptionRule, EncryptionType, Fault, KerberosFailure, KerberosRefusal,
};
use countersign_kerberos::{AcceptorCredential, Exchange, InitiatorCredential, Terms};
use countersign_lab::{Kdc, Realm};

use crate::failures::check;
use crate::world::{
    Ending, From, channel, in_own_realm, in_realm, keys, server, service, talk, talk_over,
};

/// The service knows RC4 only, so all of its tickets are encrypted by that, and the keys in them for it.
const OLD: &str = "host/old.example.test";
/// Its tickets are of AES, and the keys in them of RC4.
const SESSION: &str = "host/session.example.test";
/// The other way round.
const TICKET: &str = "host/ticket.example.test";
const NEW: &str = "host/new.example.test";

const RC4: EncryptionType = EncryptionType::RC4;
const AES: EncryptionType = EncryptionType::AES256_SHA1;

fn fill(kdc: &Kdc) {
    kdc.administer(&format!(
        "addprinc -randkey -e arcfour-hmac:normal {OLD}\n\
         setstr {OLD} session_enctypes arcfour-hmac\n\
         addprinc -randkey -e arcfour-hmac:normal {TICKET}\n\
         setstr {TICKET} session_enctypes aes256-cts\n\
         addprinc -randkey -e aes256-cts:normal {SESSION}\n\
         setstr {SESSION} session_enctypes arcfour-hmac\n"
    ));
    kdc.add(&["alice", NEW]);
    for (keytab, name) in [("old", OLD), ("session", SESSION), ("ticket", TICKET), ("new", NEW)] {
        kdc.keytab(keytab, &[name]);
    }
    kdc.ticket("alice", "alice", &[]);
}

fn lax() -> Terms {
    Terms::default().with_encryption(EncryptionRule::new(None, Some(true)))
}

fn meet(realm: &Realm, asked: &str, keytab: &str, client: Terms, server: Terms) -> Ending {
    let alice = InitiatorCredential::cache(&realm.file("alice"));
    let client = Exchange::initiate(&service(asked), alice, channel(1), client);
    talk(client, Exchange::accept(keys(realm, keytab), channel(1), server))
}

const ALL: [(&str, &str, Encrypted); 3] = [
    (OLD, "old", Encrypted::Ticket),
    (TICKET, "ticket", Encrypted::Ticket),
    (SESSION, "session", Encrypted::SessionKey),
];

#[test]
fn a_client_does_not_show_a_weak_ticket() {
    in_own_realm(fill, |realm| {
        for (asked, keytab, weak) in ALL {
            let ending = meet(realm, asked, keytab, Terms::default(), lax());
            let failure = ending.client.unwrap_err();
            assert!(
                matches!(&failure, KerberosFailure::WeakEncryption { what, used, .. }
                    if *what == weak && *used == RC4),
                "{asked}: {failure:?}"
            );
            check!(&failure, KerberosFailure::WeakEncryption { .. }, "arcfour-hmac, and accepted");
            check!(&failure, KerberosFailure::WeakEncryption { .. }, "aes256-cts-hmac-sha1-96");
            check!(&failure, KerberosFailure::WeakEncryption { .. }, asked);
            assert_eq!(failure.fault(), Fault::Host);
            assert!(failure.hint().contains("danger-allow-rc4"), "{}", failure.hint());
            // The server is told why, and nothing more: the ticket stayed where it was.
            let reason = KerberosRefusal::WeakEncryption;
            let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
            assert_eq!(ending.server.unwrap_err(), refused);
        }
    });
}

#[test]
fn a_server_does_not_take_a_weak_ticket() {
    in_own_realm(fill, |realm| {
        for (asked, keytab, weak) in ALL {
            let ending = meet(realm, asked, keytab, lax(), Terms::default());
            let failure = ending.server.unwrap_err();
            assert!(
                matches!(&failure, KerberosFailure::WeakEncryption { what, used, .. }
                    if *what == weak && *used == RC4),
                "{asked}: {failure:?}"
            );
            let failure = ending.client.unwrap_err();
            let reason = KerberosRefusal::WeakEncryption;
            assert_eq!(failure, KerberosFailure::RefusedByPeer { reason, detail: None });
            assert!(failure.hint().contains("klist -e"), "{}", failure.hint());
        }
    });
}

#[test]
fn who_says_so_on_both_sides_goes_on_with_rc4_and_sees_it() {
    in_own_realm(fill, |realm| {
        for (asked, keytab, ticket, session_key) in
            [(OLD, "old", RC4, RC4), (TICKET, "ticket", RC4, AES), (SESSION, "session", AES, RC4)]
        {
            let ending = meet(realm, asked, keytab, lax(), lax());
            let (client, server) = (ending.client.unwrap(), ending.server.unwrap());
            let found = client.encryption();
            assert_eq!((found.ticket, found.session_key), (ticket, session_key), "{asked}");
            assert_eq!(server.encryption(), found, "both ends see the same");
        }
        let good = meet(realm, NEW, "new", Terms::default(), Terms::default());
        let found = good.server.unwrap().encryption();
        assert_eq!((found.ticket, found.session_key, found.subkey), (AES, AES, AES));
        assert_eq!(good.client.unwrap().encryption(), found);
    });
}

#[test]
fn a_list_may_demand_more_than_what_is_not_weak() {
    in_realm(|realm| {
        let only =
            |kind| Terms::default().with_encryption(EncryptionRule::new(Some(vec![kind]), None));
        let alice = || InitiatorCredential::cache(&realm.file("alice"));
        let asked = service(crate::world::SERVER);
        let new = EncryptionType::AES256_SHA2;
        let client = Exchange::initiate(&asked, alice(), channel(1), only(new));
        let failure = talk(client, server(realm, "server")).client.unwrap_err();
        let says = "aes256-cts-hmac-sha1-96, and accepted here are aes256-cts-hmac-sha384-192";
        check!(&failure, KerberosFailure::WeakEncryption { .. }, says);
        assert!(failure.hint().contains("kerberos.encryption-types"), "{}", failure.hint());
        let client = Exchange::initiate(&asked, alice(), channel(1), only(AES));
        talk(client, server(realm, "server")).client.unwrap();
    });
}

#[test]
fn keys_that_no_ticket_may_be_made_with_are_seen_when_the_server_starts() {
    in_own_realm(fill, |realm| {
        let (strict, rc4) = (EncryptionRule::default(), EncryptionRule::new(None, Some(true)));
        let old = keys(realm, "old");
        let failure = old.check_encryption(&strict).unwrap_err();
        assert!(
            matches!(&failure, KerberosFailure::WeakEncryption { what: Encrypted::Keytab, used, .. }
                if *used == RC4),
            "{failure:?}"
        );
        old.check_encryption(&rc4).unwrap();
        keys(realm, "new").check_encryption(&strict).unwrap();
        // One service of several is enough to be warned of, and one good key of a service to go on.
        realm.keytab("both", &[NEW, OLD]);
        keys(realm, "both").check_encryption(&strict).unwrap_err();
        let one = AcceptorCredential::load(Some(&realm.file("both")), &[service(NEW)]).unwrap();
        one.check_encryption(&strict).unwrap();
    });
}

/// Whose tickets are kept in memory for hours must not go on with one that the KDC would no longer
/// give.
#[test]
fn a_weak_ticket_is_not_kept() {
    in_own_realm(fill, |realm| {
        let keytab = realm.file("alice.client.keytab");
        let alice = InitiatorCredential::client_keytab(&keytab, "alice");
        let met = |client: Terms, server: Terms| {
            let client = Exchange::initiate(&service(OLD), alice.clone(), channel(1), client);
            talk(client, Exchange::accept(keys(realm, "old"), channel(1), server))
        };
        let failure = met(Terms::default(), lax()).client.unwrap_err();
        check!(failure, KerberosFailure::WeakEncryption { .. }, "arcfour-hmac");
        // The server is the one who refuses.
        let failure = met(lax(), Terms::default()).client.unwrap_err();
        check!(failure, KerberosFailure::RefusedByPeer { .. }, "how the ticket is encrypted");
        realm.administer(&format!(
            "delstr {OLD} session_enctypes\ncpw -randkey -e aes256-cts:normal {OLD}\n"
        ));
        std::fs::remove_file(realm.path("old")).unwrap();
        realm.keytab("old", &[OLD]);
        let found = met(Terms::default(), Terms::default()).client.unwrap().encryption();
        assert_eq!((found.ticket, found.session_key), (AES, AES));
    });
}

/// Somebody on the way, or the client itself, says that the ticket is of another kind than it is, or
/// writes the token in a way in which that does not stand where we read it.
#[test]
fn a_token_that_lies_about_its_encryption_opens_nothing() {
    in_own_realm(fill, |realm| {
        let met = |lie: fn(&mut Vec<u8>)| {
            let alice = InitiatorCredential::cache(&realm.file("alice"));
            let client = Exchange::initiate(&service(OLD), alice, channel(1), lax());
            let strict = Exchange::accept(keys(realm, "old"), channel(1), Terms::default());
            let ending = talk_over(client, strict, |from, wire| {
                if from == From::Client && wire.get(4) == Some(&b'T') {
                    lie(wire);
                }
            });
            ending.server.unwrap_err()
        };
        // The kinds of the ticket and of the authenticator, one of them and both.
        let failure = met(|wire| assert_eq!(replace(wire, 1), 1));
        check!(failure, KerberosFailure::WeakEncryption { .. }, "session key");
        let failure = met(|wire| assert_eq!(replace(wire, 2), 2));
        assert!(
            matches!(
                failure,
                KerberosFailure::NotInKeytab { .. }
                    | KerberosFailure::WrongKey { .. }
                    | KerberosFailure::NotAccepted { .. }
                    | KerberosFailure::KeyVersion { .. }
            ),
            "{failure:?}"
        );
        // A length in more bytes than it takes, which the library takes all the same.
        let failure = met(|wire| {
            let name = usize::from(u16::from_be_bytes([wire[5], wire[6]]));
            let frame = 7 + name;
            assert_eq!(wire[frame..frame + 2], [0x60, 0x82]);
            wire.splice(frame + 1..frame + 2, [0x83, 0]);
            let length = u32::try_from(wire.len() - 5).unwrap().to_be_bytes();
            wire[..4].copy_from_slice(&length);
        });
        check!(failure, KerberosFailure::Protocol { .. }, "an AP-REQ that no library writes so");
    });
}

/// Says AES instead of RC4 in so many places, and returns in how many it did.
fn replace(wire: &mut [u8], most: usize) -> usize {
    let (rc4, aes) = ([0xa0, 3, 2, 1, 23], [0xa0, 3, 2, 1, 18]);
    let mut done = 0;
    for at in 0..wire.len().saturating_sub(5) {
        if done < most && wire[at..at + 5] == rc4 {
            wire[at..at + 5].copy_from_slice(&aes);
            done += 1;
        }
    }
    done
}
