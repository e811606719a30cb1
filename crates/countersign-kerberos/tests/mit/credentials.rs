//! Where credentials come from, and where they go.

use countersign_core::KerberosFailure;
use countersign_kerberos::{
    Delegation, Exchange, InitiatorCredential, Proved, Terms, is_available,
};
use countersign_lab::{Kdc, Realm};
use zeroize::Zeroizing;

use crate::failures::check;
use crate::world::{Ending, OTHER, SERVER, channel, in_own_realm, in_realm, keys, service, talk};

fn talk_as(realm: &Realm, credential: InitiatorCredential) -> Ending {
    let client = Exchange::initiate(&service(SERVER), credential, channel(1), Terms::default());
    talk(client, Exchange::accept(keys(realm, "server"), channel(1), Terms::default()))
}

fn with_passwords(kdc: &Kdc) {
    kdc.administer("addprinc -pw alicepw alice\naddprinc -pw bobpw bob/admin\n");
    kdc.add(&[SERVER]);
    kdc.keytab("server", &[SERVER]);
}

#[test]
fn a_password_is_as_good_as_a_ticket() {
    in_own_realm(with_passwords, |realm| {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        let password =
            |user, domain, text| InitiatorCredential::password(user, domain, secret(text)).unwrap();
        for (user, domain, text, principal) in [
            ("alice", "EXAMPLE.TEST", "alicepw", "alice@EXAMPLE.TEST"),
            ("bob/admin", "", "bobpw", "bob/admin@EXAMPLE.TEST"),
        ] {
            let credential = password(user, domain, text);
            assert_eq!(credential.holder().unwrap().principal, principal);
            let proved = talk_as(realm, credential).server.unwrap();
            assert_eq!(proved.principal(), principal);
        }
        let failure =
            |user, domain, text| talk_as(realm, password(user, domain, text)).client.unwrap_err();
        let wrong = failure("alice", "EXAMPLE.TEST", "wrong");
        check!(wrong, KerberosFailure::CredentialsRefused { .. }, "alice@EXAMPLE.TEST");
        let nobody = failure("nobody", "EXAMPLE.TEST", "x");
        check!(
            nobody,
            KerberosFailure::CredentialsRefused { .. },
            "not found in Kerberos database"
        );
        let elsewhere = failure("alice", "OTHER.TEST", "alicepw");
        check!(elsewhere, KerberosFailure::UnknownRealm { .. }, "OTHER.TEST");
        // Nothing was written where others could find it.
        assert!(!realm.path("cache").exists());
    });
}

#[test]
fn a_client_keytab_needs_no_kinit() {
    in_realm(|realm| {
        let keytab = realm.file("alice.client.keytab");
        let credential = InitiatorCredential::client_keytab(&keytab, "alice");
        let holder = credential.holder().unwrap();
        assert_eq!(holder.principal, "alice@EXAMPLE.TEST");
        assert!(holder.remaining.unwrap().as_secs() > 3600);
        for _ in 0..3 {
            let proved = talk_as(realm, credential.clone()).server.unwrap();
            assert_eq!(proved.principal(), "alice@EXAMPLE.TEST");
        }
        // It is held: the keytab is not needed again while the ticket is good.
        let copy = realm.file("copy.keytab");
        std::fs::copy(&keytab, &copy).unwrap();
        let credential = InitiatorCredential::client_keytab(&copy, "alice");
        credential.holder().unwrap();
        std::fs::remove_file(&copy).unwrap();
        talk_as(realm, credential).server.unwrap();
        let missing = InitiatorCredential::client_keytab("/nonexistent/keytab", "alice");
        let failure = talk_as(realm, missing).client.unwrap_err();
        check!(failure, KerberosFailure::NoCredentials { .. }, "/nonexistent/keytab");
        let other = InitiatorCredential::client_keytab(&keytab, "bob");
        let failure = talk_as(realm, other).client.unwrap_err();
        check!(failure, KerberosFailure::NoCredentials { .. }, "bob");
    });
}

