//! Lists of names that an authority has signed without a look: whatever is in them, a name comes
//! out whole and by the proof of its kind, or not at all.

use countersign_core::{PeerName, Proof, ProvedPeer};
use countersign_lab::Leaf;
use countersign_tls::{AlternativeName, Credential, KerberosName, encode};

use crate::ROOT;
use crate::hunt::{came_to, hunt};
use crate::mutation::{mutate, scribble};

const LISTS: usize = 6_000;

#[test]
fn altered_list_of_names_makes_no_name_of_another_kind() {
    let names = [
        AlternativeName::Dns("db1.example.com".to_owned()),
        AlternativeName::Dns("*.example.com".to_owned()),
        AlternativeName::Ip("192.0.2.7".parse().unwrap()),
        AlternativeName::Ip("2001:db8::7".parse().unwrap()),
        AlternativeName::Uri("spiffe://prod/billing".to_owned()),
        AlternativeName::Service { class: "http".to_owned(), host: "a.test".to_owned() },
        AlternativeName::UserPrincipal("alice@EXAMPLE.COM".to_owned()),
        AlternativeName::Kerberos(KerberosName::new(
            "EXAMPLE.COM".to_owned(),
            vec!["postgres".to_owned(), "db1.example.com".to_owned()],
        )),
    ];
    let mut lists: Vec<Vec<u8>> =
        names.iter().map(|name| encode(std::slice::from_ref(name))).collect();
    lists.push(encode(&names));
    let tally = hunt(0x6e61_6d65, LISTS, move |random| {
        let stated = random.pick(&lists);
        let alter = if random.below(3) == 0 { mutate } else { scribble };
        let list = alter(stated, random);
        let issued = ROOT.issue(Leaf::new().san_der(list));
        let Ok(credential) = Credential::new(issued.chain, issued.key) else {
            return "unreadable".to_owned();
        };
        credential.names().iter().for_each(check);
        let last = credential.names().last().map(|it| it.proof().to_string());
        last.unwrap_or_else(|| "nothing".to_owned())
    });
    came_to(&tally, &["unreadable", "nothing", "certificate dNSName", "certificate SRVName"]);
    came_to(&tally, &["certificate KRB5PrincipalName", "certificate SPIFFE ID"]);
    came_to(&tally, &["certificate iPAddress", "certificate user principal name"]);
}

fn check(proved: &ProvedPeer) {
    let name = proved.name();
    assert_eq!(name, &name.to_string().parse::<PeerName>().unwrap(), "{name} is two names");
    let fits = match (proved.proof(), name) {
        (Proof::CertificateDnsName | Proof::CertificateIpAddress, PeerName::Service(name)) => {
            name.is_class("host") && name.port().is_none() && name.service().is_none()
        }
        (Proof::CertificateServiceName, PeerName::Service(name)) => {
            name.service().is_none() && name.realm().is_none() && name.port().is_none()
        }
        (Proof::CertificateKerberosName, PeerName::Service(name)) => name.realm().is_some(),
        (
            Proof::CertificateKerberosName | Proof::CertificateUserPrincipalName,
            PeerName::User(_),
        )
        | (Proof::CertificateSpiffeId, PeerName::Spiffe(_)) => true,
        _ => false,
    };
    assert!(fits, "{name} by a {}", proved.proof());
}
