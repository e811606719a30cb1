//! The name that was asked for is the one that is proved, and DNS has no say in it.

use std::process::Command;
use std::time::Duration;

use countersign_core::KerberosFailure;
use countersign_kerberos::{HostSettings, Realms, Terms, local_name};
use countersign_lab::{Kdc, elsewhere, peer_of_elsewhere};

use crate::failures::{asking_instead, check};
use crate::world::{
    From, SERVER, channel, client, client_with, in_own_realm, in_realm, over, server, talk,
    talk_over,
};

/// Names as they are asked for and as the KDC knows them.
const NAMES: [(&str, &str); 5] = [
    ("postgres/db1.example.test", "postgres/db1.example.test"),
    ("MyProto/db1.example.test:9000", "MyProto/db1.example.test:9000"),
    ("ldap/db1.example.test/example.test", "ldap/db1.example.test/example.test"),
    ("nfs/db1.example.test@EXAMPLE.TEST", "nfs/db1.example.test"),
    ("imap/DB1.Example.TEST.", "imap/db1.example.test"),
];

#[test]
fn ports_parts_and_realms_belong_to_the_name() {
    let fill = |kdc: &Kdc| {
        let principals = NAMES.map(|(_, principal)| principal);
        kdc.add(&principals);
        kdc.add(&["alice"]);
        kdc.keytab("all", &principals);
        kdc.ticket("alice", "alice", &[]);
    };
    in_own_realm(fill, |realm| {
        for (asked, principal) in NAMES {
            let ending = talk(client(realm, asked), server(realm, "all"));
            let principal = format!("{principal}@EXAMPLE.TEST");
            assert_eq!(ending.client.unwrap().peer().unwrap().to_string(), principal);
            assert_eq!(ending.server.unwrap().service().to_string(), principal);
        }
        // Another port, class or part is another service, which nobody has heard of.
        for other in ["MyProto/db1.example.test", "MyProto/db1.example.test:9001"] {
            let ending = talk(client(realm, other), server(realm, "all"));
            check!(ending.client.unwrap_err(), KerberosFailure::UnknownService { .. }, other);
        }
    });
}

