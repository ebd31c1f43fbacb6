//! A store in memory, for tests.
//!
//! It keeps the same promises as every store, and lets a test break them from
//! outside: swap, flip, cut, extend, copy or forget what is stored, put another
//! version before or after it, or roll everything back. It keeps versions, so that
//! whoever reads through it meets the harder case.
//!
//! Why it is safe: it is not. What it holds is gone with the process. The
//! methods that tamper are inherent, so that code which holds a store as a
//! trait object cannot reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indelible_format::policy::LockMode;

use crate::env::Clock;

use super::{
    AppendStore, Area, Capabilities, ExpireStore, Listed, ObjectKey, PutOutcome, ReadStore,
    StoreError, Version, VersionId,
};

/// A store in memory, for tests.
///
/// A clone is a copy of the state at that time. To share one store, share a
/// reference or an [`Arc`].
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    locking: Option<Locking>,
}

/// How a store locks what is put into it.
struct Locking {
    clock: Arc<dyn Clock>,
    span_ms: AtomicU64,
}

impl Clone for Locking {
    fn clone(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            span_ms: AtomicU64::new(self.span_ms()),
        }
    }
}

impl Locking {
    fn span_ms(&self) -> u64 {
        self.span_ms.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Locking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locking for {} ms", self.span_ms())
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    objects: BTreeMap<ObjectKey, Vec<Stored>>,
    foreign: BTreeSet<String>,
    /// How many versions were ever stored; names the next one.
    stored: u64,
}

/// One version. Its bytes are shared with clones of the store.
#[derive(Debug, Clone)]
struct Stored {
    id: VersionId,
    bytes: Arc<Vec<u8>>,
    /// When the lock ends. What was never locked has one that ended in 1970.
    locked_until_ms: u64,
}

impl State {
    fn stored(&mut self, key: &ObjectKey, version: &VersionId) -> Result<&mut Stored, StoreError> {
        let versions = self.objects.get_mut(key).into_iter().flatten();
        let mut versions = versions.filter(|stored| stored.id == *version);
        versions.next().ok_or(StoreError::NotFound { key: *key })
    }

    fn version(&mut self, bytes: &[u8]) -> Stored {
        self.stored += 1;
        Stored {
            id: VersionId(self.stored.to_string()),
            bytes: Arc::new(bytes.to_vec()),
            locked_until_ms: 0,
        }
    }
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self {
            state: Mutex::new(self.state().clone()),
            locking: self.locking.clone(),
        }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that locks what is put into it for some time, and removes
    /// nothing before. Whoever tampers is not stopped by that.
    pub fn locking(clock: Arc<dyn Clock>, span_ms: u64) -> Self {
        Self {
            locking: Some(Locking {
                clock,
                span_ms: AtomicU64::new(span_ms),
            }),
            ..Self::default()
        }
    }

    /// Returns to an earlier state, as a storage provider does who restores an
    /// old copy.
    pub fn roll_back_to(&self, earlier: &Self) {
        let earlier = earlier.state().clone();
        *self.state() = earlier;
    }

    /// The key of every object, sorted.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.state().objects.keys().copied().collect()
    }

    /// Puts `bytes` in the place of all versions of an object, or stores one
    /// that was not there.
    pub fn replace(&self, key: &ObjectKey, bytes: &[u8]) {
        let mut state = self.state();
        let version = state.version(bytes);
        state.objects.insert(*key, vec![version]);
    }

    /// Inverts one bit of every version, as rot does.
    ///
    /// # Panics
    ///
    /// When the object does not exist or is shorter.
    pub fn flip(&self, key: &ObjectKey, offset: usize, bit: u32) {
        self.tamper(key, |bytes| bytes[offset] ^= 1 << bit);
    }

    /// Cuts every version to at most `len_bytes`.
    ///
    /// # Panics
    ///
    /// When the object does not exist.
    pub fn truncate(&self, key: &ObjectKey, len_bytes: usize) {
        self.tamper(key, |bytes| bytes.truncate(len_bytes));
    }

