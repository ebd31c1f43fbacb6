//! Old chunks that new ones are to lean on, and their plaintexts.
//!
//! A buffer whose content is interleaved from many places leans on many old chunks, each
//! of which may be much longer than what it has of it. So chunks are taken in stretches
//! whose old chunks fit a bound of bytes together; those of a usual buffer are one
//! stretch. Where stretches end depends on the chunks alone.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use indelible_format::ids::{ChunkId, PackId};
use indelible_format::places::Place;

use crate::pack::Basis;
use crate::read::Reader;
use crate::store::ReadStore;

/// Plaintexts of old chunks that are held at once, bytes: four times a buffer.
const HELD_BYTES_MAX: usize = 32 << 20;

/// Gives the plaintexts of old chunks, as far as they can be had.
pub(in crate::snapshot) trait Bases: Sync {
    /// The length of what stands under an id at a place, bytes; 0 if that is not there.
    fn len_of(&self, base: &(ChunkId, Place)) -> usize;

    /// One for each id, from its place.
    fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>>;
}

impl<S: ReadStore + ?Sized> Bases for Reader<'_, S> {
    fn len_of(&self, base: &(ChunkId, Place)) -> usize {
        Reader::base_len(self, base).unwrap_or(0)
    }

    fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>> {
        Reader::bases(self, wanted)
    }
}

/// What a new chunk can lean on.
pub(in crate::snapshot) struct Leaned {
    /// For its record.
    pub(in crate::snapshot) basis: Basis,
    /// The plaintexts of its bases.
    pub(in crate::snapshot) plains: Vec<Arc<Vec<u8>>>,
    /// The packs that decoding it takes.
    pub(in crate::snapshot) packs: Vec<PackId>,
}

/// The same, before it is decoded.
#[derive(Default)]
pub(in crate::snapshot) struct Chosen {
    pub(super) depth: u8,
    /// Chunks that decoding the bases takes.
    pub(super) chunks: usize,
    pub(super) bases: Vec<(ChunkId, Place)>,
    pub(super) packs: Vec<PackId>,
}

/// Cuts chunks into stretches whose bases, each counted once, are within the bound; a
/// chunk whose own are not is one by itself.
pub(super) fn stretches(bases: &dyn Bases, chosen: &[Option<Chosen>]) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    let mut held: HashSet<Place> = HashSet::new();
    for (at, chosen) in chosen.iter().enumerate() {
        let own = chosen.iter().flat_map(|chosen| &chosen.bases);
        let own: Vec<(Place, usize)> = own.map(|base| (base.1, bases.len_of(base))).collect();
        let more = own.iter().filter(|(place, _)| !held.contains(place));
        let more: usize = more.map(|(_, len)| len).sum();
        if bytes > 0 && bytes + more > HELD_BYTES_MAX {
            stretches.push(from..at);
            (from, bytes) = (at, 0);
            held.clear();
        }
        for (place, len) in own {
            if held.insert(place) {
                bytes += len;
            }
        }
    }
    stretches.push(from..chosen.len());
    stretches
}

