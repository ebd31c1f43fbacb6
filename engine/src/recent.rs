//! Values that were used lately, within a bound of bytes. Least recently used ones go
//! first.
//!
//! What a value weighs is its owner's to say, once, when it puts it there.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A bounded map.
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Who was used when.
    order: BTreeMap<u64, K>,
    now: u64,
    bytes: usize,
    bytes_max: usize,
}

struct Entry<V> {
    value: V,
    used: u64,
    len: usize,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// An empty one that holds at most so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            now: 0,
            bytes: 0,
            bytes_max,
        }
    }

    /// A value, which is used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        self.now += 1;
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.order.insert(self.now, *key);
        entry.used = self.now;
        Some(&entry.value)
    }

    /// Puts a value of `len` bytes where none is, and hands those that have to go to
    /// `gone`.
    pub(crate) fn put(&mut self, key: K, value: V, len: usize, mut gone: impl FnMut(V)) {
        self.now += 1;
        let used = self.now;
        self.order.insert(used, key);
        let entry = Entry { value, used, len };
        let before = self.entries.insert(key, entry);
        debug_assert!(before.is_none(), "what is there is used, and not put again");
        self.bytes += len;
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            if let Some(value) = self.remove(&oldest) {
                gone(value);
            }
        }
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.bytes -= entry.len;
        Some(entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept stays within the bound, what was used last is kept, and what goes
    /// is handed out, once.
    ///
    /// Method: fill it three times over, using the first value all the while.
    #[test]
    fn the_bound_holds() {
        let mut recent = Recent::new(10_000);
        let mut gone = Vec::new();
        for n in 0..300_u32 {
            assert!(recent.get(&n).is_none(), "each is new");
            recent.put(n, n, 100, |value| gone.push(value));
            assert_eq!(recent.get(&0), Some(&0), "it is used all the while");
            assert!(recent.bytes <= 10_000);
            assert_eq!(recent.bytes, recent.entries.len() * 100);
            assert_eq!(recent.order.len(), recent.entries.len());
        }
        assert_eq!(gone, (1..=200).collect::<Vec<_>>());
        assert_eq!(recent.remove(&299), Some(299));
        assert_eq!((recent.remove(&299), recent.get(&299)), (None, None));
        assert_eq!(recent.bytes, 99 * 100);
    }

    /// What is larger than all that may be kept is not kept.
    #[test]
    fn what_is_too_large_goes_at_once() {
        let mut recent = Recent::new(10);
        let mut gone = Vec::new();
        recent.put(1, 'a', 11, |value| gone.push(value));
        assert_eq!((gone, recent.bytes), (vec!['a'], 0));
    }
}
