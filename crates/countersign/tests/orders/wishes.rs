//! A query that wants the connection to end with its keys, and a reader that changes them.

use std::sync::Arc;

use loom::thread;

use crate::standing::Standing;

const KEYS: u32 = 0x2;
const OTHER: u32 = 0x1;

/// What whoever holds the lock of the engine does, as `Channel::note_keys`.
fn change_keys(standing: &Standing<&'static str>, rekeys: u64) {
    if standing.note_rekeys(rekeys).is_some_and(|fields| fields & KEYS != 0) {
        standing.end("the keys have changed");
    }
}

#[test]
fn no_change_of_keys_is_lost_between_the_answer_and_the_wish() {
    loom::model(|| {
        let standing = Arc::new(Standing::default());
        let theirs = standing.clone();
        let reader = thread::spawn(move || change_keys(&theirs, 1));
        let answered = standing.want(KEYS);
        reader.join().unwrap();
        assert!(answered == 1 || standing.why().is_some(), "answered {answered}, and it goes on");
    });
}

#[test]
fn each_of_two_wishes_counts() {
    loom::model(|| {
        let standing = Arc::new(Standing::default());
        let theirs = standing.clone();
        let other = thread::spawn(move || {
            theirs.want(OTHER);
        });
        standing.want(KEYS);
        other.join().unwrap();
        assert_eq!(standing.fields(), KEYS | OTHER);
        change_keys(&standing, 1);
        assert_eq!(standing.why(), Some(&"the keys have changed"));
    });
}

#[test]
fn the_first_reason_is_the_one_for_everybody() {
    loom::model(|| {
        let standing = Arc::new(Standing::default());
        let theirs = standing.clone();
        let other = thread::spawn(move || {
            theirs.end("one");
            *theirs.why().unwrap()
        });
        standing.end("another");
        let here = *standing.why().unwrap();
        assert_eq!(here, other.join().unwrap());
        assert_eq!(standing.why(), Some(&here));
    });
}