#[test]
fn the_environment_is_taken_only_if_it_is_asked_for() {
    let fill = |kdc: &Kdc| {
        kdc.add(&["alice", SERVER]);
        kdc.keytab("server", &[SERVER]);
        // The default cache of the realm.
        kdc.ticket("alice", "cache", &[]);
    };
    in_own_realm(fill, |realm| {
        is_available().unwrap();
        let proved = talk_as(realm, InitiatorCredential::ambient()).server.unwrap();
        assert_eq!(proved.principal(), "alice@EXAMPLE.TEST");
        let nowhere = InitiatorCredential::cache(&realm.file("nowhere"));
        let failure = talk_as(realm, nowhere).client.unwrap_err();
        check!(failure, KerberosFailure::NoCredentials { .. }, "nowhere");
    });
}

#[test]
fn a_new_ticket_counts_at_once() {
    in_realm(|realm| {
        let credential = InitiatorCredential::cache(&realm.file("fresh"));
        talk_as(realm, credential.clone()).client.unwrap_err();
        realm.ticket("bob", "fresh", &[]);
        let proved = talk_as(realm, credential.clone()).server.unwrap();
        assert_eq!(proved.principal(), "bob@EXAMPLE.TEST");
        realm.ticket("alice", "fresh", &[]);
        let proved = talk_as(realm, credential).server.unwrap();
        assert_eq!(proved.principal(), "alice@EXAMPLE.TEST");
    });
}

const TRUSTED: &str = "host/trusted.example.test";

fn with_trusted(kdc: &Kdc) {
    kdc.administer(&format!("addprinc -randkey +ok_as_delegate {TRUSTED}\n"));
    kdc.add(&["alice", SERVER, OTHER]);
    kdc.keytab("server", &[SERVER, TRUSTED]);
    kdc.keytab("other", &[OTHER]);
    kdc.ticket("alice", "alice", &["-f"]);
    kdc.ticket("alice", "not-forwardable", &["-F"]);
}

/// What a server of both services comes to, with these terms at either end.
fn delegating(realm: &Realm, asked: &str, client: Delegation, server: Delegation) -> Proved {
    delegating_from(realm, "alice", asked, client, server)
}

fn delegating_from(
    realm: &Realm,
    cache: &str,
    asked: &str,
    client: Delegation,
    server: Delegation,
) -> Proved {
    let alice = InitiatorCredential::cache(&realm.file(cache));
    let terms = |delegation| Terms::default().with_delegation(delegation);
    let client = Exchange::initiate(&service(asked), alice, channel(1), terms(client));
    let server = Exchange::accept(keys(realm, "server"), channel(1), terms(server));
    talk(client, server).server.unwrap()
}

#[test]
fn credentials_go_only_to_whom_the_kdc_trusts_and_only_if_both_want_it() {
    use Delegation::{IfTrusted, Never};
    in_own_realm(with_trusted, |realm| {
        let has =
            |asked, client, server| delegating(realm, asked, client, server).delegated().is_some();
        assert!(has(TRUSTED, IfTrusted, IfTrusted));
        assert!(!has(SERVER, IfTrusted, IfTrusted));
        assert!(!has(TRUSTED, Never, IfTrusted));
        assert!(!has(TRUSTED, IfTrusted, Never));
        let proved = delegating_from(realm, "not-forwardable", TRUSTED, IfTrusted, IfTrusted);
        assert!(proved.delegated().is_none());
    });
}

#[test]
fn with_delegated_credentials_a_server_acts_for_its_client() {
    use Delegation::IfTrusted;
    in_own_realm(with_trusted, |realm| {
        let proved = delegating(realm, TRUSTED, IfTrusted, IfTrusted);
        let delegated = proved.delegated().unwrap().clone();
        let further = |credential| {
            let asked = service(OTHER);
            let client = Exchange::initiate(&asked, credential, channel(3), Terms::default());
            let server = Exchange::accept(keys(realm, "other"), channel(3), Terms::default());
            talk(client, server).server.unwrap().principal().to_owned()
        };
        let own = InitiatorCredential::delegated(delegated.clone());
        assert_eq!(further(own), "alice@EXAMPLE.TEST");
        let cache = format!("FILE:{}", realm.file("handed-on"));
        delegated.store(&cache).unwrap();
        assert_eq!(further(InitiatorCredential::cache(&cache)), "alice@EXAMPLE.TEST");
        delegated.store("FILE:/nonexistent/folder/cache").unwrap_err();
    });
}
