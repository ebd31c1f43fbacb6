//! The one read path: from an id to checked bytes.
//!
//! Every chunk that leaves this module was decrypted under a key bound to its
//! pack, decoded within the length that an authentic directory states, and has
//! the id that was asked for. Where it was said to lie is a hint (SPEC 8.2): if
//! the hint is wrong, or the place is damaged, every other listed place of the
//! id is tried before the chunk counts as lost.
//!
//! Restore, verify and view are users of it. It never writes, and what it keeps
//! in memory is bounded.

mod bases;
mod basis;
mod batch;
mod bench;
mod cache;
mod domain;
mod fault;
mod fetch;
mod held;
mod open_packs;
mod seek;
mod unfold;
mod walk;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::coding::Class;
use indelible_format::directory::Record;
use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::node::Node;
use indelible_format::pack::chunk_id;
use indelible_format::page::Page;
use indelible_format::places::Place;
use indelible_format::seal::OpenError;

use crate::pack::SealedDirectory;
use crate::repository::{Listings, Repository};
use crate::store::{ErrorClass, ObjectKey, ReadStore, StoreError};
use bases::Bases;
pub(crate) use basis::{Shape, bases_of, check as check_basis};
pub(crate) use bench::{Buffers, at_least};
use cache::Cache;
pub use domain::PackKeys;
pub(crate) use domain::{Coded, DomainReader, ReadPack, stored};
pub use fault::{BasisError, ChunkFault, ReadError};
pub use fetch::{Decoded, Fetched};
use held::{Held, Known};
use open_packs::OpenPacks;
use seek::Pages;
pub use walk::{Entries, Part, StreamWalk};

/// Decoded chunks that are kept, bytes.
const CACHE_BYTES: usize = 32 << 20;
/// A pack of at most so many bytes is read in one request where contents are
/// wanted: that costs less than asking for its parts.
const WHOLE_PACK_BYTES: u32 = 256 << 10;

/// Reads the snapshots of one domain.
pub struct Reader<'r, S: ReadStore + ?Sized> {
    store: Held<'r, S>,
    keys: DomainReader<'r>,
    known: Known<'r>,
    packs: Mutex<OpenPacks>,
    cache: Mutex<Cache>,
    pages: Pages,
    /// What deltas lean on.
    bases: Bases,
    /// Held by whoever decodes a chunk that leans on very much.
    heavy: Mutex<()>,
    /// Packs that pages and nodes were read from.
    tree_packs: Mutex<BTreeSet<PackId>>,
    /// Whether small packs are read whole.
    wants_contents: bool,
    /// For what is fetched of a window.
    stored: Buffers,
    /// For what it decodes to.
    plain: Buffers,
}

/// A tree chunk with the pack that it was read from.
type Found = (Arc<Vec<u8>>, PackId);

impl<'r, S: ReadStore + ?Sized> Reader<'r, S> {
    /// A reader for the snapshots of a domain.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the verify right.
    pub fn new(
        repository: &'r Repository<'_, S>,
        listings: &'r Listings,
        domain: DomainId,
    ) -> Result<Self, ReadError> {
        Self::over(repository.store(), repository, listings, domain)
    }

    /// The same, with packs from another store than the repository's.
    pub(crate) fn over<R: ReadStore + ?Sized>(
        store: &'r S,
        repository: &'r Repository<'_, R>,
        listings: &'r Listings,
        domain: DomainId,
    ) -> Result<Self, ReadError> {
        let keys = DomainReader::new(repository, domain)?;
        let store = Held::Borrowed(store);
        let known = Known::new(listings);
        Ok(Self::with_keys(store, known, keys))
    }

    /// The same, for a reader that outlives the opened repository.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the verify right.
    pub fn shared(
        store: Arc<S>,
        repository: &Repository<'_, S>,
        listings: Arc<Listings>,
        domain: DomainId,
    ) -> Result<Self, ReadError> {
        let keys = DomainReader::new(repository, domain)?;
        let known = Known::shared(listings);
        Ok(Self::with_keys(Held::Shared(store), known, keys))
    }

    /// A reader for what a writer leans on: the data chunks of its own domain, of
    /// which it reads those whose packs' data keys it remembers, or all with the
    /// restore right. `None` without the write right.
    pub fn of_writer(
        repository: &'r Repository<'_, S>,
        listings: &'r Listings,
        pack_keys: PackKeys<'r>,
    ) -> Option<Self> {
        Self::of_writer_over(repository.store(), repository, listings, pack_keys)
    }

