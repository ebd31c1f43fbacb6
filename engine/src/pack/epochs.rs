//! The index keys of a domain, one for each epoch of which a key has a part.
//!
//! A pack says in its header of which epoch it is, and is believed no further than to
//! choose the key: a directory opens under the right one alone.

use std::collections::BTreeMap;

use indelible_format::ids::DomainId;
use indelible_format::key_ring::KeyRing;
use indelible_format::pack::{HEADER_BYTES, PackHeader};
use indelible_format::secret::SecretKey;

use super::{PackError, SealedDirectory};

/// Index keys by epoch.
#[derive(Debug, Clone)]
pub struct IndexKeys(BTreeMap<u32, SecretKey>);

impl IndexKeys {
    /// Those of a domain that a key holds or can derive.
    pub fn of(ring: &KeyRing, domain: &DomainId) -> Self {
        let keys = ring.all().filter_map(|key| {
            let index = key.index_key(domain)?;
            Some((key.epoch, index))
        });
        Self(keys.collect())
    }

    /// One key of one epoch.
    pub fn one(epoch: u32, key: SecretKey) -> Self {
        Self(BTreeMap::from([(epoch, key)]))
    }

    /// The key of an epoch.
    ///
    /// # Errors
    ///
    /// [`PackError::Epoch`].
    pub fn at(&self, epoch: u32) -> Result<&SecretKey, PackError> {
        self.0.get(&epoch).ok_or(PackError::Epoch { epoch })
    }
}

impl SealedDirectory {
    /// The epoch that a kept copy says its pack is of; nothing of it is checked.
    pub fn epoch_of_copy(copy: &[u8]) -> Option<u32> {
        let header = copy.get(32..)?.first_chunk::<HEADER_BYTES>()?;
        Some(PackHeader::parse(header).ok()?.epoch)
    }
}
