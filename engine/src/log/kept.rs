//! A store in front of one that is far away, which reads objects of the log from the
//! copies that the client keeps of them.
//!
//! Why it is safe: a copy is used only if its leaf hash is that of an entry which this
//! client saw at that number, rightly signed: the log is then judged as it was when the
//! object was read. That an object is there is still asked of the store. Whether it was
//! altered since is for a verification to say, which reads every object again, as it
//! checks every signature. Objects in bundles are kept as well, whoever made those; where
//! there are copies, a bundle is as if it were not there.

use std::sync::{Mutex, PoisonError};

use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::leaf_hash;
use indelible_format::policy::LockMode;

use super::Signed;
use crate::state::{LogCopies, RepositoryState};
use crate::store::{AppendStore, ObjectKey, PutOutcome, ReadStore, StoreError, VersionId, hand_on};

/// So much is held before it is kept, bytes.
const HELD_BYTES: usize = 4 << 20;

/// The store, with the copies.
pub(crate) struct Kept<'k, S: ?Sized> {
    store: &'k S,
    copies: Option<Mutex<Copies<'k>>>,
}

struct Copies<'k> {
    state: &'k RepositoryState,
    signed: &'k Signed,
    file: LogCopies,
    /// The copy that was read last, if it will be asked for.
    next: Option<(u64, Vec<u8>)>,
    /// What was read from the store, ascending.
    new: Vec<(u64, Vec<u8>)>,
    new_bytes: usize,
    /// The first object of which there should be a copy and is none.
    stale: Option<u64>,
}

impl<'k, S: ReadStore + ?Sized> Kept<'k, S> {
    /// In front of a store. What the copies are compared with is what the client knows to
    /// be `signed`. Where there is no state, or the store is near, it is as if nothing
    /// stood in front.
    pub(crate) fn over(
        store: &'k S,
        state: Option<&'k RepositoryState>,
        signed: &'k Signed,
    ) -> Self {
        let state = state.filter(|_| store.capabilities().distant);
        let copies = state.map(|state| {
            Mutex::new(Copies {
                state,
                signed,
                file: state.log_copies(),
                next: None,
                new: Vec::new(),
                new_bytes: 0,
                stale: None,
            })
        });
        Self { store, copies }
    }

    /// A bundle, if there is no copy of the first object that would be read from it.
    fn read_bundle(&self, number: u64, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let key = ObjectKey::Bundle(number);
        let first = LogBundle::first(number).max(1);
        if self.copies(|copies| copies.has(first)) == Some(true) {
            return Err(StoreError::NotFound { key });
        }
        let bytes = self.store.read_oldest(&key, len_bytes_max)?;
        self.copies(|copies| {
            let bundle = LogBundle::decode(&bytes);
            let objects = bundle.iter().flat_map(|bundle| &bundle.objects);
            for (at, object) in (LogBundle::first(number)..).zip(objects) {
                if let Some(object) = object.filter(|_| at >= first) {
                    copies.add(at, object);
                }
            }
        });
        Ok(bytes)
    }

    fn copy_of(&self, number: u64) -> Option<Vec<u8>> {
        self.copies(|copies| copies.get(number)).flatten()
    }

    fn copies<R>(&self, with: impl FnOnce(&mut Copies<'k>) -> R) -> Option<R> {
        let copies = self.copies.as_ref()?;
        Some(with(
            &mut copies.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl Copies<'_> {
    /// Whether there is a copy, which is then held for who asks for it next.
    fn has(&mut self, number: u64) -> bool {
        self.next = self.get(number).map(|copy| (number, copy));
        self.next.is_some()
    }

    fn get(&mut self, number: u64) -> Option<Vec<u8>> {
        if let Some((_, copy)) = self.next.take_if(|(next, _)| *next == number) {
            return Some(copy);
        }
        let leaf = self.signed.get(number)?;
        let copy = self.file.get(number);
        let copy = copy.filter(|copy| leaf_hash(copy) == *leaf);
        if copy.is_some() {
            return copy;
        }
        // From here on the file is not what it should be, or ends.
        self.stale = Some(self.stale.map_or(number, |stale| stale.min(number)));
        None
    }

    fn add(&mut self, number: u64, bytes: &[u8]) {
        if self.new.last().is_some_and(|(last, _)| *last >= number) {
            self.keep();
        }
        self.new_bytes += bytes.len();
        self.new.push((number, bytes.to_vec()));
        if self.new_bytes >= HELD_BYTES {
            self.keep();
        }
    }

    fn keep(&mut self) {
        if !self.new.is_empty() {
            self.state.keep_log_copies(self.stale.take(), &self.new);
            self.new.clear();
            self.new_bytes = 0;
        }
    }
}

impl Drop for Copies<'_> {
    fn drop(&mut self) {
        self.keep();
    }
}

impl<S: ReadStore + ?Sized> ReadStore for Kept<'_, S> {
    hand_on!(store: read, read_range, read_into, read_prefix, size, list, versions);
    hand_on!(store: version_that_counts, read_version, stored_sum, locked_until, capabilities, location);

    fn read_oldest(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let number = match *key {
            ObjectKey::Log(number) => number,
            ObjectKey::Bundle(number) => return self.read_bundle(number, len_bytes_max),
            _ => return self.store.read_oldest(key, len_bytes_max),
        };
        if let Some(copy) = self.copy_of(number) {
            return Ok(copy);
        }
        let bytes = self.store.read_oldest(key, len_bytes_max)?;
        self.copies(|copies| copies.add(number, &bytes));
        Ok(bytes)
    }

    /// Copies are looked for, and kept, in the order of the objects, whatever order the
    /// store answers in.
    fn read_oldest_each(
        &self,
        keys: &[ObjectKey],
        len_bytes_max: u64,
    ) -> Vec<Result<Vec<u8>, StoreError>> {
        let copy = |key: &ObjectKey| match *key {
            ObjectKey::Log(number) => self.copy_of(number),
            _ => None,
        };
        let copies: Vec<Option<Vec<u8>>> = keys.iter().map(copy).collect();
        let missing = keys.iter().zip(&copies).filter(|(_, copy)| copy.is_none());
        let missing: Vec<ObjectKey> = missing.map(|(key, _)| *key).collect();
        let mut read = self
            .store
            .read_oldest_each(&missing, len_bytes_max)
            .into_iter();
        let mut give = |(key, copy): (&ObjectKey, Option<Vec<u8>>)| {
            if let Some(copy) = copy {
                return Ok(copy);
            }
            let bytes = read.next().expect("each was asked for")?;
            if let ObjectKey::Log(number) = *key {
                self.copies(|copies| copies.add(number, &bytes));
            }
            Ok(bytes)
        };
        keys.iter().zip(copies).map(&mut give).collect()
    }
}

impl<S: AppendStore + ?Sized> AppendStore for Kept<'_, S> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        self.store.put_new(key, bytes)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.store.prepare()
    }

    fn lock_new(&self, mode: LockMode, span_ms: u64) {
        self.store.lock_new(mode, span_ms);
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        self.store.extend_lock(key, version, until_ms)
    }
}
