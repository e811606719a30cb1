//! What both sides know when they are secured.

use countersign_core::{Mechanism, Proof};
use countersign_lab::{Issued, Leaf, Scene, now};

use crate::{CLIENT, HOST, ROOT, scene};

#[test]
fn evidence_says_what_holds() {
    let now = now().as_secs();
    let server = ROOT.issue(Leaf::new().dns(HOST).valid(now - 60, now + 1000));
    let client = ROOT.issue(Leaf::new().uri("spiffe://prod/billing").valid(now - 60, now + 2000));
    let scene = Scene::new(&ROOT).server_shows(&server).client_shows(&client).at(now);
    let ending = scene.asking("postgres/db1.example.com").pair().handshake();
    let (client, server) = (ending.client.unwrap(), ending.server.unwrap());
    for evidence in [&client, &server] {
        assert_eq!(evidence.mechanism(), Mechanism::Tls13);
        assert_eq!(evidence.cipher_suite(), "TLS_AES_256_GCM_SHA384");
        assert_eq!(evidence.key_exchange(), "X25519MLKEM768");
        assert_eq!(evidence.since().as_secs(), now);
    }
    assert_eq!(client.asked().unwrap().to_string(), "postgres/db1.example.com");
    assert_eq!(client.peer().unwrap().proof(), Proof::CertificateDnsName);
    assert_eq!(client.expires().unwrap().as_secs(), now + 1000);
    assert_eq!(server.asked(), None);
    assert_eq!(server.peer().unwrap().name().to_string(), "spiffe://prod/billing");
    assert_eq!(server.peer().unwrap().proof(), Proof::CertificateSpiffeId);
    assert_eq!(server.expires().unwrap().as_secs(), now + 2000);
}

#[test]
fn both_sides_compute_one_session_and_every_session_is_another() {
    let session = || {
        let ending = scene().pair().handshake();
        let (client, server) = (ending.client.unwrap().session(), ending.server.unwrap().session());
        assert_eq!(client, server);
        client
    };
    assert_ne!(session(), session());
}

#[test]
fn anonymous_client_leaves_no_name_and_no_date() {
    let evidence = scene().pair().handshake().server.unwrap();
    assert_eq!(evidence.peer(), None);
    assert_eq!(evidence.names(), []);
    assert_eq!(evidence.expires(), None);
}

#[test]
fn name_that_was_asked_for_comes_first_and_the_others_follow() {
    let names = |issued: &Issued, asked: &str| -> Vec<String> {
        let scene = Scene::new(&ROOT).server_shows(issued).asking(asked);
        let evidence = scene.pair().handshake().client.unwrap();
        evidence.names().iter().map(|it| it.name().to_string()).collect()
    };
    let issued = ROOT.issue(
        Leaf::new()
            .uri("spiffe://prod/db")
            .service("postgres", "db1.test")
            .kerberos("A.TEST", &["postgres", "db1.test"])
            .dns("db1.test"),
    );
    let realm = "postgres/db1.test@A.TEST";
    assert_eq!(names(&issued, realm), [realm, "spiffe://prod/db", "postgres/db1.test"]);
    assert_eq!(names(&issued, "spiffe://prod/db")[0], "spiffe://prod/db");
    let wild = ROOT.issue(Leaf::new().dns("*.example.com").dns("other.test"));
    assert_eq!(names(&wild, HOST), ["host/db1.example.com", "host/other.test"]);
}

#[test]
fn machine_and_application_are_told_apart() {
    let issued = ROOT.issue(Leaf::new().dns(HOST).user_principal("svc@EXAMPLE.COM"));
    let scene = Scene::new(&ROOT).server_shows(&issued).asking(HOST).client_shows(&CLIENT);
    let ending = scene.pair().handshake();
    let client = ending.client.unwrap();
    assert_eq!(client.machine().unwrap().name().to_string(), "host/db1.example.com");
    assert_eq!(client.application().unwrap().name().to_string(), "svc@EXAMPLE.COM");
    let server = ending.server.unwrap();
    assert_eq!(server.machine(), None);
    assert_eq!(server.application().unwrap().name().to_string(), "alice@EXAMPLE.COM");
}
