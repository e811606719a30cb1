//! Who waits for whom: a queue for each that may be silent, none of which can take all threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::pool::Slot;

/// Queues of work, one for each that work may have to wait for.
///
/// Work of one queue begins while fewer threads are in that queue's work than are free: so it takes
/// half of them when it hangs, the next that hangs half of what is left, and there is a thread for
/// whoever waits for none of them (A. K. Choudhury and E. L. Hahne's dynamic thresholds, which
/// switches use for the memory that their ports share).
#[derive(Debug)]
pub(super) struct Lanes<K> {
    lanes: BTreeMap<K, Lane>,
    /// Those in which work waits, in the order in which they are served.
    turns: VecDeque<K>,
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
pub(super) const SWEEP: usize = 64;

impl<K: Ord + Clone> Lanes<K> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), limit, busy: 0 }
    }

    /// Adds work that waits for this one.
    pub(super) fn add(&mut self, awaited: K, slot: Arc<Slot>) {
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
    pub(super) fn begin(&mut self) -> Option<(K, Arc<Slot>)> {
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
    pub(super) fn end(&mut self, awaited: &K) {
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

    /// Returns how much waits for this one.
    #[cfg(test)]
    pub(super) fn waiting(&self, awaited: &K) -> usize {
        self.lanes.get(awaited).map_or(0, |lane| lane.queue.len())
    }

    /// Returns whether it keeps nothing.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.turns.is_empty()
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
