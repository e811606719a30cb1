//! What holds when all is well.

use std::time::Duration;

use countersign_kerberos::{Exchange, Terms};

use crate::world::{
    From, OTHER, SERVER, channel, client, give, in_realm, keys, server, service, talk, talk_over,
    work,
};

#[test]
fn both_sides_learn_who_the_other_is() {
    in_realm(|realm| {
        let ending = talk(client(realm, SERVER), server(realm, "server"));
        let (client, server) = (ending.client.unwrap(), ending.server.unwrap());
        assert_eq!(server.principal(), "alice@EXAMPLE.TEST");
        assert_eq!(server.realm(), "EXAMPLE.TEST");
        assert_eq!(server.peer().unwrap().to_string(), "alice@EXAMPLE.TEST");
        assert_eq!(server.service(), &service("host/server.example.test@EXAMPLE.TEST"));
        assert!(server.groups().is_empty());
        assert!(server.delegated().is_none());
        assert_eq!(client.principal(), "host/server.example.test@EXAMPLE.TEST");
        assert_eq!(client.peer().unwrap().to_string(), client.principal());
        // Tickets of this realm are good for ten hours.
        let hours = Duration::from_secs(9 * 3600)..Duration::from_secs(11 * 3600);
        assert!(hours.contains(&client.remaining().unwrap()), "{:?}", client.remaining());
        assert!(hours.contains(&server.remaining().unwrap()), "{:?}", server.remaining());
    });
}

#[test]
fn a_server_of_several_services_knows_which_was_meant() {
    in_realm(|realm| {
        realm.keytab("both", &[SERVER, OTHER]);
        for asked in [SERVER, OTHER] {
            let ending = talk(client(realm, asked), server(realm, "both"));
            assert!(ending.server.unwrap().service().satisfies(&service(asked)));
            assert!(ending.client.unwrap().service().satisfies(&service(asked)));
        }
    });
}

#[test]
fn one_round_trip_and_a_half_is_all() {
    in_realm(|realm| {
        let mut messages = Vec::new();
        talk_over(client(realm, SERVER), server(realm, "server"), |from, wire| {
            if !wire.is_empty() {
                messages.push((from, wire.len()));
            }
        });
        let order: Vec<From> = messages.iter().map(|(from, _)| *from).collect();
        assert_eq!(order, [From::Client, From::Server, From::Client]);
        assert!(messages.iter().all(|(_, length)| *length < 1500), "{messages:?}");
    });
}

#[test]
fn bytes_may_come_one_by_one_and_plaintext_after_the_last_is_left() {
    in_realm(|realm| {
        let (mut client, mut server) = (client(realm, SERVER), server(realm, "server"));
        work(&mut client);
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        for byte in &wire {
            assert_eq!(server.handle_input(&[*byte]), 1);
        }
        // Nothing is taken while there is work.
        assert_eq!(server.handle_input(b"x"), 0);
        work(&mut server);
        let mut wire = Vec::new();
        server.transmit(&mut wire);
        for byte in &wire {
            assert_eq!(client.handle_input(&[*byte]), 1);
        }
        work(&mut client);
        assert!(client.poll().unwrap().is_some());
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        let length = wire.len();
        wire.extend(b"hello");
        assert_eq!(server.handle_input(&wire), length);
        assert!(server.poll().unwrap().is_some());
        assert_eq!(server.handle_input(b"hello"), 0);
        assert!(server.poll().unwrap().is_none());
    });
}

#[test]
fn work_says_whether_it_may_wait() {
    in_realm(|realm| {
        let (mut client, mut server) = (client(realm, SERVER), server(realm, "server"));
        let begin = client.take_work().unwrap();
        assert!(!begin.is_local());
        assert!(client.take_work().is_none());
        client.finish(begin.run());
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        server.handle_input(&wire);
        let judge = server.take_work().unwrap();
        assert!(judge.is_local());
    });
}

#[test]
fn what_came_of_another_exchange_is_never_taken() {
    in_realm(|realm| {
        let (mut one, mut two) = (client(realm, SERVER), client(realm, SERVER));
        let (of_one, of_two) = (one.take_work().unwrap(), two.take_work().unwrap());
        one.finish(of_two.run());
        assert!(one.poll().is_err());
        drop(of_one);
        // Nor is it taken twice, or unasked.
        let mut idle = Exchange::accept(keys(realm, "server"), channel(1), Terms::default());
        let mut three = client(realm, SERVER);
        idle.finish(three.take_work().unwrap().run());
        assert!(idle.poll().is_err());
    });
}

#[test]
fn a_server_says_nothing_until_the_client_has_confirmed() {
    in_realm(|realm| {
        let (mut client, mut server) = (client(realm, SERVER), server(realm, "server"));
        work(&mut client);
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        give(&mut server, &wire);
        assert!(!server.is_concluded());
        assert!(server.poll().unwrap().is_none());
    });
}
