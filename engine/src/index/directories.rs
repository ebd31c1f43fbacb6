//! Where the index gets the directories from that it believes.

use indelible_format::directory::{Directory, Record};
use indelible_format::ids::{ChunkId, DomainId, PackId, RepositoryId};

use crate::pack::{IndexKeys, PackError, SealedDirectory};
use crate::state::RepositoryState;
use crate::store::ReadStore;

/// A delta is heavy if its coded bytes are more than one part of so many of its
/// plaintext.
const HEAVY_PART: u64 = 16;

/// A pack that counts: a trusted entry of the domain lists it, or a journal named
/// it and it was checked, and the store has it with this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedPack {
    /// Its id.
    pub id: PackId,
    /// Its length, bytes.
    pub len: u32,
}

/// What the index wants to know of a pack's directory.
#[derive(Debug, Clone, Default)]
pub struct PackChunks {
    /// The ids of its chunks, by number.
    pub ids: Vec<ChunkId>,
    /// How many deltas each decodes through, by number.
    depths: Vec<u8>,
    /// Whether each holds much that what it leans on has not, by number.
    heavy: Vec<bool>,
    /// Other packs that its chunks lean on: slot 1 and on.
    packs: Vec<PackId>,
    /// The bases of its chunks: number of the chunk, slot, number there; ascending.
    bases: Vec<(u16, u16, u16)>,
}

impl PackChunks {
    /// Those of an authentic directory.
    pub fn new(directory: Directory) -> Self {
        let records = directory.records.iter().zip(0..=u16::MAX);
        let bases = records.flat_map(|(record, number)| {
            let bases = record.bases.iter();
            bases.map(move |base| (number, base.slot, base.number))
        });
        Self {
            bases: bases.collect(),
            ids: directory.records.iter().map(|record| record.id).collect(),
            depths: directory
                .records
                .iter()
                .map(|record| record.depth)
                .collect(),
            heavy: directory.records.iter().map(is_heavy).collect(),
            packs: directory.packs,
        }
    }

    /// How many deltas a chunk decodes through; 0 if there is no such chunk.
    pub fn depth(&self, number: u16) -> u8 {
        self.depths.get(usize::from(number)).copied().unwrap_or(0)
    }

    /// Whether much of a delta is its own: leaning on its bases instead would store that
    /// again.
    pub fn is_heavy(&self, number: u16) -> bool {
        self.heavy.get(usize::from(number)) == Some(&true)
    }

    /// The bases of a chunk: each the pack that it lies in, `None` for this one, and
    /// its number there.
    pub fn bases(&self, number: u16) -> impl Iterator<Item = (Option<&PackId>, u16)> {
        let from = self.bases.partition_point(|base| base.0 < number);
        let bases = self.bases[from..].iter();
        let bases = bases.take_while(move |base| base.0 == number);
        bases.map(|(_, slot, number)| {
            let pack = usize::from(*slot).checked_sub(1);
            (pack.map(|slot| &self.packs[slot]), *number)
        })
    }
}

fn is_heavy(record: &Record) -> bool {
    record.depth > 0 && u64::from(record.stored_len) * HEAVY_PART > record.plain_len.into()
}

/// Chunks that lean on nothing.
impl From<Vec<ChunkId>> for PackChunks {
    fn from(ids: Vec<ChunkId>) -> Self {
        Self {
            depths: vec![0; ids.len()],
            heavy: vec![false; ids.len()],
            ids,
            ..Self::default()
        }
    }
}

/// Gives the authentic directories of packs.
pub trait Directories: Send + Sync {
    /// A pack's chunks. `None` if its directory can't be had, or is not authentic:
    /// then the pack has nothing that may be leaned on.
    fn chunks(&self, pack: &CountedPack) -> Option<PackChunks>;
}

/// Directories of a domain's packs: the client's copies where they are right, and
/// else those in the store, of which copies are kept.
///
/// The id of a chunk says its class too (SPEC 6.3), so that classes need not be
/// compared. What a pack that is fetched here is worth, [`pack`](crate::pack)
/// says where it makes copies.
pub struct DomainDirectories<'s, S: ?Sized> {
    /// Where the packs are.
    pub store: &'s S,
    /// Where copies are.
    pub state: Option<RepositoryState>,
    /// The repository that the packs must state.
    pub repository: RepositoryId,
    /// The domain that they must state.
    pub domain: DomainId,
    /// The domain's index keys.
    pub index_keys: IndexKeys,
}

impl<S: ReadStore + ?Sized> DomainDirectories<'_, S> {
    /// Opens a pack's directory if it is one of the domain.
    ///
    /// # Errors
    ///
    /// [`PackError`].
    fn open(&self, sealed: SealedDirectory) -> Result<PackChunks, PackError> {
        let header = sealed.header();
        if header.repository != self.repository || header.domain != self.domain {
            return Err(PackError::Foreign);
        }
        let index_key = self.index_keys.at(header.epoch)?;
        Ok(PackChunks::new(sealed.open(index_key)?.directory))
    }

    fn kept(&self, pack: &CountedPack) -> Option<PackChunks> {
        let copy = self.state.as_ref()?.directory(&pack.id)?;
        let index_key = self.index_keys.at(SealedDirectory::epoch_of_copy(&copy)?);
        let sealed = SealedDirectory::of_copy(&copy, &pack.id, pack.len, index_key.ok()?).ok()?;
        self.open(sealed).ok()
    }

    fn fetched(&self, pack: &CountedPack) -> Result<PackChunks, PackError> {
        let sealed = SealedDirectory::fetch(self.store, &pack.id, pack.len)?;
        let copy = sealed.copy(&pack.id, self.index_keys.at(sealed.header().epoch)?);
        let chunks = self.open(sealed)?;
        if let Some(state) = &self.state {
            state.keep_directory(&pack.id, &copy);
        }
        Ok(chunks)
    }
}

impl<S: ReadStore + ?Sized> Directories for DomainDirectories<'_, S> {
    fn chunks(&self, pack: &CountedPack) -> Option<PackChunks> {
        self.kept(pack).or_else(|| self.fetched(pack).ok())
    }
}
