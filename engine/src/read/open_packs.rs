//! Packs that were opened lately, within a bound of what they list.

use std::collections::HashMap;
use std::sync::Arc;

use indelible_format::ids::PackId;

use super::{ChunkFault, ReadPack};

/// Records that are kept, about 90 bytes each. A pack of a writer's usual chunks
/// lists hundreds; one of the smallest chunks, thousands.
const RECORDS_MAX: usize = 1 << 18;
/// What a pack's keys and its place here count for, or what a fault does.
const PACK_RECORDS: usize = 64;

/// A pack as it was found.
type Opened = Result<Arc<ReadPack>, ChunkFault>;

/// Packs that are kept open. When they are too many, all go: what is read next
/// lies in few of them.
#[derive(Default)]
pub(super) struct OpenPacks {
    packs: HashMap<PackId, Opened>,
    records: usize,
}

impl OpenPacks {
    pub(super) fn get(&self, id: &PackId) -> Option<Opened> {
        self.packs.get(id).cloned()
    }

    pub(super) fn put(&mut self, id: PackId, opened: Opened) {
        let listed = opened.as_ref().map_or(0, |open| open.pack.spans.len());
        let records = PACK_RECORDS + listed;
        if self.records + records > RECORDS_MAX {
            self.packs.clear();
            self.records = 0;
        }
        if self.packs.insert(id, opened).is_none() {
            self.records += records;
        }
    }
}
