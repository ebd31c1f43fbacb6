//! What a store says of its locks.
//!
//! It is the store's word, and all that can be had without trying to remove something.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::needed::Needed;
use crate::at_once;
use crate::progress::{Phase, Progress};
use crate::repository::{Listings, Repository, Snapshot};
use crate::store::{ObjectKey, ReadStore, StoreError};

/// The end of a lock, Unix milliseconds, or none.
pub type Lock = Result<Option<u64>, StoreError>;

/// The locks of some objects.
#[derive(Debug, Default)]
pub struct Locks {
    by_key: BTreeMap<ObjectKey, Lock>,
}

impl Locks {
    /// Asks a store for the lock of each object that some snapshots need, once.
    ///
    /// What a snapshot needs is gathered from one after the other, since all of them
    /// together name most objects over and over. One whose reach can't be read is passed
    /// over.
    pub fn ask<'s, S: ReadStore + ?Sized>(
        repository: &Repository<'_, S>,
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        listings: &Listings,
        progress: &dyn Progress,
    ) -> Self {
        let mut keys = BTreeSet::new();
        for snapshot in snapshots {
            if let Ok(needed) = Needed::of(repository, snapshot, listings) {
                keys.extend(needed.keys());
            }
        }
        let keys: Vec<ObjectKey> = keys.into_iter().collect();
        let store = repository.store();
        progress.begin(Phase::CheckingLocks, Some(keys.len() as u64));
        let asked = Mutex::new(BTreeMap::new());
        at_once::visit(keys.iter(), |key| {
            let version = store.version_that_counts(key);
            let lock = version.and_then(|version| store.locked_until(key, &version.id));
            let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert(*key, lock);
            progress.advance(Phase::CheckingLocks, 1);
            ControlFlow::Continue(())
        });
        progress.end(Phase::CheckingLocks);
        let by_key = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        Self { by_key }
    }

    /// How many were asked for.
    pub fn count(&self) -> u64 {
        self.by_key.len() as u64
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
