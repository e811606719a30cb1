//! Clocks that are wrong, at one end. Each test runs in two processes then.

use std::thread;
use std::time::Duration;

use countersign_core::{KerberosFailure, KerberosRefusal};
use countersign_kerberos::{Exchange, InitiatorCredential, Proved, Terms};
use countersign_lab::{Realm, elsewhere, peer_of_elsewhere};

use crate::failures::check;
use crate::world::{SERVER, channel, client, in_realm, over, server, service, talk, work};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the client where the clock is another, and the server here.
fn client_elsewhere(
    clock: &str,
    at_client: fn(&Realm, Result<Proved, KerberosFailure>),
    at_server: fn(Result<Proved, KerberosFailure>),
) {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            return at_client(realm, over(&mut stream, client(realm, SERVER)));
        }
        let mut elsewhere = elsewhere(&[], Some(clock));
        at_server(over(&mut elsewhere.stream, server(realm, "server")));
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

#[test]
fn a_ticket_that_has_expired_is_said_so() {
    in_realm(|realm| {
        let cache = realm.ticket("bob", "bob", &["-l", "1s"]);
        thread::sleep(Duration::from_secs(2));
        let bob = InitiatorCredential::cache(&cache);
        let client = Exchange::initiate(&service(SERVER), bob, channel(1), Terms::default());
        let ending = talk(client, server(realm, "server"));
        check!(ending.client.unwrap_err(), KerberosFailure::TicketExpired { .. }, "has expired");
        let reason = KerberosRefusal::TicketExpired;
        let refused = KerberosFailure::RefusedByPeer { reason, detail: None };
        assert_eq!(ending.server.unwrap_err(), refused);
    });
}

#[test]
fn a_client_that_is_behind_has_a_ticket_of_the_future() {
    client_elsewhere(
        "-600s",
        |_, at_client| {
            let failure = at_client.unwrap_err();
            check!(failure, KerberosFailure::TicketNotYetValid { .. }, "not yet valid");
        },
        |at_server| drop(at_server.unwrap_err()),
    );
}

#[test]
fn a_client_that_is_ahead_is_skewed_at_both_ends() {
    client_elsewhere(
        "+600s",
        |_, at_client| {
            let failure = at_client.unwrap_err();
            assert!(
                matches!(
                    &failure,
                    KerberosFailure::RefusedByPeer {
                        reason: KerberosRefusal::ClockSkew,
                        detail: Some(detail),
                    } if detail.contains("Clock skew")
                ),
                "{failure:?}"
            );
        },
        |at_server| {
            check!(at_server.unwrap_err(), KerberosFailure::ClockSkew { .. }, "Clock skew");
        },
    );
}

#[test]
fn a_server_that_is_ahead_is_skewed_at_both_ends() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let failure = over(&mut stream, server(realm, "server")).unwrap_err();
            check!(failure, KerberosFailure::ClockSkew { .. }, "Clock skew");
            return;
        }
        let mut elsewhere = elsewhere(&[], Some("+600s"));
        let failure = over(&mut elsewhere.stream, client(realm, SERVER)).unwrap_err();
        let reason = KerberosRefusal::ClockSkew;
        assert!(
            matches!(&failure, KerberosFailure::RefusedByPeer { reason: said, .. } if *said == reason),
            "{failure:?}"
        );
        drop(elsewhere.stream);
        assert!(elsewhere.process.wait(PATIENCE).unwrap().success());
    });
}

#[test]
fn a_client_that_got_its_ticket_by_its_wrong_clock_is_right_again() {
    client_elsewhere(
        "+600s",
        |realm, at_client| {
            // Without: as above. With a ticket got under this clock, the library knows how far
            // it is off.
            at_client.unwrap_err();
            let cache = realm.ticket("bob", "bob-ahead", &[]);
            let client = Exchange::initiate(
                &service(SERVER),
                InitiatorCredential::cache(&cache),
                channel(1),
                Terms::default(),
            );
            let mut again =
                std::net::TcpStream::connect(std::fs::read_to_string(realm.path("again")).unwrap())
                    .unwrap();
            over(&mut again, client).unwrap();
        },
        |at_server| {
            at_server.unwrap_err();
            let realm = Realm::of_environment().unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            std::fs::write(realm.path("again"), address).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            over(&mut stream, server(&realm, "server")).unwrap();
        },
    );
}

#[test]
fn a_small_skew_is_allowed() {
    client_elsewhere(
        "+120s",
        |_, at_client| drop(at_client.unwrap()),
        |at_server| drop(at_server.unwrap()),
    );
}

#[test]
fn a_server_may_allow_less_skew() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let failure = over(&mut stream, server(realm, "server")).unwrap_err();
            check!(failure, KerberosFailure::ClockSkew { .. }, "Clock skew");
            return;
        }
        let part = "forwardable = true";
        let strict = "forwardable = true\n  clockskew = 1";
        let configuration = realm.other_configuration("strict.conf", part, strict);
        let mut elsewhere = elsewhere(&[("KRB5_CONFIG", &configuration)], None);
        let mut client = client(realm, SERVER);
        work(&mut client);
        thread::sleep(Duration::from_secs(3));
        over(&mut elsewhere.stream, client).unwrap_err();
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

#[test]
fn a_ticket_is_good_a_little_longer_where_clocks_differ() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let cache = InitiatorCredential::cache(&realm.file("short"));
            let asked = service(SERVER);
            let (channel, terms) = (channel(1), Terms::default());
            let client = Exchange::initiate(&asked, cache, channel, terms);
            over(&mut stream, client).unwrap();
            return;
        }
        realm.ticket("bob", "short", &["-l", "2s"]);
        realm.service_ticket("short", SERVER);
        thread::sleep(Duration::from_secs(3));
        let mut elsewhere = elsewhere(&[], Some("-20s"));
        let proved = over(&mut elsewhere.stream, server(realm, "server"));
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(PATIENCE).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
        // Which is what the server counts as the rest of it.
        assert!(proved.unwrap().remaining().unwrap() <= Duration::from_secs(300));
    });
}