    /// Adds bytes behind the end of every version.
    ///
    /// # Panics
    ///
    /// When the object does not exist.
    pub fn extend(&self, key: &ObjectKey, more: &[u8]) {
        self.tamper(key, |bytes| bytes.extend_from_slice(more));
    }

    /// Puts all versions of an object in the place of another's, or under a
    /// name that was free.
    ///
    /// # Panics
    ///
    /// When `from` does not exist.
    pub fn copy(&self, from: &ObjectKey, to: &ObjectKey) {
        let mut state = self.state();
        let versions = state.objects.get(from).cloned();
        let versions = versions.unwrap_or_else(|| panic!("{from} is not in the store"));
        state.objects.insert(*to, versions);
    }

    /// Exchanges two objects.
    ///
    /// # Panics
    ///
    /// When one of them does not exist.
    pub fn swap(&self, one: &ObjectKey, other: &ObjectKey) {
        let mut state = self.state();
        let moved = state.objects.remove(one).expect("the first exists");
        let back = state.objects.insert(*other, moved);
        state.objects.insert(*one, back.expect("the second exists"));
    }

    /// Removes any object, also one that [`ExpireStore::remove`] refuses.
    ///
    /// # Panics
    ///
    /// When the object does not exist.
    pub fn forget(&self, key: &ObjectKey) {
        assert!(
            self.state().objects.remove(key).is_some(),
            "{key} is not in the store"
        );
    }

    /// Puts a version before all others, as if somebody had been faster.
    pub fn push_older(&self, key: &ObjectKey, bytes: &[u8]) {
        let mut state = self.state();
        let version = state.version(bytes);
        state.objects.entry(*key).or_default().insert(0, version);
    }

    /// Puts a version after all others, as an overwrite does where the store
    /// keeps versions.
    pub fn push_newer(&self, key: &ObjectKey, bytes: &[u8]) {
        let mut state = self.state();
        let version = state.version(bytes);
        state.objects.entry(*key).or_default().push(version);
    }

    /// Puts something under a name that need not be an object's.
    pub fn plant(&self, path: &str, bytes: &[u8]) {
        match ObjectKey::from_path(path) {
            Some(key) => self.replace(&key, bytes),
            None => drop(self.state().foreign.insert(path.to_owned())),
        }
    }

    fn tamper(&self, key: &ObjectKey, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        let versions = state
            .objects
            .get_mut(key)
            .expect("the object to tamper with exists");
        for version in versions {
            change(Arc::make_mut(&mut version.bytes));
        }
    }

    /// A panic in a test's closure can leave the state half tampered with, and
    /// the test has then failed anyway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of one version, by default the one that counts.
    fn bytes(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
    ) -> Result<Arc<Vec<u8>>, StoreError> {
        let state = self.state();
        let versions = state.objects.get(key).map_or(&[][..], Vec::as_slice);
        let found = match version {
            Some(id) => versions.iter().find(|stored| stored.id == *id),
            None => counting(key, versions),
        };
        found
            .map(|stored| Arc::clone(&stored.bytes))
            .ok_or(StoreError::NotFound { key: *key })
    }
}

/// The version that is read: the one with the hash that is its name, or the newest.
fn counting<'v>(key: &ObjectKey, versions: &'v [Stored]) -> Option<&'v Stored> {
    let mut several = versions
        .iter()
        .filter(|_| versions.len() > 1 && key.is_hash());
    let named = several.find(|stored| key.names(&stored.bytes));
    named.or(versions.last())
}

/// At most `len_bytes_max` bytes from the start.
fn prefix(bytes: &[u8], len_bytes_max: u64) -> Vec<u8> {
    let len = usize::try_from(len_bytes_max)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    bytes[..len].to_vec()
}

