//! Which chunks a writer's domain has, and where.
//!
//! A chunk counts as present only if an authentic directory lists it, in a pack
//! that a valid, trusted snapshot entry of the domain lists, or that the
//! writer's own journal names (SPEC 6.4). The index is rebuilt from directories
//! and trusted for nothing else: a place that turns out wrong costs a look.

use std::collections::HashMap;

use indelible_format::directory::Directory;
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::places::Place;

/// Chunks by id, in memory.
#[derive(Debug, Default)]
pub struct Index {
    packs: Vec<PackId>,
    chunks: HashMap<ChunkId, (u32, u16)>,
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the chunks of a pack. A chunk that is known already keeps its place.
    pub fn add(&mut self, pack: PackId, directory: &Directory) {
        let slot =
            u32::try_from(self.packs.len()).expect("a log lists fewer packs than a u32 counts");
        self.packs.push(pack);
        for (record, number) in directory.records.iter().zip(0_u16..) {
            self.chunks.entry(record.id).or_insert((slot, number));
        }
    }

    /// Where a chunk lies.
    pub fn get(&self, id: &ChunkId) -> Option<Place> {
        let &(slot, number) = self.chunks.get(id)?;
        Some(Place {
            pack: self.packs[usize::try_from(slot).expect("a u32 fits a usize")],
            number,
        })
    }

    /// How many chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}
