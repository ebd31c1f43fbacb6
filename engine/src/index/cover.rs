//! Brings a domain's segments up to the packs that count.
//!
//! Segments that are there are opened; packs that none covers get a new one, from
//! their directories; then small ones are merged. A segment that is damaged, or
//! covers nothing that larger ones don't, is removed: its packs are covered anew,
//! or need not be. Each step leaves segments that are right by themselves, so a
//! run may die anywhere, and others may do the same at the same time.
//!
//! Where the state can't be written to, what it has no segment for is kept in
//! memory.

use std::cmp::Reverse;

use indelible_format::ids::PackId;
use indelible_format::limits::PACK_CHUNKS_MAX;
use rayon::prelude::*;

use super::directories::{CountedPack, Directories, PackChunks};
use super::memory::InMemory;
use super::merge::{MergeError, how_many, merge};
use super::segment::{Record, Segment, SegmentWriter, key_of};
use super::{NO_PACK, at};
use crate::state::{SegmentFile, Segments, StateError};

/// Directories that are opened at a time, on all cores.
const BATCH_PACKS: usize = 32;
/// Records that are sorted in memory, 16 bytes each.
const SORTED_MAX: usize = 1 << 20;
/// So many segments are merged before more are made.
const SEGMENTS_MAX: usize = 96;
/// How often packs are covered anew because a segment turned out damaged.
const ROUNDS_MAX: u32 = 8;

/// A segment, and which packs it covers.
#[derive(Debug)]
pub(super) struct Covering {
    pub(super) segment: Segment,
    /// By a pack's number in the segment: its rank among those that count, or
    /// [`NO_PACK`].
    pub(super) ranks: Vec<u32>,
}

impl Covering {
    /// The ranks of its packs that count.
    pub(super) fn counted(&self) -> impl Iterator<Item = u32> {
        self.ranks.iter().copied().filter(|rank| *rank != NO_PACK)
    }
}

/// Records that become a segment, and the packs that they are of.
struct Run {
    records: Vec<Record>,
    ranks: Vec<u32>,
}

/// Segments and what they cover, while they are brought up.
pub(super) struct Cover<'c> {
    /// Without a state there are none.
    of: Option<&'c Segments>,
    packs: &'c [CountedPack],
    directories: &'c dyn Directories,
    coverings: Vec<Covering>,
    memory: InMemory,
    /// Ranks of the packs whose chunks are in memory.
    in_memory: Vec<u32>,
    /// Whether a segment was dropped since packs were last covered.
    dropped: bool,
}

impl<'c> Cover<'c> {
    pub(super) fn new(
        of: Option<&'c Segments>,
        packs: &'c [CountedPack],
        directories: &'c dyn Directories,
    ) -> Self {
        Self {
            of,
            packs,
            directories,
            coverings: Vec::new(),
            memory: InMemory::default(),
            in_memory: Vec::new(),
            dropped: false,
        }
    }

    /// Does it all.
    pub(super) fn run(mut self) -> (Vec<Covering>, InMemory) {
        self.load();
        for _ in 0..ROUNDS_MAX {
            self.add_missing();
            // A merge reads every record, and so finds what is damaged.
            self.tidy();
            if !std::mem::take(&mut self.dropped) {
                break;
            }
        }
        (self.coverings, self.memory)
    }

    /// Opens the segments that are there.
    fn load(&mut self) {
        let Some(of) = self.of else { return };
        let turn = of.try_turn();
        let by_id = ByPackId::new(self.packs);
        let files = of.open_all().into_iter();
        let mut found: Vec<Covering> = files
            .filter_map(|file| by_id.open(self.packs, file, of))
            .collect();
        found.sort_by_key(|covering| Reverse(covering.segment.records()));
        let mut covered = vec![false; self.packs.len()];
        for covering in found {
            let mut useful = false;
            for rank in covering.counted() {
                useful |= !std::mem::replace(&mut covered[at(rank)], true);
            }
            if useful {
                self.coverings.push(covering);
            } else if turn.is_some() {
                covering.segment.file().remove();
            }
        }
    }

    fn missing(&self) -> Vec<u32> {
        let mut covered = vec![false; self.packs.len()];
        let segments = self.coverings.iter().flat_map(Covering::counted);
        for rank in segments.chain(self.in_memory.iter().copied()) {
            covered[at(rank)] = true;
        }
        let ranks = (0..).zip(covered);
        ranks
            .filter_map(|(rank, covered)| (!covered).then_some(rank))
            .collect()
    }

    /// Covers the packs that nothing covers.
    fn add_missing(&mut self) {
        let missing = self.missing();
        let most = missing.len().saturating_mul(PACK_CHUNKS_MAX);
        let mut run = Run {
            records: Vec::new(),
            ranks: Vec::new(),
        };
        if self.of.is_some() {
            run.records.reserve_exact(most.min(SORTED_MAX));
        }
        for batch in missing.chunks(BATCH_PACKS) {
            let open = |rank: &u32| self.directories.chunks(&self.packs[at(*rank)]);
            let opened: Vec<Option<PackChunks>> = batch.par_iter().map(open).collect();
            for (rank, chunks) in batch.iter().zip(opened) {
                // A directory that does not open lists nothing that may be leaned
                // on; verify reports it.
                let Some(chunks) = chunks else { continue };
                self.add(*rank, &chunks, &mut run);
            }
        }
        self.write(&mut run);
    }

