//! Tests of [`super::lanes`], in a file of their own since `tests/orders` compiles that one too.

use countersign_kerberos::{Awaited, InitiatorCredential};

use super::lanes::{Lanes, SWEEP};
use super::pool::{Place, Slot};

fn awaited(name: &str) -> Awaited {
    InitiatorCredential::cache(name).awaits()
}

/// Adds so much work, and says how much of all begins.
fn begun(lanes: &mut Lanes, name: &str, count: usize) -> usize {
    for _ in 0..count {
        lanes.add(awaited(name), Slot::filled(|| {}));
    }
    std::iter::from_fn(|| lanes.begin()).count()
}

#[test]
fn who_hangs_takes_half_of_what_is_left_and_never_the_last() {
    let mut lanes = Lanes::new(64);
    assert_eq!(begun(&mut lanes, "silent", 200), 32);
    assert_eq!(begun(&mut lanes, "silent too", 200), 16);
    assert_eq!(begun(&mut lanes, "good", 1), 1);
    assert_eq!(begun(&mut lanes, "good", 200), 7);
    assert_eq!(lanes.busy(), 56);
    // What ends makes room, first for those who have less.
    lanes.end(&awaited("good"));
    assert_eq!(lanes.begin().map(|(awaited, _)| awaited), Some(awaited("good")));
    assert!(!lanes.has_due());
}

#[test]
fn all_that_waits_has_its_turn() {
    let mut lanes = Lanes::new(4);
    for _ in 0..3 {
        for name in ["a", "b", "c"] {
            lanes.add(awaited(name), Slot::filled(|| {}));
        }
    }
    let mut order = Vec::new();
    while let Some((next, _)) = lanes.begin() {
        lanes.end(&next);
        order.push(next);
    }
    let expected = ["a", "b", "c", "a", "b", "c", "a", "b", "c"].map(awaited);
    assert_eq!(order, expected);
    assert!(lanes.is_empty(), "{lanes:?}");
}

#[test]
fn places_that_were_given_up_take_no_turn_and_no_room() {
    let mut lanes = Lanes::new(2);
    lanes.add(awaited("a"), Slot::filled(|| {}));
    assert!(lanes.begin().is_some());
    for _ in 0..SWEEP * 100 {
        let place = Place::default();
        lanes.add(awaited("a"), place.slot());
        drop(place);
    }
    let held = lanes.waiting_for(&awaited("a"));
    assert!(held <= SWEEP, "{held}");
    lanes.end(&awaited("a"));
    assert!(lanes.begin().is_none());
    assert!(lanes.is_empty(), "{lanes:?}");
}
