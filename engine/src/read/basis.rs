//! What a chunk leans on, from the directories of packs alone (SPEC 6.6).
//!
//! Every rule of deltas is checked here, before anything is decoded. A base is
//! strictly shallower than what leans on it, so that no directory can lead in a
//! circle; and what all bases of a chunk take together is known beforehand, and
//! refused if it is more than a reader has room for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indelible_format::coding::Class;
use indelible_format::directory::Record;
use indelible_format::ids::PackId;
use indelible_format::limits::{CHUNK_BYTES_MAX, DELTA_BASES_BYTES_MAX, DELTA_DEPTH_MAX};
use indelible_format::places::Place;
use indelible_format::planted::{Bug, planted};

use super::{BasisError, ChunkFault, ReadPack};
use crate::pack::Span;

/// How many chunks one chunk may lean on, at all depths together, each counted
/// once.
const BASES_MAX: usize = 4_096;
/// What may have to be held of them at once, bytes: as many as the longest bases at
/// every depth have, and the chunk itself.
const HELD_BYTES_MAX: usize = DELTA_DEPTH_MAX as usize * DELTA_BASES_BYTES_MAX + CHUNK_BYTES_MAX;
/// Chunks that take more than this are decoded one by one, bytes.
const HEAVY_BYTES: usize = 8 << 20;

/// A chunk that is wanted, or leaned on.
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) pack: Arc<ReadPack>,
    /// Its bases, as places in the graph; or why it is refused.
    bases: Result<Vec<usize>, ChunkFault>,
    /// Where its coded bytes begin in what was read together, if they were.
    pub(super) read_at: Option<usize>,
}

impl Node {
    pub(super) fn number(&self) -> usize {
        self.place.number.into()
    }

    pub(super) fn record(&self) -> &Record {
        &self.pack.pack.directory.records[self.number()]
    }

    pub(super) fn span(&self) -> Span {
        self.pack.pack.spans[self.number()]
    }

    /// Length of its plaintext, bytes.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.record().plain_len).expect("a chunk is at most 4 MiB")
    }

    /// Its bases, in order.
    pub(super) fn bases(&self) -> Result<&[usize], ChunkFault> {
        match &self.bases {
            Ok(bases) => Ok(bases),
            Err(fault) => Err(fault.clone()),
        }
    }

    fn known_bases(&self) -> &[usize] {
        self.bases.as_deref().unwrap_or_default()
    }
}

/// Chunks, with all that they lean on.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    by_place: HashMap<Place, usize>,
    /// How many there were before the one that is being added.
    before: usize,
}

/// How packs are opened.
pub(super) type Packs<'p> = dyn Fn(&PackId) -> Result<Arc<ReadPack>, ChunkFault> + 'p;

impl Graph {
    /// Adds a chunk that an open pack lists, and all that it leans on. Gives its
    /// place in the graph.
    pub(super) fn add(&mut self, place: Place, pack: &Arc<ReadPack>, packs: &Packs<'_>) -> usize {
        self.before = self.nodes.len();
        self.add_below(place, pack, packs)
    }

    fn add_below(&mut self, place: Place, pack: &Arc<ReadPack>, packs: &Packs<'_>) -> usize {
        if let Some(known) = self.by_place.get(&place) {
            return *known;
        }
        let bases = self.add_bases(place, pack, packs);
        let at = self.nodes.len();
        self.by_place.insert(place, at);
        self.nodes.push(Node {
            place,
            pack: Arc::clone(pack),
            bases,
            read_at: None,
        });
        at
    }

    fn add_bases(
        &mut self,
        place: Place,
        pack: &Arc<ReadPack>,
        packs: &Packs<'_>,
    ) -> Result<Vec<usize>, ChunkFault> {
        let record = &pack.pack.directory.records[usize::from(place.number)];
        if record.bases.is_empty() {
            return Ok(Vec::new());
        }
        if self.nodes.len() - self.before > BASES_MAX {
            return Err(ChunkFault::basis(BasisError::TooMuch));
        }
        let mut found = Vec::with_capacity(record.bases.len());
        for base in bases_of(&place.pack, pack, record) {
            let pack = if base.pack == place.pack {
                Arc::clone(pack)
            } else {
                packs(&base.pack).map_err(|fault| fault.below(base))?
            };
            found.push((base, pack));
        }
        let records = found.iter().map(|(base, pack)| {
            let records = &pack.pack.directory.records;
            (*base, records.get(usize::from(base.number)).map(Shape::of))
        });
        check(record.depth, records).map_err(ChunkFault::basis)?;
        let bases = found.into_iter();
        Ok(bases
            .map(|(base, pack)| self.add_below(base, &pack, packs))
            .collect())
    }

    /// The packs of a chunk and of all that it leans on, and those of them that do not
    /// open.
    pub(super) fn packs_below(&self, at: usize) -> BTreeSet<PackId> {
        let mut packs = BTreeSet::new();
        for at in self.order(at) {
            let node = &self.nodes[at];
            packs.insert(node.place.pack);
            if let Err(ChunkFault::Base { place, .. }) = &node.bases {
                packs.insert(place.pack);
            }
        }
        packs
    }

    /// All that a chunk leans on and the chunk itself, each once and behind its bases.
    pub(super) fn order(&self, at: usize) -> Vec<usize> {
        fn visit(graph: &Graph, at: usize, seen: &mut BTreeSet<usize>, order: &mut Vec<usize>) {
            if seen.insert(at) {
                for base in graph.nodes[at].known_bases() {
                    visit(graph, *base, seen, order);
                }
                order.push(at);
            }
        }
        let mut order = Vec::new();
        visit(self, at, &mut BTreeSet::new(), &mut order);
        order
    }

