//! Which account acts for whom, and who gets none.

use countersign::core::{Fault, Proof, WsaError};
use countersign::rights::{LocalNames, PeerToken, RightsError, TokenKind, set_local_names};
use countersign_lab::{Seen, on_stage};

use crate::{ALICE, RULES, alice, context, evidence, token};

/// The account of a peer, or why it has none.
#[track_caller]
fn check(peer: &str, expected: &str) {
    let found = match token(peer).account() {
        Ok(account) => format!("{} {}", account.name(), account.uid()),
        Err(error) => {
            assert!(!error.hint().is_empty() && error.wsa() != WsaError::OpNotSupp, "{error}");
            error.to_string()
        }
    };
    assert_eq!(found, expected, "{peer}");
}

#[test]
fn rules_choose_accounts() {
    on_stage("accounts::rules_choose_accounts", |_| {
        check("alice@EXAMPLE.COM", "alice 2001");
        check("spiffe://prod/user/bob", "bob 2002");
        check("u7.example.com", "u7 4007");
        check("spiffe://prod/user/daemon2", "daemon2 990");
        check("guest@EXAMPLE.ORG", "daemon2 990");
        check("chief@EXAMPLE.ORG", "root 0");
        let account = alice().account().unwrap();
        assert_eq!((account.uid(), account.gid(), &*account.groups()), ALICE);
        assert_eq!(account.home(), std::path::Path::new("/home/alice"));
    });
}

#[test]
fn nobody_acts_for_a_peer_without_a_rule() {
    on_stage("accounts::nobody_acts_for_a_peer_without_a_rule", |_| {
        check(
            "alice@EXAMPLE.ORG",
            "no [[account]] rule says which local account acts for alice@EXAMPLE.ORG (certificate \
             KRB5PrincipalName)",
        );
        check(
            "nobody-here@EXAMPLE.COM",
            "nobody-here@EXAMPLE.COM acts as the account nobody-here here by the rule \
             {user}@EXAMPLE.COM -> {user} (p, line 2), and there is no such account",
        );
        let error = token("alice@EXAMPLE.ORG").impersonate(|_| panic!("was run")).unwrap_err();
        assert_eq!((error.fault(), error.wsa()), (Fault::Caller, WsaError::Acces));
        assert!(error.hint().contains("[[account]] peer = \"alice@EXAMPLE.ORG\""), "{error}");
    });
}

