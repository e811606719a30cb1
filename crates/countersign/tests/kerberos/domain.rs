//! Users of an Active Directory domain, whose controller is Samba, let in by their groups.

use std::sync::LazyLock;

use countersign::core::{HandshakeError, KerberosFailure, KerberosRefusal};
use countersign_lab::{Domain, Realm, within};

use crate::world::{SERVICE, Server, asking, context, failure, peer, round_trip, serving_from};

const COMMANDS: &str = "\
domain passwordsettings set --complexity=off --min-pwd-age=0 {db}
user create alice alicepw.Xy1 {db}
user create bob bobpw.Xy1 {db}
user create svc-db --random-password {db}
group add engineers {db}
group addmembers engineers alice {db}
group add staff {db}
group addmembers staff engineers {db}
spn add postgres/db1.example.test svc-db {db}
aes svc-db
aes alice
aes bob
user setpassword alice --newpassword=alicepw.Xy2 {db}
user setpassword bob --newpassword=bobpw.Xy2 {db}
user setpassword svc-db --newpassword=Srv.pw.Xy3 {db}
domain exportkeytab {dir}/db1 --principal=postgres/db1.example.test {conf}
domain exportkeytab {dir}/alice.keytab --principal=alice {conf}
domain exportkeytab {dir}/bob.keytab --principal=bob {conf}
group show engineers --attributes=objectSid {db}
group show staff --attributes=objectSid {db}
user show bob --attributes=objectSid {db}
";

fn in_domain(body: impl FnOnce(&Realm)) {
    static DOMAIN: LazyLock<Domain> = LazyLock::new(|| {
        let domain = Domain::start(COMMANDS);
        for user in ["alice", "bob"] {
            domain.ticket_by_keytab(&domain.file(&format!("{user}.keytab")), user, user, &[]);
        }
        domain
    });
    within(|| Realm::clone(&DOMAIN), body);
}

/// The identifiers of engineers, of staff, whose members they are, and of bob himself.
fn identifiers(realm: &Realm) -> [String; 3] {
    let said = std::fs::read_to_string(realm.path("said")).unwrap();
    let sids = said.lines().filter_map(|line| line.strip_prefix("objectSid: "));
    sids.map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn allow_rules_judge_the_groups_that_the_domain_states() {
    in_domain(|realm| {
        let [engineers, staff, bobs] = identifiers(realm);
        let client = |user: &str| context(&asking(realm, user, ""));
        let (alice, bob) = (client("alice"), client("bob"));
        let allowing = |rule: &str| {
            let rule = format!("[[allow]]\n{rule}\n");
            Server::start(&context(&serving_from(&realm.file("db1"), &rule)))
        };
        // A member, a member by way of another group, a user by his own identifier; and each time
        // nobody else.
        for (group, member, stranger) in [
            (&engineers, ("alice", &alice), ("bob", &bob)),
            (&staff, ("alice", &alice), ("bob", &bob)),
            (&bobs, ("bob", &bob), ("alice", &alice)),
        ] {
            let server = allowing(&format!("groups = ['{group}']"));
            round_trip(&server.meet(member.1, SERVICE).unwrap());
            let seen = server.saw().unwrap();
            assert_eq!(peer(&seen), format!("{}@AD.EXAMPLE.TEST by Kerberos ticket", member.0));
            let why = failure(server.meet(stranger.1, SERVICE));
            let reason = KerberosRefusal::NotAllowed;
            assert_eq!(why, KerberosFailure::RefusedByPeer { reason, detail: None });
            match server.saw().unwrap_err() {
                HandshakeError::NotAllowed { peer, why } => {
                    assert_eq!(peer, format!("{}@AD.EXAMPLE.TEST", stranger.0));
                    assert!(why.contains(group.as_str()), "{why}");
                }
                other => panic!("{other}"),
            }
        }
        // Either is enough.
        let server =
            allowing(&format!("peers = ['bob@AD.EXAMPLE.TEST']\ngroups = ['{engineers}']"));
        for user in [&alice, &bob] {
            round_trip(&server.meet(user, SERVICE).unwrap());
            server.saw().unwrap();
        }
    });
}
