//! Who may connect to a server, and what it calls them.

use countersign_core::Evidence;
use countersign_lab::{Authority, Charter, Issued, KeyUsage, Leaf, Pair, Scene, Stranger, now};
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs::default_provider;

use crate::{CLIENT, HOST, ROOT, refused, scene, variant, variants};

const NONE: &str = "server.client-certificates = 'none'";
const REQUEST: &str = "server.client-certificates = 'request'";
const REQUIRE: &str = "server.client-certificates = 'require'";

/// The names by which a server knows its client.
fn names(evidence: &Evidence) -> Vec<String> {
    evidence.names().iter().map(|proved| proved.name().to_string()).collect()
}

/// A client with or without a certificate, and a server of this policy: the errors of both.
#[track_caller]
fn check(policy: &str, client: Option<&Issued>, expected: [&str; 2]) {
    let scene = scene().server_policy(policy);
    let scene = client.map_or_else(|| scene.clone(), |client| scene.clone().client_shows(client));
    assert_eq!(variants(&scene.pair().handshake()), expected, "{policy}");
}

#[test]
fn policy_says_whether_a_client_shows_a_certificate() {
    let refused = ["RefusedByPeer", "NoCertificate"];
    check("", None, ["ok", "ok"]);
    check("", Some(&CLIENT), ["ok", "ok"]);
    check(NONE, None, ["ok", "ok"]);
    check(NONE, Some(&CLIENT), ["ok", "ok"]);
    check(REQUEST, None, ["ok", "ok"]);
    check(REQUEST, Some(&CLIENT), ["ok", "ok"]);
    check(REQUIRE, None, refused);
    check(REQUIRE, Some(&CLIENT), ["ok", "ok"]);
    // Whoever lets in by name must see a name.
    let allow = "server.client-certificates = 'none'\n[[allow]]\npeers = ['*']";
    check(allow, None, refused);
    check(allow, Some(&CLIENT), ["ok", "ok"]);
}

#[test]
fn server_knows_a_client_by_what_it_showed() {
    let server = |policy| {
        let scene = scene().client_shows(&CLIENT).server_policy(policy);
        scene.pair().handshake().server.unwrap()
    };
    assert_eq!(names(&server(REQUEST)), ["alice@EXAMPLE.COM"]);
    assert!(!server(REQUEST).is_peer_name_verified(), "it asked for nobody in particular");
    assert_eq!(names(&server(NONE)), [""; 0]);
    assert_eq!(scene().pair().handshake().server.unwrap().peer(), None);
}

#[test]
fn certificate_that_is_shown_must_be_good_even_where_none_is_required() {
    let leaf = || Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    let other = Authority::new("root").issue(leaf());
    check(REQUEST, Some(&other), ["RefusedByPeer", "UntrustedIssuer"]);
    check(REQUEST, Some(&ROOT.issue(leaf().server_only())), ["RefusedByPeer", "WrongUsage"]);
    check(REQUEST, Some(&ROOT.issue(leaf().client_only())), ["ok", "ok"]);
    check(REQUEST, Some(&ROOT.issue(leaf().valid(0, 60))), ["RefusedByPeer", "Expired"]);
    check(REQUEST, Some(&ROOT.issue(leaf().authority())), ["RefusedByPeer", "BadCertificate"]);
    let usage = leaf().key_usage(&[KeyUsage::KeyAgreement]);
    check(REQUEST, Some(&ROOT.issue(usage)), ["RefusedByPeer", "WrongUsage"]);
}

