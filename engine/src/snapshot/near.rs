//! A store in front of which copies of packs are kept near.
//!
//! What new chunks lean on is read through it. Packs of which there is a right copy are
//! read from that; another that there is room for is fetched whole once, and kept, since
//! the next snapshot leans on it again. All else, and whatever a copy does not give, is
//! asked of the store. So answers are the store's, save that a pack which was damaged
//! there since it was copied is read as it was: whether packs that are leaned on are
//! whole is for verifications to say, as it is of chunks that are not stored again.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use indelible_format::ids::{DomainId, PackId};

use crate::repository::Listings;
use crate::state::{PackCopies, Room};
use crate::store::{ObjectKey, ReadStore, StoreError, hand_on};

/// A store, and copies of its packs if any are kept.
pub(super) struct NearStore<'a, S: ?Sized> {
    far: &'a S,
    copies: Option<&'a PackCopies>,
    listings: &'a Listings,
    domain: DomainId,
    /// Packs that were fetched, or are not to be; held while one is, so that no two are
    /// in memory.
    tried: Mutex<HashSet<PackId>>,
}

impl<'a, S: ReadStore + ?Sized> NearStore<'a, S> {
    /// A domain's packs, of which these are listed.
    pub(super) fn new(
        far: &'a S,
        copies: Option<&'a PackCopies>,
        listings: &'a Listings,
        domain: DomainId,
    ) -> Self {
        Self {
            far,
            copies,
            listings,
            domain,
            tried: Mutex::default(),
        }
    }

    /// Fills the buffer from a copy, or from a pack that is fetched. False if the store
    /// is to be asked.
    fn read_near(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> bool {
        let (ObjectKey::Pack(pack), Some(copies)) = (key, self.copies) else {
            return false;
        };
        if copies.read_into(pack, offset, bytes) {
            return true;
        }
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if !tried.insert(*pack) {
            drop(tried);
            // Another thread may have fetched it meanwhile.
            return copies.read_into(pack, offset, bytes);
        }
        let part = self.fetch(pack, copies).and_then(|whole| {
            let from = usize::try_from(offset).ok()?;
            let part = whole.get(from..from.checked_add(bytes.len())?)?;
            bytes.copy_from_slice(part);
            Some(())
        });
        part.is_some()
    }

    /// Fetches a pack, if there is room for a copy, and keeps that if it is right.
    fn fetch(&self, pack: &PackId, copies: &PackCopies) -> Option<Vec<u8>> {
        let len = self.listings.get(&self.domain, pack)?.pack.len.into();
        if !copies.has_room(len, Room::OfUnused) {
            return None;
        }
        let whole = self.far.read_range(&ObjectKey::Pack(*pack), 0, len).ok()?;
        if PackId::of(&whole) == *pack {
            copies.keep(pack, &whole, Room::OfUnused);
        }
        Some(whole)
    }
}

impl<S: ReadStore + ?Sized> ReadStore for NearStore<'_, S> {
    hand_on!(far: read, read_prefix, size, list, versions, version_that_counts, read_version, locked_until);
    hand_on!(far: stored_sum, capabilities, location);

    fn read_range(&self, key: &ObjectKey, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        if self.copies.is_some()
            && let Ok(room) = usize::try_from(len)
        {
            let mut bytes = vec![0; room];
            if self.read_near(key, offset, &mut bytes) {
                return Ok(bytes);
            }
        }
        self.far.read_range(key, offset, len)
    }

    fn read_into(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        if self.read_near(key, offset, bytes) {
            return Ok(());
        }
        self.far.read_into(key, offset, bytes)
    }
}
