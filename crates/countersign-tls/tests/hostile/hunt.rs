//! Runs many cases, counts what they came to, and notices one that hangs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::mutation::Random;

/// Longest that one case may take before it counts as hanging.
const HANGS: Duration = Duration::from_secs(30);

/// How often each ending was come to, by its name.
pub(crate) type Tally = BTreeMap<String, usize>;

/// Runs `case` for the numbers from 0 to `count`, each with its own random numbers, so that one
/// can be run again alone. Panics with the number of the case that panics or hangs.
pub(crate) fn hunt(
    seed: u64,
    count: usize,
    mut case: impl FnMut(&mut Random) -> String + Send + 'static,
) -> Tally {
    let done = Arc::new(AtomicUsize::new(0));
    let progress = Arc::clone(&done);
    let worker = thread::spawn(move || {
        let mut tally = Tally::new();
        for number in 0..count {
            let ending = case(&mut Random::new(seed.wrapping_add(number as u64)));
            *tally.entry(ending).or_default() += 1;
            progress.store(number + 1, Ordering::Relaxed);
        }
        tally
    });
    let mut last = (0, Instant::now());
    while !worker.is_finished() {
        thread::sleep(Duration::from_millis(20));
        let now = done.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        assert!(last.1.elapsed() < HANGS, "case {now} of seed {seed:#x} hangs");
    }
    let number = done.load(Ordering::Relaxed);
    worker.join().unwrap_or_else(|_| panic!("case {number} of seed {seed:#x}, see above"))
}

/// Checks that each of these endings was come to: a hunt that goes nowhere finds nothing.
#[track_caller]
pub(crate) fn came_to(tally: &Tally, endings: &[&str]) {
    for ending in endings {
        assert!(tally.contains_key(*ending), "never came to {ending}: {tally:?}");
    }
}

#[test]
fn hunt_counts_every_case_and_finds_a_planted_panic() {
    let tally = hunt(1, 1000, |random| (random.below(2) == 0).to_string());
    assert_eq!(tally.values().sum::<usize>(), 1000);
    came_to(&tally, &["true", "false"]);

    let planted = thread::spawn(|| {
        hunt(1, 1000, |random| {
            assert_ne!(random.below(100), 7, "planted");
            String::new()
        })
    });
    let message = *planted.join().unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("of seed 0x1, see above"), "{message}");
}
