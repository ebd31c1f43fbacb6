//! Which chunks a writer's domain has, and where.
//!
//! A chunk counts as present only if an authentic directory lists it, in a pack
//! that counts: one that a valid, trusted snapshot entry of the domain lists, or
//! that the writer's own journal names, and that the store has (SPEC 6.4). Which
//! packs those are is the caller's to say.
//!
//! A client with a state keeps the index there, as sorted files called segments,
//! each of which covers some packs: so a run opens the directories of the packs
//! that are new to it, and no others. Memory holds 45 bytes a pack, a number for
//! each 292 chunks, the smallest segments and the directories that were opened
//! last.
//!
//! The segments are trusted for nothing. Each hit is looked up in the pack's
//! directory, which opens under the domain's index key, and only the whole id
//! counts. A segment that is wrong, torn, old or hostile costs a look, or hides a
//! chunk, which is then stored again; it can't make a place. Segments may cover
//! packs that count no more; their hits are passed over.
//!
//! A delta counts as present only if all that it leans on lies in packs that count.
//!
//! Of several places of a chunk the first counts, by the order of the packs and
//! then by number. So the answer is the same whatever segments there are, and the
//! same without any.
//!
//! This module never asks whether a pack is there, and writes nothing but
//! segments.

mod cover;
mod directories;
mod memory;
mod merge;
mod opened;
mod segment;
mod shallow;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use indelible_format::ids::{ChunkId, PackId};
use indelible_format::places::Place;
use indelible_format::planted::{Bug, planted};

use crate::state::Segments;
use cover::{ByPackId, Cover, Covering};
pub use directories::{CountedPack, Directories, DomainDirectories, PackChunks};
use memory::InMemory;
use opened::{Chunks, Opened};
use segment::{Lost, key_of};

/// In place of a rank: the pack does not count.
const NO_PACK: u32 = u32::MAX;

/// Segments that are held in memory have this many bytes together, at most.
const HELD_BYTES_MAX: u64 = 4 << 20;

/// A rank, or a number in a segment, as a place in a list.
fn at(rank: u32) -> usize {
    usize::try_from(rank).expect("a u32 fits a usize")
}

/// Bases of a chunk at all depths together; one that has more counts as absent.
const BASES_MAX: usize = 4_096;

/// The rank of a pack, and a chunk's number there.
type Hit = (u32, u16);

/// What decoding a chunk takes.
struct LeansOn {
    /// How many deltas behind one another.
    depth: u8,
    /// How many chunks, itself among them.
    chunks: usize,
    /// The ranks of other packs.
    packs: Vec<u32>,
}

/// A chunk that can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub place: Place,
    /// How many deltas it decodes through.
    pub depth: u8,
    /// How many chunks that takes, itself among them.
    pub chunks: usize,
    /// Other packs that it takes.
    pub leans_on: Vec<PackId>,
}

const UNOPENED: u8 = 0;
const OPENED: u8 = 1;
const USELESS: u8 = 2;

/// Chunks by id. May be asked by several threads at once.
pub struct Index<'d> {
    /// The packs that count; a pack's place here is its rank.
    packs: Vec<CountedPack>,
    by_id: ByPackId,
    /// What came of opening each: an answer must not change while a run lives.
    tried: Vec<AtomicU8>,
    coverings: Vec<Covering>,
    memory: InMemory,
    directories: Box<dyn Directories + 'd>,
    segments: Option<Segments>,
    opened: Mutex<Opened>,
    lost: AtomicBool,
}

