//! Who waits for whom: a queue for each that may be silent, none of which can take all threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use countersign_kerberos::Awaited;

use super::workers::Slot;

/// Queues of work, one for each that work may have to wait for.
///
/// Work of one queue begins while fewer threads are in that queue's work than are free: so it takes
/// half of them when it hangs, the next that hangs half of what is left, and there is a thread for
/// whoever waits for none of them (A. K. Choudhury and E. L. Hahne's dynamic thresholds, which
/// switches use for the memory that their ports share).
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: BTreeMap<Awaited, Lane>,
    /// Those in which work waits, in the order in which they are served.
    turns: VecDeque<Awaited>,
    limit: usize,
    busy: usize,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Arc<Slot>>,
    /// Threads that are at work for it.
    busy: usize,
    /// At which length it is looked through for places that were given up.
    sweep_at: usize,
}

/// A queue shorter than this is not looked through.
const SWEEP: usize = 64;

impl Lanes {
    pub(super) const fn new(limit: usize) -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), limit, busy: 0 }
    }

    /// Adds work that waits for this one.
    pub(super) fn add(&mut self, awaited: Awaited, slot: Arc<Slot>) {
        let lane = self.lanes.entry(awaited.clone()).or_default();
        // While all hang, peers come and go, and leave empty places behind.
        if lane.queue.len() >= lane.sweep_at.max(SWEEP) {
            lane.queue.retain(|slot| !slot.is_empty());
            lane.sweep_at = lane.queue.len() * 2;
        }
        lane.queue.push_back(slot);
        if !self.turns.contains(&awaited) {
            self.turns.push_back(awaited);
        }
    }

    /// Takes what is to begin now, until [`Self::end`].
    pub(super) fn begin(&mut self) -> Option<(Awaited, Arc<Slot>)> {
        let room = self.limit - self.busy;
        let mut turn = 0;
        while let Some(awaited) = self.turns.get(turn) {
            let lane = self.lanes.get_mut(awaited)?;
            while lane.queue.front().is_some_and(|slot| slot.is_empty()) {
                lane.queue.pop_front();
            }
            if lane.queue.is_empty() {
                self.retire(turn);
                continue;
            }
            if lane.busy >= room {
                turn += 1;
                continue;
            }
            let slot = lane.queue.pop_front()?;
            lane.busy += 1;
            self.busy += 1;
            let awaited = self.turns.remove(turn)?;
            if !lane.queue.is_empty() {
                self.turns.push_back(awaited.clone());
            }
            return Some((awaited, slot));
        }
        None
    }

    /// Takes note that work which waited for this one is over.
    pub(super) fn end(&mut self, awaited: &Awaited) {
        let Some(lane) = self.lanes.get_mut(awaited) else { return };
        self.busy -= 1;
        lane.busy -= 1;
        if lane.busy == 0 && lane.queue.is_empty() {
            self.lanes.remove(awaited);
        }
    }

    /// Returns whether something may begin.
    pub(super) fn has_due(&self) -> bool {
        let room = self.limit - self.busy;
        let lanes = self.turns.iter().filter_map(|awaited| self.lanes.get(awaited));
        lanes.into_iter().any(|lane| lane.busy < room)
    }

    /// Returns how many threads are at work.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        self.turns.clear();
        self.lanes.retain(|_, lane| {
            lane.queue.clear();
            lane.busy > 0
        });
    }

    /// Takes a lane whose queue is empty out of turn.
    fn retire(&mut self, turn: usize) {
        let Some(awaited) = self.turns.remove(turn) else { return };
        if self.lanes.get(&awaited).is_some_and(|lane| lane.busy == 0) {
            self.lanes.remove(&awaited);
        }
    }
}

#[cfg(test)]
mod tests {
    use countersign_kerberos::{Awaited, InitiatorCredential};

    use super::super::workers::{Place, Slot};
    use super::{Lanes, SWEEP};

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
        assert!(lanes.lanes.is_empty() && lanes.turns.is_empty(), "{lanes:?}");
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
        let held = lanes.lanes.get(&awaited("a")).map_or(0, |lane| lane.queue.len());
        assert!(held <= SWEEP, "{held}");
        lanes.end(&awaited("a"));
        assert!(lanes.begin().is_none());
        assert!(lanes.lanes.is_empty(), "{lanes:?}");
    }
}
