//! Public authorities vouch for hosts, and for nobody else.

use std::slice;

use countersign_core::{HandshakeError, Policy};
use countersign_lab::{Authority, Charter, Leaf, Pair, Scene};
use countersign_tls::{ClientConfig, Engine, TrustAnchors};

/// Whether a client that has the authority among its public anchors, or its own, accepts.
fn accepts(leaf: Leaf, asked: &str, own: bool) -> Result<(), HandshakeError> {
    let authority = Authority::new("authority of the web");
    let issued = authority.issue(leaf);
    let scene = Scene::new(&authority).server_shows(&issued).asking(asked);
    let list = slice::from_ref(authority.certificate());
    let anchors =
        if own { TrustAnchors::lenient(list, list) } else { TrustAnchors::lenient(&[], list) };
    let config = ClientConfig::new(&Policy::default(), &anchors, None);
    let client = Engine::client(&config, scene.asked(), scene.now()).unwrap();
    Pair::new(client, scene.server(), scene.now()).handshake().client.map(|_| ())
}

#[track_caller]
fn check(leaf: fn() -> Leaf, asked: &str, by_public: bool) {
    assert_eq!(accepts(leaf(), asked, true), Ok(()), "our own authority may say so");
    let result = accepts(leaf(), asked, false);
    match by_public {
        true => assert_eq!(result, Ok(())),
        false => assert!(matches!(result, Err(HandshakeError::WrongPeer { .. })), "{result:?}"),
    }
}

#[test]
fn hosts_and_services_on_them_are_what_a_public_authority_may_name() {
    check(|| Leaf::new().dns("db1.test"), "db1.test", true);
    check(|| Leaf::new().dns("db1.test"), "postgres/db1.test", true);
    check(
        || Leaf::new().dns("db1.test").service("postgres", "db1.test"),
        "postgres/db1.test",
        true,
    );
    check(
        || Leaf::new().dns("db2.test").service("postgres", "db1.test"),
        "postgres/db1.test",
        false,
    );
    check(|| Leaf::new().service("postgres", "db1.test"), "postgres/db1.test", false);
}

#[test]
fn users_and_workloads_are_not() {
    check(|| Leaf::new().uri("spiffe://prod/billing"), "spiffe://prod/billing", false);
    check(|| Leaf::new().kerberos("A", &["alice"]), "alice@A", false);
    check(|| Leaf::new().user_principal("alice@A"), "alice@A", false);
}

#[test]
fn an_end_entity_is_no_authority_whoever_trusts_it() {
    let peer = Authority::new(Charter::new("db9.test").end_entity());
    let list = slice::from_ref(peer.certificate());
    let message = TrustAnchors::new(list).unwrap_err().to_string();
    assert!(message.contains("it is an end-entity certificate"), "{message}");
    let authority = Authority::new("authority of the web");
    let list = [peer.certificate().clone(), authority.certificate().clone()];
    assert_eq!(TrustAnchors::lenient(&list, &[]).len(), 1);
    assert_eq!(TrustAnchors::lenient(&[], &list).len(), 1);
}
