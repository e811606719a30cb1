//! Every rule of SPEC 5.8, one line each.

use super::{NameError, PeerName, PeerPattern, ServiceName};

#[track_caller]
fn shown(text: &str, expected: &str) {
    let name: PeerName = text.parse().unwrap();
    assert_eq!(name.to_string(), expected);
    assert_eq!(expected.parse::<PeerName>().unwrap(), name, "the canonical form means the same");
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = text.parse::<PeerName>().unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn names_have_one_spelling() {
    shown("db1.example.com", "host/db1.example.com");
    shown("DB1.Example.COM.", "host/db1.example.com");
    shown("postgres/db1.example.com", "postgres/db1.example.com");
    shown("HTTP/www:8080@EXAMPLE.COM", "HTTP/www:8080@EXAMPLE.COM");
    shown(
        "ldap/dc1.example.com/example.com@EXAMPLE.COM",
        "ldap/dc1.example.com/example.com@EXAMPLE.COM",
    );
    shown("bücher.example", "host/xn--bcher-kva.example");
    shown("http/BÜCHER.example", "http/xn--bcher-kva.example");
    shown("192.0.2.7", "host/192.0.2.7");
    shown("host/[2001:db8::7]:443", "host/[2001:db8::7]:443");
    shown("2001:DB8::7", "host/[2001:db8::7]");
    shown("::ffff:192.0.2.7", "host/192.0.2.7");
    shown("alice@EXAMPLE.COM", "alice@EXAMPLE.COM");
    shown("spiffe://prod/billing/eu", "spiffe://prod/billing/eu");
}

#[test]
fn names_compare_by_the_rules_of_their_kind() {
    let same = |a: &str, b: &str| a.parse::<PeerName>().unwrap() == b.parse::<PeerName>().unwrap();
    assert!(same("POSTGRES/DB1", "postgres/db1."));
    assert!(same("db1", "HOST/db1"));
    assert!(!same("postgres/db1", "mysql/db1"));
    assert!(!same("postgres/db1", "postgres/db1:5432"));
    assert!(!same("postgres/db1@A", "postgres/db1@a"));
    assert!(!same("alice@A", "Alice@A"));
    assert!(!same("spiffe://prod/a", "spiffe://prod/A"));
}

#[test]
fn malformed_names_say_why() {
    refused("", "the name is empty");
    refused("a b", "the name holds ' ' at byte 1, which it may not");
    refused("db1\0.example.com", "the name holds '\\0' at byte 3, which it may not");
    refused("al\u{202e}ice@A", "the name holds '\\u{202e}' at byte 2, which it may not");
    refused("alice@A@B", "the name holds more than one '@'");
    refused("postgres/", "the host of the name is empty");
    refused("/db1", "the class of the name is empty");
    refused("a/b/c/d", "the name has more parts than class/host/service");
    refused("postgres/db1:0", "port \"0\" is not a number from 1 to 65535");
    refused("postgres/db1:+1", "port \"+1\" is not a number from 1 to 65535");
    refused("https://db1", "names of scheme \"https\" are not understood");
    refused("alice@", "the realm of the name is empty");
    refused(
        "256.1.1.1",
        "\"256.1.1.1\" is neither a DNS name nor an IP address: its last label is a number, as in a mistyped IP address",
    );
    refused(
        "*.example.com",
        "\"*.example.com\" is neither a DNS name nor an IP address: a label holds something other than letters, digits, hyphen, underscore",
    );
    refused(
        "spiffe://prod",
        "\"spiffe://prod\" is not a SPIFFE ID: it has no path, so it names a trust domain and no workload",
    );
    refused(
        "spiffe://prod/../x",
        "\"spiffe://prod/../x\" is not a SPIFFE ID: its path has an empty, '.' or '..' segment",
    );
    refused(
        "spiffe://PROD/x",
        "\"spiffe://PROD/x\" is not a SPIFFE ID: its trust domain holds more than a-z, 0-9, dot, hyphen, underscore",
    );
    assert_eq!("a".repeat(2049).parse::<PeerName>(), Err(NameError::TooLong { bytes: 2049 }));
}

#[track_caller]
fn holds(pattern: &str, yes: &[&str], no: &[&str]) {
    let set: PeerPattern = pattern.parse().unwrap();
    assert_eq!(set.to_string().parse::<PeerPattern>().unwrap(), set, "shown as it is read");
    for name in yes {
        assert!(set.matches(&name.parse().unwrap()), "{pattern} should hold {name}");
    }
    for name in no {
        assert!(!set.matches(&name.parse().unwrap()), "{pattern} should not hold {name}");
    }
}

#[track_caller]
fn assert_holds_no(pattern: &str, names: &[&str]) {
    let set: PeerPattern = pattern.parse().unwrap();
    for name in names {
        assert!(!set.matches(&name.parse().unwrap()), "{pattern} should not hold {name}");
    }
}

#[test]
fn patterns_hold_one_part() {
    holds("*", &["db1", "alice@A", "spiffe://a/b"], &[]);
    holds(
        "postgres/*.example.com",
        &["postgres/db1.example.com"],
        &[
            "postgres/example.com",
            "postgres/a.b.example.com",
            "mysql/db1.example.com",
            "postgres/db1.example.org",
        ],
    );
    holds("*.example.com", &["db1.example.com"], &["postgres/db1.example.com"]);
    holds(
        "*/*.example.com",
        &["db1.example.com", "postgres/db1.example.com"],
        &["alice@example.com"],
    );
    holds(
        "*/db1",
        &["db1", "postgres/db1"],
        &["db2", "db1@A".replace("db1@A", "alice@db1").as_str()],
    );
    holds("*@EXAMPLE.COM", &["alice@EXAMPLE.COM"], &["alice@example.com", "host/a@EXAMPLE.COM"]);
    holds(
        "spiffe://prod/*",
        &["spiffe://prod/a", "spiffe://prod/a/b"],
        &["spiffe://prod2/a", "db1"],
    );
    holds(
        "spiffe://prod/eu/*",
        &["spiffe://prod/eu/a"],
        &["spiffe://prod/eu", "spiffe://prod/eux/a"],
    );
    holds("postgres/db1", &["postgres/db1", "postgres/db1@ANY"], &["postgres/db1:5432"]);
    holds(
        "postgres/*.example.com@A",
        &["postgres/db1.example.com@A", "POSTGRES/db1.example.com@A"],
        &["postgres/db1.example.com", "postgres/db1.example.com@B", "http/db1.example.com@A"],
    );
    holds(
        "*/*.example.com@A",
        &["postgres/db1.example.com@A"],
        &["postgres/db1.example.com", "postgres/db1.example.com@B", "alice@A"],
    );
    assert_holds_no("postgres/*.test", &["postgres/db1.test:99", "postgres/db1.test/x@EVIL"]);
    assert_holds_no("*/db1.test/billing", &["ldap/db1.test/other@EVIL", "ldap/db1.test"]);
    for bad in [
        "*/*.example.com@",
        "*/*.example.com@A@B",
        "*a",
        "a*",
        "post*/db1",
        "postgres/*",
        "spiffe://*/a",
        "spiffe://prod*",
        "a.*.com",
        "*@",
        "*.*.com",
        "spiffe://prod/a*",
    ] {
        assert!(bad.parse::<PeerPattern>().is_err(), "{bad} is no pattern");
    }
}

/// Users with an instance, and services that nobody meant.
#[test]
fn a_users_instance_is_nobody_else_by_accident() {
    holds(
        "alice/admin@A",
        &["alice/admin@A"],
        &["Alice/admin@A", "alice/admin@B", "alice@A", "bob/admin@A", "alice/admin"],
    );
    // Whoever may make instances of his own calls one as a host, or as the host's services.
    let made_up = ["mallory/db1.example.com@A", "mallory/admin@A", "postgres/db1.example.com@A"];
    assert_holds_no("*/db1.example.com", &made_up);
    assert_holds_no("*/*.example.com", &made_up);
    assert_holds_no("*/admin", &made_up);
    assert_holds_no("*.example.com", &made_up);
    assert_holds_no("*@A", &made_up);
    assert_holds_no("mallory@A", &made_up);
    holds("*/admin@A", &["alice/admin@A", "bob/admin@A"], &["alice/admin@B", "alice/root@A"]);
    // Who is meant by class and host is one principal, whatever it is used for; a realm that is
    // left out may be any, and cases differ only where no user can be meant.
    holds("http/web", &["http/web", "HTTP/web", "http/web@A"], &["HTTP/web@A"]);
    holds("http/web.test", &["HTTP/web.test@A", "http/web.test"], &[]);
    holds("http/web:80@A", &["HTTP/web:80@A"], &["HTTP/web@A"]);
}

/// GSS-API's names of services look like users, and are taken for services by nobody who was not
/// told.
#[test]
fn host_based_names_are_services_only_where_it_is_said() {
    let read = |text: &str| ServiceName::from_host_based(text).map(|name| name.to_string());
    assert_eq!(read("postgres@DB1.Example.COM.").unwrap(), "postgres/db1.example.com");
    assert_eq!(read("HTTP@web").unwrap(), "HTTP/web");
    for bad in ["postgres", "postgres@", "@db1", "postgres/db1@R", "a@b@c", "a@b/c", "a@db1:99"] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let user: PeerName = "postgres@db1.example.com".parse().unwrap();
    assert!(matches!(user, PeerName::User(_)));
    let error = "postgres@db1.example.com".parse::<ServiceName>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"postgres@db1.example.com\" is the name of a user, and of no service"
    );
    assert!(error.hint().contains("service/host"), "{}", error.hint());
}
