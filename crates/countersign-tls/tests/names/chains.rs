//! What is wrong before any name is looked at: issuers, dates, uses, constraints, duplicates.

use std::sync::LazyLock;

use countersign_lab::{Authority, Charter, KeyUsage, Leaf, now};
use countersign_tls::{AlternativeName, encode};

use crate::{
    BAD_CERTIFICATE, BY_DNS, BY_KERBEROS, BY_SERVICE, BY_SPIFFE, EXPIRED, Expected, NOT_YET_VALID,
    ROOT, UNTRUSTED, WRONG_PEER, WRONG_USAGE, check, check_issued,
};

const HOST: &str = "db1.example.com";
const HOUR: u64 = 60 * 60;

fn leaf() -> Leaf {
    Leaf::new().dns(HOST)
}

#[test]
fn issuer_must_be_believed() {
    let other = Authority::new("other");
    check_issued(&ROOT, &other.issue(leaf()), HOST, UNTRUSTED);
    check_issued(&ROOT, &ROOT.intermediate("inner").issue(leaf()), HOST, BY_DNS);
    check_issued(&ROOT, &ROOT.intermediate("a").intermediate("b").issue(leaf()), HOST, BY_DNS);
    check_issued(&ROOT, &other.intermediate("inner").issue(leaf()), HOST, UNTRUSTED);
}

#[test]
fn authority_is_its_key_and_not_its_name() {
    check_issued(&ROOT, &Authority::new("root").issue(leaf()), HOST, UNTRUSTED);
    let impostor = Authority::new("root").intermediate("inner");
    check_issued(&ROOT, &impostor.issue(leaf()), HOST, UNTRUSTED);
}

#[test]
fn missing_intermediate_is_an_issuer_that_is_not_believed() {
    let mut issued = ROOT.intermediate("inner").issue(leaf());
    issued.chain.truncate(1);
    check_issued(&ROOT, &issued, HOST, UNTRUSTED);
}

#[test]
fn end_entity_issues_nothing() {
    let holder = ROOT.intermediate(Charter::new("holder").end_entity());
    check_issued(&ROOT, &holder.issue(leaf()), HOST, BAD_CERTIFICATE);
    let below = ROOT.intermediate("inner").intermediate(Charter::new("holder").end_entity());
    check_issued(&ROOT, &below.issue(leaf()), HOST, BAD_CERTIFICATE);
}

#[test]
fn chain_is_no_longer_than_its_authorities_permit() {
    let inner = ROOT.intermediate(Charter::new("inner").at_most_above(0));
    check_issued(&ROOT, &inner.issue(leaf()), HOST, BY_DNS);
    check_issued(&ROOT, &inner.intermediate("below").issue(leaf()), HOST, BAD_CERTIFICATE);
}

#[test]
fn bad_chain_is_reported_before_a_wrong_name() {
    let wrong = Leaf::new().dns("evil.test");
    check_issued(&ROOT, &Authority::new("other").issue(wrong.clone()), HOST, UNTRUSTED);
    check(wrong.clone().valid(0, now().as_secs() - HOUR), HOST, EXPIRED);
    check(wrong.clone().client_only(), HOST, WRONG_USAGE);
    check(wrong, HOST, WRONG_PEER);
}

#[test]
fn certificate_is_good_between_its_dates() {
    let now = now().as_secs();
    check(leaf().valid(now - HOUR, now + HOUR), HOST, BY_DNS);
    check(leaf().valid(now - 2 * HOUR, now - HOUR), HOST, EXPIRED);
    check(leaf().valid(now + HOUR, now + 2 * HOUR), HOST, NOT_YET_VALID);
    let dead = Charter::new("inner").valid(now - 2 * HOUR, now - HOUR);
    check_issued(&ROOT, &ROOT.intermediate(dead).issue(leaf()), HOST, EXPIRED);
    let unborn = Charter::new("inner").valid(now + HOUR, now + 2 * HOUR);
    check_issued(&ROOT, &ROOT.intermediate(unborn).issue(leaf()), HOST, NOT_YET_VALID);
}

