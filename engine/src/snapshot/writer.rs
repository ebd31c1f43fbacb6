//! Collects new chunks into packs, and places the tree over them.
//!
//! Data chunks go into the open pack at once. Nodes and pages wait until the
//! packs of all that they list are finished and so have ids; then they are
//! encoded into packs of their own, or, when the snapshot is small, behind the
//! data in its last pack. Until a pack is finished its chunks carry the pack's
//! provisional id.
//!
//! A chunk that the domain has already is not stored again, and the pack that
//! holds it goes into the snapshot's reach.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use indelible_format::coding::Coding;
use indelible_format::commit::NewPack;
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::node;
use indelible_format::pack::PackRecipients;
use indelible_format::page;
use indelible_format::places::Place;
use indelible_format::seal::UnusableKey;
use indelible_format::secret::SecretKey;

use super::COMPRESSION_LEVEL;
use super::code::Coded;
use super::publish::Publisher;
use crate::env::Env;
use crate::index::{CountedPack, Found, Index};
use crate::pack::{Basis, CodedChunk, PackBuilder, code};
use crate::tree::{Bough, Shape, Trunk};

/// So many bytes of waiting nodes and pages make a pack of their own.
const TREE_FLUSH_BYTES: usize = 4 << 20;
/// So many new chunks are kept in memory; more go where the index keeps its own.
const FRESH_MAX: usize = 1 << 16;

/// Why chunks can't be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The bundle's public keys are unusable.
    #[error(transparent)]
    Seal(#[from] UnusableKey),
    /// The publisher failed; it knows why.
    #[error("publishing failed")]
    Publisher,
    /// What the index said can't be read again.
    #[error("the index is lost")]
    IndexLost,
}

/// What a snapshot's chunks came to.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The packs that it adds.
    pub(super) packs: Vec<NewPack>,
    /// Packs of a dead run that it uses, and lists before those.
    adopted: Vec<NewPack>,
    /// The packs of earlier entries that it leans on.
    pub(super) reused: BTreeSet<PackId>,
    /// Data chunks that were new.
    pub(super) new_chunks: u64,
    /// Their plaintext bytes.
    pub(super) new_bytes: u64,
    /// How many of them are deltas.
    pub(super) delta_chunks: u64,
    /// The keys of the packs that it adds.
    pub(super) keys: Vec<(PackId, SecretKey)>,
}

/// Stores the chunks of one snapshot.
pub(super) struct Writer<'w, 'scope> {
    recipients: PackRecipients<'w>,
    index_key: &'w SecretKey,
    env: &'w Env,
    index: Index<'w>,
    /// Packs of a dead run that are in the index and in no entry yet.
    adopted: HashMap<PackId, NewPack>,
    /// Packs that this snapshot lists: new ones, and adopted ones that it uses.
    own: HashSet<PackId>,
    publisher: &'w Publisher<'scope>,
    compressor: zstd::bulk::Compressor<'static>,
    /// Where the chunks of this run lie. The pack may be provisional.
    fresh: HashMap<ChunkId, Place>,
    /// The ids of provisional packs that are finished.
    named: HashMap<PackId, PackId>,
    /// Packs of this run that the index does not have yet.
    unindexed: Vec<CountedPack>,
    open: Option<PackBuilder>,
    waiting: VecDeque<Bough>,
    waiting_ids: HashSet<ChunkId>,
    waiting_bytes: usize,
    written: Written,
}

impl<'w, 'scope> Writer<'w, 'scope> {
    pub(super) fn new(
        recipients: PackRecipients<'w>,
        index_key: &'w SecretKey,
        env: &'w Env,
        index: Index<'w>,
        adopted: HashMap<PackId, NewPack>,
        publisher: &'w Publisher<'scope>,
    ) -> Self {
        Self {
            recipients,
            index_key,
            env,
            index,
            adopted,
            own: HashSet::new(),
            publisher,
            compressor: zstd::bulk::Compressor::new(COMPRESSION_LEVEL)
                .expect("the level is one of zstd's"),
            fresh: HashMap::new(),
            named: HashMap::new(),
            unindexed: Vec::new(),
            open: None,
            waiting: VecDeque::new(),
            waiting_ids: HashSet::new(),
            waiting_bytes: 0,
            written: Written::default(),
        }
    }

    /// Whether a chunk needs no storing. If an earlier snapshot has it, its pack is now
    /// in reach, and those of what it leans on.
    pub(super) fn has(&mut self, id: &ChunkId) -> bool {
        if let Some(found) = self.index.get(id) {
            self.reuse(found.place.pack);
            for pack in found.leans_on {
                self.reuse(pack);
            }
            return true;
        }
        self.fresh.contains_key(id) || self.waiting_ids.contains(id)
    }

