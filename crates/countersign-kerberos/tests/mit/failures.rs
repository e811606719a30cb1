//! Each way to fail has a kind of its own, and a side that is not at fault learns of it.

use countersign_core::{KerberosFailure, KerberosRefusal};
use countersign_kerberos::{AcceptorCredential, Exchange, InitiatorCredential, Realms, Terms};
use countersign_lab::Realm;

use crate::world::{
    From, OTHER, SERVER, channel, client, client_with, give, in_own_realm, in_realm, keys, outcome,
    server, service, talk, talk_over, work,
};

/// What a client comes to that gets no ticket; the server is told that it has none.
#[track_caller]
fn without_ticket(realm: &Realm, asked: &str, credential: InitiatorCredential) -> KerberosFailure {
    let terms = Terms::default()
        .with_realms(Realms::Listed(["EXAMPLE.TEST", "OTHER.TEST"].map(str::to_owned).to_vec()));
    let client = Exchange::initiate(&service(asked), credential, channel(1), terms);
    let ending = talk(client, server(realm, "server"));
    let refused =
        KerberosFailure::RefusedByPeer { reason: KerberosRefusal::Ticketless, detail: None };
    assert_eq!(ending.server.unwrap_err(), refused);
    let failure = ending.client.unwrap_err();
    assert!(!failure.hint().is_empty());
    failure
}

/// Checks that a failure is of a kind, and says what happened.
macro_rules! check {
    ($failure:expr, $kind:pat, $says:expr) => {{
        let failure = $failure;
        assert!(matches!(failure, $kind), "{failure:?}");
        assert!(failure.to_string().contains($says), "{failure}");
    }};
}
pub(crate) use check;

#[test]
fn no_cache_is_no_credentials() {
    in_realm(|realm| {
        let nowhere = InitiatorCredential::cache("FILE:/nonexistent/cc");
        let failure = without_ticket(realm, SERVER, nowhere);
        check!(failure, KerberosFailure::NoCredentials { .. }, "FILE:/nonexistent/cc");
        // In this realm nobody has made the default cache.
        let failure = without_ticket(realm, SERVER, InitiatorCredential::ambient());
        check!(failure, KerberosFailure::NoCredentials { .. }, "No Kerberos credentials available");
    });
}

#[test]
fn an_unknown_service_is_named() {
    in_realm(|realm| {
        let alice = InitiatorCredential::cache(&realm.file("alice"));
        let failure = without_ticket(realm, "host/nobody.example.test", alice);
        check!(
            failure,
            KerberosFailure::UnknownService { .. },
            "host/nobody.example.test@EXAMPLE.TEST"
        );
    });
}

#[test]
fn an_unknown_realm_is_named() {
    in_realm(|realm| {
        let alice = InitiatorCredential::cache(&realm.file("alice"));
        let failure = without_ticket(realm, "host/server.example.test@OTHER.TEST", alice);
        check!(failure, KerberosFailure::UnknownRealm { .. }, "OTHER.TEST");
    });
}

#[test]
fn a_kdc_that_is_not_there_is_unreachable() {
    // Alice has no ticket for the service yet, and the KDC is where nobody listens, or nowhere.
    let fill = |kdc: &countersign_lab::Kdc| {
        kdc.add(&["alice", SERVER]);
        kdc.keytab("server", &[SERVER]);
        kdc.ticket("alice", "alice", &[]);
    };
    in_own_realm(fill, |realm| {
        if countersign_lab::peer_of_elsewhere().is_some() {
            let alice = InitiatorCredential::cache(&realm.file("alice"));
            let failure = without_ticket(realm, SERVER, alice);
            check!(failure, KerberosFailure::KdcUnreachable { .. }, "Cannot contact any KDC");
            return;
        }
        let text = std::fs::read_to_string(realm.path("krb5.conf")).unwrap();
        let kdc = text.lines().find(|line| line.starts_with("    kdc = ")).unwrap();
        let nobody = format!("    kdc = 127.0.0.1:{}", countersign_lab::free_port());
        for instead in [nobody.as_str(), "    kdc = kdc.invalid"] {
            let other = realm.other_configuration("unreachable.conf", kdc, instead);
            let mut elsewhere = countersign_lab::elsewhere(&[("KRB5_CONFIG", &other)], None);
            let status = elsewhere.process.wait(std::time::Duration::from_secs(60)).unwrap();
            assert!(status.success(), "{}", elsewhere.process.said());
        }
    });
}