impl<'d> Index<'d> {
    /// The index of these packs, in the order in which their places count. The
    /// directories of those that no segment covers are opened, and segments for
    /// them are kept; without segments, everything is kept in memory.
    pub fn open(
        packs: Vec<CountedPack>,
        segments: Option<&Segments>,
        directories: Box<dyn Directories + 'd>,
    ) -> Self {
        let (mut coverings, memory) = Cover::new(segments, &packs, &*directories).run();
        hold_small(&mut coverings);
        Self {
            by_id: ByPackId::new(&packs),
            tried: packs.iter().map(|_| AtomicU8::new(UNOPENED)).collect(),
            packs,
            coverings,
            memory,
            directories,
            segments: segments.cloned(),
            opened: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// Whether [`grow`](Self::grow) keeps chunks anywhere but in memory.
    pub fn is_kept(&self) -> bool {
        self.segments.is_some()
    }

    /// The index with more packs behind those that it has. No answer changes but
    /// for chunks that it did not have. If it [is lost](Self::is_lost), it stays so.
    #[must_use]
    pub fn grow(self, more: impl IntoIterator<Item = CountedPack>) -> Self {
        let mut packs = self.packs;
        packs.extend(more);
        let grown = Self::open(packs, self.segments.as_ref(), self.directories);
        grown.lost.store(self.lost.into_inner(), Ordering::Release);
        grown
    }

    /// Where a chunk lies, if it can be had from packs that count. The answer for an id
    /// stays the same while this index lives, until [`is_lost`](Self::is_lost): then
    /// there is none for any.
    pub fn get(&self, id: &ChunkId) -> Option<Found> {
        if self.is_lost() {
            return None;
        }
        let place = self.find(id);
        if let Err(Lost) = place {
            self.lost.store(true, Ordering::Release);
        }
        let (hit, leans_on) = place.ok()??;
        Some(self.found(hit, leans_on))
    }

    fn found(&self, (rank, number): Hit, below: LeansOn) -> Found {
        let pack = |rank: u32| self.packs[at(rank)].id;
        Found {
            place: Place {
                pack: pack(rank),
                number,
            },
            depth: below.depth,
            chunks: below.chunks,
            leans_on: below.packs.into_iter().map(pack).collect(),
        }
    }

    /// Whether something that was read before could not be read again: the disk
    /// of the state or the store fails, so that answers given can't be repeated. A
    /// run must not commit what it has built on them.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// The first place of a chunk that can be had, and what it leans on.
    fn find(&self, id: &ChunkId) -> Result<Option<(Hit, LeansOn)>, Lost> {
        let in_memory = self.memory.get(id);
        let mut hits: Vec<Hit> = in_memory.into_iter().map(|(hit, _)| hit).collect();
        let key = key_of(id);
        for Covering { segment, ranks } in &self.coverings {
            segment.find(key, |record| {
                let rank = ranks.get(at(record.pack)).copied();
                let counted = rank.filter(|rank| *rank != NO_PACK);
                hits.extend(counted.map(|rank| (rank, record.number)));
            })?;
        }
        hits.sort_unstable();
        for hit in hits {
            // What is in memory was read from its directory by this very run.
            if in_memory == Some((hit, false)) {
                let alone = LeansOn {
                    depth: 0,
                    chunks: 1,
                    packs: Vec::new(),
                };
                return Ok(Some((hit, alone)));
            }
            if (in_memory == Some((hit, true)) || self.confirms(hit, id)?)
                && let Some(leans_on) = self.leans_on(hit)?
            {
                return Ok(Some((hit, leans_on)));
            }
        }
        Ok(None)
    }

    /// What a chunk leans on, at any depth (SPEC 6.6), its own pack aside. `None` if a
    /// pack of that does not count, or does not have what it should: then the chunk
    /// can't be had either.
    fn leans_on(&self, hit: Hit) -> Result<Option<LeansOn>, Lost> {
        let mut depth = 0;
        let mut seen = HashSet::from([hit]);
        let mut next = vec![hit];
        while let Some(hit) = next.pop() {
            let Some((deep, bases)) = self.bases(hit)? else {
                return Ok(None);
            };
            depth = depth.max(deep);
            next.extend(bases.into_iter().filter(|base| seen.insert(*base)));
            if seen.len() > BASES_MAX {
                return Ok(None);
            }
        }
        let chunks = seen.len();
        let mut packs: Vec<u32> = seen.into_iter().map(|(rank, _)| rank).collect();
        packs.sort_unstable();
        packs.dedup();
        packs.retain(|rank| *rank != hit.0);
        Ok(Some(LeansOn {
            depth,
            chunks,
            packs,
        }))
    }

    /// How many deltas a chunk decodes through, and its bases in their order.
    fn bases(&self, (rank, number): Hit) -> Result<Option<(u8, Vec<Hit>)>, Lost> {
        let chunks = self.chunks(rank)?;
        let Some(chunks) = chunks.filter(|chunks| usize::from(number) < chunks.ids.len()) else {
            return Ok(None);
        };
        let bases = chunks.bases(number).map(|(pack, number)| {
            let rank = pack.map_or(Some(rank), |pack| self.by_id.rank(&self.packs, pack));
            Some((rank?, number))
        });
        let bases: Option<Vec<Hit>> = bases.collect();
        Ok(bases.map(|bases| (chunks.depth(number), bases)))
    }

    /// Whether the pack's directory has this id at this number.
    fn confirms(&self, (rank, number): Hit, id: &ChunkId) -> Result<bool, Lost> {
        let chunks = self.chunks(rank)?;
        let listed = chunks.is_some_and(|chunks| chunks.ids.get(usize::from(number)) == Some(id));
        Ok(listed || planted(Bug::IndexUnconfirmed))
    }

    /// The chunks of a pack, unless its directory does not open.
    fn chunks(&self, rank: u32) -> Result<Option<Chunks>, Lost> {
        let tried = &self.tried[at(rank)];
        if tried.load(Ordering::Acquire) == USELESS {
            return Ok(None);
        }
        if let Some(chunks) = self.opened().get(rank) {
            return Ok(Some(chunks));
        }
        let chunks = self.directories.chunks(&self.packs[at(rank)]);
        let now = if chunks.is_some() { OPENED } else { USELESS };
        match tried.compare_exchange(UNOPENED, now, Ordering::AcqRel, Ordering::Acquire) {
            // Another thread that tried at the same time decides.
            Err(USELESS) => return Ok(None),
            Err(OPENED) if chunks.is_none() => return Err(Lost),
            _ => {}
        }
        Ok(chunks.map(|chunks| {
            let chunks = Chunks::new(chunks);
            self.opened().put(rank, Chunks::clone(&chunks));
            chunks
        }))
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the smallest segments in memory: reading a block of them would cost as
/// much as reading one of the largest.
fn hold_small(coverings: &mut [Covering]) {
    coverings.sort_by_key(|covering| covering.segment.records());
    let mut held = 0;
    for Covering { segment, .. } in coverings {
        held += segment.size_bytes();
        if held > HELD_BYTES_MAX {
            break;
        }
        segment.hold();
    }
}

impl Default for Index<'_> {
    /// An index of nothing.
    fn default() -> Self {
        Self::open(Vec::new(), None, Box::new(Nothing))
    }
}

/// No directories.
struct Nothing;

impl Directories for Nothing {
    fn chunks(&self, _: &CountedPack) -> Option<PackChunks> {
        None
    }
}