    fn reuse(&mut self, pack: PackId) {
        match self.adopted.remove(&pack) {
            Some(new) => {
                self.own.insert(pack);
                self.written.adopted.push(new);
            }
            None if self.own.contains(&pack) => {}
            None => {
                self.written.reused.insert(pack);
            }
        }
    }

    /// What can be leaned on in place of a chunk: see [`Index::shallow`].
    pub(super) fn shallow(
        &self,
        id: &ChunkId,
        depth_max: u8,
        many: usize,
    ) -> Vec<(ChunkId, Found)> {
        self.index.shallow(id, depth_max, many)
    }

    /// Stores data chunks that [`has`](Self::has) did not know. The packs that they
    /// lean on are now in reach.
    pub(super) fn put(&mut self, chunks: Vec<Coded>) -> Result<(), WriteError> {
        for Coded { chunk, leans_on } in &chunks {
            self.written.new_chunks += 1;
            self.written.new_bytes += chunk.plain_len as u64;
            self.written.delta_chunks += u64::from(chunk.coding == Coding::Delta);
            for pack in leans_on {
                self.reuse(*pack);
            }
        }
        let mut left = chunks.into_iter().map(|coded| coded.chunk).peekable();
        let mut closed = false;
        while left.peek().is_some() {
            let mut pack = match self.open.take() {
                Some(pack) => pack,
                None => self.new_pack()?,
            };
            let (mut fitting, mut coded_len, mut bases) = (Vec::new(), 0, 0);
            while let Some(chunk) = left.next_if(|next| {
                let bases = bases + next.basis.bases.len();
                pack.fits(fitting.len() + 1, coded_len + next.coded.len(), bases)
            }) {
                coded_len += chunk.coded.len();
                bases += chunk.basis.bases.len();
                fitting.push(chunk);
            }
            self.add(&mut pack, fitting);
            self.open = Some(pack);
            if left.peek().is_some() {
                self.close()?;
                closed = true;
            }
        }
        // What waits, waits for packs to be closed.
        let full = self.index.is_kept() && self.fresh.len() >= FRESH_MAX;
        if closed && (full || self.waiting_bytes >= TREE_FLUSH_BYTES) {
            self.flush_tree(false)
        } else {
            Ok(())
        }
    }

    fn add(&mut self, pack: &mut PackBuilder, chunks: Vec<CodedChunk>) {
        let ids: Vec<ChunkId> = chunks.iter().map(|chunk| chunk.id).collect();
        let first = pack.add(chunks);
        for (id, number) in ids.into_iter().zip(first..) {
            let pack = pack.provisional();
            self.fresh.insert(id, Place { pack, number });
        }
    }

    fn new_pack(&self) -> Result<PackBuilder, UnusableKey> {
        PackBuilder::new(&self.recipients, self.index_key, self.env)
    }

    /// Finishes the open pack, if there is one.
    fn close(&mut self) -> Result<(), WriteError> {
        match self.open.take() {
            Some(pack) => self.finish_pack(pack),
            None => Ok(()),
        }
    }

    fn finish_pack(&mut self, pack: PackBuilder) -> Result<(), WriteError> {
        if self.publisher.put(pack) {
            Ok(())
        } else {
            Err(WriteError::Publisher)
        }
    }

    /// Learns the ids of the packs that were finished.
    fn take_names(&mut self) -> Result<(), WriteError> {
        for named in self.publisher.names().ok_or(WriteError::Publisher)? {
            let (id, len) = (named.pack.id, named.pack.len);
            self.named.insert(named.provisional, id);
            self.own.insert(id);
            self.unindexed.push(CountedPack { id, len });
            self.written.keys.push((id, named.data_key));
            self.written.packs.push(named.pack);
        }
        if self.index.is_kept() && self.fresh.len() >= FRESH_MAX {
            self.move_to_index();
        }
        Ok(())
    }

    /// Lets the index have the new chunks of packs that are published.
    fn move_to_index(&mut self) {
        let waiting = self.written.packs.len() - self.publisher.published();
        let published = self.unindexed.len().saturating_sub(waiting);
        if published == 0 {
            return;
        }
        let index = std::mem::take(&mut self.index).grow(self.unindexed.drain(..published));
        self.fresh.retain(|id, _| index.get(id).is_none());
        self.index = index;
    }

