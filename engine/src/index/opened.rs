//! Directories that were opened lately, within a bound.

use std::collections::HashMap;
use std::sync::Arc;

use super::directories::PackChunks;

/// Ids that are kept, 32 bytes each, and some 6 for a base: about 10 MiB.
const IDS_MAX: usize = 1 << 18;
/// Directories that are kept. Looking for the one to drop takes a look at each.
const DIRECTORIES_MAX: usize = 1 << 10;

/// The chunks of a pack.
pub(super) type Chunks = Arc<PackChunks>;

/// The directories that were used last.
#[derive(Debug, Default)]
pub(super) struct Opened {
    by_pack: HashMap<u32, (Chunks, u64)>,
    ids: usize,
    clock: u64,
}

impl Opened {
    pub(super) fn get(&mut self, pack: u32) -> Option<Chunks> {
        self.clock += 1;
        let (chunks, used) = self.by_pack.get_mut(&pack)?;
        *used = self.clock;
        Some(Arc::clone(chunks))
    }

    pub(super) fn put(&mut self, pack: u32, chunks: Chunks) {
        self.clock += 1;
        self.ids += chunks.ids.len();
        if let Some((before, _)) = self.by_pack.insert(pack, (chunks, self.clock)) {
            self.ids -= before.ids.len();
        }
        while self.by_pack.len() > DIRECTORIES_MAX || self.ids > IDS_MAX {
            let oldest = self.by_pack.iter().min_by_key(|(_, (_, used))| *used);
            let Some((&oldest, _)) = oldest else { break };
            if let Some((gone, _)) = self.by_pack.remove(&oldest) {
                self.ids -= gone.ids.len();
            }
        }
    }
}
