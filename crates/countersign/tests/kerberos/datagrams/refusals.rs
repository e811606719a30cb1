//! Who is refused, why, and what the other side learns of it.

use std::time::Duration;

use countersign::core::{
    Fault, HandshakeError, KerberosFailure, KerberosRefusal, PlanError, WsaError,
};
use countersign::{Error, UdpSocket};
use countersign_lab::{Leaf, free_port};

use super::{Echo, evidence, meet, round_trip};
use crate::world::{
    OTHER, ROOT, SERVICE, asking, context, failure, in_own_realm, in_realm, peer, serving,
    serving_from, showing,
};

/// Returns why a handshake failed.
#[track_caller]
fn refused<T>(result: Result<T, Error>) -> HandshakeError {
    match result {
        Err(Error::Handshake { source, .. }) => source,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it worked"),
    }
}

#[test]
fn a_service_that_the_kdc_does_not_know() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, "postgres/nobody.example.test"));
        assert!(matches!(why, KerberosFailure::UnknownService { .. }), "{why}");
        assert!(server.saw().is_err());
    });
}

#[test]
fn spec_5_3_a_legitimate_service_that_is_another_one() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, OTHER));
        assert!(matches!(why, KerberosFailure::RefusedByPeer { .. }), "{why}");
        assert!(matches!(server.saw(), Err(HandshakeError::Kerberos(_))));

        // It holds the key, too, but this socket is not that service.
        let shared = Echo::start(&context(&serving_from(&realm.file("both"), "")));
        failure(shared.meet(&client, OTHER));
        let why = shared.saw().unwrap_err();
        assert!(
            matches!(&why, HandshakeError::Kerberos(KerberosFailure::WrongService { .. })),
            "{why}"
        );
        round_trip(&shared.meet(&client, SERVICE).unwrap());
    });
}

#[test]
fn a_client_without_a_ticket() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let why = failure(server.meet(&context(&asking(realm, "none", "")), SERVICE));
        assert!(matches!(why, KerberosFailure::NoCredentials { .. }), "{why}");
        assert_eq!(why.fault(), Fault::Caller);
        assert!(why.hint().contains("kinit"), "{}", why.hint());
        let why = server.saw().unwrap_err();
        assert!(
            matches!(
                &why,
                HandshakeError::Kerberos(KerberosFailure::RefusedByPeer {
                    reason: KerberosRefusal::Ticketless,
                    ..
                })
            ),
            "{why}"
        );
    });
}

#[test]
fn who_requires_tickets_turns_others_away() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let server = Echo::start(&showing(&serving(realm, "server = 'require'\n"), &db1));
        let why = refused(server.meet(&showing("", &laptop), SERVICE));
        let expected =
            HandshakeError::RefusedByPeer { alert: "no_application_protocol".to_owned() };
        assert_eq!(why, expected);
        assert_eq!(server.saw().unwrap_err(), HandshakeError::KerberosRequired);

        let plain = Echo::start(&showing("", &db1));
        let client = showing(&asking(realm, "alice", ""), &laptop);
        assert_eq!(refused(plain.meet(&client, SERVICE)), HandshakeError::KerberosRequired);
    });
}

/// A server that has a keytab and no certificate cannot be known by one.
#[test]
fn who_takes_no_part_in_kerberos_is_refused_by_a_server_without_a_certificate() {
    in_realm(|realm| {
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let server = Echo::start(&context(&serving(realm, "")));
        refused(server.meet(&showing("", &laptop), SERVICE));
        assert_eq!(server.saw().unwrap_err(), HandshakeError::KerberosRequired);
        let poor = asking(realm, "none", "client = 'prefer'\n");
        refused(server.meet(&showing(&poor, &laptop), SERVICE));
        assert_eq!(server.saw().unwrap_err(), HandshakeError::KerberosRequired);
    });
}

#[test]
fn a_proof_that_was_begun_is_final_whatever_certificates_there_are() {
    in_realm(|realm| {
        let both = Leaf::new().dns("db1.example.test").dns("web.example.test");
        let server = Echo::start(&showing(&serving(realm, ""), &ROOT.issue(both)));
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let client = showing(&asking(realm, "alice", "client = 'prefer'\n"), &laptop);
        let why = failure(server.meet(&client, OTHER));
        assert!(matches!(why, KerberosFailure::RefusedByPeer { .. }), "{why}");
        assert!(matches!(server.saw(), Err(HandshakeError::Kerberos(_))));
    });
}

#[test]
fn an_expired_ticket_says_so_and_prefer_goes_on_without() {
    in_own_realm(
        |kdc| drop(kdc.ticket("alice", "short", &["-l", "1s"])),
        |realm| {
            std::thread::sleep(Duration::from_secs(2));
            let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
            let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
            let server = Echo::start(&showing(&serving(realm, ""), &db1));
            let why = failure(server.meet(&context(&asking(realm, "short", "")), SERVICE));
            assert!(
                matches!(
                    why,
                    KerberosFailure::TicketExpired { .. } | KerberosFailure::NoCredentials { .. }
                ),
                "{why}"
            );
            let lax = showing(&asking(realm, "short", "client = 'prefer'\n"), &laptop);
            let socket = server.meet(&lax, SERVICE).unwrap();
            assert!(peer(&evidence(&socket)).ends_with("certificate dNSName"));
        },
    );
}

