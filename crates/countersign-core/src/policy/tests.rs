//! Policy text, good and bad.

use super::{ClientCertificates, IdentityRule, KerberosUse, Policy};

const WHOLE: &str = r#"
[identity]
certificate = "chain.pem"
key = "key.pem"

[trust]
anchors = ["ca.pem", "more.d"]
system = true

[protocol]
default = "tls"

[tls]
danger-allow-tls12 = true

[server]
client-certificates = "require"

[require]
peer-name = true
security = true

[limits]
handshakes = 64
handshake-timeout-ms = 500
handshakes-per-host = 8
datagram-peers = 100
datagram-idle-ms = 60000

[[target]]
address = "10.0.0.5:5432"
name = "postgres/db1.example.com"

[[target]]
address = "*:443"
name = "spiffe://prod/web"

[[allow]]
listen = "10.0.0.9:8443"
peers = ["alice@EXAMPLE.COM", "spiffe://prod/*"]
"#;

#[test]
fn every_key_is_read() {
    let policy = Policy::parse(WHOLE, "policy.toml").unwrap();
    assert!(matches!(policy.identity(), Some(IdentityRule::Files { .. })));
    assert_eq!(policy.trust().anchors.len(), 2);
    assert!(policy.trust().system && !policy.trust().store);
    assert!(policy.allows_tls12());
    assert_eq!(policy.client_certificates(), ClientCertificates::Require);
    assert!(policy.require().security && policy.require().peer_name);
    assert_eq!(policy.limits().handshakes, 64);
    assert_eq!(policy.limits().handshake_timeout.as_millis(), 500);
    assert_eq!(policy.limits().handshakes_per_host, 8);
    assert_eq!(policy.limits().datagram_peers, 100);
    assert_eq!(policy.limits().datagram_idle.as_secs(), 60);
    let (_, name) = policy.targets().lookup("10.0.0.5:5432".parse().unwrap()).unwrap();
    assert_eq!(name.to_string(), "postgres/db1.example.com");
    assert!(policy.targets().lookup("10.0.0.5:443".parse().unwrap()).is_some());
    assert_eq!(policy.allow().len(), 1);
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = Policy::parse(text, "p").unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn errors_have_line_and_column() {
    refused("[trust]\nsytem = true\n", "p, line 2, column 1: unknown field `sytem`");
    refused(
        "[[target]]\naddress = \"x\"\nname = \"db1\"\n",
        "p, line 2, column 11: \"x\" is not an address",
    );
    refused(
        "[[target]]\naddress = \"*\"\nname = \"a b\"\n",
        "p, line 3, column 8: the name holds ' '",
    );
    refused(
        "[[allow]]\npeers = [\"post*\"]\n",
        "p, line 2, column 9: pattern \"post*\" has a star",
    );
    refused("[[allow]]\nlisten = \"*\"\n", "p, line 1, column 1: [[allow]] needs");
    refused("[[allow]]\ngroups = [\"admins\"]\n", "p, line 2, column 10: ");
    refused("[limits]\nhandshakes = 0\n", "p, line 2, column 14: it must be above zero");
    refused("[identity]\nkey = \"k\"\n", "p, line 1, column 1: [identity] needs");
    refused("[protocol]\ndefault = \"ssl\"\n", "p, line 2, column 11: unknown variant `ssl`");
    refused("a = [", "p, line 1, column ");
    let twice = "[[target]]\naddress=\"10.0.0.1\"\nname=\"a\"\n[[target]]\naddress=\"[::ffff:10.0.0.1]\"\nname=\"b\"\n";
    refused(twice, "p, line 4, column 1: [::ffff:10.0.0.1]:0 has two names, host/a and host/b");
}

#[test]
fn spec_4_7_a_later_file_adds_demands_and_takes_none_back() {
    let host = Policy::parse(
        "[require]\nsecurity = true\ntls13 = true\n[server]\nclient-certificates = \"require\"\n[[allow]]\npeers = [\"a\"]\n",
        "host",
    );
    let user = Policy::parse(
        "[require]\npeer-name = true\n[tls]\ndanger-allow-tls12 = true\n[server]\nclient-certificates = \"none\"\n[[allow]]\npeers = [\"*\"]\n",
        "user",
    );
    let both = host.unwrap().overlay(user.unwrap());
    assert!(both.require().security && both.require().peer_name);
    assert!(!both.allows_tls12());
    assert_eq!(both.client_certificates(), ClientCertificates::Require);
    assert_eq!(both.allow().len(), 2, "two gates, both to be passed");
}

#[test]
fn a_rule_judges_listeners_that_its_clients_can_reach() {
    let rule = "[[allow]]\nlisten = \"127.0.0.1:80\"\npeers = [\"*\"]\n";
    let policy = Policy::parse(rule, "test").unwrap();
    let judged = |listen: &str| policy.allow()[0][0].judges(listen.parse().unwrap());
    assert!(judged("127.0.0.1:80") && judged("0.0.0.0:80") && judged("[::]:80"));
    assert!(!judged("127.0.0.1:81") && !judged("0.0.0.0:81") && !judged("192.0.2.1:80"));
}

const KERBEROS: &str = r#"
[kerberos]
client = "prefer"
server = "require"
services = ["postgres/db1.example.com", "host/db1.example.com@EXAMPLE.COM"]
keytab = "db1.keytab"
cache = "tickets"
realms = ["EXAMPLE.COM", "OTHER.EXAMPLE"]
delegate = true
encryption-types = ["aes256-cts-hmac-sha384-192", "aes256-sha1", "rc4-hmac"]
danger-allow-rc4 = true
"#;

#[test]
fn kerberos_is_read_and_off_unless_it_is_said() {
    let policy = Policy::parse(KERBEROS, "p").unwrap().with_paths_below("/etc/c".as_ref());
    let rule = policy.kerberos();
    assert_eq!(rule.client, Some(KerberosUse::Prefer));
    assert_eq!(rule.server, Some(KerberosUse::Require));
    assert_eq!(rule.services[1].to_string(), "host/db1.example.com@EXAMPLE.COM");
    assert_eq!(rule.keytab.as_deref(), Some("/etc/c/db1.keytab".as_ref()));
    assert_eq!(rule.cache.as_deref(), Some("/etc/c/tickets"));
    assert_eq!(rule.realms.as_ref().map(Vec::len), Some(2));
    assert_eq!(rule.delegate, Some(true));
    assert_eq!(
        rule.encryption.to_string(),
        "aes256-cts-hmac-sha384-192, aes256-cts-hmac-sha1-96, arcfour-hmac"
    );

    let typed = "[kerberos]\nclient-keytab = \"k\"\nprincipal = \"web/a@R\"\n";
    let typed = Policy::parse(typed, "p").unwrap().with_paths_below("/etc/c".as_ref());
    assert_eq!(typed.kerberos().client_keytab.as_deref(), Some("/etc/c/k".as_ref()));
    let kept = Policy::parse("[kerberos]\ncache = \"KEYRING:user\"\n", "p").unwrap();
    let kept = kept.with_paths_below("/etc/c".as_ref());
    assert_eq!(kept.kerberos().cache.as_deref(), Some("KEYRING:user"));

    let none = Policy::parse("", "p").unwrap();
    assert_eq!(none.kerberos().client.unwrap_or_default(), KerberosUse::Off);
    assert_eq!(none.kerberos().server.unwrap_or_default(), KerberosUse::Off);
}

#[test]
fn kerberos_that_cannot_be_meant_is_refused() {
    refused("[kerberos]\nclient = \"on\"\n", "p, line 2, column 10: unknown variant `on`");
    refused("[kerberos]\nkeytabs = \"k\"\n", "p, line 2, column 1: unknown field `keytabs`");
    refused("[kerberos]\nservices = [\"db1\"]\n", "p, line 2, column 12: ");
    refused(
        "[kerberos]\nservices = [\"postgres@db1.example.com\"]\n",
        "p, line 2, column 12: \"postgres@db1.example.com\" is the name of a user, and of no service",
    );
    refused("[kerberos]\nclient-keytab = \"k\"\n", "p, line 1, column 1: [kerberos] needs client");
    refused("[kerberos]\nprincipal = \"a\"\n", "p, line 1, column 1: [kerberos] needs client");
    refused(
        "[kerberos]\nclient-keytab = \"k\"\nprincipal = \"a\"\ncache = \"c\"\n",
        "p, line 1, column 1: [kerberos] needs cache or",
    );
    refused("[kerberos]\nrealms = [\"*\"]\n", "p, line 1, column 1: [kerberos] has a realm");
    refused("[kerberos]\nrealms = [\"\"]\n", "p, line 1, column 1: [kerberos] has a realm");
    let listing = |types: &str| format!("[kerberos]\nencryption-types = [{types}]\n");
    let rc4 = "p, line 1, column 1: [kerberos] lists RC4, which takes danger-allow-rc4 = true";
    refused(&listing("\"aes256-cts\", \"arcfour-hmac\""), rc4);
    let broken = "p, line 1, column 1: [kerberos] lists an encryption type that is broken";
    refused(&format!("{}danger-allow-rc4 = true\n", listing("\"des3-cbc-sha1\"")), broken);
    refused(&listing("\"aes\""), "p, line 2, column 20: \"aes\" is no encryption type of Kerberos");
    refused(&listing(""), "p, line 1, column 1: [kerberos] has encryption-types with none in it");
}

#[test]
fn a_later_file_cannot_loosen_kerberos() {
    let host = "[kerberos]\nclient = \"require\"\nserver = \"require\"\nkeytab = \"/h\"\n\
                realms = [\"A\", \"B\"]\ndelegate = false\n\
                encryption-types = [\"aes256-sha1\", \"aes128-sha1\"]\n";
    let user = "[kerberos]\nclient = \"off\"\nserver = \"prefer\"\nkeytab = \"/u\"\n\
                realms = [\"B\", \"C\"]\ndelegate = true\ndanger-allow-rc4 = true\n\
                encryption-types = [\"aes256-sha2\", \"aes128-sha1\", \"rc4-hmac\"]\n";
    let both = Policy::parse(host, "h").unwrap().overlay(Policy::parse(user, "u").unwrap());
    let rule = both.kerberos();
    assert_eq!(
        (rule.client, rule.server),
        (Some(KerberosUse::Require), Some(KerberosUse::Require))
    );
    assert_eq!(rule.realms, Some(vec!["B".to_owned()]), "believed by both");
    assert_eq!(rule.delegate, Some(false));
    assert_eq!(rule.encryption.to_string(), "aes128-cts-hmac-sha1-96", "in both lists");
    assert_eq!(rule.keytab.as_deref(), Some("/u".as_ref()), "no demand, so the later one");

    let strangers = Policy::parse("[kerberos]\nrealms = [\"C\"]\n", "u").unwrap();
    let none = Policy::parse(host, "h").unwrap().overlay(strangers);
    assert_eq!(none.kerberos().realms, Some(Vec::new()), "nobody, which is not the default");
}

#[test]
fn who_says_whom_not_to_believe_believes_the_others() {
    let check = |text: &str, store, system| {
        let trust = Policy::parse(&format!("[trust]\n{text}\n"), "p").unwrap().trust();
        assert_eq!((trust.store, trust.system), (store, system), "{text}");
    };
    check("system = false", true, false);
    check("store = false", false, true);
    check("system = true", false, true);
    check("store = true", true, false);
    check("anchors = ['ca.pem']", false, false);
    check("anchors = ['ca.pem']\nsystem = false", false, false);
    check("anchors = ['ca.pem']\nstore = true", true, false);
    // In so many words.
    check("store = false\nsystem = false", false, false);
    let default = Policy::default().trust();
    assert!(default.store && default.system);
    for nobody in ["[trust]\n", "[trust]\nanchors = []\n"] {
        refused(nobody, "p, line 1, column 1: [trust] names nobody to believe");
    }
}
