//! Who is refused, why, and what the other side learns of it.

use std::io::{Read, Write};

use countersign::core::{
    Fault, HandshakeError, KerberosFailure, KerberosRefusal, PlanError, SecurityFlags,
    SecurityProtocol, SecuritySettings,
};
use countersign::{Error, Socket, TcpListener};
use countersign_lab::Leaf;

use crate::world::{
    OTHER, ROOT, SERVICE, Server, asking, context, failure, in_own_realm, in_realm, peer,
    round_trip, serving, serving_from, showing,
};

#[test]
fn a_service_that_the_kdc_does_not_know() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, "postgres/nobody.example.test"));
        assert!(matches!(why, KerberosFailure::UnknownService { .. }), "{why}");
        assert!(server.saw().is_err());
    });
}

#[test]
fn a_legitimate_service_that_is_another_one() {
    in_realm(|realm| {
        // The trusted machine in the middle (SPEC 5.3): its key is good, for something else.
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, OTHER));
        assert!(matches!(why, KerberosFailure::RefusedByPeer { .. }), "{why}");
        assert!(matches!(server.saw(), Err(HandshakeError::Kerberos(_))));

        // It holds the key, too, but this listener is not that service.
        let shared = Server::start(&context(&serving_from(&realm.file("both"), "")));
        failure(shared.meet(&client, OTHER));
        assert!(matches!(shared.saw(), Err(HandshakeError::Kerberos(_))));
        round_trip(&shared.meet(&client, SERVICE).unwrap());
    });
}

#[test]
fn a_client_without_a_ticket() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let why = failure(server.meet(&context(&asking(realm, "none", "")), SERVICE));
        assert!(matches!(why, KerberosFailure::NoCredentials { .. }), "{why}");
        assert_eq!(why.fault(), Fault::Caller);
        assert!(why.hint().contains("kinit"), "{}", why.hint());
    });
}

#[test]
fn a_server_without_a_keytab_or_a_name_does_not_listen() {
    in_realm(|realm| {
        let listen = |policy: &str| TcpListener::bind_with(&context(policy), "127.0.0.1:0");
        let why = failure(listen(&serving_from(&realm.file("missing"), "")));
        assert!(matches!(why, KerberosFailure::KeytabMissing { .. }), "{why}");
        let why = failure(listen(&serving(realm, "services = ['nfs/db1.example.test']\n")));
        assert!(matches!(why, KerberosFailure::NotInKeytab { .. }), "{why}");
        let nameless = format!("[kerberos]\nserver = 'prefer'\nkeytab = '{}'\n", realm.file("db1"));
        assert!(matches!(listen(&nameless), Err(Error::NoService)));
    });
}

#[test]
fn principals_of_another_realm() {
    in_realm(|realm| {
        let strict = serving(realm, "realms = ['OTHER.TEST']\n");
        let server = Server::start(&context(&strict));
        let client = context(&asking(realm, "alice", ""));
        let why = failure(server.meet(&client, SERVICE));
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::RealmNotAllowed, .. }
            ),
            "{why}"
        );
        let why = server.saw().unwrap_err();
        assert!(
            matches!(&why, HandshakeError::Kerberos(KerberosFailure::RealmNotAllowed { realm, .. })
                if realm == "EXAMPLE.TEST"),
            "{why}"
        );
        let nobody = Server::start(&context(&serving(realm, "realms = []\n")));
        failure(nobody.meet(&client, SERVICE));
    });
}

#[test]
fn allow_rules_judge_principals_and_realms() {
    in_realm(|realm| {
        let allowing = |peers: &str| {
            let rule = format!("[[allow]]\npeers = ['{peers}']\n");
            Server::start(&context(&serving(realm, &rule)))
        };
        let (alice, bob) =
            (context(&asking(realm, "alice", "")), context(&asking(realm, "bob", "")));
        for peers in ["alice@EXAMPLE.TEST", "*@EXAMPLE.TEST", "*"] {
            let server = allowing(peers);
            round_trip(&server.meet(&alice, SERVICE).unwrap());
            assert_eq!(peer(&server.saw().unwrap()), "alice@EXAMPLE.TEST by Kerberos ticket");
        }
        let server = allowing("alice@EXAMPLE.TEST");
        let why = failure(server.meet(&bob, SERVICE));
        assert!(
            matches!(
                &why,
                KerberosFailure::RefusedByPeer { reason: KerberosRefusal::NotAllowed, .. }
            ),
            "{why}"
        );
        assert!(why.hint().contains("[[allow]]"), "{}", why.hint());
        let why = server.saw().unwrap_err();
        assert_eq!(
            why.to_string(),
            "bob@EXAMPLE.TEST is not allowed here: allowed are alice@EXAMPLE.TEST"
        );
        let server = allowing("*@OTHER.TEST");
        failure(server.meet(&alice, SERVICE));
        assert!(matches!(server.saw(), Err(HandshakeError::NotAllowed { .. })));
    });
}

