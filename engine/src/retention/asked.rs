//! What a store says of its locks.
//!
//! It is the store's word, and all that can be had without trying to remove something.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::keeper::checked_version;
use crate::progress::{Phase, Progress};
use crate::store::{ObjectKey, ReadStore, StoreError};

/// Questions that are asked at once.
const THREADS: usize = 8;

/// The end of a lock, Unix milliseconds, or none.
pub type Lock = Result<Option<u64>, StoreError>;

/// The locks of some objects.
#[derive(Debug, Default)]
pub struct Locks {
    by_key: BTreeMap<ObjectKey, Lock>,
}

impl Locks {
    /// Asks a store for each, several at once.
    pub fn ask<S: ReadStore + ?Sized>(
        store: &S,
        keys: &[ObjectKey],
        progress: &dyn Progress,
    ) -> Self {
        progress.begin(Phase::CheckingLocks, Some(keys.len() as u64));
        let (next, asked) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let ask_all = || {
            while let Some(key) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                let version = checked_version(store, key);
                let lock = version.and_then(|version| store.locked_until(key, &version));
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.insert(*key, lock);
                progress.advance(Phase::CheckingLocks, 1);
            }
        };
        thread::scope(|scope| {
            for _ in 1..THREADS.min(keys.len()) {
                scope.spawn(ask_all);
            }
            ask_all();
        });
        progress.end(Phase::CheckingLocks);
        let by_key = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self { by_key }
    }

    /// The lock of an object that was asked for.
    pub fn of(&self, key: &ObjectKey) -> Option<&Lock> {
        self.by_key.get(key)
    }

    /// The end of the first of these locks to end: `None` where one is not locked, or
    /// nothing is known of it. What is absent is passed over.
    pub fn first_end_ms(&self, keys: impl IntoIterator<Item = ObjectKey>) -> Option<u64> {
        let there = keys.into_iter().filter_map(|key| match self.of(&key) {
            Some(Err(error)) if error.is_not_found() => None,
            Some(Ok(end_ms)) => Some(*end_ms),
            _ => Some(None),
        });
        there.min().flatten()
    }
}
