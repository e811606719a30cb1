//! dNSName, iPAddress, and what may not pass for either (RFC 9525).

use countersign_core::Proof;
use countersign_lab::Leaf;

use crate::{
    BAD_CERTIFICATE, BY_DNS, BY_IP, BY_KERBEROS, BY_SERVICE, BY_SPIFFE, ROOT, WRONG_PEER, check,
    meet,
};

fn dns(name: &str) -> Leaf {
    Leaf::new().dns(name)
}

fn ip(address: &str) -> Leaf {
    Leaf::new().ip(address)
}

#[test]
fn dns_name_is_equal_in_every_label() {
    check(dns("db1.example.com"), "db1.example.com", BY_DNS);
    check(dns("db1.example.com"), "host/db1.example.com", BY_DNS);
    check(dns("db1"), "db1", BY_DNS);
    check(dns("db2.example.com").dns("db1.example.com"), "db1.example.com", BY_DNS);
    check(dns("db1.example.com"), "db2.example.com", WRONG_PEER);
    check(dns("db1.example.com"), "example.com", WRONG_PEER);
    check(dns("example.com"), "db1.example.com", WRONG_PEER);
    check(dns("b1.example.com"), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.com.evil.test"), "db1.example.com", WRONG_PEER);
    check(dns("evil-db1.example.com"), "db1.example.com", WRONG_PEER);
    check(dns(".example.com"), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.com "), "db1.example.com", WRONG_PEER);
    check(dns(""), "db1.example.com", WRONG_PEER);
}

#[test]
fn dns_names_that_differ_in_case_only_are_the_same() {
    check(dns("DB1.Example.COM"), "db1.example.com", BY_DNS);
    check(dns("db1.example.com"), "DB1.EXAMPLE.com", BY_DNS);
    check(dns("*.EXAMPLE.com"), "db1.example.COM", BY_DNS);
}

#[test]
fn wildcard_stands_for_one_whole_label() {
    check(dns("*.example.com"), "db1.example.com", BY_DNS);
    check(dns("*.a.example.com"), "db1.a.example.com", BY_DNS);
    check(dns("*.example.com"), "bücher.example.com", BY_DNS);
    check(dns("*.example.com"), "a.db1.example.com", WRONG_PEER);
    check(dns("*.example.com"), "example.com", WRONG_PEER);
    check(dns("*.example.com"), "db1.example.org", WRONG_PEER);
    check(dns("*.example.com"), "db1-example.com", WRONG_PEER);
}

#[test]
fn wildcard_is_the_leftmost_label_alone_and_two_follow() {
    check(dns("*"), "localhost", WRONG_PEER);
    check(dns("*."), "localhost", WRONG_PEER);
    check(dns("*.com"), "example.com", WRONG_PEER);
    check(dns("*.*.com"), "db1.example.com", WRONG_PEER);
    check(dns("*.*"), "example.com", WRONG_PEER);
    check(dns("f*.example.com"), "foo.example.com", WRONG_PEER);
    check(dns("*o.example.com"), "foo.example.com", WRONG_PEER);
    check(dns("f*o.example.com"), "foo.example.com", WRONG_PEER);
    check(dns("db1.*.com"), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.*"), "db1.example.com", WRONG_PEER);
    check(dns("**.example.com"), "db1.example.com", WRONG_PEER);
    check(dns("*.example.com."), "db1.example.com", WRONG_PEER);
    check(dns("xn--*.example.com"), "xn--bcher-kva.example.com", WRONG_PEER);
}

#[test]
fn international_name_is_compared_in_its_ascii_form() {
    check(dns("xn--bcher-kva.example"), "bücher.example", BY_DNS);
    check(dns("xn--bcher-kva.example"), "BÜCHER.example", BY_DNS);
    check(dns("XN--BCHER-KVA.example"), "bücher.example", BY_DNS);
    check(dns("bucher.example"), "bücher.example", WRONG_PEER);
    // A dNSName is ASCII (RFC 5280 section 4.2.1.6); raw UTF-8 is no spelling of anything.
    check(dns("bücher.example"), "bücher.example", WRONG_PEER);
    check(dns("ｅxample.com"), "example.com", WRONG_PEER);
}

#[test]
fn address_is_proved_by_an_ip_address_only() {
    check(ip("192.0.2.7"), "192.0.2.7", BY_IP);
    check(ip("192.0.2.7"), "postgres/192.0.2.7:5432", BY_IP);
    check(ip("2001:db8::7"), "2001:db8::7", BY_IP);
    check(ip("2001:db8::7"), "host/[2001:DB8:0::7]", BY_IP);
    check(ip("192.0.2.8"), "192.0.2.7", WRONG_PEER);
    check(ip("2001:db8::8"), "2001:db8::7", WRONG_PEER);
    check(dns("192.0.2.7"), "192.0.2.7", WRONG_PEER);
    check(dns("2001:db8::7"), "2001:db8::7", WRONG_PEER);
    check(dns("*.0.2.7"), "192.0.2.7", WRONG_PEER);
    check(Leaf::new().uri("https://192.0.2.7"), "192.0.2.7", WRONG_PEER);
    check(Leaf::new().common_name("192.0.2.7"), "192.0.2.7", WRONG_PEER);
    check(ip("192.0.2.7"), "db1.example.com", WRONG_PEER);
}

#[test]
fn ipv4_address_has_four_octets_in_a_certificate() {
    check(ip("192.0.2.7"), "::ffff:192.0.2.7", BY_IP);
    check(ip("::ffff:192.0.2.7"), "192.0.2.7", WRONG_PEER);
    check(
        Leaf::new().san_der(*b"\x30\x07\x87\x05\xc0\x00\x02\x07\x00"),
        "192.0.2.7",
        BAD_CERTIFICATE,
    );
}

#[test]
fn final_dot_may_be_asked_with_but_not_stated() {
    check(dns("db1.example.com"), "db1.example.com.", BY_DNS);
    check(dns("*.example.com"), "db1.example.com.", BY_DNS);
    check(dns("db1.example.com."), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.com."), "db1.example.com.", WRONG_PEER);
}

#[test]
fn nul_does_not_end_a_name() {
    check(dns("db1.example.com\0.evil.test"), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.com\0"), "db1.example.com", WRONG_PEER);
    check(dns("\0db1.example.com"), "db1.example.com", WRONG_PEER);
    check(dns("*.example.com\0"), "db1.example.com", WRONG_PEER);
    check(dns("evil.test\0").dns("db1.example.com"), "db1.example.com", BY_DNS);
}

#[test]
fn common_name_is_never_looked_at() {
    check(Leaf::new().common_name("db1.example.com"), "db1.example.com", WRONG_PEER);
    check(dns("db2.example.com").common_name("db1.example.com"), "db1.example.com", WRONG_PEER);
    check(dns("db1.example.com").common_name("db2.example.com"), "db1.example.com", BY_DNS);
}

#[test]
fn names_of_other_kinds_are_no_host() {
    check(Leaf::new().uri("db1.example.com"), "db1.example.com", WRONG_PEER);
    check(Leaf::new().uri("https://db1.example.com"), "db1.example.com", WRONG_PEER);
    check(Leaf::new().user_principal("db1.example.com"), "db1.example.com", WRONG_PEER);
    check(Leaf::new().user_principal("host/db1.example.com"), "db1.example.com", WRONG_PEER);
    // An rfc822Name.
    check(Leaf::new().san_der(*b"\x30\x08\x81\x06a.test"), "a.test", WRONG_PEER);
}

#[test]
fn dns_name_alone_does_for_any_class_and_port_but_states_no_realm_and_no_service_part() {
    check(dns("db1.example.com"), "postgres/db1.example.com", BY_DNS);
    check(dns("db1.example.com"), "postgres/db1.example.com:5432", BY_DNS);
    check(dns("db1.example.com"), "postgres/db1.example.com@EXAMPLE.COM", WRONG_PEER);
    check(dns("db1.example.com"), "ldap/db1.example.com/example.com", WRONG_PEER);
    check(ip("192.0.2.7"), "postgres/192.0.2.7@EXAMPLE.COM", WRONG_PEER);
}

#[test]
fn names_are_looked_at_up_to_a_thousand() {
    let leaf = |more: u32| {
        let others = (0..more).map(|number| format!("{number}.test"));
        others.fold(Leaf::new().dns("db1.test"), |leaf, name| leaf.dns(&name))
    };
    check(leaf(999), "db1.test", BY_DNS);
    check(leaf(1000), "db1.test", BAD_CERTIFICATE);
    let issued = ROOT.issue(leaf(1000));
    let message = meet(&ROOT, &issued, "db1.test").unwrap_err().to_string();
    assert!(
        message.contains("it states 1001 alternative names, and 1000 are the most"),
        "{message}"
    );
}

#[test]
fn credential_knows_what_peers_will_find() {
    let check = |leaf: Leaf, asked: &str, expected: Result<Proof, &str>| {
        let credential = ROOT.issue(leaf).credential();
        let found = credential.prove(&asked.parse().unwrap());
        assert_eq!(found.map(|it| it.proof()), expected.map_err(str::to_owned), "{asked}");
    };
    let wildcard = || Leaf::new().dns("*.example.com");
    check(wildcard(), "www.example.com", BY_DNS);
    check(wildcard(), "http/www.example.com:443", BY_DNS);
    check(wildcard(), "a.b.example.com", Err("host/*.example.com"));
    check(wildcard(), "example.com", Err("host/*.example.com"));
    let db1 = || Leaf::new().dns("db1");
    check(db1(), "postgres/db1:5432", BY_DNS);
    check(db1(), "db2", Err("host/db1"));
    let postgres = || Leaf::new().service("postgres", "db1");
    check(postgres(), "postgres/db1:5432", BY_SERVICE);
    check(postgres(), "http/db1", Err("postgres/db1"));
    let kerberos = || Leaf::new().kerberos("A", &["postgres", "db1"]);
    check(kerberos(), "postgres/db1", BY_KERBEROS);
    check(Leaf::new().uri("spiffe://a/b"), "spiffe://a/b", BY_SPIFFE);
    check(Leaf::new().uri("spiffe://a/b"), "spiffe://a/c", Err("spiffe://a/b"));
    check(
        Leaf::new().common_name("db1"),
        "db1",
        Err("no name that it could be known by: its certificate states no alternative name; the \
             common name is never looked at"),
    );
}
