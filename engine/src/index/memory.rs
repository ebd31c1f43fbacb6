//! Chunks that no segment has: those of a client without a state, or with one that
//! can't be written to.

use std::collections::HashMap;

use indelible_format::ids::ChunkId;

use super::directories::PackChunks;

/// Chunks by id: the rank of a pack, and the number there.
#[derive(Debug, Default)]
pub(super) struct InMemory {
    /// With whether the chunk leans on others.
    chunks: HashMap<ChunkId, ((u32, u16), bool)>,
}

impl InMemory {
    /// Adds the chunks of a pack. Each keeps its first place, by rank.
    pub(super) fn add(&mut self, rank: u32, chunks: &PackChunks) {
        for (id, number) in chunks.ids.iter().zip(0..=u16::MAX) {
            let place = ((rank, number), chunks.depth(number) > 0);
            self.chunks
                .entry(*id)
                .and_modify(|known| *known = place.min(*known))
                .or_insert(place);
        }
    }

    /// Where a chunk lies, and whether it leans on others.
    pub(super) fn get(&self, id: &ChunkId) -> Option<((u32, u16), bool)> {
        self.chunks.get(id).copied()
    }
}
