//! Who proves what, and how both ends know.

use std::thread;

use countersign::core::{Credentials, KerberosFailure, Proof, SecuritySettings};
use countersign::{Error, Received, UdpSocket};
use countersign_lab::Leaf;

use super::{Echo, evidence, meet, round_trip};
use crate::world::{
    PATIENCE, ROOT, SERVICE, asking, context, failure, in_own_realm, in_realm, peer, serving,
    showing,
};

#[test]
fn alice_reaches_a_service_by_its_name_and_nobody_has_a_certificate() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        for word in ["require", "prefer"] {
            let client = context(&asking(realm, "alice", &format!("client = '{word}'\n")));
            for asked in [SERVICE, "postgres/db1.example.test@EXAMPLE.TEST"] {
                let socket = server.meet(&client, asked).unwrap();
                let ours = evidence(&socket);
                assert!(peer(&ours).starts_with("postgres/db1.example.test"), "{asked}");
                assert!(peer(&ours).ends_with(" by Kerberos ticket"), "{asked}");
                assert!(ours.is_peer_name_verified() && ours.machine().is_none());
                round_trip(&socket);
                let theirs = server.saw().unwrap();
                assert_eq!(peer(&theirs), "alice@EXAMPLE.TEST by Kerberos ticket");
                assert_eq!(theirs.application(), theirs.peer());
                assert_eq!(theirs.session(), ours.session());
                assert!(theirs.expires() > Some(theirs.since()));
            }
        }
    });
}

#[test]
fn the_first_datagram_waits_for_the_proof_and_arrives() {
    in_realm(|realm| {
        let server = Echo::start(&context(&serving(realm, "")));
        let client = context(&asking(realm, "alice", ""));
        let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").unwrap();
        socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
        socket.set_read_timeout(Some(PATIENCE));
        let surely_fits = socket.max_datagram_size(server.address);
        for text in [&b"first"[..], b"second", b"third"] {
            socket.send_to(text, server.address).unwrap();
        }
        let mut back = [0; 64];
        for text in [&b"first"[..], b"second", b"third"] {
            let (count, from) = socket.recv_from(&mut back).unwrap();
            assert_eq!((&back[..count], from), (text, server.address));
        }
        let fits = vec![7; socket.max_datagram_size(server.address)];
        assert!(surely_fits <= fits.len(), "{surely_fits} and {}", fits.len());
        assert_eq!(socket.send_to(&fits, server.address).unwrap(), fits.len());
        let mut back = vec![0; 2048];
        assert_eq!(socket.recv_from(&mut back).unwrap().0, fits.len());
        let error = socket.send_to(&[&fits[..], b"x"].concat(), server.address).unwrap_err();
        assert!(matches!(error, Error::Order { .. }), "{error}");
    });
}

#[test]
fn certificate_and_ticket_are_both_in_the_evidence() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let server = Echo::start(&showing(&serving(realm, ""), &db1));
        let client = showing(&asking(realm, "alice", ""), &laptop);
        let socket = server.meet(&client, SERVICE).unwrap();
        let ours = evidence(&socket);
        assert_eq!(ours.application().unwrap().proof(), Proof::KerberosTicket);
        assert_eq!(ours.machine().unwrap().proof(), Proof::CertificateDnsName);
        round_trip(&socket);
        let theirs = server.saw().unwrap();
        assert_eq!(theirs.application().unwrap().name().to_string(), "alice@EXAMPLE.TEST");
        assert_eq!(theirs.machine().unwrap().name().to_string(), "host/laptop.example.test");
    });
}

/// A machine certificate is no obstacle, and it is not shown to whom we do not believe yet.
#[test]
fn a_host_with_a_certificate_reaches_a_server_without_one() {
    in_realm(|realm| {
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let server = Echo::start(&context(&serving(realm, "")));
        let socket = server.meet(&showing(&asking(realm, "alice", ""), &laptop), SERVICE).unwrap();
        round_trip(&socket);
        let theirs = server.saw().unwrap();
        assert_eq!(peer(&theirs), "alice@EXAMPLE.TEST by Kerberos ticket");
        assert!(theirs.machine().is_none(), "{theirs:?}");
    });
}

#[test]
fn prefer_goes_by_certificate_where_one_side_knows_no_kerberos() {
    in_realm(|realm| {
        let db1 = ROOT.issue(Leaf::new().dns("db1.example.test"));
        let laptop = ROOT.issue(Leaf::new().dns("laptop.example.test"));
        let plain = Echo::start(&showing("", &db1));
        let client = showing(&asking(realm, "alice", "client = 'prefer'\n"), &laptop);
        let socket = plain.meet(&client, SERVICE).unwrap();
        assert!(peer(&evidence(&socket)).ends_with("certificate dNSName"));
        round_trip(&socket);
        assert_eq!(peer(&plain.saw().unwrap()), "host/laptop.example.test by certificate dNSName");

        // A client without tickets at a server that would take them.
        let both = Echo::start(&showing(&serving(realm, ""), &db1));
        let poor = asking(realm, "no-such-cache", "client = 'prefer'\n");
        let socket = both.meet(&showing(&poor, &laptop), SERVICE).unwrap();
        assert!(peer(&evidence(&socket)).ends_with("certificate dNSName"));
        round_trip(&socket);
        assert!(peer(&both.saw().unwrap()).ends_with("certificate dNSName"));
        // With tickets, the proof is the ticket.
        let socket = both.meet(&client, SERVICE).unwrap();
        assert!(peer(&evidence(&socket)).ends_with("Kerberos ticket"));
        // And one that knows nothing of tickets goes by certificate as ever.
        let socket = both.meet(&showing("", &laptop), SERVICE).unwrap();
        assert!(peer(&evidence(&socket)).ends_with("certificate dNSName"));
        round_trip(&socket);
    });
}

