//! What a client keeps sessions by, and when it does not go on from one.

use countersign_core::{Asked, AskedFrom, KerberosUse};
use countersign_lab::{Authority, Leaf, Pair, Scene};
use countersign_tls::Engine;

use crate::{CLIENT, HOST, HOUR, REQUIRE, ROOT, Town, both, names, offers_session, scene};

fn address(text: &str) -> std::net::SocketAddr {
    text.parse().unwrap()
}

/// A session for `first` is of no use where `second` is asked for.
#[track_caller]
fn check_apart(leaf: Leaf, first: &str, second: &str) {
    let issued = ROOT.issue(leaf);
    let mut town = Town::new(&Scene::new(&ROOT).server_shows(&issued).asking(first));
    town.meets_in_full();
    assert!(town.offers(), "{first}");
    // Brings the client another ticket, since one is used once.
    both(town.meet());
    town.asks(second);
    let mut pair = town.pair();
    let _ = pair.handshake();
    assert!(!offers_session(pair.to_server.bytes()), "{first} for {second}");
}

#[test]
fn session_of_one_name_is_none_of_another() {
    let dns = || Leaf::new().dns(HOST).dns("db2.example.com");
    check_apart(dns(), "postgres/db1.example.com", "http/db1.example.com");
    check_apart(dns(), "host/db1.example.com", "http/db1.example.com");
    check_apart(dns(), "postgres/db1.example.com", "postgres/db2.example.com");
    check_apart(dns(), "postgres/db1.example.com:5432", "postgres/db1.example.com:5433");
    check_apart(dns(), "postgres/db1.example.com", "postgres/db1.example.com@EXAMPLE.COM");
    let kerberos = || {
        Leaf::new()
            .kerberos("A.TEST", &["postgres", HOST])
            .kerberos("B.TEST", &["postgres", HOST])
            .kerberos("A.TEST", &["postgres", HOST, "x"])
    };
    let name = "postgres/db1.example.com@A.TEST";
    check_apart(kerberos(), name, "postgres/db1.example.com@B.TEST");
    check_apart(kerberos(), name, "postgres/db1.example.com");
    check_apart(kerberos(), name, "postgres/db1.example.com/x@A.TEST");
    check_apart(Leaf::new().uri("spiffe://prod/a"), "spiffe://prod/a", "spiffe://prod/b");
    let users = Leaf::new().kerberos("A.TEST", &["alice"]).kerberos("A.TEST", &["bob"]);
    check_apart(users, "alice@A.TEST", "bob@A.TEST");
}

#[test]
fn wrong_name_is_refused_after_a_session_of_the_right_one() {
    let issued = ROOT.issue(Leaf::new().service("postgres", HOST));
    let mut town =
        Town::new(&Scene::new(&ROOT).server_shows(&issued).asking("postgres/db1.example.com"));
    town.meets_in_full();
    town.asks("http/db1.example.com");
    town.refuses(["WrongPeer", "RefusedByPeer"]);
    town.asks("postgres/db1.example.com");
    town.resumes();
}

#[test]
fn session_of_one_place_is_none_of_another() {
    let mut town = Town::mutual();
    let places = [
        AskedFrom::Program(address(Scene::SERVER)),
        AskedFrom::Policy(address(Scene::SERVER)),
        AskedFrom::Program(address("192.0.2.9:443")),
        AskedFrom::Program(address("0.0.0.0:443")),
    ];
    for from in places {
        town.asked = Asked::Name { name: HOST.parse().unwrap(), from };
        assert!(!town.offers(), "{from}");
        town.meets_in_full();
        town.resumes();
    }
}

#[test]
fn whoever_was_asked_for_without_a_name_is_not_resumed() {
    let mut town = Town::mutual();
    town.meets_in_full();
    town.asked = Asked::AnyTrusted;
    for _ in 0..3 {
        assert!(!town.offers());
        town.meets_in_full();
    }
    town.asks(HOST);
    town.resumes();
}

