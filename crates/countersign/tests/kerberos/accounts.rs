//! Which local account acts for a principal, by the rules of the host's own `krb5.conf`.

use std::thread;

use countersign::core::{PeerName, Policy, Proof};
use countersign::rights::{AccountSource, RightsError, map};
use countersign::{TcpListener, TcpStream};
use countersign_lab::Realm;

use crate::world::{SERVICE, asking, context, in_own_realm, in_realm, policy, serving};

/// What the host's rules make of a principal that was proved by ticket.
fn mapped(policy: &Policy, principal: &str) -> Result<String, RightsError> {
    let name: PeerName = principal.parse().unwrap();
    map(policy, &name, Proof::KerberosTicket).map(|mapped| mapped.account)
}

#[test]
fn a_ticket_of_our_realm_maps_by_the_rules_of_the_host_and_no_other_does() {
    let names = |realm: &Realm| {
        let with = "kdc = 127.0.0.1:";
        let mapping = "auth_to_local_names = {\n alice = alice-here\n}\n";
        realm.other_configuration("krb5.conf", with, &format!("{mapping}{with}"));
    };
    in_own_realm(
        |kdc| names(kdc),
        |realm| {
            let none = policy("");
            let alice = format!("alice@{}", realm.name());
            assert_eq!(mapped(&none, &alice).unwrap(), "alice-here");
            assert_eq!(mapped(&none, &format!("bob@{}", realm.name())).unwrap(), "bob");
            // The library itself maps a user of any realm whom `auth_to_local_names` names, so it is
            // not asked.
            let unasked = countersign_kerberos::local_name("alice@OTHER.TEST").unwrap();
            assert_eq!(unasked.as_deref(), Some("alice-here"), "there is nothing to guard against");
            for stranger in ["alice@OTHER.TEST", "postgres/db1.example.test@OTHER.TEST"] {
                let error = mapped(&none, stranger).unwrap_err();
                assert!(matches!(error, RightsError::NoRule { .. }), "{error}");
            }
            // A service is no user, and the rules of the host know none for it.
            let error = mapped(&none, &format!("{SERVICE}@{}", realm.name())).unwrap_err();
            assert!(matches!(error, RightsError::NoRule { .. }), "{error}");
            // A certificate that states the principal is no ticket.
            let name: PeerName = alice.parse().unwrap();
            let error = map(&none, &name, Proof::CertificateKerberosName).unwrap_err();
            assert!(matches!(error, RightsError::NoRule { .. }), "{error}");
        },
    );
}

#[test]
fn a_rule_of_the_policy_comes_before_those_of_the_host() {
    in_realm(|realm| {
        let rules = policy(&format!(
            "[[account]]\npeer = \"alice@{0}\"\naccount = \"web\"\nproof = \"kerberos-ticket\"\n",
            realm.name()
        ));
        let alice: PeerName = format!("alice@{}", realm.name()).parse().unwrap();
        let found = map(&rules, &alice, Proof::KerberosTicket).unwrap();
        assert_eq!(found.account, "web");
        assert!(matches!(found.source, AccountSource::Rule(_)));
        assert_eq!(mapped(&rules, &format!("bob@{}", realm.name())).unwrap(), "bob");
    });
}

#[test]
fn the_token_of_a_client_says_who_it_is_and_which_account_acts_for_it() {
    in_realm(|realm| {
        let listener =
            TcpListener::bind_with(&context(&serving(realm, "")), "127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let client = context(&asking(realm, "alice", ""));
        let met = thread::spawn(move || {
            TcpStream::connect_with(&client, address, &SERVICE.parse().unwrap())
        });
        let (stream, _) = listener.accept().unwrap();
        let server = met.join().unwrap().unwrap();

        let token = stream.application_token().unwrap();
        assert_eq!(token.principal().to_string(), format!("alice@{}", realm.name()));
        assert_eq!(token.proof(), Proof::KerberosTicket);
        assert_eq!(token.mapped().unwrap().account, "alice");
        assert!(stream.machine_token().is_none());
        assert!(token.delegated().is_none());
        // And the other way round.
        let token = server.peer_token().unwrap();
        assert_eq!(token.principal().to_string(), format!("{SERVICE}@{}", realm.name()));
    });
}
