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

#[cfg(test)]
mod tests {
    use indelible_format::ids::{ChunkId, CommitId, DomainId, RepositoryId};
    use indelible_format::name::Name;
    use indelible_format::secret::SecretKey;

    use super::*;
    use crate::state::{State, StreamList};

    /// The lists of two streams with these anchors, of chunks of 100 bytes.
    fn lists(streams: &[(&[u8], &[u64])]) -> ListFile {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = State::open(dir.path()).expect("it is writable");
        let state = state.repository(&RepositoryId([1; 32]));
        let name = Name::new(b"shop").expect("a NAME");
        let lists = state.chunk_lists(&DomainId([2; 16]), &name, &SecretKey::new([3; 32]));
        let mut writer = lists.begin(&CommitId([4; 16]), 0, [5; 32]).expect("begun");
        for (path, anchors) in streams {
            let mut list = StreamList::default();
            for anchor in *anchors {
                let chunk = ListedChunk {
                    id: ChunkId([0; 32]),
                    len: 100,
                    anchor: *anchor,
                };
                writer.push(&mut list, &chunk).expect("written");
            }
            writer.end(path, list).expect("written");
        }
        writer.commit(1).expect("named");
        lists.latest().expect("it opens")
    }

    /// Streams are found by their path, by it without its digits, and by their place;
    /// and where bytes of one lie is counted chunk by chunk, up to its list's end.
    ///
    /// Method: two streams of three chunks.
    #[test]
    fn places_are_counted() {
        let file = lists(&[(b"a-1.sql", &[1, 2, 3]), (b"b.sql", &[4, 5, 6])]);
        let mut old = Forerunner::new(file);
        assert_eq!(old.begin(b"b.sql", None), Some(Spot::front_of(3)));
        assert_eq!(old.begin(b"a-22.sql", Some(1)), Some(Spot::front_of(0)));
        assert_eq!(old.begin(b"c.sql", Some(1)), Some(Spot::front_of(3)));
        assert_eq!(old.begin(b"c.sql", Some(2)), None);
        let from = old.behind(Spot::front_of(0), 150);
        assert_eq!(from, Spot { chunk: 1, skip: 50 });
        assert_eq!(old.behind(from, 50), Spot::front_of(2));
        assert_eq!(old.behind(from, 1_000), Spot::front_of(6));
        let between = |to| -> Vec<(u64, u64)> {
            let chunks = old.between(from, to);
            chunks
                .map(|(chunk, shared)| (chunk.anchor, shared))
                .collect()
        };
        assert_eq!(
            between(Spot { chunk: 3, skip: 7 }),
            [(2, 50), (3, 100), (4, 7)]
        );
        assert_eq!(between(Spot { chunk: 1, skip: 80 }), [(2, 30)]);
        assert_eq!(between(from), [(2, 0)]);
    }

    /// Of several chunks with one anchor the nearest to where it is expected counts, and
    /// none if they are far from there.
    ///
    /// Method: an anchor that three chunks have, and one that one has.
    #[test]
    fn a_frequent_anchor_says_little() {
        let mut anchors: Vec<u64> = (1_000..1_200).collect();
        for at in [10, 20, 150] {
            anchors[at] = 7;
        }
        let mut old = Forerunner::new(lists(&[(b"a.sql", &anchors)]));
        old.begin(b"a.sql", None);
        let near = |chunk| old.anchored(7, Some(Spot::front_of(chunk)));
        assert_eq!(
            [near(11), near(18), near(145)],
            [Some(10), Some(20), Some(150)]
        );
        assert_eq!([near(80), near(190)], [None, None]);
        assert_eq!(old.anchored(7, None), None);
        assert_eq!(old.anchored(1_170, None), Some(170));
        assert_eq!(old.anchored(1_170, Some(Spot::front_of(0))), Some(170));
    }

    /// A list of any length is known around one place only, wherever that moves.
    ///
    /// Method: a list of more parts than a window has; look at its front, its middle, its
    /// end and its front again.
    #[test]
    fn the_window_moves() {
        let parts = 2 * (PARTS_BEHIND + PARTS_AHEAD);
        let anchors: Vec<u64> = (0..parts as u64 * 1_024).collect();
        let mut old = Forerunner::new(lists(&[(b"a.sql", &anchors)]));
        old.begin(b"a.sql", None);
        let last = anchors.len() as u64 - 1;
        for at in [0, 5_000, last / 2, last, last / 3, 0] {
            old.follow(Spot::front_of(at));
            assert_eq!(old.anchored(at, None), Some(at));
            let far = if at < last / 2 { last } else { 0 };
            assert_eq!(old.anchored(far, None), None, "{far} from {at}");
            assert!(old.window.len() <= PARTS_BEHIND + PARTS_AHEAD);
            assert_eq!(old.anchors.len(), old.window.len() * 1_024);
        }
    }
}