#[test]
fn principals_of_another_realm() {
    in_realm(|realm| {
        let strict = Echo::start(&context(&serving(realm, "realms = ['OTHER.TEST']\n")));
        let why = failure(strict.meet(&context(&asking(realm, "alice", "")), SERVICE));
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::RealmNotAllowed, .. }
            ),
            "{why}"
        );
        let why = strict.saw().unwrap_err();
        assert!(
            matches!(&why, HandshakeError::Kerberos(KerberosFailure::RealmNotAllowed { .. })),
            "{why}"
        );
    });
}

#[test]
fn allow_rules_judge_principals_and_say_so() {
    in_realm(|realm| {
        let rule = "[[allow]]\npeers = ['alice@EXAMPLE.TEST']\n";
        let server = Echo::start(&context(&serving(realm, rule)));
        let alice = context(&asking(realm, "alice", ""));
        round_trip(&server.meet(&alice, SERVICE).unwrap());
        assert_eq!(peer(&server.saw().unwrap()), "alice@EXAMPLE.TEST by Kerberos ticket");
        let why = failure(server.meet(&context(&asking(realm, "bob", "")), SERVICE));
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::NotAllowed, .. }
            ),
            "{why}"
        );
        assert_eq!(
            server.saw().unwrap_err().to_string(),
            "bob@EXAMPLE.TEST is not allowed here: allowed are alice@EXAMPLE.TEST"
        );
    });
}

#[test]
fn spec_5_6_the_program_names_who_may_greet_it() {
    in_realm(|realm| {
        let server = UdpSocket::bind_with(&context(&serving(realm, "")), "127.0.0.1:0").unwrap();
        let clients: Vec<_> = ["alice", "bob"]
            .into_iter()
            .map(|cache| {
                let client = context(&asking(realm, cache, ""));
                let client = UdpSocket::bind_with(&client, "127.0.0.1:0").unwrap();
                let bob = "bob@EXAMPLE.TEST".parse().unwrap();
                server.set_peer_target_name(client.local_addr().unwrap(), bob).unwrap();
                client
            })
            .collect();
        let server = Echo::of(server);
        for (client, is_served) in clients.iter().zip([false, true]) {
            client.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
            assert_eq!(client.send_to(b"hello", server.address).is_ok(), is_served);
            assert_eq!(server.saw().is_ok(), is_served);
        }
    });
}

#[test]
fn who_requires_a_certificate_is_content_with_a_ticket() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let both = serving(realm, "[server]\nclient-certificates = 'require'\n");
        let server = Echo::start(&showing(&both, &db1));
        round_trip(&server.meet(&context(&asking(realm, "alice", "")), SERVICE).unwrap());
        server.saw().unwrap();
        refused(server.meet(&context(""), SERVICE));
        assert_eq!(server.saw().unwrap_err(), HandshakeError::NoCertificate);
    });
}

#[test]
fn user_to_user_is_refused_before_anything_is_sent() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let error =
            server.meet(&context(&asking(realm, "alice", "")), "bob@EXAMPLE.TEST").unwrap_err();
        assert!(matches!(error, Error::Plan(PlanError::KerberosCannot { .. })), "{error}");
        assert!(server.saw_nobody(), "it was refused before a greeting");
    });
}

#[test]
fn a_server_without_a_keytab_or_a_name_takes_no_port_by_its_number() {
    in_realm(|realm| {
        let bind = |policy: &str| {
            let address = format!("127.0.0.1:{}", free_port());
            UdpSocket::bind_with(&context(policy), address.as_str())
        };
        drop(bind(&serving(realm, "")).unwrap());
        let missing = serving_from(&realm.file("missing"), "");
        let why = failure(bind(&missing));
        assert!(matches!(why, KerberosFailure::KeytabMissing { .. }), "{why}");
        let why = failure(bind(&serving(realm, "services = ['nfs/db1.example.test']\n")));
        assert!(matches!(why, KerberosFailure::NotInKeytab { .. }), "{why}");
        let nameless = format!("[kerberos]\nserver = 'prefer'\nkeytab = '{}'\n", realm.file("db1"));
        assert!(matches!(bind(&nameless), Err(Error::NoService)));

        // One that only asks takes any port, and needs no keys; nor are strangers served there.
        let both = format!("{missing}{}", asking(realm, "alice", "").replace("[kerberos]\n", ""));
        let client = UdpSocket::bind_with(&context(&both), "127.0.0.1:0").unwrap();
        failure(client.check_keys());
        let server = Echo::start(&context(&serving(realm, "")));
        client.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        client.send_to(b"hello", server.address).unwrap();
        let deaf = Echo::of(client);
        let limits = "[limits]\nhandshake-timeout-ms = 1000\n";
        let stranger = context(&asking(realm, "alice", limits));
        let error = meet(&stranger, deaf.address, SERVICE).unwrap_err();
        assert_eq!(error.wsa(), WsaError::TimedOut, "{error}");
        let why = deaf.saw().map(|evidence| peer(&evidence));
        // What it had sent itself comes back to it, too.
        let why = if why.is_ok() { deaf.saw().map(|it| peer(&it)) } else { why };
        let why = why.unwrap_err();
        assert!(
            matches!(&why, HandshakeError::OurSide { what } if what.contains("keytab")),
            "{why}"
        );
    });
}
