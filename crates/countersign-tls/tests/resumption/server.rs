//! Whom a server lets in with a session: whom it would let in without.

use countersign_core::Asked;
use countersign_core::AskedFrom;
use countersign_lab::{Leaf, Scene};

use crate::{CLIENT, HOST, HOUR, NONE, REQUEST, REQUIRE, ROOT, Town, both, names, scene};

const ALICE: &str = "[[allow]]\npeers = ['alice@EXAMPLE.COM']";
const BOB: &str = "[[allow]]\npeers = ['bob@EXAMPLE.COM']";

#[test]
fn stricter_listener_of_the_same_process_refuses_as_it_would_anyone() {
    let mut town = Town::new(&scene().client_shows(&CLIENT).server_policy(ALICE));
    town.meets_in_full();
    town.admits(BOB);
    assert!(town.offers());
    town.admits(ALICE);
    both(town.meet());
    town.admits(BOB);
    town.refuses(["RefusedByPeer", "NotAllowed"]);
    town.admits(ALICE);
    town.meets_in_full();
    town.resumes();
}

#[test]
fn rules_that_the_client_passes_too_let_it_go_on() {
    let mut town = Town::new(&scene().client_shows(&CLIENT).server_policy(REQUIRE));
    town.meets_in_full();
    town.admits(ALICE);
    let [_, server] = both(town.meet());
    assert!(server.is_resumed());
    assert_eq!(names(&server), ["alice@EXAMPLE.COM"]);
}

#[test]
fn program_that_names_its_clients_hears_of_nobody_else() {
    let mut town = Town::mutual();
    town.meets_in_full();
    town.admission = scene().server_names_client("0.0.0.0:0", "bob@EXAMPLE.COM").admission();
    town.refuses(["RefusedByPeer", "NotAllowed"]);
}

#[test]
fn anonymous_session_does_not_get_in_where_a_certificate_is_required() {
    for first in [NONE, REQUEST] {
        for second in [REQUIRE, ALICE] {
            let mut town = Town::new(&scene().server_policy(first));
            town.meets_in_full();
            assert!(town.offers());
            both(town.meet());
            town.admits(second);
            town.refuses(["RefusedByPeer", "NoCertificate"]);
        }
    }
}

#[test]
fn who_was_not_asked_for_a_certificate_is_asked_where_others_are() {
    let mut town = Town::new(&scene().client_shows(&CLIENT).server_policy(NONE));
    town.meets_in_full();
    town.admits(REQUEST);
    let [_, server] = both(town.meet());
    assert!(!server.is_resumed());
    assert_eq!(names(&server), ["alice@EXAMPLE.COM"]);
    // And the other way: where none is asked for, nobody has a name.
    town.admits(NONE);
    let [_, server] = both(town.meet());
    assert!(!server.is_resumed());
    assert_eq!(server.peer(), None);
}

#[test]
fn client_whose_certificate_has_expired_meanwhile_is_refused() {
    let start = countersign_lab::now().as_secs();
    let leaf = Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    let issued = ROOT.issue(leaf.valid(start - 60, start + HOUR / 2));
    let mut town = Town::new(&scene().client_shows(&issued).server_policy(REQUIRE));
    town.meets_in_full();
    town.later(HOUR / 2);
    town.resumes();
    town.later(1);
    assert!(town.offers(), "the client does not look at its own");
    town.later(1);
    town.refuses(["RefusedByPeer", "Expired"]);
}

#[test]
fn intermediate_that_has_expired_meanwhile_counts_too() {
    let start = countersign_lab::now().as_secs();
    let charter = countersign_lab::Charter::new("between").valid(start - 60, start + HOUR / 2);
    let between = ROOT.intermediate(charter);
    let client = between.issue(Leaf::new().kerberos("EXAMPLE.COM", &["alice"]));
    let server = between.issue(Leaf::new().dns(HOST));
    let mut town =
        Town::new(&scene().server_shows(&server).client_shows(&client).server_policy(REQUIRE));
    town.meets_in_full();
    town.later(HOUR / 2);
    town.resumes();
    town.later(1);
    assert!(!town.offers());
    town.refuses(["Expired", "RefusedByPeer"]);
    // The server's own look, with a client that has other cares.
    let mut town = Town::new(&scene().client_shows(&client).server_policy(REQUIRE));
    town.meets_in_full();
    town.later(HOUR / 2 + 1);
    town.refuses(["RefusedByPeer", "Expired"]);
}

#[test]
fn session_of_one_host_does_not_do_for_another_of_the_same_server() {
    let both_hosts = ROOT.issue(Leaf::new().dns(HOST).dns("db2.example.com"));
    let mut town = Town::new(&scene().server_shows(&both_hosts));
    town.meets_in_full();
    let from = AskedFrom::Program(Scene::SERVER.parse().unwrap());
    town.asked = Asked::Name { name: "db2.example.com".parse().unwrap(), from };
    assert!(!town.offers());
    town.meets_in_full();
}