/// Decodes the bases of chunks together, each once.
pub(super) fn decode(bases: &dyn Bases, chosen: Vec<Option<Chosen>>) -> Vec<Option<Leaned>> {
    let mut wanted: Vec<(ChunkId, Place)> = Vec::new();
    let mut at = HashMap::new();
    for base in chosen.iter().flatten().flat_map(|chosen| &chosen.bases) {
        at.entry(base.1).or_insert_with(|| {
            wanted.push(*base);
            wanted.len() - 1
        });
    }
    let plains = bases.bases(&wanted);
    let leaned = chosen.into_iter().map(|chosen| {
        let chosen = chosen?;
        let plains = chosen
            .bases
            .iter()
            .map(|(_, place)| plains[at[place]].clone());
        Some(Leaned {
            plains: plains.collect::<Option<Vec<_>>>()?,
            basis: Basis {
                depth: chosen.depth,
                bases: chosen.bases.iter().map(|(_, place)| *place).collect(),
            },
            packs: chosen.packs,
        })
    });
    leaned.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, Weak};

    use proptest::prelude::*;

    use super::*;

    /// Old chunks, the lengths of which are given; counts the bytes that somebody holds.
    struct Counted {
        lens: Vec<usize>,
        given: Mutex<Vec<Weak<Vec<u8>>>>,
        most: AtomicUsize,
    }

    impl Bases for Counted {
        fn len_of(&self, base: &(ChunkId, Place)) -> usize {
            self.lens[usize::from(base.1.number)]
        }

        fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>> {
            let plains = wanted
                .iter()
                .map(|base| Arc::new(vec![0; self.len_of(base)]));
            let plains: Vec<Arc<Vec<u8>>> = plains.collect();
            let mut given = self.given.lock().expect("no panic before");
            given.extend(plains.iter().map(Arc::downgrade));
            let held = given.iter().filter_map(Weak::upgrade);
            let held = held.map(|plain| plain.len()).sum();
            self.most.fetch_max(held, Ordering::Relaxed);
            plains.into_iter().map(Some).collect()
        }
    }

    fn base(number: u16) -> (ChunkId, Place) {
        let pack = PackId([1; 32]);
        (ChunkId([0; 32]), Place { pack, number })
    }

    /// Takes chunks that lean on the old ones with these numbers as an intake does, and
    /// gives how many stretches they are and the most bytes that were held at once.
    fn taken(lens: Vec<usize>, numbers: &[Vec<u16>]) -> (usize, usize) {
        let bases = Counted {
            lens,
            given: Mutex::default(),
            most: AtomicUsize::new(0),
        };
        let chosen = numbers.iter().map(|numbers| {
            (!numbers.is_empty()).then(|| Chosen {
                bases: numbers.iter().map(|number| base(*number)).collect(),
                ..Chosen::default()
            })
        });
        let mut chosen: Vec<Option<Chosen>> = chosen.collect();
        let stretches = stretches(&bases, &chosen);
        let mut at = 0;
        for stretch in &stretches {
            assert_eq!(stretch.start, at, "they are behind one another");
            let leaned = decode(&bases, chosen.drain(..stretch.len()).collect());
            for (leaned, numbers) in leaned.iter().zip(&numbers[stretch.clone()]) {
                let found = leaned.iter().flat_map(|leaned| &leaned.basis.bases);
                let found: Vec<u16> = found.map(|place| place.number).collect();
                assert_eq!(found, *numbers);
            }
            at = stretch.end;
        }
        assert_eq!(at, numbers.len(), "all are taken");
        (stretches.len(), bases.most.into_inner())
    }

    /// The chunks of a usual buffer are decoded together, and those that are interleaved
    /// from everywhere in as few stretches as the bound allows.
    ///
    /// Method: a buffer of 32 chunks of 256 KiB, each leaning on its version and the
    /// next; one of 512 small chunks, each leaning on four others of a megabyte.
    #[test]
    fn a_usual_buffer_is_one_stretch() {
        let usual: Vec<Vec<u16>> = (0..32).map(|at| vec![at, at + 1]).collect();
        assert_eq!(taken(vec![256 << 10; 33], &usual), (1, 33 * (256 << 10)));
        let mixed: Vec<Vec<u16>> = (0..512).map(|at| (4 * at..4 * at + 4).collect()).collect();
        assert_eq!(taken(vec![1 << 20; 2_048], &mixed), (64, HELD_BYTES_MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Whatever leans on what, no more is held than the bound says, and every chunk
        /// gets its bases.
        ///
        /// Method: any chunks, each leaning on up to four of old ones of any length.
        #[test]
        fn the_bound_holds(
            lens in proptest::collection::vec(0_usize..=1 << 20, 300),
            numbers in proptest::collection::vec(
                proptest::collection::btree_set(0_u16..300, 0..=4), 0..400),
        ) {
            let numbers: Vec<Vec<u16>> = numbers
                .into_iter()
                .map(|numbers| numbers.into_iter().collect())
                .collect();
            let (_, most) = taken(lens, &numbers);
            prop_assert!(most <= HELD_BYTES_MAX, "{most}");
        }
    }
}
