//! SRVName (RFC 4985) and KRB5PrincipalName (RFC 4556): a certificate for one service does not do
//! for another on the same host.

use countersign_lab::Leaf;

use crate::{BAD_CERTIFICATE, BY_DNS, BY_KERBEROS, BY_SERVICE, WRONG_PEER, check};

const REALM: &str = "EXAMPLE.COM";

fn srv(class: &str, host: &str) -> Leaf {
    Leaf::new().service(class, host)
}

fn krb(components: &[&str]) -> Leaf {
    Leaf::new().kerberos(REALM, components)
}

#[test]
fn service_name_proves_its_class_on_its_host() {
    check(srv("postgres", "db1.example.com"), "postgres/db1.example.com", BY_SERVICE);
    check(srv("postgres", "db1.example.com"), "postgres/db1.example.com:5432", BY_SERVICE);
    check(srv("Postgres", "DB1.example.com"), "postgres/db1.example.com", BY_SERVICE);
    check(srv("host", "db1.example.com"), "db1.example.com", BY_SERVICE);
    check(srv("postgres", "db1.example.com"), "postgres/db2.example.com", WRONG_PEER);
    check(srv("postgres", "db1.example.com"), "http/db1.example.com", WRONG_PEER);
    check(srv("postgres", "db1.example.com"), "host/db1.example.com", WRONG_PEER);
    check(srv("postgres", "*.example.com"), "postgres/db1.example.com", WRONG_PEER);
    check(srv("*", "db1.example.com"), "postgres/db1.example.com", BAD_CERTIFICATE);
    check(srv("postgres", "db1.example.com."), "postgres/db1.example.com", WRONG_PEER);
    check(srv("postgres", "192.0.2.7"), "postgres/192.0.2.7", WRONG_PEER);
    check(srv("postgres", "db1.example.com\0"), "postgres/db1.example.com", WRONG_PEER);
    check(
        srv("postgres", "db1.example.com").service("http", "db1.example.com"),
        "http/db1.example.com",
        BY_SERVICE,
    );
}

#[test]
fn service_name_states_no_realm_and_no_service_part() {
    check(srv("postgres", "db1.example.com"), "postgres/db1.example.com@EXAMPLE.COM", WRONG_PEER);
    check(srv("ldap", "dc1.example.com"), "ldap/dc1.example.com/example.com", WRONG_PEER);
}

#[test]
fn dns_name_beside_a_service_name_opens_no_other_service() {
    let leaf = || srv("postgres", "db1.example.com").dns("db1.example.com").dns("*.example.com");
    check(leaf(), "postgres/db1.example.com", BY_SERVICE);
    check(leaf(), "http/db1.example.com", WRONG_PEER);
    check(leaf(), "host/db1.example.com", WRONG_PEER);
    check(leaf(), "db1.example.com", WRONG_PEER);
    check(leaf(), "db2.example.com", WRONG_PEER);
    let leaf = || srv("postgres", "db1.example.com").ip("192.0.2.7");
    check(leaf(), "192.0.2.7", WRONG_PEER);
    check(leaf(), "postgres/192.0.2.7", WRONG_PEER);
}

#[test]
fn dns_name_beside_a_kerberos_name_opens_no_other_service() {
    let leaf = || krb(&["postgres", "db1.example.com"]).dns("db1.example.com");
    check(leaf(), "postgres/db1.example.com", BY_KERBEROS);
    check(leaf(), "http/db1.example.com", WRONG_PEER);
    check(leaf(), "db1.example.com", WRONG_PEER);
    let leaf = || krb(&["alice"]).dns("db1.example.com");
    check(leaf(), "alice@EXAMPLE.COM", BY_KERBEROS);
    check(leaf(), "db1.example.com", WRONG_PEER);
}

#[test]
fn user_principal_and_uri_beside_a_dns_name_leave_it_alone() {
    let leaf = Leaf::new().user_principal("a@EXAMPLE.COM").uri("spiffe://prod/a").dns("a.test");
    check(leaf, "a.test", BY_DNS);
}

