//! Whom the client believes, and what the server learns when it does not.

use countersign_core::{HandshakeError, Policy};
use countersign_lab::{Authority, Charter, Issued, Leaf, Pair, Scene, Stranger, now};
use countersign_tls::{ClientConfig, Engine, TrustAnchors};
use rustls::AlertDescription;

use crate::{CLIENT, HOST, ROOT, SERVER, refused, scene, variants};

/// A server shows this to a client that asks for [`HOST`]: the client's error, and the alert that
/// the server receives.
#[track_caller]
fn check(issued: &Issued, expected: &str, alert: &str) {
    let ending = Scene::new(&ROOT).server_shows(issued).asking(HOST).pair().handshake();
    assert_eq!(variants(&ending), [expected, "RefusedByPeer"]);
    assert_eq!(ending.server.unwrap_err(), refused(alert));
}

fn leaf() -> Leaf {
    Leaf::new().dns(HOST)
}

#[test]
fn server_learns_as_much_of_its_refusal_as_it_may() {
    let now = now().as_secs();
    check(&Authority::new("other").issue(leaf()), "UntrustedIssuer", "unknown_ca");
    check(&Authority::new("root").issue(leaf()), "UntrustedIssuer", "unknown_ca");
    check(&ROOT.issue(leaf().valid(0, now - 60)), "Expired", "certificate_expired");
    check(&ROOT.issue(leaf().valid(now + 60, now + 120)), "NotYetValid", "certificate_expired");
    check(&ROOT.issue(leaf().client_only()), "WrongUsage", "unsupported_certificate");
    check(&ROOT.issue(leaf().authority()), "BadCertificate", "bad_certificate");
    check(&ROOT.issue(Leaf::new().dns("evil.test")), "WrongPeer", "bad_certificate");
    let within = ROOT.intermediate(Charter::new("within").permitting_dns("example.org"));
    check(&within.issue(leaf()), "BadCertificate", "bad_certificate");
}

#[test]
fn client_that_believes_nobody_believes_nobody() {
    let config = ClientConfig::new(&Policy::default(), &TrustAnchors::default(), None);
    let scene = scene();
    let client = Engine::client(&config, scene.asked(), scene.now()).unwrap();
    let ending = Pair::new(client, scene.server(), scene.now()).handshake();
    assert_eq!(variants(&ending), ["UntrustedIssuer", "RefusedByPeer"]);
}

#[test]
fn certificate_without_its_key_proves_nothing() {
    let mut stolen = ROOT.issue(leaf());
    stolen.key = CLIENT.key.clone_key();
    let scene = scene();
    let mut pair = Pair::new(scene.client(), Stranger::showing(&stolen), scene.now());
    let ending = pair.handshake();
    let why = "the peer does not hold its private key".to_owned();
    assert_eq!(ending.client.unwrap_err(), HandshakeError::BadCertificate { why });
    let heard = ending.server.unwrap_err();
    assert_eq!(heard, rustls::Error::AlertReceived(AlertDescription::DecryptError));
}

#[test]
fn client_shows_nothing_to_a_server_that_it_does_not_believe() {
    // Neither its certificate nor anything else but an alert follows its first flight.
    let records = |scene: Scene| {
        let mut pair = scene.client_shows(&CLIENT).pair();
        pair.handshake();
        let (mut rest, mut lengths) = (pair.to_server.bytes(), Vec::new());
        while let [_, _, _, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            lengths.push(length);
            rest = &after[length..];
        }
        lengths
    };
    let (believed, refused) = (records(scene()), records(scene().asking("other.example.com")));
    assert!(believed.iter().skip(1).sum::<usize>() > CLIENT.chain[0].len());
    // One byte of change_cipher_spec; an alert, its type, and the tag of the record.
    assert_eq!(refused[1..], [1, 2 + 1 + 16]);
}

#[test]
fn time_is_the_callers_and_not_the_hosts() {
    let (born, dies) = (1_000_000, 2_000_000);
    let root = Authority::new(Charter::new("root").valid(born, 3 * dies));
    let server = root.issue(leaf().valid(born, dies));
    let scene = Scene::new(&root).server_shows(&server).asking(HOST);
    for (time, expected) in [
        (born - 1, ["NotYetValid", "RefusedByPeer"]),
        (born, ["ok", "ok"]),
        (dies, ["ok", "ok"]),
        (dies + 1, ["Expired", "RefusedByPeer"]),
    ] {
        assert_eq!(variants(&scene.clone().at(time).pair().handshake()), expected, "at {time}");
    }
}

#[test]
fn anyone_who_is_asked_for_must_still_be_believed() {
    let anyone = Scene::new(&ROOT).asking_anyone();
    let pair = |issued: &Issued| anyone.clone().server_shows(issued).pair();
    let evidence = pair(&SERVER).handshake().client.unwrap();
    assert_eq!(evidence.asked(), None);
    assert!(!evidence.is_peer_name_verified());
    assert_eq!(evidence.peer().unwrap().name().to_string(), "host/db1.example.com");
    let nameless = pair(&ROOT.issue(Leaf::new())).handshake().client.unwrap();
    assert_eq!(nameless.peer(), None);

    let other = Authority::new("other");
    for (issued, expected) in [
        (other.issue(leaf()), "UntrustedIssuer"),
        (ROOT.issue(leaf().client_only()), "WrongUsage"),
        (ROOT.issue(leaf().valid(0, 60)), "Expired"),
        (ROOT.issue(leaf().authority()), "BadCertificate"),
    ] {
        assert_eq!(variants(&pair(&issued).handshake()), [expected, "RefusedByPeer"]);
    }
}
