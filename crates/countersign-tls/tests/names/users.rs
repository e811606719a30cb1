//! Users (KRB5PrincipalName, user principal name) and workloads (SPIFFE IDs).

use countersign_lab::Leaf;

use crate::{BAD_CERTIFICATE, BY_KERBEROS, BY_SPIFFE, BY_USER, WRONG_PEER, check};

fn uri(uri: &str) -> Leaf {
    Leaf::new().uri(uri)
}

#[test]
fn spiffe_id_is_equal() {
    check(uri("spiffe://prod/billing"), "spiffe://prod/billing", BY_SPIFFE);
    check(uri("spiffe://prod/eu/billing"), "spiffe://prod/eu/billing", BY_SPIFFE);
    check(uri("spiffe://prod/billing"), "spiffe://prod/shipping", WRONG_PEER);
    check(uri("spiffe://prod/billing"), "spiffe://test/billing", WRONG_PEER);
    check(uri("spiffe://prod/billing"), "spiffe://prod/billing/eu", WRONG_PEER);
    check(uri("spiffe://prod/billing/eu"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/billings"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/Billing"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/billing/"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/./billing"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/billing?x"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/billing#x"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod:1/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://PROD/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("SPIFFE://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("spiffe://prod/billing\0"), "spiffe://prod/billing", WRONG_PEER);
    check(uri("https://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
}

#[test]
fn spiffe_id_is_the_only_uri() {
    let id = || uri("spiffe://prod/billing");
    check(id().uri("spiffe://prod/shipping"), "spiffe://prod/billing", WRONG_PEER);
    check(id().uri("spiffe://prod/shipping"), "spiffe://prod/shipping", WRONG_PEER);
    check(id().uri("spiffe://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(id().uri("https://example.com"), "spiffe://prod/billing", WRONG_PEER);
    check(
        uri("https://example.com").uri("spiffe://prod/billing"),
        "spiffe://prod/billing",
        WRONG_PEER,
    );
    check(id().dns("billing.example.com"), "spiffe://prod/billing", BY_SPIFFE);
}

#[test]
fn spiffe_id_is_stated_by_a_uri_only() {
    check(Leaf::new().dns("spiffe://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(Leaf::new().user_principal("spiffe://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
    check(Leaf::new().kerberos("R", &["spiffe:", "", "prod", "a"]), "spiffe://prod/a", WRONG_PEER);
    check(Leaf::new().kerberos("R", &["spiffe://prod/a"]), "spiffe://prod/a", WRONG_PEER);
    check(Leaf::new().common_name("spiffe://prod/billing"), "spiffe://prod/billing", WRONG_PEER);
}

#[test]
fn user_is_proved_by_a_kerberos_name() {
    let leaf = || Leaf::new().kerberos("EXAMPLE.COM", &["alice"]);
    check(leaf(), "alice@EXAMPLE.COM", BY_KERBEROS);
    check(leaf(), "bob@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "alice@EXAMPLE.ORG", WRONG_PEER);
    check(leaf(), "Alice@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "alice@example.com", WRONG_PEER);
    let admin = || Leaf::new().kerberos("EXAMPLE.COM", &["alice", "admin"]);
    check(admin(), "alice@EXAMPLE.COM", WRONG_PEER);
    check(admin(), "alice/admin@EXAMPLE.COM", BY_KERBEROS);
    let odd = Leaf::new().kerberos("EXAMPLE.COM", &["alice@EXAMPLE.COM"]);
    check(odd, "alice@EXAMPLE.COM", WRONG_PEER);
}

#[test]
fn user_is_proved_by_a_user_principal_name() {
    let leaf = || Leaf::new().user_principal("alice@EXAMPLE.COM");
    check(leaf(), "alice@EXAMPLE.COM", BY_USER);
    check(leaf(), "bob@EXAMPLE.COM", WRONG_PEER);
    check(leaf(), "alice@example.com", WRONG_PEER);
    check(leaf(), "Alice@EXAMPLE.COM", WRONG_PEER);
    check(Leaf::new().user_principal("alice"), "alice@EXAMPLE.COM", WRONG_PEER);
    check(Leaf::new().user_principal("alice@EXAMPLE.COM\0"), "alice@EXAMPLE.COM", WRONG_PEER);
    check(Leaf::new().user_principal("a@b@EXAMPLE.COM"), "a@EXAMPLE.COM", WRONG_PEER);
    // A mail address is none.
    let mail = *b"\x30\x13\x81\x11alice@EXAMPLE.COM";
    check(Leaf::new().san_der(mail), "alice@EXAMPLE.COM", WRONG_PEER);
    // Nor is a user principal name that is no UTF-8.
    let broken =
        b"\x30\x15\xa0\x13\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03\xa0\x05\x0c\x03a@\xff";
    check(Leaf::new().san_der(*broken), "alice@EXAMPLE.COM", BAD_CERTIFICATE);
}

#[test]
fn user_principal_name_is_for_users_only() {
    let service = "postgres/db1.example.com@EXAMPLE.COM";
    check(Leaf::new().user_principal(service), service, WRONG_PEER);
    check(Leaf::new().user_principal("host/a.test"), "a.test", WRONG_PEER);
}