impl ReadStore for MemoryStore {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = self.bytes(key, None)?;
        let actual = bytes.len() as u64;
        if actual > size_bytes_max {
            return Err(StoreError::TooLong {
                key: *key,
                limit: size_bytes_max,
                actual,
            });
        }
        Ok(bytes.to_vec())
    }

    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let bytes = self.bytes(key, None)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let rest = &bytes[start..];
        let actual = rest.len() as u64;
        if actual < len_bytes {
            return Err(StoreError::ShortRead {
                key: *key,
                offset,
                wanted: len_bytes,
                actual,
            });
        }
        Ok(prefix(rest, len_bytes))
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        Ok(prefix(&self.bytes(key, None)?, len_bytes_max))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        Ok(self.bytes(key, None)?.len() as u64)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        // The lock is not held while `each` runs: it may well read an object.
        let State {
            objects, foreign, ..
        } = self.state().clone();
        for (key, versions) in objects.iter().filter(|(key, _)| area.holds(key)) {
            let counts = if key.is_hash() {
                counting(key, versions)
            } else {
                versions.first()
            };
            let Some(counts) = counts else { continue };
            each(Listed::Object {
                key: *key,
                size_bytes: counts.bytes.len() as u64,
            });
            if versions.len() > 1 {
                each(Listed::Covered {
                    key: *key,
                    others: u32::try_from(versions.len() - 1).unwrap_or(u32::MAX),
                    markers: 0,
                });
            }
        }
        let inside = |path: &&String| {
            path.strip_prefix(area.directory())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        for path in foreign.iter().filter(inside) {
            each(Listed::Foreign { path: path.clone() });
        }
        Ok(())
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        let state = self.state();
        let versions = state
            .objects
            .get(key)
            .ok_or(StoreError::NotFound { key: *key })?;
        let version = |stored: &Stored| Version {
            id: stored.id.clone(),
            size_bytes: stored.bytes.len() as u64,
        };
        Ok(versions.iter().map(version).collect())
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        Ok(prefix(&self.bytes(key, Some(version))?, len_bytes_max))
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        let mut state = self.state();
        let until_ms = state.stored(key, version)?.locked_until_ms;
        Ok((until_ms > 0).then_some(until_ms))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            distant: false,
            versions: true,
            conditional_create: true,
            locks: self.locking.is_some(),
            final_locks: false,
        }
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

impl AppendStore for MemoryStore {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        if let ObjectKey::Log(number) | ObjectKey::Bundle(number) = *key
            && !key.is_nameable()
        {
            return Err(StoreError::LogFull { number });
        }
        let mut state = self.state();
        if let Some(versions) = state.objects.get(key) {
            let compared = if key.is_hash() { versions.len() } else { 1 };
            let mut compared = versions.iter().take(compared);
            return Ok(if compared.any(|stored| stored.bytes.as_slice() == bytes) {
                PutOutcome::AlreadySame
            } else {
                PutOutcome::Conflict
            });
        }
        let mut version = state.version(bytes);
        if let Some(locking) = &self.locking {
            version.locked_until_ms = locking.clock.now_unix_ms() + locking.span_ms();
        }
        state.objects.insert(*key, vec![version]);
        Ok(PutOutcome::Created)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock_new(&self, _mode: LockMode, span_ms: u64) {
        if let Some(locking) = &self.locking {
            locking.span_ms.store(span_ms, Ordering::Relaxed);
        }
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        if self.locking.is_none() {
            return Err(StoreError::LocksUnsupported {
                location: self.location(),
            });
        }
        let mut state = self.state();
        let locked_until_ms = &mut state.stored(key, version)?.locked_until_ms;
        if *locked_until_ms > until_ms {
            return Err(StoreError::WouldShorten {
                key: *key,
                locked_until_ms: *locked_until_ms,
            });
        }
        *locked_until_ms = until_ms;
        Ok(())
    }
}

impl ExpireStore for MemoryStore {
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        if !key.is_expirable() {
            return Err(StoreError::Permanent { key: *key });
        }
        let mut state = self.state();
        let versions = state
            .objects
            .get(key)
            .ok_or(StoreError::NotFound { key: *key })?;
        if let Some(locking) = &self.locking {
            let last = versions.iter().map(|stored| stored.locked_until_ms).max();
            let until_ms = last.unwrap_or_default();
            if until_ms > locking.clock.now_unix_ms() {
                return Err(StoreError::Locked {
                    key: *key,
                    until_ms,
                });
            }
        }
        state.objects.remove(key);
        Ok(())
    }
}
