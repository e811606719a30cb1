//! Policies that change what part Kerberos has, while listener and clients live on.

use std::path::Path;
use std::time::{Duration, Instant};

use countersign::core::{HandshakeError, Proof};
use countersign::{Context, Error};
use countersign_lab::{Issued, Leaf, Realm};

use crate::world::{
    PATIENCE, ROOT, SERVICE, Server, asking, context, in_realm, round_trip, serving, showing,
};

/// A context of a policy file, and what it shows.
fn of_file(path: &Path, text: &str, shown: Option<&Issued>) -> Context {
    std::fs::write(path, text).unwrap();
    let builder = Context::builder().policy_file(path).anchors(ROOT.anchors());
    match shown {
        Some(shown) => builder.credential(shown.credential()).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// Writes another policy, and waits until it is in force.
fn change(context: &Context, path: &Path, text: &str) {
    let before = context.generation();
    std::fs::write(path, text).unwrap();
    let started = Instant::now();
    while context.generation() == before {
        assert!(started.elapsed() < PATIENCE, "{:?}", context.reload_failure());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(context.reload_failure().is_none(), "{:?}", context.reload_failure());
}

fn proof(server: &Server, client: &Context) -> Result<Proof, Error> {
    let stream = server.meet(client, SERVICE)?;
    round_trip(&stream);
    server.saw().unwrap();
    Ok(stream.evidence().unwrap().peer().unwrap().proof())
}

fn source(error: Error) -> HandshakeError {
    match error {
        Error::Handshake { source, .. } => source,
        other => panic!("{other}"),
    }
}

fn db1() -> Issued {
    ROOT.issue(Leaf::new().dns("db1.example.test"))
}

#[test]
fn a_listener_goes_from_certificates_to_tickets_and_then_to_nothing_else() {
    in_realm(|realm| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("policy.toml");
        let text = |server: &str| serving(realm, &format!("server = '{server}'\n"));
        let context_of_server = of_file(&file, &text("off"), Some(&db1()));
        let server = Server::start(&context_of_server);
        let ticket = context(&asking(realm, "alice", "client = 'prefer'\n"));
        let plain = context("");
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::CertificateDnsName);
        let live = server.meet(&plain, SERVICE).unwrap();
        server.saw().unwrap();

        change(&context_of_server, &file, &text("prefer"));
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::KerberosTicket);
        assert_eq!(proof(&server, &plain).unwrap(), Proof::CertificateDnsName);

        change(&context_of_server, &file, &text("require"));
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::KerberosTicket);
        let why = source(proof(&server, &plain).unwrap_err());
        let alert = "no_application_protocol".to_owned();
        assert_eq!(why, HandshakeError::RefusedByPeer { alert });
        assert_eq!(server.saw().unwrap_err(), HandshakeError::KerberosRequired);
        // Who was let in before stays, unless a program asks for more.
        round_trip(&live);

        change(&context_of_server, &file, &text("off"));
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::CertificateDnsName);
    });
}

#[test]
fn a_client_goes_from_certificates_to_tickets_and_then_to_nothing_else() {
    in_realm(|realm| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("policy.toml");
        let text = |client: &str| asking(realm, "alice", &format!("client = '{client}'\n"));
        let client = of_file(&file, &text("off"), None);
        let both = Server::start(&showing(&serving(realm, ""), &db1()));
        let plain = Server::start(&showing("", &db1()));
        assert_eq!(proof(&both, &client).unwrap(), Proof::CertificateDnsName);

        change(&client, &file, &text("prefer"));
        assert_eq!(proof(&both, &client).unwrap(), Proof::KerberosTicket);
        assert_eq!(proof(&plain, &client).unwrap(), Proof::CertificateDnsName);

        change(&client, &file, &text("require"));
        assert_eq!(proof(&both, &client).unwrap(), Proof::KerberosTicket);
        let why = source(proof(&plain, &client).unwrap_err());
        assert_eq!(why, HandshakeError::KerberosRequired);
    });
}

/// A listener that began without Kerberos has read no keytab: one that is broken must not put what
/// serves out of force.
#[test]
fn kerberos_is_turned_on_only_with_a_keytab_that_serves() {
    in_realm(|realm: &Realm| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("policy.toml");
        let off = serving(realm, "server = 'off'\n");
        let context_of_server = of_file(&file, &off, Some(&db1()));
        let server = Server::start(&context_of_server);
        let plain = context("");
        assert_eq!(proof(&server, &plain).unwrap(), Proof::CertificateDnsName);
        let missing = serving(realm, "server = 'prefer'\n").replace(&realm.file("db1"), "/nowhere");
        std::fs::write(&file, missing).unwrap();
        let started = Instant::now();
        while context_of_server.reload_failure().is_none() {
            assert!(started.elapsed() < PATIENCE, "nobody noticed");
            std::thread::sleep(Duration::from_millis(50));
        }
        let why = context_of_server.reload_failure().unwrap().to_string();
        assert!(why.contains("/nowhere"), "{why}");
        assert_eq!(proof(&server, &plain).unwrap(), Proof::CertificateDnsName);
        change(&context_of_server, &file, &serving(realm, "server = 'prefer'\n"));
        let ticket = context(&asking(realm, "alice", ""));
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::KerberosTicket);
    });
}

/// A server that has nothing but its keytab, and a policy that takes it away.
#[test]
fn a_listener_is_not_left_with_nothing_to_prove_itself_by() {
    in_realm(|realm| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("policy.toml");
        let context_of_server = of_file(&file, &serving(realm, ""), None);
        let server = Server::start(&context_of_server);
        let ticket = context(&asking(realm, "alice", ""));
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::KerberosTicket);
        std::fs::write(&file, serving(realm, "server = 'off'\n")).unwrap();
        let started = Instant::now();
        while context_of_server.reload_failure().is_none() {
            assert!(started.elapsed() < PATIENCE, "nobody noticed");
            std::thread::sleep(Duration::from_millis(50));
        }
        let why = context_of_server.reload_failure().unwrap();
        assert!(matches!(*why, Error::NoCertificate), "{why}");
        assert_eq!(proof(&server, &ticket).unwrap(), Proof::KerberosTicket);
    });
}