#[test]
fn dns_does_not_change_the_name() {
    in_realm(|realm| {
        if let Some(mut stream) = peer_of_elsewhere() {
            let proved = over(&mut stream, client(realm, SERVER)).unwrap();
            assert_eq!(proved.principal(), "host/server.example.test@EXAMPLE.TEST");
            assert!(HostSettings::read().unwrap().dns_canonicalize_hostname.unwrap() == "true");
            return;
        }
        // Whoever answers for DNS says that the server is an alias of another host.
        let (part, open) =
            ("dns_canonicalize_hostname = false", "dns_canonicalize_hostname = true");
        let configuration = realm.other_configuration("dns.conf", part, open);
        let hosts = realm.file("hosts");
        std::fs::write(&hosts, "127.0.0.9 evil.example.test server.example.test\n").unwrap();
        let environment = [
            ("KRB5_CONFIG", configuration.as_str()),
            ("LD_PRELOAD", "libnss_wrapper.so"),
            ("NSS_WRAPPER_HOSTS", &hosts),
        ];
        // Other programs fall for it, or this test would prove nothing.
        let cache = format!("FILE:{}", realm.file("alice"));
        let mut kvno = Command::new("kvno");
        kvno.args(["-c", &cache, "-S", "host", "server.example.test"]).envs(environment);
        let output = kvno.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("host/evil.example.test"), "{said}");
        let mut elsewhere = elsewhere(&environment, None);
        over(&mut elsewhere.stream, server(realm, "server")).unwrap();
        drop(elsewhere.stream);
        let status = elsewhere.process.wait(Duration::from_secs(30)).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

#[test]
fn the_realm_of_a_host_is_the_one_that_its_administrator_names() {
    in_realm(|realm| {
        if peer_of_elsewhere().is_some() {
            let open = Terms::default().with_realms(Realms::Listed(vec!["OTHER.TEST".to_owned()]));
            let client = client_with(realm, "host/x.other.test", channel(1), open);
            let ending = talk(client, server(realm, "server"));
            check!(ending.client.unwrap_err(), KerberosFailure::UnknownRealm { .. }, "@OTHER.TEST");
            // Another realm counts only by name.
            let ending = talk(
                client_with(realm, "host/x.other.test", channel(1), Terms::default()),
                server(realm, "server"),
            );
            check!(
                ending.client.unwrap_err(),
                KerberosFailure::RealmNotAllowed { .. },
                "OTHER.TEST"
            );
            return;
        }
        let (part, more) = ("[domain_realm]", "[domain_realm]\n  .other.test = OTHER.TEST");
        let configuration = realm.other_configuration("realms.conf", part, more);
        let mut elsewhere = elsewhere(&[("KRB5_CONFIG", &configuration)], None);
        let status = elsewhere.process.wait(Duration::from_secs(30)).unwrap();
        assert!(status.success(), "{}", elsewhere.process.said());
    });
}

#[test]
fn a_client_whose_name_is_odd_has_no_name_here() {
    let fill = |kdc: &Kdc| {
        kdc.administer("addprinc -randkey host/UPPER.example.test\naddprinc -randkey a\\@b\n");
        kdc.add(&[SERVER, "bob/admin"]);
        kdc.keytab("server", &[SERVER]);
        kdc.ticket("host/UPPER.example.test", "upper", &[]);
        kdc.ticket("a\\@b", "at", &[]);
        kdc.ticket("bob/admin", "admin", &[]);
    };
    in_own_realm(fill, |realm| {
        for (cache, principal, name) in [
            // Kerberos knows another principal under this name in lower case.
            ("upper", "host/UPPER.example.test@EXAMPLE.TEST", None),
            ("at", "a\\@b@EXAMPLE.TEST", None),
            ("admin", "bob/admin@EXAMPLE.TEST", Some("bob/admin@EXAMPLE.TEST")),
        ] {
            let credential = countersign_kerberos::InitiatorCredential::cache(&realm.file(cache));
            let client = countersign_kerberos::Exchange::initiate(
                &SERVER.parse().unwrap(),
                credential,
                channel(1),
                Terms::default(),
            );
            let proved = talk(client, server(realm, "server")).server.unwrap();
            assert_eq!(proved.principal(), principal);
            assert_eq!(proved.peer().map(ToString::to_string).as_deref(), name);
            assert_eq!(proved.realm(), "EXAMPLE.TEST");
        }
    });
}

#[test]
fn principals_map_to_accounts_by_the_rules_of_the_host() {
    in_realm(|realm| {
        assert_eq!(local_name("alice@EXAMPLE.TEST").unwrap().as_deref(), Some("alice"));
        for none in
            ["alice@OTHER.TEST", "host/server.example.test@EXAMPLE.TEST", "a/admin@EXAMPLE.TEST"]
        {
            assert_eq!(local_name(none).unwrap(), None, "{none}");
        }
        assert_eq!(HostSettings::read().unwrap().default_realm.as_deref(), Some(realm.name()));
    });
}

#[test]
fn the_realm_is_part_of_what_is_confirmed() {
    in_realm(|realm| {
        // Somebody on the way leaves it out, or says that it is another: a server of the same name
        // in another realm, to which a KDC may refer clients, is another service.
        for (claimed, is_ours) in [(SERVER, true), ("host/server.example.test@OTHER.TEST", false)] {
            let lie = |from, wire: &mut Vec<u8>| {
                if from == From::Client && wire.get(4) == Some(&b'T') {
                    *wire = asking_instead(wire, claimed);
                }
            };
            let ending = talk_over(client(realm, SERVER), server(realm, "server"), lie);
            let failure = ending.client.unwrap_err();
            if is_ours {
                check!(failure, KerberosFailure::ConfirmationFailed { .. }, "@EXAMPLE.TEST");
            } else {
                check!(failure, KerberosFailure::RefusedByPeer { .. }, "not the service");
                let failure = ending.server.unwrap_err();
                check!(failure, KerberosFailure::WrongService { .. }, "@OTHER.TEST");
            }
        }
    });
}