    /// What decoding a chunk holds, as long as it needs it.
    pub(super) fn held(&self, at: usize) -> Result<Held, ChunkFault> {
        let order = self.order(at);
        if order.len() > BASES_MAX + 1 {
            return Err(ChunkFault::basis(BasisError::TooMuch));
        }
        let mut uses: HashMap<usize, usize> = HashMap::from([(at, 1)]);
        for at in &order {
            for base in self.nodes[*at].known_bases() {
                *uses.entry(*base).or_default() += 1;
            }
        }
        let (mut left, mut bytes, mut most) = (uses.clone(), 0, 0);
        for at in order {
            bytes += self.nodes[at].len();
            most = most.max(bytes);
            for base in self.nodes[at].known_bases() {
                let left = left.get_mut(base).expect("it was counted");
                *left -= 1;
                if *left == 0 {
                    bytes -= self.nodes[*base].len();
                }
            }
        }
        if most > HELD_BYTES_MAX {
            return Err(ChunkFault::basis(BasisError::TooMuch));
        }
        Ok(Held {
            uses,
            plain: HashMap::new(),
            is_heavy: most > HEAVY_BYTES,
        })
    }

    /// Gives up what a chunk that was had otherwise would have used.
    pub(super) fn release(&self, held: &mut Held, at: usize) {
        for base in self.nodes[at].known_bases() {
            let uses = held.uses.get_mut(base).expect("it was counted");
            *uses -= 1;
            if *uses == 0 && held.plain.remove(base).is_none() {
                self.release(held, *base);
            }
        }
    }
}

/// Plaintexts that one chunk's decoding comes back to.
pub(super) struct Held {
    /// How often each is still to be used.
    uses: HashMap<usize, usize>,
    plain: HashMap<usize, Arc<Vec<u8>>>,
    /// Whether it takes so much that nothing as large is decoded at the same time.
    pub(super) is_heavy: bool,
}

impl Held {
    /// Takes one use of a plaintext, if it is held.
    pub(super) fn take(&mut self, at: usize) -> Option<Arc<Vec<u8>>> {
        let uses = self.uses.get_mut(&at).expect("it was counted");
        *uses -= 1;
        if *uses == 0 {
            self.plain.remove(&at)
        } else {
            self.plain.get(&at).cloned()
        }
    }

    /// Keeps a plaintext, if it is to be used again.
    pub(super) fn keep(&mut self, at: usize, plain: &Arc<Vec<u8>>) {
        if self.uses[&at] > 0 {
            self.plain.insert(at, Arc::clone(plain));
        }
    }
}

/// Where the bases of a chunk lie.
pub(crate) fn bases_of<'p>(
    own: &'p PackId,
    pack: &'p ReadPack,
    record: &'p Record,
) -> impl Iterator<Item = Place> + 'p {
    let packs = &pack.pack.directory.packs;
    record.bases.iter().map(move |base| Place {
        pack: match base.slot {
            0 => *own,
            slot => packs[usize::from(slot) - 1],
        },
        number: base.number,
    })
}

/// What the rules look at in a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) class: u8,
    pub(crate) depth: u8,
    /// Length of its plaintext, bytes.
    pub(crate) len: u32,
}

impl Shape {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            class: record.class,
            depth: record.depth,
            len: record.plain_len,
        }
    }
}

/// Checks the rules of SPEC 6.6 of a delta of this depth and its bases, each as its
/// pack has it there, if it has one.
pub(crate) fn check(
    depth: u8,
    bases: impl Iterator<Item = (Place, Option<Shape>)>,
) -> Result<(), BasisError> {
    let mut size_bytes = 0;
    for (base, found) in bases {
        let found = found.ok_or(BasisError::NoChunk { base })?;
        let is_data = Class::from_byte(found.class) == Ok(Class::Data);
        if !is_data && !planted(Bug::BaseClassUnchecked) {
            return Err(BasisError::NotData { base });
        }
        if found.depth >= depth {
            let found = found.depth;
            return Err(BasisError::NotShallower { base, found, depth });
        }
        size_bytes += u64::from(found.len);
    }
    if size_bytes > DELTA_BASES_BYTES_MAX as u64 {
        return Err(BasisError::TooLong { size_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of SPEC 6.6 hold for any record.
    ///
    /// Method: one base that keeps them all, then each way to break one.
    #[test]
    fn each_rule_is_checked() {
        let base = Place {
            pack: PackId([7; 32]),
            number: 3,
        };
        let sound = Shape {
            class: 0,
            depth: 1,
            len: 4 << 20,
        };
        let checked = |depth, shape| check(depth, [(base, shape)].into_iter());
        assert_eq!(checked(2, Some(sound)), Ok(()));
        assert_eq!(checked(2, None), Err(BasisError::NoChunk { base }));
        for class in [1, 2, 9] {
            let other = Shape { class, ..sound };
            assert_eq!(checked(2, Some(other)), Err(BasisError::NotData { base }));
        }
        let same = BasisError::NotShallower {
            base,
            found: 1,
            depth: 1,
        };
        assert_eq!(checked(1, Some(sound)), Err(same));
        let short = Shape { len: 1, ..sound };
        let both = [(base, Some(sound)), (base, Some(short))];
        let size_bytes = (4 << 20) + 1;
        assert_eq!(
            check(2, both.into_iter()),
            Err(BasisError::TooLong { size_bytes })
        );
    }
}
