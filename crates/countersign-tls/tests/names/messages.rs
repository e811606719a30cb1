//! What a refusal says: who was asked for, who answered, and what to do about it.

use countersign_core::{Fault, HandshakeError};
use countersign_lab::{Authority, Charter, KeyUsage, Leaf, now};

use crate::{ROOT, meet};

/// The client's error when a server shows this leaf.
fn refusal(leaf: Leaf, asked: &str) -> HandshakeError {
    meet(&ROOT, &ROOT.issue(leaf), asked).expect_err("it is refused")
}

#[track_caller]
fn check(error: &HandshakeError, message: &str, hint: &str) {
    assert_eq!(error.to_string(), message);
    assert!(error.hint().contains(hint), "{}", error.hint());
    assert_eq!(error.fault(), Fault::Peer);
}

#[test]
fn wrong_peer_names_both() {
    let error = refusal(Leaf::new().dns("evil.test"), "postgres/db1.example.com");
    let message = "asked for postgres/db1.example.com, the peer proved host/evil.test";
    check(&error, message, "someone else answers there");

    let error = refusal(Leaf::new().dns("*.evil.test").dns("evil.test"), "db1.example.com");
    let message =
        "asked for host/db1.example.com, the peer proved host/evil.test, host/*.evil.test";
    check(&error, message, "someone else answers there");

    let error = refusal(Leaf::new().uri("spiffe://prod/a"), "spiffe://prod/b");
    let message = "asked for spiffe://prod/b, the peer proved spiffe://prod/a";
    check(&error, message, "someone else answers there");

    let leaf = Leaf::new().kerberos("A.TEST", &["postgres", "db1.test"]);
    let error = refusal(leaf, "postgres/db1.test@B.TEST");
    let message = "asked for postgres/db1.test@B.TEST, the peer proved postgres/db1.test@A.TEST";
    check(&error, message, "someone else answers there");
}

#[test]
fn wrong_peer_says_why_where_the_names_do_not() {
    let leaf = Leaf::new().service("postgres", "db1.test").dns("db1.test");
    let error = refusal(leaf, "http/db1.test");
    let message = "asked for http/db1.test, the peer proved postgres/db1.test";
    check(&error, message, "for other services on it only");

    let error = refusal(Leaf::new().dns("db1.test"), "postgres/db1.test@A.TEST");
    let message = "asked for postgres/db1.test@A.TEST, the peer proved host/db1.test";
    check(&error, message, "states neither realm nor service part");

    let error = refusal(Leaf::new().common_name("db1.test"), "db1.test");
    let message = "asked for host/db1.test, the peer proved no name that it could be known by";
    check(&error, message, "the common name is never looked at");

    let leaf = Leaf::new().uri("spiffe://prod/a").uri("spiffe://prod/b");
    let error = refusal(leaf, "spiffe://prod/a");
    let message = "asked for spiffe://prod/a, the peer proved no name that it could be known by";
    check(&error, message, "states 2 URIs");
}

#[test]
fn untrusted_issuer_is_named_as_the_certificate_states_it() {
    let other = Authority::new("the other authority");
    let error = meet(&ROOT, &other.issue(Leaf::new().dns("a.test")), "a.test").unwrap_err();
    let message = "the peer's certificate was issued by CN=the other authority, which is not \
                   trusted here";
    check(&error, message, "countersign identity trust");
}

#[test]
fn dates_are_said_with_the_time_here() {
    let Err(HandshakeError::Expired { not_after, now: here }) =
        meet(&ROOT, &ROOT.issue(Leaf::new().dns("a.test").valid(0, 86_400)), "a.test")
    else {
        panic!("it has expired");
    };
    assert_eq!(not_after.as_secs(), 86_400);
    assert!(now().since(here).as_secs() < 60);

    let future = now().as_secs() + 86_400;
    let error = refusal(Leaf::new().dns("a.test").valid(future, future + 1), "a.test");
    assert!(matches!(error, HandshakeError::NotYetValid { not_before, .. }
        if not_before.as_secs() == future));
}

#[test]
fn wrong_usage_and_bad_certificate_say_the_rule() {
    let leaf = || Leaf::new().dns("a.test");
    let not_acceptable = |why: &str| format!("the peer's certificate is not acceptable: {why}");
    let not_for_this = |why: &str| format!("the peer's certificate is not for this use: {why}");

    let error = refusal(leaf().client_only(), "a.test");
    let why = "its extended key usage does not have the role that the peer plays";
    check(&error, &not_for_this(why), "issued for this use");

    let error = refusal(leaf().key_usage(&[KeyUsage::KeyAgreement]), "a.test");
    check(&error, &not_for_this("its key usage lacks digitalSignature"), "issued for this use");

    let error = refusal(leaf().authority(), "a.test");
    let why = "it is an authority's certificate and no end entity's";
    check(&error, &not_acceptable(why), "issued anew");

    let error = refusal(leaf().san_der(*b"\x30\x08\x82\x06b.test"), "a.test");
    let why = "an extension of it is there twice or cannot be read";
    check(&error, &not_acceptable(why), "issued anew");

    let holder = ROOT.intermediate(Charter::new("holder").end_entity());
    let error = meet(&ROOT, &holder.issue(leaf()), "a.test").unwrap_err();
    check(&error, &not_acceptable("an issuer in its chain is no authority"), "issued anew");

    let inner = ROOT.intermediate(Charter::new("inner").at_most_above(0)).intermediate("below");
    let error = meet(&ROOT, &inner.issue(leaf()), "a.test").unwrap_err();
    let why = "its chain is longer than an authority in it permits";
    check(&error, &not_acceptable(why), "issued anew");

    let within = ROOT.intermediate(Charter::new("within").permitting_dns("example.com"));
    let error = meet(&ROOT, &within.issue(leaf()), "a.test").unwrap_err();
    check(&error, &not_acceptable("it states a name that its issuer may not give"), "issued anew");
}

#[test]
fn names_without_end_are_counted_and_not_listed() {
    let mut leaf = Leaf::new();
    for number in 0..40 {
        leaf = leaf.dns(&format!("h{number}.evil.test"));
    }
    let message = refusal(leaf, "a.test").to_string();
    assert!(message.contains("host/h5.evil.test and 34 more"), "{message}");
}

#[test]
fn text_of_the_peer_reaches_no_terminal_raw() {
    let other = Authority::new("red\u{1b}[31malert\u{7}");
    let error = meet(&ROOT, &other.issue(Leaf::new().dns("a.test")), "a.test").unwrap_err();
    assert!(!error.to_string().chars().any(char::is_control), "{error}");
    let long = Authority::new("x".repeat(20_000).as_str());
    let error = meet(&ROOT, &long.issue(Leaf::new().dns("a.test")), "a.test").unwrap_err();
    assert!(error.to_string().len() < 400);
}