    /// Where a chunk lies, with the id of its pack if that has one.
    pub(super) fn place(&self, id: &ChunkId) -> Option<Place> {
        let indexed = self.index.get(id).map(|found| found.place);
        indexed.or_else(|| {
            let place = self.fresh.get(id)?;
            Some(Place {
                pack: *self.named.get(&place.pack).unwrap_or(&place.pack),
                number: place.number,
            })
        })
    }

    /// The places of what a bough lists, if all of them can be written into a
    /// pack with this provisional id.
    fn places(&self, bough: &Bough, own: &PackId) -> Option<Vec<Place>> {
        let open = self
            .open
            .as_ref()
            .map(PackBuilder::provisional)
            .filter(|open| open != own);
        bough
            .listed()
            .map(|id| self.place(&id).filter(|place| Some(place.pack) != open))
            .collect()
    }

    fn encode(&mut self, bough: Bough, places: Vec<Place>, own: &PackId) -> CodedChunk {
        let (id, class) = (bough.id, bough.class());
        let plain = match bough.shape {
            Shape::Node { level, items } => node::Node {
                level,
                items,
                places,
            }
            .encode(own),
            Shape::Page { records, .. } => page::encode(&records, &places, own),
        };
        let (coding, coded) = code(&mut self.compressor, &plain);
        CodedChunk {
            id,
            class,
            coding,
            plain_len: plain.len(),
            coded,
            basis: Basis::default(),
        }
    }

    /// Writes the waiting nodes and pages whose lists are placed into packs of
    /// their own.
    fn flush_tree(&mut self, all: bool) -> Result<(), WriteError> {
        self.take_names()?;
        let mut pack = self.new_pack()?;
        for _ in 0..self.waiting.len() {
            let Some(bough) = self.waiting.pop_front() else {
                break;
            };
            if !pack.fits(1, bough.size_bound_bytes(), 0) {
                self.finish_pack(pack)?;
                self.take_names()?;
                pack = self.new_pack()?;
            }
            let own = pack.provisional();
            let Some(places) = self.places(&bough, &own) else {
                self.check_index()?;
                assert!(
                    !all,
                    "children stand before their parents, and every data pack is closed"
                );
                self.waiting.push_back(bough);
                continue;
            };
            self.waiting_bytes -= bough.size_bound_bytes();
            self.waiting_ids.remove(&bough.id);
            let chunk = self.encode(bough, places, &own);
            self.add(&mut pack, vec![chunk]);
        }
        if pack.is_empty() {
            Ok(())
        } else {
            self.finish_pack(pack)
        }
    }

    /// Whether all that the index said still holds.
    fn check_index(&self) -> Result<(), WriteError> {
        if self.index.is_lost() {
            Err(WriteError::IndexLost)
        } else {
            Ok(())
        }
    }

    /// Stores what waits, behind the data if there is room, and closes the last
    /// pack.
    pub(super) fn flush(&mut self) -> Result<(), WriteError> {
        self.write_out()?;
        self.check_index()
    }

    fn write_out(&mut self) -> Result<(), WriteError> {
        let room = self
            .open
            .as_ref()
            .is_some_and(|pack| pack.fits(self.waiting.len(), self.waiting_bytes, 0));
        if !room {
            self.close()?;
            if !self.waiting.is_empty() {
                self.flush_tree(true)?;
            }
            return self.take_names();
        }
        self.take_names()?;
        let mut pack = self.open.take().expect("a pack with room is open");
        let own = pack.provisional();
        while let Some(bough) = self.waiting.pop_front() {
            let places = self.places(&bough, &own);
            self.check_index()?;
            let places = places.expect("children stand before their parents");
            let chunk = self.encode(bough, places, &own);
            self.add(&mut pack, vec![chunk]);
        }
        self.open = Some(pack);
        self.waiting_ids.clear();
        self.waiting_bytes = 0;
        self.close()?;
        self.take_names()
    }

    /// What it all came to, after [`flush`](Self::flush).
    pub(super) fn finish(self) -> Written {
        let mut written = self.written;
        written.adopted.append(&mut written.packs);
        written.packs = std::mem::take(&mut written.adopted);
        written
    }
}

impl Trunk for Writer<'_, '_> {
    type Error = WriteError;

    fn take(&mut self, bough: Bough) -> Result<(), WriteError> {
        if self.has(&bough.id) {
            return Ok(());
        }
        self.waiting_ids.insert(bough.id);
        self.waiting_bytes += bough.size_bound_bytes();
        self.waiting.push_back(bough);
        Ok(())
    }
}
