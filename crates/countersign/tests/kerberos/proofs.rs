//! Who proves what, and how both ends know.

use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::core::{Credentials, Proof, QueryTemplate, SaFields, SecuritySettings};
use countersign::{Error, Socket};
use countersign_lab::Leaf;
use countersign_sys::wait;

use crate::world::{
    OTHER, PATIENCE, ROOT, SERVICE, Server, asking, context, in_own_realm, in_realm, peer,
    round_trip, serving, serving_from, showing,
};

#[test]
fn alice_reaches_a_service_by_its_name_and_nobody_has_a_certificate() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        for asked in
            [SERVICE, "postgres/db1.example.test@EXAMPLE.TEST", "postgres/DB1.Example.Test."]
        {
            let stream = server.meet(&client, asked).unwrap();
            let evidence = stream.evidence().unwrap();
            assert!(peer(evidence).starts_with("postgres/db1.example.test"), "{asked}");
            assert!(peer(evidence).ends_with(" by Kerberos ticket"), "{asked}");
            assert!(evidence.is_peer_name_verified() && evidence.machine().is_none());
            let theirs = server.saw().unwrap();
            assert_eq!(peer(&theirs), "alice@EXAMPLE.TEST by Kerberos ticket");
            assert_eq!(theirs.application(), theirs.peer());
            assert_eq!(theirs.session(), evidence.session());
            assert!(theirs.expires() > Some(theirs.since()));
            round_trip(&stream);
        }
    });
}

#[test]
fn bulk_passes_both_ways_and_an_end_is_an_end() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let stream = server.meet(&context(&asking(realm, "alice", "")), SERVICE).unwrap();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|i| i as u8).collect();
        let writer = stream.clone();
        let expected = sent.clone();
        let thread = thread::spawn(move || {
            (&writer).write_all(&sent).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        (&stream).read_to_end(&mut got).unwrap();
        thread.join().unwrap();
        assert!(got == expected, "{} bytes came back", got.len());
    });
}

#[test]
fn a_host_is_a_machine_and_uses_its_own_keys() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let keys = format!(
            "[kerberos]\nclient = 'require'\nclient-keytab = '{}'\n\
             principal = 'host/laptop.example.test@EXAMPLE.TEST'\n",
            realm.file("laptop")
        );
        let client = context(&keys);
        for _ in 0..2 {
            round_trip(&server.meet(&client, SERVICE).unwrap());
            let theirs = server.saw().unwrap();
            assert_eq!(peer(&theirs), "host/laptop.example.test@EXAMPLE.TEST by Kerberos ticket");
            assert!(theirs.application().is_none() && theirs.machine().is_some());
        }
    });
}

#[test]
fn certificate_and_ticket_are_both_in_the_evidence() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let server = Server::start(&showing(&serving(realm, ""), &db1));
        let client = showing(&asking(realm, "alice", ""), &laptop);
        let stream = server.meet(&client, SERVICE).unwrap();
        let ours = stream.evidence().unwrap();
        assert_eq!(ours.application().unwrap().proof(), Proof::KerberosTicket);
        assert_eq!(ours.machine().unwrap().proof(), Proof::CertificateDnsName);
        let theirs = server.saw().unwrap();
        assert_eq!(theirs.application().unwrap().name().to_string(), "alice@EXAMPLE.TEST");
        assert_eq!(theirs.machine().unwrap().name().to_string(), "host/laptop.example.test");
        round_trip(&stream);
    });
}

#[test]
fn a_name_may_have_a_port_and_a_server_several_names() {
    let sql = "MSSQLSvc/db1.example.test:1433";
    in_own_realm(
        |kdc| {
            kdc.add(&[sql, "ldap/db1.example.test/example.test"]);
            kdc.keytab("all", &[SERVICE, OTHER, sql, "ldap/db1.example.test/example.test"]);
        },
        |realm| {
            let names = format!(
                "services = ['{sql}', '{SERVICE}', 'ldap/db1.example.test/example.test']\n"
            );
            let server = Server::start(&context(&serving_from(&realm.file("all"), &names)));
            let client = context(&asking(realm, "alice", ""));
            for asked in [sql, SERVICE, "ldap/db1.example.test/example.test"] {
                let stream =
                    server.meet(&client, asked).unwrap_or_else(|error| panic!("{asked}: {error}"));
                assert!(peer(stream.evidence().unwrap()).starts_with(asked));
                server.saw().unwrap();
            }
        },
    );
}

#[test]
fn spec_4_10_a_user_with_a_password_and_no_cache() {
    in_own_realm(
        |kdc| kdc.administer("addprinc -pw correct-horse carol\n"),
        |realm| {
            let server = Server::start(&context(&serving(realm, "")));
            let connect = |password: &str| {
                let client = context("");
                let credentials = Credentials::new(
                    "carol".to_owned(),
                    "EXAMPLE.TEST".to_owned(),
                    password.to_owned(),
                );
                let settings = SecuritySettings::default().with_credentials(credentials);
                let mut socket = Socket::stream(&client, server.address)?;
                socket.set_security(Some(settings))?;
                socket.set_peer_target_name(server.address, SERVICE.parse().unwrap())?;
                socket.connect(server.address)?;
                socket.into_stream()
            };
            let stream = connect("correct-horse").unwrap();
            // It goes on under the policy that made it, which need not speak of Kerberos.
            let template = QueryTemplate::default().with_sa_ids().aborting_on(SaFields::MM_SA_ID);
            stream.query_with(&template).unwrap();
            round_trip(&stream);
            assert_eq!(peer(&server.saw().unwrap()), "carol@EXAMPLE.TEST by Kerberos ticket");
            let error = connect("wrong").unwrap_err();
            assert!(matches!(
                crate::world::failure::<()>(Err(error)),
                countersign::core::KerberosFailure::CredentialsRefused { .. }
            ));
            assert!(!realm.path("cache").exists(), "nothing is left behind");
        },
    );
}