#[test]
fn authority_is_no_end_entity() {
    check(leaf().authority(), HOST, BAD_CERTIFICATE);
    check(leaf().authority().key_usage(&[KeyUsage::KeyCertSign]), HOST, BAD_CERTIFICATE);
    check(Leaf::new().uri("spiffe://prod/a").authority(), "spiffe://prod/a", BAD_CERTIFICATE);
}

#[test]
fn extended_key_usage_is_a_servers_or_absent() {
    check(leaf().server_only(), HOST, BY_DNS);
    check(leaf().no_usage(), HOST, BY_DNS);
    check(leaf().client_only(), HOST, WRONG_USAGE);
    check(leaf().code_signing_only(), HOST, WRONG_USAGE);
}

#[test]
fn key_usage_is_signing_handshakes_or_absent() {
    use KeyUsage::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment};
    check(leaf().key_usage(&[]), HOST, BY_DNS);
    check(leaf().key_usage(&[DigitalSignature]), HOST, BY_DNS);
    check(leaf().key_usage(&[DigitalSignature, KeyEncipherment]), HOST, BY_DNS);
    check(leaf().key_usage(&[KeyEncipherment, KeyAgreement]), HOST, WRONG_USAGE);
    check(leaf().key_usage(&[KeyCertSign]), HOST, WRONG_USAGE);
    check(leaf().key_usage(&[DigitalSignature, KeyCertSign]), HOST, WRONG_USAGE);
    check(leaf().key_usage(&[DigitalSignature, CrlSign]), HOST, WRONG_USAGE);
}

/// An intermediate that may issue for `example.com` only, but not below `secret.example.com`.
static WITHIN: LazyLock<Authority> = LazyLock::new(|| {
    ROOT.intermediate(
        Charter::new("within").permitting_dns("example.com").excluding_dns("secret.example.com"),
    )
});

#[track_caller]
fn check_within(leaf: Leaf, asked: &str, expected: Expected) {
    check_issued(&ROOT, &WITHIN.issue(leaf.clone()), asked, expected);
    // An authority below a constrained one is no freer, nor is one that is believed itself.
    check_issued(&ROOT, &WITHIN.intermediate("below").issue(leaf.clone()), asked, expected);
    let charter =
        Charter::new("anchor").permitting_dns("example.com").excluding_dns("secret.example.com");
    let anchor = Authority::new(charter);
    check_issued(&anchor, &anchor.issue(leaf), asked, expected);
}

#[test]
fn constrained_authority_names_hosts_of_its_own_only() {
    check_within(Leaf::new().dns("db1.example.com"), "db1.example.com", BY_DNS);
    check_within(Leaf::new().dns("*.db.example.com"), "1.db.example.com", BY_DNS);
    // This one could stand for the excluded domain.
    check_within(Leaf::new().dns("*.example.com"), "db1.example.com", BAD_CERTIFICATE);
    check_within(Leaf::new().dns("db1.example.com"), "db2.example.com", WRONG_PEER);
    check_within(Leaf::new().dns("db1.example.org"), "db1.example.org", BAD_CERTIFICATE);
    check_within(Leaf::new().dns("db1.notexample.com"), "db1.notexample.com", BAD_CERTIFICATE);
    check_within(Leaf::new().dns("a.secret.example.com"), "a.secret.example.com", BAD_CERTIFICATE);
    let both = Leaf::new().dns("db1.example.com").dns("db1.example.org");
    check_within(both, "db1.example.com", BAD_CERTIFICATE);
}

