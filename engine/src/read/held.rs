//! What a reader borrows from its caller, or has a share in if it outlives them: the
//! store, and what its log lists.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::places::Place;

use crate::repository::{ListedPack, Listings};

/// A thing that somebody else owns, or owns too.
pub(super) enum Held<'h, T: ?Sized> {
    Borrowed(&'h T),
    Shared(Arc<T>),
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(held) => held,
            Self::Shared(held) => held,
        }
    }
}

/// Every listed place of every chunk.
pub(super) type Places = Arc<HashMap<ChunkId, Vec<Place>>>;

/// What the log lists.
enum Listed<'h> {
    Borrowed(&'h Listings),
    /// It can grow.
    Shared(RwLock<Arc<Listings>>),
}

impl Listed<'_> {
    fn with<T>(&self, look: impl FnOnce(&Listings) -> T) -> T {
        match self {
            Self::Borrowed(listings) => look(listings),
            Self::Shared(listings) => {
                look(&listings.read().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

/// What the log lists, as far as a reader knows it, and what follows from that.
pub(super) struct Known<'h> {
    listings: Listed<'h>,
    /// Made when a hint first fails.
    places: Mutex<Option<Places>>,
}

impl<'h> Known<'h> {
    pub(super) fn new(listings: &'h Listings) -> Self {
        Self {
            listings: Listed::Borrowed(listings),
            places: Mutex::default(),
        }
    }

    /// Of a reader that outlives its caller's listings.
    pub(super) fn shared(listings: Arc<Listings>) -> Self {
        Self {
            listings: Listed::Shared(RwLock::new(listings)),
            places: Mutex::default(),
        }
    }

    /// Takes what a longer log lists, unless what is known is the caller's.
    pub(super) fn renew(&self, longer: Arc<Listings>) {
        if let Listed::Shared(listings) = &self.listings {
            *listings.write().unwrap_or_else(PoisonError::into_inner) = longer;
            *self.places.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// How a domain's entries list a pack.
    pub(super) fn get(&self, domain: &DomainId, pack: &PackId) -> Option<ListedPack> {
        self.listings
            .with(|listings| listings.get(domain, pack).copied())
    }

    /// The listed packs of a domain.
    pub(super) fn packs_of(&self, domain: &DomainId) -> Vec<PackId> {
        self.listings.with(|listings| {
            let packs = listings.packs().filter(|listed| listed.domain == *domain);
            packs.map(|listed| listed.pack.id).collect()
        })
    }

    /// The places of all chunks, which `find` finds if they are not known. Others
    /// that ask meanwhile wait.
    pub(super) fn places(&self, find: impl FnOnce() -> HashMap<ChunkId, Vec<Place>>) -> Places {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.get_or_insert_with(|| Arc::new(find())))
    }
}