    fn add(&mut self, rank: u32, chunks: &PackChunks, run: &mut Run) {
        if self.of.is_none() {
            self.memory.add(rank, chunks);
            self.in_memory.push(rank);
            return;
        }
        if run.records.len() + chunks.ids.len() > SORTED_MAX {
            self.write(run);
            if self.coverings.len() >= SEGMENTS_MAX {
                self.tidy();
            }
            return self.add(rank, chunks, run);
        }
        let pack = u32::try_from(run.ranks.len()).expect("as many as there are ranks, at most");
        run.ranks.push(rank);
        let numbered = chunks.ids.iter().zip(0..=u16::MAX);
        run.records.extend(numbered.map(|(id, number)| Record {
            key: key_of(id),
            pack,
            number,
        }));
    }

    /// Makes a segment of the run, and empties it.
    fn write(&mut self, run: &mut Run) {
        let Some(of) = self.of else { return };
        if run.ranks.is_empty() {
            return;
        }
        run.records.sort_unstable();
        let ranks = std::mem::take(&mut run.ranks);
        let ids = ranks.iter().map(|rank| self.packs[at(*rank)].id);
        if let Ok(segment) = write_segment(of, &run.records, ids) {
            self.coverings.push(Covering { segment, ranks });
        } else {
            // From now on as if there were no state to keep segments in.
            self.of = None;
            for rank in ranks {
                let chunks = self.directories.chunks(&self.packs[at(rank)]);
                self.memory.add(rank, &chunks.unwrap_or_default());
                self.in_memory.push(rank);
            }
        }
        run.records.clear();
    }

    /// Merges segments until each is much larger than all smaller ones together.
    /// If another run has the turn, it does.
    fn tidy(&mut self) {
        let Some(of) = self.of else { return };
        loop {
            self.coverings
                .sort_by_key(|covering| covering.segment.records());
            let records = self
                .coverings
                .iter()
                .map(|covering| covering.segment.records());
            let many = how_many(&records.collect::<Vec<u64>>());
            if many == 0 {
                return;
            }
            let Some(_turn) = of.try_turn() else { return };
            match merge(of, self.packs, &self.coverings[..many]) {
                Ok(merged) => {
                    for old in self.coverings.drain(..many) {
                        if !old.segment.file().is(merged.segment.file()) {
                            old.segment.file().remove();
                        }
                    }
                    self.coverings.push(merged);
                }
                Err(MergeError::Damaged(at)) => {
                    self.coverings.remove(at).segment.file().remove();
                    self.dropped = true;
                }
                Err(MergeError::State) => return,
            }
        }
    }
}

fn write_segment(
    of: &Segments,
    records: &[Record],
    packs: impl Iterator<Item = PackId>,
) -> Result<Segment, StateError> {
    let mut writer = SegmentWriter::begin(of)?;
    for record in records {
        writer.push(*record)?;
    }
    writer.finish(of, packs)
}

/// Finds the ranks of packs.
pub(super) struct ByPackId {
    /// Ranks in the order of the packs' ids.
    ranks: Vec<u32>,
}

impl ByPackId {
    pub(super) fn new(packs: &[CountedPack]) -> Self {
        let mut ranks: Vec<u32> = (0..).zip(packs).map(|(rank, _)| rank).collect();
        ranks.sort_unstable_by_key(|rank| packs[at(*rank)].id.0);
        Self { ranks }
    }

    /// The rank of one of these packs, which are those it was made of.
    pub(super) fn rank(&self, packs: &[CountedPack], id: &PackId) -> Option<u32> {
        let found = self
            .ranks
            .binary_search_by_key(&id.0, |rank| packs[at(*rank)].id.0);
        Some(self.ranks[found.ok()?])
    }

    /// The same. Segments mostly have packs in their order, so one is looked for behind
    /// the one before first.
    fn rank_behind(&self, packs: &[CountedPack], id: &PackId, before: u32) -> u32 {
        let next = before.wrapping_add(1);
        if packs.get(at(next)).is_some_and(|pack| pack.id == *id) {
            return next;
        }
        self.rank(packs, id).unwrap_or(NO_PACK)
    }

    /// Opens a segment. One that is damaged goes.
    fn open(&self, packs: &[CountedPack], file: SegmentFile, of: &Segments) -> Option<Covering> {
        let (mut ranks, mut before) = (Vec::new(), NO_PACK);
        let segment = Segment::open(file, of, |id| {
            before = self.rank_behind(packs, &id, before);
            ranks.push(before);
        });
        Some(Covering {
            segment: segment.ok()?,
            ranks,
        })
    }
}