#[test]
fn a_service_that_is_a_user_is_refused_by_the_kdc() {
    in_own_realm(
        |kdc| {
            kdc.administer("addprinc -randkey -allow_svr host/user.example.test\n");
            kdc.add(&["alice", SERVER]);
            kdc.keytab("server", &[SERVER]);
            kdc.ticket("alice", "alice", &[]);
        },
        |realm| {
            let alice = InitiatorCredential::cache(&realm.file("alice"));
            let failure = without_ticket(realm, "host/user.example.test", alice);
            check!(failure, KerberosFailure::UserToUser { .. }, "user to user");
        },
    );
}

#[test]
fn a_keytab_that_is_not_there_is_seen_when_the_server_starts() {
    in_realm(|realm| {
        let load = |keytab: &str, services: &[_]| {
            AcceptorCredential::load(Some(keytab), services).unwrap_err()
        };
        let failure = load("/nonexistent/keytab", &[]);
        check!(failure, KerberosFailure::KeytabMissing { .. }, "FILE:/nonexistent/keytab");
        std::fs::write(realm.path("empty"), [5, 2]).unwrap();
        let failure = load(&realm.file("empty"), &[]);
        check!(failure, KerberosFailure::KeytabMissing { .. }, "no keys");
        std::fs::write(realm.path("garbage"), b"garbage that is no keytab").unwrap();
        let failure = load(&realm.file("garbage"), &[]);
        check!(failure, KerberosFailure::KeytabMissing { .. }, "keytab");
    });
}

#[test]
fn a_service_without_key_is_seen_when_the_server_starts() {
    in_realm(|realm| {
        let load = |services: &[_]| AcceptorCredential::load(Some(&realm.file("other")), services);
        let failure = load(&[service(OTHER), service(SERVER)]).unwrap_err();
        check!(
            &failure,
            KerberosFailure::NotInKeytab { .. },
            "no key for host/server.example.test"
        );
        check!(failure, KerberosFailure::NotInKeytab { .. }, OTHER);
        let loaded = load(&[service(OTHER)]).unwrap();
        assert_eq!(loaded.services(), [service("HTTP/other.example.test@EXAMPLE.TEST")]);
        assert!(!loaded.is_proxied());
        let alice = AcceptorCredential::load(Some(&realm.file("alice.client.keytab")), &[]);
        check!(alice.unwrap_err(), KerberosFailure::NotInKeytab { .. }, "no service");
    });
}

#[test]
fn a_service_that_is_not_ours_is_refused_before_its_ticket_is_looked_at() {
    in_realm(|realm| {
        let ending = talk(client(realm, SERVER), server(realm, "other"));
        let failure = ending.server.unwrap_err();
        check!(
            failure,
            KerberosFailure::WrongService { .. },
            "HTTP/other.example.test@EXAMPLE.TEST"
        );
        let failure = ending.client.unwrap_err();
        let refused = KerberosRefusal::WrongService;
        assert_eq!(failure, KerberosFailure::RefusedByPeer { reason: refused, detail: None });
    });
}

#[test]
fn a_ticket_for_another_service_does_not_decrypt() {
    in_realm(|realm| {
        // Somebody on the way claims that the other service was asked for.
        let lie = |from, wire: &mut Vec<u8>| {
            if from == From::Client && wire.get(4) == Some(&b'T') {
                *wire = asking_instead(wire, OTHER);
            }
        };
        let ending = talk_over(client(realm, SERVER), server(realm, "other"), lie);
        check!(
            ending.server.unwrap_err(),
            KerberosFailure::WrongKey { .. },
            "Cannot decrypt ticket"
        );
        let failure = ending.client.unwrap_err();
        let expected = KerberosRefusal::WrongKey;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason, detail: Some(detail) }
                if *reason == expected && detail.contains("isn't for us")),
            "{failure:?}"
        );
        // The same where the keytab has both keys.
        realm.keytab("both-keys", &[SERVER, OTHER]);
        let ending = talk_over(client(realm, SERVER), server(realm, "both-keys"), lie);
        check!(
            ending.server.unwrap_err(),
            KerberosFailure::WrongKey { .. },
            "Cannot decrypt ticket"
        );
        let failure = ending.client.unwrap_err();
        assert!(matches!(
            failure,
            KerberosFailure::RefusedByPeer { reason: KerberosRefusal::WrongKey, .. }
        ));
    });
}

