//! A store that counts what is read of packs, for the report.
//!
//! It stands in front of the store and changes no answer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::{ObjectKey, ReadStore, StoreError, VersionId, hand_on};

/// Counts bytes of packs.
pub(super) struct Metered<'a, S: ?Sized> {
    inner: &'a S,
    bytes: AtomicU64,
}

impl<'a, S: ReadStore + ?Sized> Metered<'a, S> {
    pub(super) fn new(inner: &'a S) -> Self {
        Self {
            inner,
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of packs that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn counted(&self, key: &ObjectKey, read: Vec<u8>) -> Vec<u8> {
        self.count(key, read.len());
        read
    }

    fn count(&self, key: &ObjectKey, len: usize) {
        if matches!(key, ObjectKey::Pack(_)) {
            self.bytes.fetch_add(len as u64, Ordering::Relaxed);
        }
    }
}

impl<S: ReadStore + ?Sized> ReadStore for Metered<'_, S> {
    hand_on!(inner: size, list, versions, version_that_counts, stored_sum, locked_until);
    hand_on!(inner: capabilities, location);

    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let read = self.inner.read(key, size_bytes_max)?;
        Ok(self.counted(key, read))
    }

    fn read_range(&self, key: &ObjectKey, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let read = self.inner.read_range(key, offset, len)?;
        Ok(self.counted(key, read))
    }

    fn read_into(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.inner.read_into(key, offset, bytes)?;
        self.count(key, bytes.len());
        Ok(())
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        let read = self.inner.read_prefix(key, len_bytes_max)?;
        Ok(self.counted(key, read))
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let read = self.inner.read_version(key, version, len_bytes_max)?;
        Ok(self.counted(key, read))
    }
}