#[test]
fn kerberos_name_is_equal_in_every_part() {
    let leaf = || krb(&["postgres", "db1.example.com"]);
    check(leaf(), "postgres/db1.example.com@EXAMPLE.COM", BY_KERBEROS);
    check(leaf(), "postgres/db1.example.com@EXAMPLE.ORG", WRONG_PEER);
    check(leaf(), "postgres/db1.example.com@example.com", WRONG_PEER);
    check(leaf(), "postgres/db1.example.com:5432@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "postgres/db1.example.com:5432", WRONG_PEER);
    check(leaf(), "postgres/db1.example.com/example.com@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "postgres/db2.example.com@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "http/db1.example.com@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "postgres@EXAMPLE.COM", WRONG_PEER);
}

#[test]
fn realm_that_is_not_asked_for_may_be_any() {
    check(krb(&["postgres", "db1.example.com"]), "postgres/db1.example.com", BY_KERBEROS);
    check(krb(&["POSTGRES", "DB1.example.com"]), "postgres/db1.example.com", BY_KERBEROS);
}

#[test]
fn port_and_service_part_of_a_kerberos_name_must_be_asked_for() {
    let port = || krb(&["postgres", "db1.example.com:5432"]);
    check(port(), "postgres/db1.example.com:5432", BY_KERBEROS);
    check(port(), "postgres/db1.example.com:5433", WRONG_PEER);
    check(port(), "postgres/db1.example.com", WRONG_PEER);
    let part = || krb(&["ldap", "dc1.example.com", "example.com"]);
    check(part(), "ldap/dc1.example.com/example.com@EXAMPLE.COM", BY_KERBEROS);
    check(part(), "ldap/dc1.example.com/example.com", BY_KERBEROS);
    check(part(), "ldap/dc1.example.com/example.org", WRONG_PEER);
    check(part(), "ldap/dc1.example.com", WRONG_PEER);
}

#[test]
fn one_kerberos_component_does_not_pass_for_two() {
    check(krb(&["postgres/db1.example.com"]), "postgres/db1.example.com", WRONG_PEER);
    check(
        krb(&["ldap", "dc1.example.com/example.com"]),
        "ldap/dc1.example.com/example.com",
        WRONG_PEER,
    );
    check(
        krb(&["postgres", "db1.example.com@OTHER"]),
        "postgres/db1.example.com@OTHER",
        WRONG_PEER,
    );
    check(krb(&["postgres", "db1.example.com\0"]), "postgres/db1.example.com", WRONG_PEER);
    check(krb(&["postgres", ""]), "postgres/db1.example.com", WRONG_PEER);
    check(krb(&[]), "postgres/db1.example.com", WRONG_PEER);
    check(
        Leaf::new().kerberos("A/B", &["postgres", "db1.example.com"]),
        "postgres/db1.example.com",
        WRONG_PEER,
    );
    check(
        krb(&["ldap", "dc1.example.com", "example.com", "more"]),
        "ldap/dc1.example.com/example.com",
        WRONG_PEER,
    );
}

#[test]
fn class_of_a_service_name_is_one_word() {
    // Joined to `postgres/db1/evil.test`, the first would pass for another host.
    check(srv("postgres/db1", "evil.test"), "postgres/db1", BAD_CERTIFICATE);
    check(srv("postgres/db1", "evil.test"), "postgres/evil.test", BAD_CERTIFICATE);
    check(srv("spiffe://prod", "billing"), "spiffe://prod/billing", BAD_CERTIFICATE);
    check(srv("spiffe:/", "prod"), "prod", BAD_CERTIFICATE);
    check(srv("", "db1.example.com").dns("db1.example.com"), "db1.example.com", BAD_CERTIFICATE);
    check(srv("a@b", "db1.example.com"), "a/db1.example.com", BAD_CERTIFICATE);
}

#[test]
fn unreadable_service_name_spoils_the_certificate_also_where_a_dns_name_would_do() {
    let other = |text: &[u8]| {
        // otherName { id-on-dnsSRV, [0] text }, then dNSName db1.test.
        let length = |inner: &[u8]| u8::try_from(inner.len()).unwrap();
        let value = [&[0xa0, length(text)][..], text].concat();
        let oid = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x07";
        let name = [&oid[..], &value].concat();
        let name = [&[0xa0, length(&name)][..], &name].concat();
        let names = [&name[..], b"\x82\x08db1.test"].concat();
        Leaf::new().san_der([&[0x30, length(&names)][..], &names].concat())
    };
    check(other(b"\x16\x12_postgres.db1.test"), "postgres/db1.test", BY_SERVICE);
    check(other(b"\x16\x12_postgres.db1.test"), "db1.test", WRONG_PEER);
    check(other(b"\x16\x11postgres.db1.test"), "db1.test", BAD_CERTIFICATE);
    check(other(b"\x16\x09_postgres"), "db1.test", BAD_CERTIFICATE);
    check(other(b"\x0c\x12_postgres.db1.test"), "db1.test", BAD_CERTIFICATE);
    check(other(b"\x16\x12_postgres.db1.tes\xff"), "db1.test", BAD_CERTIFICATE);
    check(other(b"\x16\x12_postgres.db1.test\x05\x00"), "db1.test", BAD_CERTIFICATE);
    check(other(b""), "db1.test", BAD_CERTIFICATE);
}

#[test]
fn unreadable_kerberos_name_spoils_the_certificate_also_where_a_dns_name_would_do() {
    // otherName { id-pkinit-san, [0] SEQUENCE {} }, then dNSName db1.test.
    let empty = b"\x30\x18\xa0\x0c\x06\x06\x2b\x06\x01\x05\x02\x02\xa0\x02\x30\x00\x82\x08db1.test";
    check(Leaf::new().san_der(*empty), "db1.test", BAD_CERTIFICATE);
    // The same, with an object identifier that we do not go by: 1.3.6.1.5.2.3.
    let unknown =
        b"\x30\x18\xa0\x0c\x06\x06\x2b\x06\x01\x05\x02\x03\xa0\x02\x30\x00\x82\x08db1.test";
    check(Leaf::new().san_der(*unknown), "db1.test", BY_DNS);
}

#[test]
fn kerberos_name_states_the_host_and_nothing_that_becomes_it() {
    for host in ["db1.example.com", "DB1.Example.com"] {
        check(krb(&["postgres", host]), "postgres/db1.example.com", BY_KERBEROS);
    }
    check(krb(&["postgres", "192.0.2.7"]), "postgres/192.0.2.7", BY_KERBEROS);
    check(krb(&["postgres", "db1.example.com:5432"]), "postgres/db1.example.com:5432", BY_KERBEROS);
    for host in [
        "\u{ff44}b1.example.com",
        "db1\u{3002}example.com",
        "db1.example.com.",
        "db\u{ad}1.example.com",
        "db1.example.com:05432",
    ] {
        check(krb(&["postgres", host]), "postgres/db1.example.com", WRONG_PEER);
    }
}
