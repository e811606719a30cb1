//! Users with an instance, whose principals look like services.

use countersign::core::{HandshakeError, PeerName, Proof};
use countersign::rights::map;
use countersign_lab::Kdc;

use crate::world::{SERVICE, serving};
use crate::world::{Server, asking, context, failure, in_own_realm, peer, policy, round_trip};

/// Principals that an administrator makes, or users by themselves where `kadm5.acl` lets them.
const PEOPLE: [(&str, &str); 4] = [
    ("admin", "alice/admin"),
    ("other", "Alice/admin"),
    ("host", "mallory/db1.example.test"),
    ("root", "alice/root"),
];

fn fill(kdc: &Kdc) {
    for (cache, principal) in PEOPLE {
        kdc.add(&[principal]);
        kdc.ticket(principal, cache, &[]);
    }
}

#[test]
fn rules_name_them_and_nobody_else() {
    in_own_realm(fill, |realm| {
        let admitted = |peers: &str| -> Vec<&str> {
            let rule = format!("[[allow]]\npeers = [{peers}]\n");
            let server = Server::start(&context(&serving(realm, &rule)));
            let mut admitted = Vec::new();
            for (cache, principal) in PEOPLE {
                let client = context(&asking(realm, cache, ""));
                match server.meet(&client, SERVICE) {
                    Ok(stream) => {
                        round_trip(&stream);
                        let shown = format!("{principal}@EXAMPLE.TEST by Kerberos ticket");
                        let theirs = server.saw().unwrap();
                        assert_eq!(peer(&theirs), shown);
                        assert!(theirs.machine().is_none(), "a user is no machine");
                        admitted.push(cache);
                    }
                    refused => {
                        failure(refused);
                        assert!(matches!(server.saw(), Err(HandshakeError::NotAllowed { .. })));
                    }
                }
            }
            admitted
        };
        assert_eq!(admitted("'alice/admin@EXAMPLE.TEST'"), ["admin"]);
        assert_eq!(admitted("'*/admin@EXAMPLE.TEST'"), ["admin", "other"]);
        assert_eq!(admitted("'*'"), ["admin", "other", "host", "root"]);
        // Those who mean users, or the services of a host, mean nobody of these.
        let others = "'*@EXAMPLE.TEST', 'alice@EXAMPLE.TEST', '*/db1.example.test', \
                      '*/*.example.test', '*/admin', 'db1.example.test'";
        assert_eq!(admitted(others), [""; 0]);
    });
}

#[test]
fn accounts_are_those_of_the_rule() {
    let rules = policy(
        "[[account]]\npeer = '{user}/admin@EXAMPLE.TEST'\naccount = '{user}-adm'\n\
         [[account]]\npeer = '*/db1.example.test'\naccount = 'db'\n",
    );
    let mapped = |name: &str| {
        let name: PeerName = name.parse().unwrap();
        map(&rules, &name, Proof::KerberosTicket).map(|found| found.account).ok()
    };
    assert_eq!(mapped("alice/admin@EXAMPLE.TEST").as_deref(), Some("alice-adm"));
    assert_eq!(mapped("alice/admin@OTHER.TEST"), None);
    assert_eq!(mapped("alice/root@EXAMPLE.TEST"), None);
    assert_eq!(mapped("mallory/db1.example.test@EXAMPLE.TEST"), None);
}
