//! Takes packs apart and walks trees with the format crate alone.
//!
//! So the oracle's knowledge of who needs what does not come from the read path
//! that it judges: no listing, no reach, no look-up of places; a chunk is where
//! a directory says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use indelible_engine::pack::{OpenPack, SealedDirectory};
use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_format::bundle::KeyBundle;
use indelible_format::coding::{Class, decode};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::manifest::Manifest;
use indelible_format::node::{Node, Root};
use indelible_format::pack::{HEADER_BYTES, KeyClass, TRAILER_BYTES};
use indelible_format::page::Page;

use crate::support::{object, packs};

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) pack: PackId,
    pub(crate) number: u16,
}

/// The parts of a pack.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// The chunks in their order, with their classes.
    pub(crate) chunks: Vec<(Range<usize>, Class)>,
    pub(crate) directory: Range<usize>,
    pub(crate) trailer: Range<usize>,
}

/// Every pack of an intact store, taken apart.
pub(crate) struct Anatomy {
    pub(crate) packs: BTreeMap<PackId, Parts>,
    /// Plaintexts by id. The ids of two domains have different keys, so no id
    /// stands in both.
    chunks: HashMap<ChunkId, (Spot, Vec<u8>)>,
}

impl Anatomy {
    /// Takes all packs apart, with a key that holds every right.
    pub(crate) fn new(store: &MemoryStore, key: &KeyBundle) -> Self {
        let mut anatomy = Self {
            packs: BTreeMap::new(),
            chunks: HashMap::new(),
        };
        for pack in packs(store) {
            anatomy.add(pack, &object(store, &ObjectKey::Pack(pack)), key);
        }
        anatomy
    }

    fn add(&mut self, pack: PackId, bytes: &[u8], key: &KeyBundle) {
        let open = open(bytes, key);
        let verify = key.verify.as_ref().expect("every right");
        let restore = key.restore.as_ref().expect("every right");
        let cipher = |class| {
            let private = match class {
                KeyClass::Node => &verify.meta_private,
                KeyClass::Data => &restore.data_private,
            };
            let key = open.header.open_key(class, private, &key.psk);
            key.expect("the pack is intact")
        };
        let (node, data) = (cipher(KeyClass::Node), cipher(KeyClass::Data));
        let mut parts = Vec::new();
        let mut end = HEADER_BYTES;
        let records = open.directory.records.iter().zip(&open.spans);
        for ((record, span), number) in records.zip(0..) {
            let class = record.known_class().expect("a class of today");
            let start = usize::try_from(span.offset).expect("a small pack");
            end = start + span.len as usize;
            let cipher = match KeyClass::of(class) {
                KeyClass::Node => &node,
                KeyClass::Data => &data,
            };
            let coded = cipher.decrypt(class, number, bytes[start..end].to_vec());
            let coded = coded.expect("the chunk is intact");
            let plain = decode(record.coding, coded, record.plain_len as usize);
            let spot = Spot {
                pack,
                number: u16::try_from(number).expect("at most 8,192 chunks"),
            };
            let plain = plain.expect("the chunk is intact");
            let before = self.chunks.insert(record.id, (spot, plain));
            assert!(before.is_none(), "each chunk has one place");
            parts.push((start..end, class));
        }
        let trailer = bytes.len() - TRAILER_BYTES;
        let parts = Parts {
            chunks: parts,
            directory: end..trailer,
            trailer: trailer..bytes.len(),
        };
        self.packs.insert(pack, parts);
    }

    /// Where everything stands that a snapshot needs.
    pub(crate) fn needs(&self, manifest: &Manifest) -> BTreeSet<Spot> {
        let mut needs = BTreeSet::new();
        self.stream(&manifest.list.root, true, &mut needs);
        for shared in [&manifest.small, &manifest.contents].into_iter().flatten() {
            self.stream(&shared.root, false, &mut needs);
        }
        needs
    }

    fn chunk(&self, id: &ChunkId, needs: &mut BTreeSet<Spot>) -> (Spot, &[u8]) {
        let (spot, plain) = &self.chunks[id];
        needs.insert(*spot);
        (*spot, plain)
    }

    /// A stream of pages or of data, from its root down.
    fn stream(&self, root: &Root, pages: bool, needs: &mut BTreeSet<Spot>) {
        let mut nodes = vec![root.id];
        while let Some(id) = nodes.pop() {
            let (spot, plain) = self.chunk(&id, needs);
            let node = Node::decode(plain, &spot.pack).expect("the node is intact");
            for item in &node.items {
                match (node.level, pages) {
                    (0, true) => self.page(&item.id, needs),
                    (0, false) => {
                        self.chunk(&item.id, needs);
                    }
                    _ => nodes.push(item.id),
                }
            }
        }
    }

    fn page(&self, id: &ChunkId, needs: &mut BTreeSet<Spot>) {
        let (spot, plain) = self.chunk(id, needs);
        let page = Page::decode(plain, &spot.pack).expect("the page is intact");
        for (entry, _) in page.placed() {
            if let Some(root) = entry.own_root() {
                self.stream(&root, false, needs);
            }
        }
    }
}

/// Opens the directory of an intact pack.
pub(crate) fn open(bytes: &[u8], key: &KeyBundle) -> OpenPack {
    let sealed = SealedDirectory::of_bytes(bytes).expect("the pack is intact");
    let index = key.index_key(&sealed.header().domain);
    let index = index.expect("the verify right reads every domain");
    sealed.open(&index).expect("the pack is intact")
}
