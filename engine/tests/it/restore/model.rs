//! What each byte of a snapshot hangs on, found out without the engine's reader:
//! every page and node of every pack is decrypted, decoded and laid out by the
//! format alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use indelible_engine::pack::SealedDirectory;
use indelible_engine::repository::Snapshot;
use indelible_engine::store::ObjectKey;
use indelible_format::coding::{Class, decode};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::node::{Node, Root};
use indelible_format::pack::KeyClass;
use indelible_format::page::{Content, Page};
use indelible_format::path::EntryPath;

use crate::support::{Contents, Fixture, object, packs};

/// A chunk, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) id: ChunkId,
    pub(super) class: Class,
    pub(super) pack: PackId,
    /// Its first byte in the pack.
    pub(super) offset: usize,
}

/// A range of a stream or file, with the nodes above it and its chunk.
type Chain = (Range<u64>, Vec<ChunkId>);

/// Ranges by path, neighbours joined.
pub(super) type Ranges = BTreeMap<Vec<u8>, Vec<Range<u64>>>;

/// Adds a range behind the others, or joins it to the last one.
pub(super) fn add(ranges: &mut Vec<Range<u64>>, next: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

/// A snapshot, taken apart.
pub(super) struct Model {
    /// Every chunk of every pack.
    pub(super) chunks: Vec<Stored>,
    nodes: HashMap<ChunkId, Node>,
    pages: HashMap<ChunkId, Page>,
    /// Each file with what its ranges hang on.
    files: BTreeMap<EntryPath, Vec<Chain>>,
    /// Each entry with what its page hangs on.
    entries: BTreeMap<EntryPath, Vec<ChunkId>>,
}

impl Model {
    pub(super) fn of(fixture: &Fixture, snapshot: &Snapshot) -> Self {
        let mut model = Self {
            chunks: Vec::new(),
            nodes: HashMap::new(),
            pages: HashMap::new(),
            files: BTreeMap::new(),
            entries: BTreeMap::new(),
        };
        for pack in packs(&fixture.store) {
            model.read_pack(fixture, pack);
        }
        let small = snapshot.manifest.small;
        let small = small.map_or(Vec::new(), |small| model.chains(&small.root));
        for (_, above) in model.chains(&snapshot.manifest.list.root) {
            for entry in model.pages[&above[above.len() - 1]].entries.clone() {
                let chains = match entry.content() {
                    Some(Content::Own(root)) => Some(model.chains(root)),
                    Some(Content::Small { offset, len }) => Some(slice(&small, *offset, *len)),
                    Some(Content::Empty) => Some(Vec::new()),
                    None => None,
                };
                if let Some(chains) = chains {
                    model.files.insert(entry.path.clone(), chains);
                }
                model.entries.insert(entry.path, above.clone());
            }
        }
        model
    }

    fn read_pack(&mut self, fixture: &Fixture, pack: PackId) {
        let bytes = object(&fixture.store, &ObjectKey::Pack(pack));
        let sealed = SealedDirectory::of_bytes(&bytes).expect("a pack");
        let index = fixture.bundle.index_key(&sealed.header().domain).unwrap();
        let open = sealed.open(&index).expect("our own pack");
        let verify = fixture.bundle.verify.as_ref().expect("every right");
        let cipher = open
            .header
            .open_key(KeyClass::Node, &verify.meta_private, &fixture.bundle.psk)
            .expect("our own pack");
        let records = open.directory.records.iter().zip(&open.spans);
        for ((record, span), number) in records.zip(0_u32..) {
            let class = record.known_class().expect("a known class");
            let offset = usize::try_from(span.offset).unwrap();
            self.chunks.push(Stored {
                id: record.id,
                class,
                pack,
                offset,
            });
            if class == Class::Data {
                continue;
            }
            let stored = bytes[offset..offset + span.len as usize].to_vec();
            let coded = cipher.decrypt(class, number, stored).expect("intact");
            let plain = decode(record.coding, coded, record.plain_len as usize).expect("intact");
            if class == Class::Node {
                let node = Node::decode(&plain, &pack).expect("a node");
                self.nodes.insert(record.id, node);
            } else {
                let page = Page::decode(&plain, &pack).expect("a page");
                self.pages.insert(record.id, page);
            }
        }
    }

    /// The ranges of a stream.
    fn chains(&self, root: &Root) -> Vec<Chain> {
        let mut chains = Vec::new();
        self.descend(&root.id, 0, &mut Vec::new(), &mut chains);
        chains
    }

    fn descend(
        &self,
        id: &ChunkId,
        mut at: u64,
        above: &mut Vec<ChunkId>,
        chains: &mut Vec<Chain>,
    ) {
        let node = &self.nodes[id];
        above.push(*id);
        for item in &node.items {
            if node.level == 0 {
                chains.push((at..at + item.len, [&above[..], &[item.id]].concat()));
            } else {
                self.descend(&item.id, at, above, chains);
            }
            at += item.len;
        }
        above.pop();
    }

    /// How many nodes stand above a chunk of a file, at most.
    pub(super) fn deepest(&self) -> usize {
        let chains = self.files.values().flatten();
        chains.map(|(_, above)| above.len() - 1).max().unwrap_or(0)
    }

    /// What is left of the files when these chunks are lost: zeros in the holes,
    /// and the holes. Files whose entry is lost are left out.
    pub(super) fn without(&self, originals: &Contents, lost: &BTreeSet<ChunkId>) -> Left {
        let mut left = Left::default();
        for (path, above) in &self.entries {
            if is_lost(above, lost) {
                left.lost_entries.push(path.clone());
                continue;
            }
            let Some(chains) = self.files.get(path) else {
                continue;
            };
            let path = path.as_bytes().to_vec();
            let mut bytes = originals[&path].clone();
            for (range, above) in chains {
                if is_lost(above, lost) {
                    let (start, end) = (range.start, range.end);
                    let here = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                    bytes[here].fill(0);
                    add(left.holes.entry(path.clone()).or_default(), range.clone());
                }
            }
            left.contents.insert(path, bytes);
        }
        left
    }
}

/// What is left of a snapshot.
#[derive(Default)]
pub(super) struct Left {
    pub(super) contents: Contents,
    pub(super) holes: Ranges,
    /// In their order.
    pub(super) lost_entries: Vec<EntryPath>,
}

fn is_lost(above: &[ChunkId], lost: &BTreeSet<ChunkId>) -> bool {
    above.iter().any(|id| lost.contains(id))
}

/// The ranges of a slice of a stream, counted from its beginning.
fn slice(stream: &[Chain], offset: u64, len: u64) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (range, above) in stream {
        let start = range.start.max(offset);
        let end = range.end.min(offset + len);
        if start < end {
            chains.push((start - offset..end - offset, above.clone()));
        }
    }
    chains
}