#[test]
fn session_is_not_offered_where_another_proof_is() {
    let scene = scene().client_shows(&CLIENT).server_policy(REQUIRE);
    let town = Town::new(&scene);
    town.meets_in_full();
    for offer in [KerberosUse::Prefer, KerberosUse::Require] {
        let client =
            Engine::client_offering(&town.client, town.asked.clone(), offer, town.now).unwrap();
        let mut pair = Pair::new(client, town.server(), town.now);
        let ending = pair.handshake();
        assert!(!offers_session(pair.to_server.bytes()));
        assert_eq!(ending.client.is_ok(), offer == KerberosUse::Prefer);
        // Nor is there anything to keep of it: the one session is the one from before.
        pair.server_sends(b"x");
    }
    town.resumes();
}

#[test]
fn server_whose_certificate_has_expired_meanwhile_is_refused() {
    let start = countersign_lab::now().as_secs();
    let issued = ROOT.issue(Leaf::new().dns(HOST).valid(start - 60, start + HOUR / 2));
    let mut town = Town::new(&scene().server_shows(&issued));
    town.meets_in_full();
    town.later(HOUR / 2);
    town.resumes();
    town.later(1);
    assert!(!town.offers());
    town.refuses(["Expired", "RefusedByPeer"]);
}

#[test]
fn server_that_is_believed_no_more_is_refused() {
    let town = Town::mutual();
    town.meets_in_full();
    let scene = scene().client_trusts(&Authority::new("other"));
    let town = Town { client: scene.client_config(), ..town };
    assert!(!town.offers());
    town.refuses(["UntrustedIssuer", "RefusedByPeer"]);
}

#[test]
fn each_ticket_is_used_once() {
    let town = Town::mutual();
    town.meets_in_full();
    let mut tickets = Vec::new();
    for _ in 0..4 {
        let mut pair = town.pair();
        let ending = pair.handshake();
        assert!(ending.client.unwrap().is_resumed());
        let greeting = pair.to_server.bytes();
        tickets.push(greeting[crate::ticket(greeting)].to_vec());
        pair.server_sends(b"x");
    }
    tickets.sort();
    tickets.dedup();
    assert_eq!(tickets.len(), 4);
    // One that brings none leaves none.
    assert!(town.offers());
    assert!(!town.offers());
}

#[test]
fn as_many_resume_at_once_as_have_brought_a_ticket_but_no_more_than_eight() {
    let town = Town::mutual();
    let mut pairs: Vec<_> = (0..12).map(|_| town.pair()).collect();
    for pair in &mut pairs {
        assert!(!both(pair.handshake())[0].is_resumed());
    }
    for pair in &mut pairs {
        pair.server_sends(b"x");
    }
    let mut pairs: Vec<_> = (0..12).map(|_| town.pair()).collect();
    let resumed = pairs.iter_mut().filter_map(|pair| pair.handshake().client.ok());
    assert_eq!(resumed.filter(|evidence| evidence.is_resumed()).count(), 8);
}

#[test]
fn a_resumed_peer_is_judged_anew_like_any_other() {
    let town = Town::mutual();
    town.meets_in_full();
    let mut pair = town.pair();
    let [client, _] = both(pair.handshake());
    assert!(client.is_resumed());
    assert_eq!(names(&client), ["host/db1.example.com"]);
    let anchors = ROOT.anchors();
    for (end, stranger) in
        [(&pair.client.end, "other.example.com"), (&pair.server.end, "bob@EXAMPLE.COM")]
    {
        let same = end.question().clone();
        assert_eq!(end.judge_anew(&same, &anchors, town.now), Ok(()));
        let nobody = Authority::new("root").anchors();
        assert!(end.judge_anew(&same, &nobody, town.now).is_err());
        let other = if end.is_client() {
            let from = AskedFrom::Program(address(Scene::SERVER));
            let name = stranger.parse().unwrap();
            countersign_tls::Question::IsServer(Asked::Name { name, from })
        } else {
            let rule = format!("[[allow]]\npeers = ['{stranger}']");
            let admission = scene().server_policy(&rule).admission();
            countersign_tls::Question::MayConnect(admission, address(Scene::CLIENT))
        };
        assert!(end.judge_anew(&other, &anchors, town.now).is_err(), "{stranger}");
    }
}
