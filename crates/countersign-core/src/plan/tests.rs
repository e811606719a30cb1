//! "Why did it choose that?", one line each.

use std::net::SocketAddr;

use super::{Asked, Cleartext, ClientPlan, KerberosBar, PlanError, ServerPlan};
use crate::{
    ClientCertificates, Credentials, KerberosUse, PeerName, Policy, SecurityFlags,
    SecurityProtocol, SecuritySettings, Sid, TargetTable, WsaError,
};

fn policy(text: &str) -> Policy {
    Policy::parse(text, "test").unwrap()
}

fn peer() -> SocketAddr {
    "192.0.2.1:5432".parse().unwrap()
}

fn names(address: &str, name: &str) -> TargetTable {
    let mut names = TargetTable::default();
    names.insert(address.parse().unwrap(), name.parse().unwrap());
    names
}

fn insecure() -> SecuritySettings {
    SecuritySettings::new(SecurityProtocol::Default, SecurityFlags::ALLOW_INSECURE).unwrap()
}

fn asked(plan: ClientPlan) -> String {
    match plan {
        ClientPlan::Tls { asked: Asked::Name { name, from }, .. } => format!("{name} by {from}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn without_security_there_is_none_unless_policy_requires_it() {
    let none = TargetTable::default();
    assert_eq!(policy("").plan_client(None, &none, peer()), Ok(ClientPlan::Clear));
    let strict = policy("[require]\nsecurity = true\n");
    assert_eq!(strict.plan_client(None, &none, peer()), Err(PlanError::NoName { peer: peer() }));
}

#[test]
fn spec_4_4_ipsec_is_refused_and_not_replaced() {
    let ipsec = SecuritySettings::new(SecurityProtocol::Ipsec, SecurityFlags::NONE).unwrap();
    let error = policy("").plan_client(Some(&ipsec), &names("0.0.0.0:0", "a"), peer()).unwrap_err();
    assert_eq!(error.wsa(), WsaError::OpNotSupp);
    let default = SecuritySettings::default();
    let as_default = policy("[protocol]\ndefault = \"ipsec\"\n");
    assert_eq!(as_default.check_protocol(&default), Err(PlanError::NoIpsec));
}

#[test]
fn spec_5_5_no_name_is_refused() {
    let none = TargetTable::default();
    let default = SecuritySettings::default();
    let error = policy("").plan_client(Some(&default), &none, peer()).unwrap_err();
    assert_eq!(error.wsa(), WsaError::Acces);
    let supplied = policy("[[target]]\naddress = \"*:5432\"\nname = \"postgres/db1\"\n");
    assert_eq!(
        asked(supplied.plan_client(Some(&default), &none, peer()).unwrap()),
        "postgres/db1 by policy [[target]], for port 5432 of any address"
    );
    assert_eq!(
        asked(supplied.plan_client(None, &names("192.0.2.1:0", "db2"), peer()).unwrap()),
        "host/db2 by the program, for 192.0.2.1 at any port"
    );
}

#[test]
fn spec_5_5_optional_verification_lifts_it_unless_policy_says_no() {
    let none = TargetTable::default();
    let optional = SecuritySettings::default().danger_optional_peer_name();
    let plan = policy("").plan_client(Some(&optional), &none, peer());
    assert!(matches!(plan, Ok(ClientPlan::Tls { asked: Asked::AnyTrusted, .. })));
    let strict = policy("[require]\npeer-name = true\n");
    let plan = strict.plan_client(Some(&optional), &none, peer());
    assert_eq!(plan, Err(PlanError::NoName { peer: peer() }));
}

#[test]
fn spec_4_7_policy_wins_over_allow_insecure() {
    let table = names("0.0.0.0:0", "db1");
    let cleartext = |policy: Policy| match policy.plan_client(Some(&insecure()), &table, peer()) {
        Ok(ClientPlan::Tls { cleartext, .. }) => cleartext,
        other => panic!("{other:?}"),
    };
    assert_eq!(cleartext(policy("")), Cleartext::DangerIfPeerCannot);
    assert_eq!(cleartext(policy("[require]\nsecurity = true\n")), Cleartext::Never);
    assert_eq!(cleartext(policy("[require]\npeer-name = true\n")), Cleartext::Never);
    let target = "[[target]]\naddress = \"*:5432\"\nname = \"postgres/db1\"\n";
    assert_eq!(cleartext(policy(target)), Cleartext::Never);
}

#[test]
fn spec_6_deleting_the_last_name_opens_nothing() {
    let mut table = names("192.0.2.1:5432", "db1");
    table.remove(peer());
    assert_eq!(
        policy("").plan_client(None, &table, peer()),
        Err(PlanError::NoName { peer: peer() })
    );
    let (revoked, cleartext) = server("", &table);
    assert_eq!(cleartext, Cleartext::Never);
    assert!(!revoked.admits_anonymous());
    assert!(revoked.admit(peer(), &["db1".parse().unwrap()]).is_err());
}

fn server(text: &str, table: &TargetTable) -> (super::Admission, Cleartext) {
    match policy(text).plan_server(Some(&insecure()), table, "10.0.0.9:8443".parse().unwrap()) {
        Ok(ServerPlan::Tls { admission, cleartext }) => (admission, cleartext),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_may_connect() {
    let none = TargetTable::default();
    let alice = || vec!["alice@A".parse().unwrap()];

    let (open, cleartext) = server("", &none);
    assert_eq!(open.demand(), ClientCertificates::Request);
    assert_eq!(open.admit(peer(), &[]), Ok(()));
    assert_eq!(cleartext, Cleartext::DangerIfPeerCannot);

    let rule = "[[allow]]\nlisten = \"*:8443\"\npeers = [\"*@A\"]\n";
    let (gated, cleartext) = server(rule, &none);
    assert_eq!(gated.demand(), ClientCertificates::Require);
    assert_eq!(cleartext, Cleartext::Never, "cleartext would pass by the rule");
    assert_eq!(gated.admit(peer(), &alice()), Ok(()));
    assert_eq!(gated.admit(peer(), &[]), Err("allowed are *@A".to_owned()));

    let (elsewhere, _) = server("[[allow]]\nlisten = \"*:1\"\npeers = [\"*@A\"]\n", &none);
    assert!(elsewhere.admits_anonymous());

    let (named, _) = server("", &names("192.0.2.1:0", "alice@A"));
    assert_eq!(named.admit(peer(), &alice()), Ok(()));
    assert!(named.admit(peer(), &["bob@A".parse().unwrap()]).is_err());
    assert!(named.admit("192.0.2.2:1".parse().unwrap(), &alice()).is_err(), "spec 5.6");
}

#[test]
fn datagram_peers_are_named_or_pass_a_gate_and_never_anonymous() {
    let listen = "192.0.2.1:1".parse().unwrap();
    let (named, other) = ("192.0.2.9:1".parse().unwrap(), "192.0.2.8:1".parse().unwrap());
    let (db1, web): (PeerName, PeerName) =
        ("postgres/db1".parse().unwrap(), "web/w".parse().unwrap());
    let mut names = TargetTable::default();
    names.insert(named, db1.clone());
    let plan = |policy: &str, names: &TargetTable, peer| {
        let policy = Policy::parse(policy, "test").unwrap();
        policy.plan_inbound_datagrams(None, names, listen, peer).unwrap()
    };
    let gate = "[[allow]]\nlisten = \"0.0.0.0:0\"\npeers = [\"web/w\"]\n";
    let none = TargetTable::default();

    assert!(plan("", &names, named).admit(named, std::slice::from_ref(&db1)).is_ok());
    assert!(plan("", &names, named).admit(named, std::slice::from_ref(&web)).is_err());
    assert!(plan("", &names, other).admit(other, std::slice::from_ref(&web)).is_err());
    assert!(plan(gate, &names, other).admit(other, std::slice::from_ref(&web)).is_ok());
    assert!(
        plan(gate, &names, named).admit(named, std::slice::from_ref(&db1)).is_err(),
        "a gate is for all"
    );
    let local = "[[allow]]\nlisten = \"127.0.0.1:1\"\npeers = [\"web/w\"]\n";
    let everywhere: SocketAddr = "[::]:1".parse().unwrap();
    let wide = policy(local).plan_inbound_datagrams(None, &none, everywhere, other).unwrap();
    assert!(wide.admit(other, std::slice::from_ref(&web)).is_ok());
    assert!(
        wide.admit(other, std::slice::from_ref(&db1)).is_err(),
        "it may have come to 127.0.0.1"
    );
    assert!(!plan("", &none, other).admits_anonymous());
    assert!(plan("server.client-certificates = \"none\"", &none, other).admits_anonymous());
}

/// What part Kerberos has in connecting, or why there is no plan.
fn kerberos(
    text: &str,
    settings: &SecuritySettings,
    table: &TargetTable,
) -> Result<KerberosUse, PlanError> {
    match policy(text).plan_client(Some(settings), table, peer())? {
        ClientPlan::Tls { kerberos, .. } => Ok(kerberos),
        other => panic!("{other:?}"),
    }
}

const PREFER: &str = "[kerberos]\nclient = \"prefer\"\n";
const REQUIRE: &str = "[kerberos]\nclient = \"require\"\n";

#[test]
fn tickets_are_for_services_and_the_rest_is_said_clearly() {
    let plain = SecuritySettings::default();
    let any = "0.0.0.0:0";
    let service = names(any, "postgres/db1.example.com");
    assert_eq!(kerberos("", &plain, &service), Ok(KerberosUse::Off));
    assert_eq!(kerberos(PREFER, &plain, &service), Ok(KerberosUse::Prefer));
    assert_eq!(kerberos(REQUIRE, &plain, &service), Ok(KerberosUse::Require));
    assert_eq!(kerberos(PREFER, &plain, &names(any, "db1")), Ok(KerberosUse::Prefer));
    for (name, why) in [("alice@A", KerberosBar::User), ("spiffe://prod/a", KerberosBar::Spiffe)] {
        assert_eq!(kerberos(PREFER, &plain, &names(any, name)), Ok(KerberosUse::Off), "{name}");
        let asked = name.to_owned();
        let error = kerberos(REQUIRE, &plain, &names(any, name)).unwrap_err();
        assert_eq!(error, PlanError::KerberosCannot { asked, why });
    }
    let user = kerberos(REQUIRE, &plain, &names(any, "alice@A")).unwrap_err();
    assert!(user.to_string().contains("user-to-user is not provided"), "{user}");
    assert!(user.hint().contains("service@host is service/host"), "{}", user.hint());
    let anyone = plain.danger_optional_peer_name();
    let none = TargetTable::default();
    assert_eq!(kerberos(PREFER, &anyone, &none), Ok(KerberosUse::Off));
    assert!(matches!(
        kerberos(REQUIRE, &anyone, &none),
        Err(PlanError::KerberosCannot { why: KerberosBar::NoName, .. })
    ));
}

#[test]
fn spec_4_10_credentials_are_never_ignored_in_silence() {
    let alice = || Credentials::new("alice".into(), "A".into(), "secret".into());
    let given = SecuritySettings::default().with_credentials(alice());
    let service = names("0.0.0.0:0", "postgres/db1");
    assert_eq!(kerberos("", &given, &service), Ok(KerberosUse::Require));
    assert_eq!(kerberos(PREFER, &given, &service), Ok(KerberosUse::Require));
    let off = kerberos("[kerberos]\nclient = \"off\"\n", &given, &service).unwrap_err();
    assert!(matches!(off, PlanError::KerberosCannot { why: KerberosBar::Policy, .. }), "{off}");
    assert!(kerberos("", &given, &names("0.0.0.0:0", "bob@A")).is_err());
    let listening = policy("").plan_server(Some(&given), &TargetTable::default(), peer());
    assert!(matches!(listening, Err(PlanError::KerberosCannot { why: KerberosBar::Listener, .. })));
    let mut taken = given;
    assert_eq!(taken.take_credentials(), Some(alice()));
    assert_eq!(taken.credentials(), None);
}

#[test]
fn required_kerberos_leaves_no_way_into_cleartext() {
    let table = names("0.0.0.0:0", "db1");
    let cleartext = |text| match policy(text).plan_client(Some(&insecure()), &table, peer()) {
        Ok(ClientPlan::Tls { cleartext, .. }) => cleartext,
        other => panic!("{other:?}"),
    };
    assert_eq!(cleartext(PREFER), Cleartext::DangerIfPeerCannot);
    assert_eq!(cleartext(REQUIRE), Cleartext::Never);
    let none = TargetTable::default();
    assert_eq!(server("[kerberos]\nserver = \"prefer\"\n", &none).1, Cleartext::DangerIfPeerCannot);
    let (required, cleartext) = server("[kerberos]\nserver = \"require\"\n", &none);
    assert_eq!(cleartext, Cleartext::Never);
    assert!(!required.admits_anonymous());
}

#[test]
fn a_ticket_does_without_a_certificate() {
    let none = TargetTable::default();
    let text = "[kerberos]\nserver = \"prefer\"\n[server]\nclient-certificates = \"require\"\n";
    let (admission, _) = server(text, &none);
    assert_eq!(admission.demand(), ClientCertificates::Require);
    assert_eq!(admission.demand_beside_ticket(), ClientCertificates::Request);
    let (silent, _) = server("[server]\nclient-certificates = \"none\"\n", &none);
    assert_eq!(silent.demand_beside_ticket(), ClientCertificates::None);
}

#[test]
fn datagram_peers_that_greet_us_prove_themselves_as_policy_says() {
    let none = TargetTable::default();
    let inbound = |text: &str, settings: &SecuritySettings, table: &TargetTable| {
        let policy = policy(text);
        policy.plan_inbound_datagrams(Some(settings), table, peer(), peer())
    };
    let plain = SecuritySettings::default();
    for (text, expected) in [
        ("", KerberosUse::Off),
        ("[kerberos]\nserver = \"prefer\"\n", KerberosUse::Prefer),
        ("[kerberos]\nserver = \"require\"\n", KerberosUse::Require),
        (REQUIRE, KerberosUse::Off),
    ] {
        let admission = inbound(text, &plain, &none).unwrap();
        assert_eq!(admission.kerberos(), expected, "{text}");
        assert!(!admission.admits_anonymous(), "{text}");
        let lax = format!("{text}[server]\nclient-certificates = \"none\"\n");
        let anonymous = inbound(&lax, &plain, &none).unwrap().admits_anonymous();
        assert_eq!(anonymous, expected != KerberosUse::Require, "{lax}");
    }
}

/// Who comes first chooses nothing: not that a certificate will do where a ticket must.
#[test]
fn a_datagram_peer_that_a_ticket_must_prove_cannot_greet_its_way_around_it() {
    let inbound = |text: &str, settings: &SecuritySettings, name: &str| {
        let table = names("192.0.2.1:5432", name);
        policy(text).plan_inbound_datagrams(Some(settings), &table, peer(), peer())
    };
    let plain = SecuritySettings::default();
    let both = format!("{REQUIRE}server = \"prefer\"\n");
    assert_eq!(inbound(&both, &plain, "postgres/db1").unwrap().kerberos(), KerberosUse::Require);
    let refused = inbound(REQUIRE, &plain, "postgres/db1").unwrap_err();
    assert!(
        matches!(&refused, PlanError::KerberosCannot { why: KerberosBar::NoServer, .. }),
        "{refused}"
    );
    let credentials = Credentials::new("alice".into(), "A".into(), "secret".into());
    let given = SecuritySettings::default().with_credentials(credentials);
    for text in ["", "[kerberos]\nclient = \"off\"\nserver = \"prefer\"\n"] {
        assert!(inbound(text, &given, "postgres/db1").is_err(), "{text}");
    }
    let prefer = format!("{PREFER}server = \"prefer\"\n");
    assert_eq!(inbound(&prefer, &plain, "postgres/db1").unwrap().kerberos(), KerberosUse::Prefer);
    // Users never prove themselves to us when we greet them.
    assert_eq!(inbound(&both, &plain, "alice@A").unwrap().kerberos(), KerberosUse::Prefer);
    assert_eq!(inbound(REQUIRE, &plain, "alice@A").unwrap().kerberos(), KerberosUse::Off);
}

#[test]
fn a_group_that_the_kdc_states_opens_a_gate_and_no_other() {
    let none = TargetTable::default();
    let group = |text: &str| -> Sid { text.parse().unwrap() };
    let rule = "[[allow]]\npeers = [\"bob@A\"]\ngroups = [\"S-1-5-21-1-2-3-513\"]\n";
    let (gated, _) = server(rule, &none);
    let alice = ["alice@A".parse().unwrap()];
    assert_eq!(gated.demand(), ClientCertificates::Require);
    assert_eq!(gated.admit_member(peer(), &alice, &[group("S-1-5-21-1-2-3-513")]), Ok(()));
    assert_eq!(gated.admit_member(peer(), &["bob@A".parse().unwrap()], &[]), Ok(()));
    let refused = gated.admit_member(peer(), &alice, &[group("S-1-5-21-1-2-4-513")]).unwrap_err();
    assert_eq!(refused, "allowed are bob@A, members of S-1-5-21-1-2-3-513");
    assert!(gated.admit(peer(), &alice).is_err());
}
