//! However it ends, the thread is who it was.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use countersign::rights::{
    RightsError, assume, impersonate_scope, impersonated, is_impersonating, revert,
};
use countersign_lab::{Seen, on_stage};

use crate::{ALICE, BOB, alice, token};

fn is_alice() -> bool {
    let (uid, gid, groups) = ALICE;
    Seen::now().is_only(uid, gid, groups)
}

fn is_bob() -> bool {
    let (uid, gid, groups) = BOB;
    Seen::now().is_only(uid, gid, groups)
}

fn bob() -> countersign::rights::PeerToken {
    token("bob@EXAMPLE.COM")
}

#[test]
fn a_panic_reverts() {
    on_stage("endings::a_panic_reverts", |_| {
        let before = Seen::now();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            alice().impersonate(|_| {
                assert!(is_alice());
                panic!("inside")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(Seen::now(), before);
        assert!(!is_impersonating());
        // From the depth of two.
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            alice().impersonate(|_| bob().impersonate(|_| panic!("inside")))
        }));
        assert!(panicked.is_err());
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn an_early_return_reverts() {
    on_stage("endings::an_early_return_reverts", |_| {
        fn inside(seen: &Cell<bool>) -> Result<(), RightsError> {
            alice().impersonate(|who| {
                seen.set(is_alice() && who.account().name() == "alice");
                Err(RightsError::NoName)
            })?
        }
        let (before, seen) = (Seen::now(), Cell::new(false));
        assert!(inside(&seen).is_err() && seen.get());
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn spec_8_5_a_second_impersonation_replaces_the_first() {
    on_stage("endings::spec_8_5_a_second_impersonation_replaces_the_first", |_| {
        let before = Seen::now();
        revert();
        assert_eq!(Seen::now(), before, "a revert without impersonation does nothing");
        assume(&alice()).unwrap();
        assert!(is_alice() && is_impersonating());
        assume(&bob()).unwrap();
        assert!(is_bob());
        assume(&bob()).unwrap();
        assert_eq!(impersonated().unwrap().name(), "bob");
        revert();
        assert_eq!(Seen::now(), before, "not alice");
        revert();
        assert!(!is_impersonating() && impersonated().is_none());
    });
}

#[test]
fn a_second_impersonation_that_fails_changes_nothing() {
    on_stage("endings::a_second_impersonation_that_fails_changes_nothing", |_| {
        let before = Seen::now();
        assume(&alice()).unwrap();
        for nobody in ["root@EXAMPLE.COM", "nobody-here@EXAMPLE.COM", "alice@EXAMPLE.ORG"] {
            assert!(assume(&token(nobody)).is_err());
            assert!(is_alice(), "after {nobody}");
        }
        revert();
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn inner_impersonations_return_to_the_outer_one() {
    on_stage("endings::inner_impersonations_return_to_the_outer_one", |_| {
        let before = Seen::now();
        alice()
            .impersonate(|_| {
                bob().impersonate(|_| assert!(is_bob())).unwrap();
                assert!(is_alice());
                // What the thread is made into by hand ends with the closure too.
                assume(&bob()).unwrap();
            })
            .unwrap();
        assert_eq!(Seen::now(), before);
        assume(&bob()).unwrap();
        alice().impersonate(|_| revert()).unwrap();
        assert!(is_bob(), "what was before the closure");
        revert();
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn a_thread_may_end_while_it_impersonates() {
    on_stage("endings::a_thread_may_end_while_it_impersonates", |_| {
        let before = Seen::now();
        for _ in 0..50 {
            thread::spawn(|| assume(&alice()).unwrap()).join().unwrap();
            // Whatever thread the C library gives us next, on the same stack perhaps.
            thread::spawn({
                let before = before.clone();
                move || assert!(Seen::now() == before && !is_impersonating())
            })
            .join()
            .unwrap();
        }
        assert_eq!(Seen::now(), before);
    });
}

#[test]
fn a_scope_lends_a_thread() {
    on_stage("endings::a_scope_lends_a_thread", |_| {
        let (before, own) = (Seen::now(), thread::current().id());
        let word = "borrowed".to_owned();
        let found = impersonate_scope(&alice(), |_| {
            assert!(is_alice() && thread::current().id() != own);
            word.len()
        });
        assert_eq!(found.unwrap(), 8);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            impersonate_scope(&alice(), |_| panic!("the word of the panic"))
        }));
        let word = panicked.unwrap_err().downcast::<&str>().unwrap();
        assert_eq!(*word, "the word of the panic");
        let refused = impersonate_scope(&token("alice@EXAMPLE.ORG"), |_| ());
        assert!(matches!(refused, Err(RightsError::NoRule { .. })), "{refused:?}");
        // Also of one who acts for somebody else at the moment.
        bob()
            .impersonate(|_| {
                assert!(impersonate_scope(&alice(), |_| ()).is_err(), "a thread started inside");
                assert!(is_bob());
            })
            .unwrap();
        assert_eq!(Seen::now(), before);
    });
}