#[test]
fn spec_5_6_the_program_names_who_may_connect() {
    in_realm(|realm| {
        let listener =
            TcpListener::bind_with(&context(&serving(realm, "")), "127.0.0.1:0").unwrap();
        let anywhere = "0.0.0.0:0".parse().unwrap();
        listener.set_peer_target_name(anywhere, "bob@EXAMPLE.TEST".parse().unwrap()).unwrap();
        let address = listener.local_addr();
        for (cache, is_served) in [("alice", false), ("bob", true)] {
            let client = context(&asking(realm, cache, ""));
            std::thread::spawn(move || {
                let name = SERVICE.parse().unwrap();
                let stream = countersign::TcpStream::connect_with(&client, address, &name);
                stream.map(|mut stream| stream.read(&mut [0; 1]))
            });
            let event = listener.next_event().unwrap();
            let served = matches!(event, countersign::Incoming::Accepted(..));
            assert_eq!(served, is_served, "{cache}");
        }
    });
}

#[test]
fn who_requires_a_certificate_is_content_with_a_ticket() {
    in_realm(|realm| {
        let both = serving(realm, "[server]\nclient-certificates = 'require'\n");
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let server = Server::start(&showing(&both, &db1));
        round_trip(&server.meet(&context(&asking(realm, "alice", "")), SERVICE).unwrap());
        server.saw().unwrap();
        let mut anonymous = server.meet(&context(""), SERVICE).unwrap();
        assert!(anonymous.read(&mut [0; 1]).is_err());
        assert_eq!(server.saw().unwrap_err(), HandshakeError::NoCertificate);
    });
}

#[test]
fn who_requires_tickets_turns_others_away() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let server = Server::start(&showing(&serving(realm, "server = 'require'\n"), &db1));
        let error = server.meet(&context(""), SERVICE).unwrap_err();
        let refused = HandshakeError::RefusedByPeer { alert: "no_application_protocol".to_owned() };
        assert!(matches!(&error, Error::Handshake { source, .. } if *source == refused), "{error}");
        assert_eq!(server.saw().unwrap_err(), HandshakeError::KerberosRequired);

        let plain = Server::start(&showing("", &db1));
        let error = plain.meet(&context(&asking(realm, "alice", "")), SERVICE).unwrap_err();
        assert!(
            matches!(error, Error::Handshake { source: HandshakeError::KerberosRequired, .. }),
            "{error}"
        );
    });
}

#[test]
fn user_to_user_is_refused_in_so_many_words() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let error = server.meet(&client, "bob@EXAMPLE.TEST").unwrap_err();
        assert!(matches!(error, Error::Plan(PlanError::KerberosCannot { .. })), "{error}");
        assert!(error.to_string().contains("user-to-user is not provided"), "{error}");
        assert!(server.saw_nobody(), "it was refused before a connection");
    });
}

#[test]
fn a_kerberos_failure_never_opens_the_way_into_cleartext() {
    in_realm(|realm| {
        let insecure =
            SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::ALLOW_INSECURE);
        let insecure = insecure.unwrap();
        let server = Server::start(&context(&serving(realm, "")));
        for (cache, asked) in [("alice", OTHER), ("alice", "postgres/nobody.example.test")] {
            let client = context(&asking(realm, cache, "client = 'prefer'\n"));
            let mut socket = Socket::stream(&client, server.address).unwrap();
            socket.set_security(Some(insecure.clone())).unwrap();
            socket.set_peer_target_name(server.address, asked.parse().unwrap()).unwrap();
            failure(socket.connect(server.address));
            assert!(server.saw().is_err(), "{asked}");
        }
        // Nor does one over who has no ticket, at a peer that cannot do security.
        let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = plain.local_addr().unwrap();
        let client = context(&asking(realm, "alice", ""));
        let mut socket = Socket::stream(&client, address).unwrap();
        socket.set_security(Some(insecure)).unwrap();
        socket.set_peer_target_name(address, SERVICE.parse().unwrap()).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = plain.accept().unwrap();
            let _ = stream.write_all(b"220 hello\r\n");
            let _ = stream.read(&mut [0; 1024]);
        });
        assert!(socket.connect(address).is_err(), "required, so never in clear");
    });
}

#[test]
fn an_expired_ticket_says_so_and_prefer_goes_on_without() {
    in_own_realm(
        |kdc| drop(kdc.ticket("alice", "short", &["-l", "1s"])),
        |realm| {
            std::thread::sleep(std::time::Duration::from_secs(2));
            let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
            let server = Server::start(&showing(&serving(realm, ""), &db1));
            let why = failure(server.meet(&context(&asking(realm, "short", "")), SERVICE));
            assert!(
                matches!(
                    why,
                    KerberosFailure::TicketExpired { .. } | KerberosFailure::NoCredentials { .. }
                ),
                "{why}"
            );
            let lax = context(&asking(realm, "short", "client = 'prefer'\n"));
            let stream = server.meet(&lax, SERVICE).unwrap();
            assert!(peer(stream.evidence().unwrap()).ends_with("certificate dNSName"));
        },
    );
}
