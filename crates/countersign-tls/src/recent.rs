//! A map of bounded size, which forgets what was not used for longest.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// The values that were used last, by their keys.
///
/// Making room looks at every entry: a few microseconds with a thousand, which only what costs much
/// more than that may bring about.
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, Entry<V>>,
    most: usize,
    uses: u64,
}

struct Entry<V> {
    value: V,
    used: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// Starts empty, for at most so many entries.
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), most, uses: 0 }
    }

    /// Returns a value, which counts as a use of it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    /// Adds a value, or puts it in another's place.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&oldest);
            }
        }
        self.uses += 1;
        self.entries.insert(key, Entry { value, used: self.uses });
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes a value away.
    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, most, .. } = self;
        write!(f, "Recent({} of {most})", entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let mut recent = Recent::new(3);
        for key in 1..=3 {
            recent.insert(key, key * 10);
        }
        assert_eq!(recent.get_mut(&1), Some(&mut 10));
        recent.insert(4, 40);
        assert_eq!(recent.get_mut(&2), None);
        for (key, value) in [(1, 10), (3, 30), (4, 40)] {
            assert_eq!(recent.get_mut(&key), Some(&mut value.clone()));
        }
        recent.insert(4, 41);
        assert_eq!(recent.entries.len(), 3, "the same key takes no more room");
        for key in 5..1_000 {
            recent.insert(key, key);
        }
        assert_eq!(recent.entries.len(), 3);
    }
}