#[test]
fn tickets_are_delegated_where_both_policy_and_the_kdc_say_so() {
    in_own_realm(
        |kdc| kdc.administer(&format!("modprinc +ok_as_delegate {SERVICE}\n")),
        |realm| {
            let delegated = |server: &str, client: &str| {
                let server = context(&serving(realm, server));
                let listener = countersign::TcpListener::bind_with(&server, "127.0.0.1:0").unwrap();
                let address = listener.local_addr();
                let client = context(&asking(realm, "alice", client));
                let met = thread::spawn(move || {
                    countersign::TcpStream::connect_with(
                        &client,
                        address,
                        &SERVICE.parse().unwrap(),
                    )
                });
                let (stream, _) = listener.accept().unwrap();
                met.join().unwrap().unwrap();
                stream.delegated().is_some()
            };
            let yes = "delegate = true\n";
            assert!(!delegated("", "") && !delegated("", yes) && !delegated(yes, ""));
            assert!(delegated(yes, yes));
        },
    );
}

#[test]
fn many_clients_at_once() {
    in_realm(|realm| {
        let server = Arc::new(Server::start(&context(&serving(realm, ""))).address);
        let policy = asking(realm, "alice", "");
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (address, client) = (*server, context(&policy));
                thread::spawn(move || {
                    for _ in 0..10 {
                        let name = SERVICE.parse().unwrap();
                        round_trip(
                            &countersign::TcpStream::connect_with(&client, address, &name).unwrap(),
                        );
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn non_blocking_connect_waits_for_the_descriptor_that_it_names() {
    in_realm(|realm| {
        let server = Server::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let mut socket = Socket::stream(&client, server.address).unwrap();
        socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut result = socket.connect(server.address);
        let mut waits = 0;
        while let Err(error) = result {
            assert!(error.is_would_block(), "{error}");
            waits += 1;
            assert!(waits < 100, "it spins");
            for interest in socket.interest() {
                wait(socket.descriptor().unwrap(), *interest, Some(deadline)).unwrap();
            }
            result = socket.finish_connect();
        }
        assert!(waits > 0, "it never had to wait");
        socket.set_nonblocking(false).unwrap();
        round_trip(&socket.into_stream().unwrap());
    });
}

#[test]
fn prefer_goes_by_certificate_where_the_other_side_knows_no_kerberos() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let plain = Server::start(&showing("", &db1));
        let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let stream = plain.meet(&client, SERVICE).unwrap();
        assert!(peer(stream.evidence().unwrap()).ends_with("certificate dNSName"));
        assert!(plain.saw().unwrap().names().is_empty());

        // And a client without tickets at a server that would take them.
        let both = Server::start(&showing(&serving(realm, ""), &db1));
        let poor = context(&asking(realm, "no-such-cache", "client = 'prefer'\n"));
        let stream = both.meet(&poor, SERVICE).unwrap();
        assert!(peer(stream.evidence().unwrap()).ends_with("certificate dNSName"));
        assert!(both.saw().unwrap().names().is_empty());
        // With tickets, the proof is the ticket.
        let stream = both.meet(&client, SERVICE).unwrap();
        assert!(peer(stream.evidence().unwrap()).ends_with("Kerberos ticket"));
    });
}

#[test]
fn the_default_is_no_kerberos_at_all() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let server = Server::start(&showing(&serving(realm, ""), &db1));
        let stream = server.meet(&context(""), SERVICE).unwrap();
        assert!(peer(stream.evidence().unwrap()).ends_with("certificate dNSName"));
        let none = context(&serving(realm, "server = 'off'\n"));
        let error = countersign::TcpListener::bind_with(&none, "127.0.0.1:0").unwrap_err();
        assert!(matches!(error, Error::NoCertificate), "{error}");
    });
}

#[test]
fn who_prefers_tickets_goes_by_certificate_as_soon_as_they_are_gone() {
    in_own_realm(
        |_| {},
        |realm| {
            let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
            let server = Server::start(&showing(&serving(realm, ""), &db1));
            let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
            let connect = || {
                let stream = server.meet(&client, SERVICE).unwrap();
                round_trip(&stream);
                peer(stream.evidence().unwrap())
            };
            for _ in 0..3 {
                assert_eq!(connect(), format!("{SERVICE}@EXAMPLE.TEST by Kerberos ticket"));
                // So long that a ticket is at hand the next time.
                thread::sleep(Duration::from_millis(150));
            }
            let cache = realm.path("alice");
            let aside = cache.with_extension("aside");
            std::fs::rename(&cache, &aside).unwrap();
            assert!(connect().ends_with(" by certificate dNSName"), "{}", connect());
            std::fs::rename(&aside, &cache).unwrap();
            assert_eq!(connect(), format!("{SERVICE}@EXAMPLE.TEST by Kerberos ticket"));
        },
    );
}