#[test]
fn constrained_authority_names_services_only_on_hosts_that_it_may_name() {
    let outside = || Leaf::new().service("postgres", "db1.example.org");
    check_within(outside(), "postgres/db1.example.org", WRONG_PEER);
    check_within(outside().dns("db1.example.com"), "postgres/db1.example.org", WRONG_PEER);
    check_within(outside().dns("db1.example.org"), "postgres/db1.example.org", BAD_CERTIFICATE);
    let inside = || Leaf::new().service("postgres", "db1.example.com");
    check_within(inside(), "postgres/db1.example.com", WRONG_PEER);
    check_within(inside().dns("db1.example.com"), "postgres/db1.example.com", BY_SERVICE);
    let wildcard = Leaf::new().service("postgres", "1.db.example.com").dns("*.db.example.com");
    check_within(wildcard, "postgres/1.db.example.com", BY_SERVICE);
    check_within(inside().dns("db1.example.com"), "http/db1.example.com", WRONG_PEER);
    let kerberos = || Leaf::new().kerberos("EXAMPLE.COM", &["postgres", "db1.example.com"]);
    check_within(kerberos(), "postgres/db1.example.com", WRONG_PEER);
    check_within(kerberos().dns("db1.example.com"), "postgres/db1.example.com", BY_KERBEROS);
    let kerberos = Leaf::new().kerberos("EXAMPLE.COM", &["postgres", "db1.example.org"]);
    check_within(kerberos.dns("db1.example.com"), "postgres/db1.example.org", WRONG_PEER);
}

#[test]
fn wildcard_covers_a_service_on_one_label_only() {
    // Here our matcher stands alone: webpki sees no SRVName.
    let leaf = |wildcard: &str, host: &str| Leaf::new().service("postgres", host).dns(wildcard);
    let deep = "postgres/1.a.db.example.com";
    check_within(leaf("*.db.example.com", "1.a.db.example.com"), deep, WRONG_PEER);
    check_within(leaf("*.db.example.com", "db.example.com"), "postgres/db.example.com", WRONG_PEER);
    check_within(
        leaf("*.db.example.com", "1.web.example.com"),
        "postgres/1.web.example.com",
        WRONG_PEER,
    );
    let top = Authority::new(Charter::new("top").permitting_dns("test"));
    let issued = top.issue(leaf("*.test", "db.test"));
    check_issued(&top, &issued, "postgres/db.test", BAD_CERTIFICATE);
    let issued = top.issue(leaf("*.db.test", "1.db.test"));
    check_issued(&top, &issued, "postgres/1.db.test", BY_SERVICE);
}

#[test]
fn constrained_authority_names_no_workloads_and_no_users() {
    check(Leaf::new().uri("spiffe://example.com/a"), "spiffe://example.com/a", BY_SPIFFE);
    check_within(Leaf::new().uri("spiffe://example.com/a"), "spiffe://example.com/a", WRONG_PEER);
    let user = "alice@EXAMPLE.COM";
    check_within(Leaf::new().user_principal(user), user, WRONG_PEER);
    check_within(Leaf::new().kerberos("EXAMPLE.COM", &["alice"]), user, WRONG_PEER);
    check_within(Leaf::new().user_principal(user).dns("db1.example.com"), user, WRONG_PEER);
}

#[test]
fn two_lists_of_names_are_none() {
    let list = |host: &str| encode(&[AlternativeName::Dns(host.to_owned())]);
    check(Leaf::new().san_der(list(HOST)), HOST, BY_DNS);
    check(Leaf::new().san_der(list(HOST)).san_der(list(HOST)), HOST, BAD_CERTIFICATE);
    check(Leaf::new().san_der(list("a.test")).san_der(list(HOST)), HOST, BAD_CERTIFICATE);
    check(leaf().san_der(list("a.test")), HOST, BAD_CERTIFICATE);
}

#[test]
fn list_of_names_that_cannot_be_read_is_none() {
    check(Leaf::new().san_der(*b"\x30\x00"), HOST, WRONG_PEER);
    check(Leaf::new().san_der(*b""), HOST, BAD_CERTIFICATE);
    check(Leaf::new().san_der(*b"\x30\x7f\x82\x06a.test"), "a.test", BAD_CERTIFICATE);
    check(Leaf::new().san_der(*b"\x31\x08\x82\x06a.test"), "a.test", BAD_CERTIFICATE);
    check(Leaf::new().san_der(*b"\x30\x08\x82\x06a.test\x05\x00"), "a.test", BAD_CERTIFICATE);
    // A kind of name that there is not: context tag 9.
    check(Leaf::new().san_der(*b"\x30\x0a\x82\x06a.test\x89\x00"), "a.test", BAD_CERTIFICATE);
    check(Leaf::new().san_der(*b"\x30\x08\x82\x06a.tes\xff"), "a.test", BAD_CERTIFICATE);
}