#[test]
fn one_socket_two_services_a_ticket_for_each() {
    in_realm(|realm| {
        let db1 = Echo::start(&context(&serving(realm, "")));
        let other = crate::world::serving_from(
            &realm.file("both"),
            &format!("services = ['{}']\n", crate::world::OTHER),
        );
        let web = Echo::start(&context(&other));
        let client = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let socket = UdpSocket::bind_with(&client, "127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE));
        for (at, name) in [(db1.address, SERVICE), (web.address, crate::world::OTHER)] {
            socket.set_peer_target_name(at, name.parse().unwrap()).unwrap();
            socket.send_to(b"hello", at).unwrap();
            assert_eq!(socket.recv_from(&mut [0; 64]).unwrap(), (5, at));
            let info = socket.query(at).unwrap();
            assert!(peer(info.evidence().unwrap()).starts_with(name), "{name}");
        }
    });
}

#[test]
fn spec_4_10_a_user_with_a_password_and_no_cache() {
    in_own_realm(
        |kdc| kdc.administer("addprinc -pw correct-horse carol\n"),
        |realm| {
            let servers = [(); 2].map(|()| Echo::start(&context(&serving(realm, ""))));
            let socket = |password: &str| {
                let (user, domain) = ("carol".to_owned(), "EXAMPLE.TEST".to_owned());
                let given = Credentials::new(user, domain, password.to_owned());
                let settings = SecuritySettings::default().with_credentials(given);
                let any = "127.0.0.1:0".parse().unwrap();
                let socket = UdpSocket::unbound(&context(""), any).unwrap();
                socket.set_security(Some(settings)).unwrap();
                for server in &servers {
                    socket.set_peer_target_name(server.address, SERVICE.parse().unwrap()).unwrap();
                }
                socket
            };
            let good = socket("correct-horse");
            // They are for every peer of the socket.
            for server in &servers {
                good.send_to(b"hello", server.address).unwrap();
                assert_eq!(peer(&server.saw().unwrap()), "carol@EXAMPLE.TEST by Kerberos ticket");
            }
            let why = failure(socket("wrong").send_to(b"hello", servers[0].address));
            assert!(matches!(why, KerberosFailure::CredentialsRefused { .. }), "{why}");
            assert!(!realm.path("cache").exists(), "nothing is left behind");
        },
    );
}

#[test]
fn tickets_are_delegated_where_both_policy_and_the_kdc_say_so_and_the_token_has_them() {
    in_own_realm(
        |kdc| kdc.administer(&format!("modprinc +ok_as_delegate {SERVICE}\n")),
        |realm| {
            let delegated = |server: &str, client: &str| {
                let server = context(&serving(realm, server));
                let server = UdpSocket::bind_with(&server, "127.0.0.1:0").unwrap();
                let address = server.local_addr().unwrap();
                let client = context(&asking(realm, "alice", client));
                let met = thread::spawn(move || {
                    let socket = meet(&client, address, SERVICE).unwrap();
                    socket.send(b"hello").unwrap();
                    socket
                });
                let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
                let _client = met.join().unwrap();
                let token = server.application_token(from).unwrap();
                assert_eq!(token.delegated().is_some(), server.delegated(from).is_some());
                token.delegated().is_some()
            };
            let yes = "delegate = true\n";
            assert!(!delegated("", "") && !delegated("", yes) && !delegated(yes, ""));
            assert!(delegated(yes, yes));
        },
    );
}

#[test]
fn the_token_of_a_datagram_peer_says_who_it_is_and_which_account_acts_for_it() {
    in_realm(|realm| {
        let server = UdpSocket::bind_with(&context(&serving(realm, "")), "127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = context(&asking(realm, "alice", ""));
        let met = thread::spawn(move || {
            let socket = meet(&client, address, SERVICE).unwrap();
            socket.send(b"hello").unwrap();
            socket
        });
        let mut buffer = [0; 64];
        let Received::Datagram(_, from) = server.next_event(&mut buffer).unwrap() else {
            panic!("it was refused")
        };
        let client = met.join().unwrap();
        let token = server.impersonation_token(Some(from)).unwrap();
        assert_eq!(token.principal().to_string(), "alice@EXAMPLE.TEST");
        assert_eq!(token.proof(), Proof::KerberosTicket);
        assert_eq!(token.mapped().unwrap().account, "alice");
        assert!(server.machine_token(from).is_none() && token.delegated().is_none());
        let token = client.peer_token(address).unwrap();
        assert_eq!(token.principal().to_string(), format!("{SERVICE}@EXAMPLE.TEST"));
    });
}

#[test]
fn many_clients_at_once() {
    in_realm(|realm| {
        let address = Echo::start(&context(&serving(realm, ""))).address;
        let policy = asking(realm, "alice", "");
        thread::scope(|scope| {
            for _ in 0..8 {
                let client = context(&policy);
                scope.spawn(move || {
                    for _ in 0..10 {
                        round_trip(&meet(&client, address, SERVICE).unwrap());
                    }
                });
            }
        });
    });
}
