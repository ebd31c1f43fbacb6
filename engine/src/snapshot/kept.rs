//! What the client kept of a NAME's snapshots: the lists of their chunks, and the
//! keys of packs that it may have to read again.
//!
//! A host that may only write can't open its own packs once they are closed. To make
//! deltas it must read what they lean on, so it remembers the keys of the packs that
//! its last snapshot reaches. A key that may restore needs none of that and remembers
//! none. Without lists or keys nothing is lost but what a delta would have saved.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_format::ids::{CommitId, PackId};
use indelible_format::name::Name;
use indelible_format::secret::SecretKey;

use super::lean::{Bases, Lean};
use super::near::NearStore;
use super::writer::Written;
use crate::generations::depth_max;
use crate::read::Reader;
use crate::repository::{Listings, Repository};
use crate::state::{ChunkLists, ListFile, ListWriter, PackCopies};
use crate::store::ReadStore;

/// A NAME's lists.
pub(super) struct Kept {
    /// Without a state there are none.
    lists: Option<ChunkLists>,
    /// Those of the last snapshot.
    pub(super) latest: Option<ListFile>,
    generation: u32,
}

impl Kept {
    /// The lists that the client has of a NAME in its key's domain.
    pub(super) fn of<S: ReadStore + ?Sized>(repository: &Repository<'_, S>, name: &Name) -> Self {
        let key = repository.key();
        let lists = repository.state().zip(key.write.as_ref());
        let lists = lists.map(|(state, keys)| state.chunk_lists(&key.domain, name, &keys.gear));
        let latest = lists.as_ref().and_then(ChunkLists::latest);
        let generation = latest
            .as_ref()
            .map_or(0, |latest| latest.generation().saturating_add(1));
        Self {
            lists,
            latest,
            generation,
        }
    }

    /// Begins the lists of the next snapshot.
    pub(super) fn begin(&self, commit: &CommitId, salt: [u8; 32]) -> Option<ListWriter> {
        self.lists
            .as_ref()?
            .begin(commit, self.generation, salt)
            .ok()
    }

    /// The keys that are remembered with the lists.
    pub(super) fn keys<S: ReadStore + ?Sized>(
        &self,
        repository: &Repository<'_, S>,
        delta: bool,
    ) -> PackKeys {
        let key = repository.key();
        if !delta || key.strict {
            return PackKeys::Unwanted;
        }
        if key.restore.is_some() {
            return PackKeys::Held;
        }
        let keys = self.latest.as_ref().map(ListFile::keys);
        PackKeys::Remembered(Arc::new(keys.unwrap_or_default()))
    }

    /// Copies of the packs that are leaned on, if they are to be kept: so many bytes of
    /// them from now on.
    pub(super) fn copies<S: ReadStore + ?Sized>(
        repository: &Repository<'_, S>,
        keys: &PackKeys,
        bytes_max: Option<u64>,
    ) -> Option<PackCopies> {
        let clock = Arc::clone(&repository.env().clock);
        let copies = repository.state()?.pack_copies(bytes_max?, clock);
        (!matches!(keys, PackKeys::Unwanted)).then_some(copies)
    }

    /// Whether lists seem to be lost. A key that may walk trees has looked for an earlier
    /// snapshot; another one can only tell whether its domain has any.
    pub(super) fn is_forgotten<S: ReadStore + ?Sized>(
        &self,
        repository: &Repository<'_, S>,
        keys: &PackKeys,
        earlier: bool,
    ) -> bool {
        let key = repository.key();
        let ours = || {
            let mut entries = repository.snapshot_entries();
            entries.any(|entry| entry.header().domain == key.domain)
        };
        self.latest.is_none()
            && !matches!(keys, PackKeys::Unwanted)
            && (earlier || key.verify.is_none() && ours())
    }

    /// What new chunks can lean on, if there is anything.
    pub(super) fn lean<'b, S: ReadStore + ?Sized>(
        &self,
        repository: &'b Repository<'_, S>,
        near: &'b NearStore<'b, S>,
        listings: &'b Listings,
        keys: &PackKeys,
    ) -> Option<Lean<'b>> {
        let latest = self.latest.clone()?;
        let reader = match keys {
            PackKeys::Unwanted => return None,
            PackKeys::Held => {
                let domain = repository.key().domain;
                Reader::over(near, repository, listings, domain).ok()?
            }
            PackKeys::Remembered(keys) => {
                let keys = Arc::clone(keys);
                let key = Arc::new(move |pack: &PackId| keys.get(pack).cloned());
                Reader::of_writer_over(near, repository, listings, key)?
            }
        };
        let bases: Box<dyn Bases + 'b> = Box::new(reader);
        Some(Lean::new(latest, depth_max(self.generation), bases))
    }
}

/// Where the keys of packs come from that are leaned on.
pub(super) enum PackKeys {
    /// Nothing is to lean on anything.
    Unwanted,
    /// The key opens all packs.
    Held,
    /// Those that earlier snapshots left.
    Remembered(Arc<HashMap<PackId, SecretKey>>),
}

impl PackKeys {
    /// Adds to the lists of a snapshot the keys of the packs that it needs.
    pub(super) fn keep(&self, mut lists: ListWriter, written: &Written) -> Option<ListWriter> {
        let Self::Remembered(known) = self else {
            return Some(lists);
        };
        let reused = written.reused.iter();
        let reused = reused.filter_map(|pack| Some((pack, known.get(pack)?)));
        let own = written.keys.iter().map(|(pack, key)| (pack, key));
        if lists.keep_keys(reused.chain(own)).is_err() {
            let _ = lists.discard();
            return None;
        }
        Some(lists)
    }
}