#[test]
fn client_learns_its_refusal_after_it_was_secured() {
    let now = now().as_secs();
    let leaf = || Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    let shows = |issued: &Issued| scene().client_shows(issued).server_policy(REQUIRE);
    let nobody = "[[allow]]\npeers = ['bob@EXAMPLE.COM']";
    for (scene, alert) in [
        (shows(&Authority::new("other").issue(leaf())), "unknown_ca"),
        (shows(&ROOT.issue(leaf().valid(0, now - 60))), "certificate_expired"),
        (shows(&ROOT.issue(leaf().authority())), "bad_certificate"),
        (shows(&ROOT.issue(leaf().server_only())), "unsupported_certificate"),
        (shows(&CLIENT).server_policy(nobody), "access_denied"),
        (scene().server_policy(REQUIRE), "certificate_required"),
    ] {
        let mut pair = scene.pair();
        assert_eq!(pair.handshake().client.unwrap_err(), refused(alert));
        // TLS 1.3: the client is done before the server has seen its certificate.
        assert!(pair.client.secured.is_some());
        assert!(pair.server.secured.is_none());
        assert_eq!(pair.client_sends(b"too late"), 0);
    }
}

/// Whether a client with this certificate passes `allow = [pattern]`.
#[track_caller]
fn check_allow(leaf: Leaf, pattern: &str, allowed: bool) {
    let policy = format!("[[allow]]\npeers = ['{pattern}']");
    let issued = ROOT.issue(leaf);
    let ending = scene().client_shows(&issued).server_policy(&policy).pair().handshake();
    let expected = if allowed { ["ok", "ok"] } else { ["RefusedByPeer", "NotAllowed"] };
    assert_eq!(variants(&ending), expected, "{pattern}: {:?}", ending.server);
}

#[test]
fn only_those_are_let_in_whom_a_rule_names() {
    let alice = || Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    check_allow(alice(), "alice@EXAMPLE.COM", true);
    check_allow(alice(), "*@EXAMPLE.COM", true);
    check_allow(alice(), "*", true);
    check_allow(alice(), "bob@EXAMPLE.COM", false);
    check_allow(alice(), "alice@EXAMPLE.ORG", false);
    check_allow(alice(), "*@EXAMPLE.ORG", false);
    check_allow(alice(), "alice.example.com", false);
    check_allow(Leaf::new().user_principal("alice@EXAMPLE.COM"), "alice@EXAMPLE.COM", true);

    let workload = || Leaf::new().uri("spiffe://prod/eu/billing");
    check_allow(workload(), "spiffe://prod/eu/billing", true);
    check_allow(workload(), "spiffe://prod/eu/*", true);
    check_allow(workload(), "spiffe://prod/us/*", false);
    check_allow(workload(), "spiffe://test/*", false);
    check_allow(workload().uri("spiffe://prod/us/billing"), "spiffe://prod/*", false);

    let service = || Leaf::new().service("postgres", "db2.example.com");
    check_allow(service(), "postgres/db2.example.com", true);
    check_allow(service(), "postgres/*.example.com", true);
    check_allow(service(), "*/db2.example.com", true);
    check_allow(service(), "http/db2.example.com", false);
    check_allow(service().dns("db2.example.com"), "host/db2.example.com", false);

    check_allow(Leaf::new().dns("web1.example.com"), "web1.example.com", true);
    check_allow(Leaf::new().dns("web1.example.com"), "*.example.com", true);
    check_allow(Leaf::new().dns("web1.example.com"), "postgres/web1.example.com", false);
    check_allow(Leaf::new().ip("192.0.2.7"), "192.0.2.7", true);
}

#[test]
fn client_without_a_name_of_its_own_is_nobody() {
    // Not even `*` holds it: every peer that proved any name.
    check_allow(Leaf::new(), "*", false);
    check_allow(Leaf::new().common_name("alice@EXAMPLE.COM"), "alice@EXAMPLE.COM", false);
    check_allow(Leaf::new().dns("*.example.com"), "web1.example.com", false);
    check_allow(Leaf::new().dns("*.example.com"), "*.example.com", false);
    check_allow(Leaf::new().dns("web1.example.com\0"), "web1.example.com", false);
    check_allow(Leaf::new().dns("web1.example.com."), "web1.example.com", false);
    check_allow(Leaf::new().dns("192.0.2.7"), "192.0.2.7", false);
    check_allow(Leaf::new().ip("::ffff:192.0.2.7"), "192.0.2.7", false);
    check_allow(Leaf::new().kerberos("A.TEST", &["web/a.test"]), "web/a.test", false);
    check_allow(Leaf::new().kerberos("A.TEST", &["alice@B.TEST"]), "*@B.TEST", false);
}

