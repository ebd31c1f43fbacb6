//! Decoded chunks that were read lately, within a bound of bytes.

use std::collections::{HashMap, VecDeque};

use indelible_format::ids::ChunkId;

use super::Found;

/// Keeps what was put last. When it is full, what was put first goes: trees are
/// read top down and in order, so that is close to least-recently-used and
/// needs no bookkeeping on a hit.
pub(super) struct Cache {
    chunks: HashMap<ChunkId, Found>,
    order: VecDeque<ChunkId>,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            chunks: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn get(&self, id: &ChunkId) -> Option<Found> {
        self.chunks.get(id).cloned()
    }

    pub(super) fn put(&mut self, id: ChunkId, found: Found) {
        self.bytes += found.0.len();
        if let Some(before) = self.chunks.insert(id, found) {
            self.bytes -= before.0.len();
        } else {
            self.order.push_back(id);
        }
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(gone) = self.chunks.remove(&oldest) {
                self.bytes -= gone.0.len();
            }
        }
    }
}