#[test]
fn spec_8_3_nobody_becomes_root_unless_policy_says_root() {
    on_stage("accounts::spec_8_3_nobody_becomes_root_unless_policy_says_root", |_| {
        let before = Seen::now();
        check(
            "root@EXAMPLE.COM",
            "root@EXAMPLE.COM must not act as the account root (uid 0), reached by the rule \
             {user}@EXAMPLE.COM -> {user} (p, line 2)",
        );
        for alias in ["toor@EXAMPLE.COM", "toor@EXAMPLE.ORG", "spiffe://prod/user/toor"] {
            // Also right after somebody for whom it is allowed, in the memory of accounts.
            check("chief@EXAMPLE.ORG", "root 0");
            let refused = token(alias).impersonate(|_| panic!("was run"));
            assert!(matches!(refused, Err(RightsError::Protected { uid: 0, .. })), "{alias}");
        }
        check(
            "daemon2@EXAMPLE.COM",
            "daemon2@EXAMPLE.COM must not act as the account daemon2 (uid 990), reached by the rule \
             {user}@EXAMPLE.COM -> {user} (p, line 2)",
        );
        assert_eq!(Seen::now(), before);
        // Where it is said, it is so.
        let chief = token("chief@EXAMPLE.ORG").impersonate(|_| Seen::now()).unwrap();
        assert_eq!((chief.uids, chief.gids), (vec![0; 4], vec![0; 4]));
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn an_id_that_would_change_nothing_is_refused() {
    on_stage("accounts::an_id_that_would_change_nothing_is_refused", |_| {
        for user in ["minus", "minusgroup"] {
            let refused = token(&format!("{user}@EXAMPLE.COM")).impersonate(|_| panic!("was run"));
            assert!(matches!(refused, Err(RightsError::Lookup { .. })), "{user}: {refused:?}");
        }
    });
}

#[test]
fn accounts_that_have_ended_are_refused() {
    on_stage("accounts::accounts_that_have_ended_are_refused", |_| {
        let has = "here, which has expired (chage -l)";
        check(
            "expired@EXAMPLE.COM",
            &format!("expired@EXAMPLE.COM acts as the account expired {has}"),
        );
        check(
            "inactive@EXAMPLE.COM",
            "inactive@EXAMPLE.COM acts as the account inactive here, which is inactive, because its \
             password is too old (chage -l)",
        );
        // Locked, without a shell, with a password to be changed: all about logging in.
        check("bob@EXAMPLE.COM", "bob 2002");
        // As alice the shadow file cannot be read, and it must count nevertheless.
        let error = alice().impersonate(|_| token("expired@EXAMPLE.COM").account().err()).unwrap();
        assert!(matches!(error, Some(RightsError::AccountDisabled { .. })), "{error:?}");
    });
}

#[test]
fn spec_8_2_the_users_token_goes_before_the_machines() {
    let of = |names: &[&str]| {
        let (evidence, context) = (evidence(names), context(RULES));
        let token = PeerToken::of_peer(&evidence, &context)?;
        let both = (
            PeerToken::application(&evidence, &context).is_some(),
            PeerToken::machine(&evidence, &context).is_some(),
        );
        Some((token.principal().to_string(), token.kind(), both))
    };
    let (host, user) = ("u7.example.com", "alice@EXAMPLE.COM");
    assert_eq!(of(&[host, user]), Some((user.to_owned(), TokenKind::User, (true, true))));
    let machine = Some(("host/u7.example.com".to_owned(), TokenKind::Machine, (false, true)));
    assert_eq!(of(&[host]), machine);
    assert_eq!(of(&[]), None);
}

#[test]
fn tokens_can_be_kept_and_compared() {
    let one = alice();
    assert_eq!(one, one.clone());
    assert_eq!(one, alice());
    assert_ne!(one, token("bob@EXAMPLE.COM"));
    assert_eq!(one.claims().names.len(), 1);
}

#[derive(Debug)]
struct Krb5Conf;

impl LocalNames for Krb5Conf {
    /// The proof of the users in these tests.
    fn is_by_ticket(&self, proof: Proof) -> bool {
        proof == Proof::CertificateKerberosName
    }

    fn realms(&self) -> Vec<String> {
        vec!["TICKET.OURS".to_owned()]
    }

    /// As MIT's `auth_to_local_names`, it does not look at the realm.
    fn local_name(&self, principal: &str) -> Result<Option<String>, String> {
        match principal.split('@').next() {
            Some("broken") => Err("no such file".to_owned()),
            Some("unknown") => Ok(None),
            name => Ok(name.map(str::to_owned)),
        }
    }
}

#[test]
fn local_names_count_for_our_realm_only() {
    on_stage("accounts::local_names_count_for_our_realm_only", |_| {
        assert!(set_local_names(Box::new(Krb5Conf)));
        assert!(!set_local_names(Box::new(Krb5Conf)), "once");
        check("alice@TICKET.OURS", "alice 2001");
        for stranger in ["alice@TICKET.THEIRS", "alice@OTHER.OURS", "unknown@TICKET.OURS"] {
            let refused = token(stranger).account();
            assert!(matches!(refused, Err(RightsError::NoRule { .. })), "{stranger}: {refused:?}");
        }
        let refused = token("root@TICKET.OURS").account();
        assert!(matches!(refused, Err(RightsError::Protected { uid: 0, .. })), "{refused:?}");
        let broken = token("broken@TICKET.OURS").account();
        assert!(matches!(broken, Err(RightsError::LocalName { .. })), "{broken:?}");
        // A rule can let the names of another realm in, and says so.
        let rule = "[[account]]\npeer = \"*@TICKET.THEIRS\"\nlocal-name = true\n";
        let token = PeerToken::of_peer(&evidence(&["bob@TICKET.THEIRS"]), &context(rule)).unwrap();
        assert_eq!(token.account().unwrap().name(), "bob");
    });
}