#[test]
fn refusal_names_the_peer_and_the_rule() {
    let policy = "[[allow]]\npeers = ['bob@EXAMPLE.COM', 'spiffe://prod/*']";
    let ending = scene().client_shows(&CLIENT).server_policy(policy).pair().handshake();
    let message = "alice@EXAMPLE.COM is not allowed here: allowed are bob@EXAMPLE.COM, \
                   spiffe://prod/*";
    assert_eq!(ending.server.unwrap_err().to_string(), message);
}

#[test]
fn constrained_authority_lets_no_users_in() {
    let within = ROOT.intermediate(Charter::new("within").permitting_dns("example.com"));
    let policy = "[[allow]]\npeers = ['*']";
    for (leaf, expected) in [
        (Leaf::new().kerberos("EXAMPLE.COM", &["alice"]), "NotAllowed"),
        (Leaf::new().user_principal("alice@EXAMPLE.COM"), "NotAllowed"),
        (Leaf::new().uri("spiffe://prod/billing"), "NotAllowed"),
        (Leaf::new().service("postgres", "db1.example.org"), "NotAllowed"),
        (Leaf::new().dns("db1.example.org"), "BadCertificate"),
    ] {
        let scene = scene().client_shows(&within.issue(leaf)).server_policy(policy);
        assert_eq!(variant(&scene.pair().handshake().server.unwrap_err()), expected);
    }
}

#[test]
fn spec_5_6_program_names_who_may_connect() {
    let ends = |at: &str, name: &str| {
        let scene = scene().client_shows(&CLIENT).server_names_client(at, name);
        variants(&scene.pair().handshake())
    };
    assert_eq!(ends("0.0.0.0:0", "alice@EXAMPLE.COM"), ["ok", "ok"]);
    assert_eq!(ends(Scene::CLIENT, "alice@EXAMPLE.COM"), ["ok", "ok"]);
    assert_eq!(ends(Scene::CLIENT, "bob@EXAMPLE.COM"), ["RefusedByPeer", "NotAllowed"]);
    assert_eq!(ends("192.0.2.99:0", "alice@EXAMPLE.COM"), ["RefusedByPeer", "NotAllowed"]);
    let anonymous = scene().server_names_client("0.0.0.0:0", "alice@EXAMPLE.COM");
    assert_eq!(variants(&anonymous.pair().handshake()), ["RefusedByPeer", "NoCertificate"]);
}

/// What a server says to a client whose certificate our own side would not even show.
#[track_caller]
fn check_stranger(leaf: Leaf, expected: &str) {
    let issued = ROOT.issue(leaf);
    let config = Stranger::client_config(
        &ROOT,
        Some(&issued),
        default_provider(),
        &[&rustls::version::TLS13],
    );
    let scene = scene().server_policy("[[allow]]\npeers = ['*']");
    let mut pair = Pair::new(Stranger::client(config, HOST), scene.server(), scene.now());
    let ending = pair.handshake();
    assert_eq!(variant(&ending.server.unwrap_err()), expected);
    let heard = ending.client.unwrap_err();
    assert_eq!(heard, rustls::Error::AlertReceived(AlertDescription::BadCertificate));
}

#[test]
fn certificate_that_cannot_be_read_lets_nobody_in() {
    let alice = || Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    check_stranger(alice().service("spiffe://prod", "billing"), "BadCertificate");
    check_stranger(alice().service("web/db1", "evil.test"), "BadCertificate");
    check_stranger(alice().san_der(*b"\x30\x08\x82\x06a.test"), "BadCertificate");
    check_stranger(Leaf::new().san_der(*b"\x30\x7f"), "BadCertificate");
}