    /// The same, with packs from another store than the repository's.
    pub(crate) fn of_writer_over<R: ReadStore + ?Sized>(
        store: &'r S,
        repository: &'r Repository<'_, R>,
        listings: &'r Listings,
        pack_keys: PackKeys<'r>,
    ) -> Option<Self> {
        let key = repository.key();
        let keys = if key.restore.is_some() {
            DomainReader::new(repository, key.domain).ok()?
        } else {
            DomainReader::of_writer(repository, pack_keys)?
        };
        let store = Held::Borrowed(store);
        let known = Known::new(listings);
        Some(Self::with_keys(store, known, keys))
    }

    fn with_keys(store: Held<'r, S>, known: Known<'r>, keys: DomainReader<'r>) -> Self {
        Self {
            store,
            keys,
            known,
            packs: Mutex::default(),
            cache: Mutex::new(Cache::new(CACHE_BYTES)),
            pages: Pages::default(),
            bases: Bases::default(),
            heavy: Mutex::default(),
            tree_packs: Mutex::default(),
            wants_contents: false,
            stored: Buffers::default(),
            plain: Buffers::default(),
        }
    }

    /// Contents are going to be read, and not only the tree: then a small pack is
    /// read in one request.
    #[must_use]
    pub fn wanting_contents(mut self) -> Self {
        self.wants_contents = true;
        self
    }

    /// Takes what a longer log lists, if it is [shared](Self::shared). What was read
    /// before stays right.
    pub fn renew(&self, listings: Arc<Listings>) {
        self.known.renew(listings);
    }

    /// Whether the key may read contents, and not only the tree.
    pub fn may_read_contents(&self) -> bool {
        self.keys.reads_data()
    }

    /// A chunk, from wherever it can be read.
    fn chunk(&self, id: &ChunkId, class: Class, hint: Place) -> Result<Found, ReadError> {
        if let Some(found) = self.cache().get(id) {
            return Ok(found);
        }
        let fault = match self.chunk_at(id, class, hint) {
            Ok(plain) => return Ok(self.keep(id, plain, hint.pack)),
            Err(fault) => fault,
        };
        for place in self.other_places(id, hint) {
            if let Ok(plain) = self.chunk_at(id, class, place) {
                return Ok(self.keep(id, plain, place.pack));
            }
        }
        Err(ReadError::Chunk {
            id: *id,
            place: hint,
            fault,
        })
    }

    /// A chunk from one place.
    fn chunk_at(&self, id: &ChunkId, class: Class, place: Place) -> Result<Vec<u8>, ChunkFault> {
        let pack = self.pack(&place.pack)?;
        self.check_record(&pack, place.number, id, class)?;
        self.one(place, &pack)
    }

