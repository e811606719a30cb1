//! Keys that change while clients hold tickets.

use countersign_core::{KerberosFailure, KerberosRefusal, Outdated};

use crate::failures::check;
use crate::world::{channel, client, in_own_realm, keys, server, service, talk};
use countersign_kerberos::{Exchange, InitiatorCredential, Terms};
use countersign_lab::Kdc;

const ROTATING: &str = "host/rotating.example.test";

/// Alice has a ticket for the key of version 1, which `old` holds; `new` holds that of version 2
/// only, and `both` both.
fn fill(kdc: &Kdc) {
    kdc.add(&["alice", ROTATING]);
    kdc.keytab("old", &[ROTATING]);
    kdc.keytab("both", &[ROTATING]);
    kdc.ticket("alice", "alice", &[]);
    kdc.service_ticket("alice", ROTATING);
    kdc.rotate(ROTATING);
    kdc.keytab("new", &[ROTATING]);
    kdc.keytab("both", &[ROTATING]);
    // With -keepold the database gives both keys out.
    kdc.forget_key("new", ROTATING, 1);
}

#[test]
fn a_ticket_from_before_a_rotation_is_outdated() {
    in_own_realm(fill, |realm| {
        let ending = talk(client(realm, ROTATING), server(realm, "new"));
        check!(
            ending.server.unwrap_err(),
            KerberosFailure::KeyVersion { outdated: Outdated::Ticket, .. },
            "kvno 1"
        );
        let failure = ending.client.unwrap_err();
        let expected = KerberosRefusal::TicketOutdated;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason, detail: Some(detail) }
                if *reason == expected && detail.contains("Key version is not available")),
            "{failure:?}"
        );
    });
}

#[test]
fn a_keytab_from_before_a_rotation_is_outdated() {
    in_own_realm(fill, |realm| {
        realm.ticket("alice", "alice", &[]);
        let ending = talk(client(realm, ROTATING), server(realm, "old"));
        check!(
            ending.server.unwrap_err(),
            KerberosFailure::KeyVersion { outdated: Outdated::Keytab, .. },
            "kvno 2"
        );
        let failure = ending.client.unwrap_err();
        let reason = KerberosRefusal::KeytabOutdated;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason: said, .. } if *said == reason),
            "{failure:?}"
        );
    });
}

#[test]
fn a_keytab_with_both_keys_serves_old_and_new_tickets() {
    in_own_realm(fill, |realm| {
        let both = keys(realm, "both");
        let versions: Vec<u32> = both.keys().iter().map(|key| key.version).collect();
        assert!(versions.contains(&1) && versions.contains(&2), "{:?}", both.keys());
        talk(client(realm, ROTATING), server(realm, "both")).server.unwrap();
        realm.ticket("alice", "alice", &[]);
        talk(client(realm, ROTATING), server(realm, "both")).server.unwrap();
    });
}

#[test]
fn keys_are_those_of_the_moment_when_they_were_loaded() {
    in_own_realm(fill, |realm| {
        std::fs::copy(realm.path("old"), realm.path("changing")).unwrap();
        let before = keys(realm, "changing");
        std::fs::copy(realm.path("new"), realm.path("changing")).unwrap();
        let after = keys(realm, "changing");
        let accept = |keys| Exchange::accept(keys, channel(1), Terms::default());
        // No file is looked at any more, so both go on as they are.
        std::fs::remove_file(realm.path("changing")).unwrap();
        talk(client(realm, ROTATING), accept(before.clone())).server.unwrap();
        talk(client(realm, ROTATING), accept(after.clone())).server.unwrap_err();
        realm.ticket("alice", "alice", &[]);
        talk(client(realm, ROTATING), accept(before)).server.unwrap_err();
        talk(client(realm, ROTATING), accept(after)).server.unwrap();
    });
}

#[test]
fn a_client_with_a_keytab_gets_a_new_ticket_by_itself() {
    in_own_realm(
        |kdc| {
            kdc.add(&["alice", ROTATING]);
            kdc.keytab("alice.keytab", &["alice"]);
            kdc.keytab("old", &[ROTATING]);
        },
        |realm| {
            let keytab = realm.file("alice.keytab");
            let alice = InitiatorCredential::client_keytab(&keytab, "alice");
            let talk = |keytab: &str| {
                let (asked, terms) = (service(ROTATING), Terms::default());
                let client = Exchange::initiate(&asked, alice.clone(), channel(1), terms);
                talk(client, server(realm, keytab))
            };
            talk("old").client.unwrap();
            realm.rotate(ROTATING);
            realm.keytab("new", &[ROTATING]);
            realm.forget_key("new", ROTATING, 1);
            // It shows the ticket that it has, and learns that it is of no use.
            let failure = talk("new").client.unwrap_err();
            let expected = KerberosRefusal::TicketOutdated;
            assert!(
                matches!(&failure, KerberosFailure::RefusedByPeer { reason, .. }
                    if *reason == expected),
                "{failure:?}"
            );
            talk("new").client.unwrap();
        },
    );
}
