//! Packs that were opened lately, within a bound of the memory that they take.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_format::ids::PackId;

use super::{ChunkFault, ReadPack};

/// The most that packs kept open take, bytes. A pack of a writer's usual chunks
/// lists hundreds; one of the smallest chunks, thousands.
const BYTES_MAX: usize = 24 << 20;
/// What a pack's keys and its place here count for, or what a fault does, bytes.
const PACK_BYTES: usize = 6 << 10;

/// A pack as it was found.
type Opened = Result<Arc<ReadPack>, ChunkFault>;

/// Packs that are kept open. When they are too many, all go: what is read next
/// lies in few of them.
#[derive(Default)]
pub(super) struct OpenPacks {
    packs: HashMap<PackId, Opened>,
    bytes: usize,
}

impl OpenPacks {
    pub(super) fn get(&self, id: &PackId) -> Option<Opened> {
        self.packs.get(id).cloned()
    }

    pub(super) fn put(&mut self, id: PackId, opened: Opened) {
        let bytes = PACK_BYTES + opened.as_ref().map_or(0, |open| open.size_bytes());
        if self.bytes + bytes > BYTES_MAX {
            self.packs.clear();
            self.bytes = 0;
        }
        if self.packs.insert(id, opened).is_none() {
            self.bytes += bytes;
        }
    }
}
