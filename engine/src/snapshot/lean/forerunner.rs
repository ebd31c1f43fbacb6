//! The chunks of an earlier snapshot, as a ground to look for old versions on.
//!
//! Its list is kept by the client, all streams behind one another. A window of it is
//! in memory, around the place where the new snapshot has come to; so the memory is
//! bounded for lists of any length. Within the window a chunk is found by its anchor,
//! in whatever stream it stood.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crate::state::{ListFile, ListPart, ListedChunk};

/// Parts of the list that are in memory behind the place that was looked at last:
/// 65,536 chunks, 16 GiB of usual ones.
const PARTS_BEHIND: usize = 64;
/// And ahead of it.
const PARTS_AHEAD: usize = 128;

/// So far around its expected place a chunk is looked for whose anchor others have.
const NEAR: u64 = 16;

/// A byte of the earlier content: one of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// Number of the chunk in the list.
    pub(super) chunk: u64,
    /// The byte in it.
    pub(super) skip: u64,
}

impl Spot {
    pub(super) fn front_of(chunk: u64) -> Self {
        Self { chunk, skip: 0 }
    }
}

/// An earlier snapshot's chunks.
pub(super) struct Forerunner {
    file: ListFile,
    parts: Vec<ListPart>,
    /// Number of the first chunk of each part, and behind them of what is no part.
    firsts: Vec<u64>,
    /// The part that was looked at last, and the window around it.
    at: Option<usize>,
    window: BTreeMap<usize, Vec<ListedChunk>>,
    /// By anchor, a chunk of the window that had it, and how many have.
    anchors: HashMap<u64, (u64, u32)>,
}

impl Forerunner {
    pub(super) fn new(file: ListFile) -> Self {
        let parts = file.all_parts();
        let mut firsts = vec![0];
        for part in &parts {
            firsts.push(firsts[firsts.len() - 1] + part.chunks);
        }
        Self {
            file,
            parts,
            firsts,
            at: None,
            window: BTreeMap::new(),
            anchors: HashMap::new(),
        }
    }

    /// Where the stream begins that the one at this path, the `place`-th of its
    /// snapshot, most likely continues. Moves the window there.
    pub(super) fn begin(&mut self, path: &[u8], place: Option<usize>) -> Option<Spot> {
        let by_path = self.file.forerunner(path);
        let part = by_path.or_else(|| self.file.forerunner_at(place?))?;
        self.look_at(part.min(self.parts.len().saturating_sub(1)));
        Some(Spot::front_of(self.firsts[part]))
    }

    /// The chunk with this number, if it is in the window.
    fn chunk(&self, number: u64) -> Option<&ListedChunk> {
        let part = self.part_of(number)?;
        let chunks = self.window.get(&part)?;
        chunks.get(usize::try_from(number - self.firsts[part]).ok()?)
    }

    fn part_of(&self, number: u64) -> Option<usize> {
        let behind = self.firsts.partition_point(|first| *first <= number);
        let part = behind.checked_sub(1)?;
        (part < self.parts.len()).then_some(part)
    }

    /// The number of the chunk with this anchor: of several, the one that is nearest
    /// to where it is expected, and none if they all are far from there, since what
    /// often stands at a chunk's front says nothing of where that is.
    pub(super) fn anchored(&self, anchor: u64, expected: Option<Spot>) -> Option<u64> {
        let has_it = |number: u64| {
            let chunk = self.chunk(number);
            chunk.is_some_and(|chunk| chunk.anchor == anchor)
        };
        let (one, count) = *self.anchors.get(&anchor)?;
        if count == 1 && has_it(one) {
            return Some(one);
        }
        let expected = expected?.chunk;
        (0..NEAR).find_map(|far| {
            let around = [expected.checked_add(far), expected.checked_sub(far)];
            around.into_iter().flatten().find(|number| has_it(*number))
        })
    }

    /// The spot so many bytes behind another one, or where what is known ends.
    pub(super) fn behind(&self, spot: Spot, bytes: u64) -> Spot {
        let mut spot = Spot {
            skip: spot.skip + bytes,
            ..spot
        };
        while let Some(chunk) = self.chunk(spot.chunk) {
            let len = u64::from(chunk.len);
            if spot.skip < len {
                return spot;
            }
            spot = Spot {
                chunk: spot.chunk + 1,
                skip: spot.skip - len,
            };
        }
        Spot::front_of(spot.chunk)
    }

    /// The chunks that lie between two spots, each with how many of its bytes do.
    pub(super) fn between(
        &self,
        from: Spot,
        to: Spot,
    ) -> impl Iterator<Item = (&ListedChunk, u64)> {
        let last = if to.skip == 0 { to.chunk } else { to.chunk + 1 };
        let chunks = (from.chunk..last).map_while(|number| Some((number, self.chunk(number)?)));
        chunks.map(move |(number, chunk)| {
            let len = u64::from(chunk.len);
            let start = if number == from.chunk { from.skip } else { 0 };
            let end = if number == to.chunk { to.skip } else { len };
            (chunk, end.min(len).saturating_sub(start))
        })
    }

    /// Moves the window to a spot.
    pub(super) fn follow(&mut self, spot: Spot) {
        if let Some(part) = self.part_of(spot.chunk)
            && self.at != Some(part)
        {
            self.look_at(part);
        }
    }

    fn look_at(&mut self, part: usize) {
        self.at = Some(part);
        let wanted = part.saturating_sub(PARTS_BEHIND)..(part + PARTS_AHEAD).min(self.parts.len());
        let gone = self.window.keys().copied();
        let gone: Vec<usize> = gone.filter(|part| !wanted.contains(part)).collect();
        for part in gone {
            self.drop_part(part);
        }
        for part in wanted {
            if !self.window.contains_key(&part) {
                self.load_part(part);
            }
        }
    }

    /// What can't be read is as if it were not there.
    fn load_part(&mut self, part: usize) {
        let chunks = self.file.part(self.parts[part]).unwrap_or_default();
        for (chunk, number) in chunks.iter().zip(self.firsts[part]..) {
            let (_, count) = self.anchors.entry(chunk.anchor).or_insert((number, 0));
            *count += 1;
        }
        self.window.insert(part, chunks);
    }

    fn drop_part(&mut self, part: usize) {
        let chunks = self.window.remove(&part).unwrap_or_default();
        for chunk in chunks {
            if let Entry::Occupied(mut known) = self.anchors.entry(chunk.anchor) {
                known.get_mut().1 -= 1;
                if known.get().1 == 0 {
                    known.remove();
                }
            }
        }
    }
}
