//! Chunks that no segment has: those of a client without a state, or with one that
//! can't be written to.

use std::collections::HashMap;

use indelible_format::ids::ChunkId;

/// Chunks by id: the rank of a pack, and the number there.
#[derive(Debug, Default)]
pub(super) struct InMemory {
    chunks: HashMap<ChunkId, (u32, u16)>,
}

impl InMemory {
    /// Adds the chunks of a pack. Each keeps its first place, by rank.
    pub(super) fn add(&mut self, rank: u32, chunks: &[ChunkId]) {
        for (id, number) in chunks.iter().zip(0..=u16::MAX) {
            let place = (rank, number);
            self.chunks
                .entry(*id)
                .and_modify(|known| *known = place.min(*known))
                .or_insert(place);
        }
    }

    pub(super) fn get(&self, id: &ChunkId) -> Option<(u32, u16)> {
        self.chunks.get(id).copied()
    }
}