    /// What the directory says of a chunk, if it is this one.
    fn check_record<'p>(
        &self,
        pack: &'p ReadPack,
        number: u16,
        id: &ChunkId,
        class: Class,
    ) -> Result<&'p Record, ChunkFault> {
        if class == Class::Data && !self.keys.reads_data() {
            return Err(ChunkFault::Key(OpenError::OtherKey));
        }
        let record = pack.pack.directory.records.get(usize::from(number));
        record
            .filter(|record| record.id == *id && record.known_class() == Some(class))
            .ok_or(ChunkFault::NotHere)
    }

    /// An open pack, from memory or from the store.
    fn pack(&self, id: &PackId) -> Result<Arc<ReadPack>, ChunkFault> {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = packs.get(id) {
            return known;
        }
        let opened = self.open_pack(id);
        packs.put(*id, opened.clone());
        opened
    }

    fn open_pack(&self, id: &PackId) -> Result<Arc<ReadPack>, ChunkFault> {
        let len = match self.known.get(&self.keys.domain, id) {
            Some(listed) => listed.pack.len,
            None => self.unlisted_len(id)?,
        };
        let open = || {
            if let Some(bytes) = self.read_whole(id, len)? {
                return self.keys.open_whole(id, bytes);
            }
            self.keys
                .open(id, SealedDirectory::fetch(&*self.store, id, len)?)
        };
        open()
            .map(Arc::new)
            .map_err(|error| ChunkFault::Pack(Arc::new(error)))
    }

    /// A small pack, if contents are wanted. What can't be read of it may be what
    /// nobody needs, so then its parts are asked for.
    fn read_whole(&self, id: &PackId, len: u32) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.wants_contents || len > WHOLE_PACK_BYTES {
            return Ok(None);
        }
        match self.store.read_range(&ObjectKey::Pack(*id), 0, len.into()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.class() == ErrorClass::Unreachable => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Length of a pack that a node names and no readable entry lists.
    ///
    /// Its entry may be lost, and the pack intact: its directory authenticates
    /// it, and its chunks are checked by their ids like all others. So the loss
    /// of a log object costs later snapshots nothing.
    fn unlisted_len(&self, id: &PackId) -> Result<u32, ChunkFault> {
        let size_bytes = self
            .store
            .size(&ObjectKey::Pack(*id))
            .map_err(|error| ChunkFault::Pack(Arc::new(error.into())))?;
        u32::try_from(size_bytes)
            .ok()
            .filter(|&len| len as usize <= PACK_BYTES_MAX)
            .ok_or(ChunkFault::Unlisted)
    }

    /// What stands at a place in a pack that no readable entry lists: its class
    /// and plaintext length, decoded if `decoded`. A listed pack is passed over.
    pub(crate) fn unlisted(
        &self,
        id: &ChunkId,
        place: Place,
        decoded: bool,
    ) -> Option<(Class, u32)> {
        let listed = self.known.get(&self.keys.domain, &place.pack);
        if listed.is_some() {
            return None;
        }
        let pack = self.pack(&place.pack).ok()?;
        let record = pack.pack.directory.records.get(usize::from(place.number))?;
        let class = record.known_class().filter(|_| record.id == *id)?;
        let good = !decoded || self.chunk_at(id, class, place).is_ok();
        good.then_some((class, record.plain_len))
    }

    /// Whether the bytes of a pack have the hash that is its name.
    pub(crate) fn has_its_name(&self, id: &PackId) -> Result<bool, StoreError> {
        let bytes = (self.store).read(&ObjectKey::Pack(*id), PACK_BYTES_MAX as u64)?;
        Ok(PackId::of(&bytes) == *id)
    }

    /// Every listed place of a chunk but the one that failed.
    pub(crate) fn other_places(&self, id: &ChunkId, failed: Place) -> Vec<Place> {
        let places = self.known.places(|| {
            let mut places: HashMap<ChunkId, Vec<Place>> = HashMap::new();
            for id in self.known.packs_of(&self.keys.domain) {
                let Ok(pack) = self.pack(&id) else {
                    continue;
                };
                for (record, number) in pack.pack.directory.records.iter().zip(0..) {
                    let place = Place { pack: id, number };
                    places.entry(record.id).or_default().push(place);
                }
            }
            places
        });
        let all = places.get(id).map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .copied()
            .filter(|place| *place != failed)
            .collect()
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, id: &ChunkId, plain: Vec<u8>, pack: PackId) -> Found {
        let found = (Arc::new(plain), pack);
        self.cache().put(*id, found.clone());
        found
    }

    /// A page or node, from wherever it can be read.
    fn tree_chunk(&self, id: &ChunkId, class: Class, hint: Place) -> Result<Found, ReadError> {
        let found = self.chunk(id, class, hint)?;
        let tree_packs = self.tree_packs.lock();
        tree_packs
            .unwrap_or_else(PoisonError::into_inner)
            .insert(found.1);
        Ok(found)
    }

    /// The packs that pages and nodes were read from so far.
    pub(crate) fn tree_packs(&self) -> BTreeSet<PackId> {
        let tree_packs = self.tree_packs.lock();
        tree_packs.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether these bytes are the data chunk with this id. Never, without the
    /// restore right.
    pub(crate) fn is_chunk(&self, id: &ChunkId, plain: &[u8]) -> bool {
        let key = self.keys.data_id.as_ref();
        key.is_some_and(|key| chunk_id(key, Class::Data, plain) == *id)
    }

    /// A node of an expected level and length.
    pub(crate) fn node(
        &self,
        id: &ChunkId,
        hint: Place,
        level: u8,
        len: u64,
    ) -> Result<Node, ReadError> {
        let (plain, own) = self.tree_chunk(id, Class::Node, hint)?;
        let node =
            Node::decode(&plain, &own).map_err(|error| ReadError::Layout { id: *id, error })?;
        if node.level == level && node.len() == len {
            Ok(node)
        } else {
            Err(ReadError::Shape { id: *id })
        }
    }

    /// A page of an expected length of records.
    pub(crate) fn page(&self, id: &ChunkId, hint: Place, len: u64) -> Result<Page, ReadError> {
        let (plain, own) = self.tree_chunk(id, Class::Page, hint)?;
        let layout = |error| ReadError::Layout { id: *id, error };
        let records = Page::identity_of(&plain).map_err(layout)?.len() as u64;
        let page = Page::decode(&plain, &own).map_err(layout)?;
        if records == len {
            Ok(page)
        } else {
            Err(ReadError::Shape { id: *id })
        }
    }
}