/// The same request, for another service by name.
pub(crate) fn asking_instead(request: &[u8], name: &str) -> Vec<u8> {
    let old = usize::from(u16::from_be_bytes([request[5], request[6]]));
    let token = &request[7 + old..];
    let length = u16::try_from(name.len()).unwrap().to_be_bytes();
    let body = [length.as_slice(), name.as_bytes(), token].concat();
    let head = u32::try_from(body.len()).unwrap().to_be_bytes();
    [head.as_slice(), b"T", &body].concat()
}

#[test]
fn only_allowed_realms_come_in() {
    in_realm(|realm| {
        let only = |name: &str| Terms::default().with_realms(Realms::Listed(vec![name.to_owned()]));
        let accept = |terms| Exchange::accept(keys(realm, "server"), channel(1), terms);
        let ending = talk(client(realm, SERVER), accept(only("OTHER.TEST")));
        check!(ending.server.unwrap_err(), KerberosFailure::RealmNotAllowed { .. }, "EXAMPLE.TEST");
        let reason = KerberosRefusal::RealmNotAllowed;
        let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
        assert_eq!(ending.client.unwrap_err(), refused);
        // A client judges the server's realm before it asks the KDC.
        let ending = talk(
            client_with(realm, SERVER, channel(1), only("OTHER.TEST")),
            accept(Terms::default()),
        );
        check!(ending.client.unwrap_err(), KerberosFailure::RealmNotAllowed { .. }, "OTHER.TEST");
        let ending = talk(
            client_with(realm, SERVER, channel(1), only("EXAMPLE.TEST")),
            accept(only("EXAMPLE.TEST")),
        );
        ending.server.unwrap();
    });
}

#[test]
fn what_is_no_message_or_comes_out_of_turn_breaks_the_protocol() {
    in_realm(|realm| {
        let check_server = |wire: &[u8], says: &str| {
            let mut server = server(realm, "server");
            give(&mut server, wire);
            check!(outcome(&mut server).unwrap_err(), KerberosFailure::Protocol { .. }, says);
        };
        check_server(b"GET / HTTP/1.1\r\n\r\n", "unknown message");
        check_server(&[0, 0, 0, 0, b'M'], "a confirmation out of turn");
        check_server(&[0, 0, 0, 2, b'R', 0, 0], "a reply out of turn");
        check_server(&[0xff, 0xff, 0xff, 0xff, b'T'], "longer than any");
        check_server(&[0, 0, 0, 5, b'T', 0, 3, b'a', b'@', b'b'], "no service");
        check_server(&[0, 0, 0, 4, b'T', 0, 2, 0xff, 0xfe], "no service");
        for wire in [[0, 0, 0, 0, b'M'].as_slice(), &[0, 0, 0, 2, b'T', 0, 0], b"garbage"] {
            let mut client = client(realm, SERVER);
            work(&mut client);
            give(&mut client, wire);
            check!(outcome(&mut client).unwrap_err(), KerberosFailure::Protocol { .. }, "protocol");
        }
        // A server that sends something else than an AP-REP.
        let mut client = client(realm, SERVER);
        work(&mut client);
        give(&mut client, &[0, 0, 0, 5, b'R', 0, 1, b'x', b'y', b'z']);
        check!(outcome(&mut client).unwrap_err(), KerberosFailure::Protocol { .. }, "no AP-REP");
        // A client that sends something else than an AP-REQ.
        let mut server = server(realm, "server");
        let name = [b"\0\x18".as_slice(), SERVER.as_bytes(), b"garbage"].concat();
        give(&mut server, &[[0, 0, 0, 33].as_slice(), b"T", &name].concat());
        check!(outcome(&mut server).unwrap_err(), KerberosFailure::Protocol { .. }, "no AP-REQ");
    });
}

#[test]
fn a_refusal_is_the_end_whatever_comes_with_it() {
    in_realm(|realm| {
        // An AP-REP that is good, in the message that refuses.
        let ending = talk_over(client(realm, SERVER), server(realm, "server"), |from, wire| {
            if from == From::Server && wire.get(4) == Some(&b'R') {
                let code = usize::from(u16::from_be_bytes([wire[5], wire[6]]));
                let body = [&[0], &wire[7 + code..]].concat();
                let length = u32::try_from(body.len()).unwrap().to_be_bytes();
                *wire = [length.as_slice(), b"E", &body].concat();
            }
        });
        let reason = KerberosRefusal::Other;
        let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
        assert_eq!(ending.client.unwrap_err(), refused);
        ending.server.unwrap_err();
    });
}
