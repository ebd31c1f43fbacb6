//! Snapshots whose chunks lean on each other, as a writer of deltas stores them, or
//! as one would who does not keep the rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indelible_engine::pack::Basis;
use indelible_engine::store::ObjectKey;
use indelible_format::coding::{Class, Coding};
use indelible_format::commit::{NewPack, Reach};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::manifest::Manifest;
use indelible_format::node::Item;
use indelible_format::page::{Content, EntryKind, TreeEntry};
use indelible_format::places::Place;
use indelible_format::seal::{self, PACK_DATA_KEY};
use indelible_format::secret::SecretKey;
use zstd::zstd_safe::{CCtx, CParameter};

use super::tree::{ForgedPack, Insider, OWN, manifest};
use crate::support::{Fixture, object, packs, path};

/// A chunk with all that later ones need to lean on it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) id: ChunkId,
    pub(crate) place: Place,
    pub(crate) plain: Arc<Vec<u8>>,
    pub(crate) depth: u8,
    /// The packs of all that it leans on.
    pub(crate) below: BTreeSet<PackId>,
}

impl Kept {
    fn settle(&mut self, own: PackId) {
        if self.place.pack == OWN {
            self.place.pack = own;
        }
        if self.below.remove(&OWN) {
            self.below.insert(own);
        }
    }
}

/// Takes one snapshot after the other.
pub(crate) struct Line<'f> {
    pub(crate) insider: Insider<'f>,
    listed: HashMap<PackId, (u64, u32)>,
}

impl<'f> Line<'f> {
    pub(crate) fn new(fixture: &'f Fixture) -> Self {
        Self::of(Insider::new(fixture))
    }

    pub(crate) fn of(insider: Insider<'f>) -> Self {
        Self {
            insider,
            listed: HashMap::new(),
        }
    }

    /// Stores a pack that no snapshot needs, and gives its chunks.
    pub(crate) fn pack(
        &self,
        fill: impl FnOnce(&mut ForgedPack<'_>) -> Vec<Kept>,
    ) -> (NewPack, Vec<Kept>) {
        let mut pack = self.insider.pack();
        let mut chunks = fill(&mut pack);
        let pack = pack.finish();
        for kept in &mut chunks {
            kept.settle(pack.id);
        }
        (pack, chunks)
    }

    /// Takes a snapshot of one stream, `dump.sql`, with these chunks. What they lean
    /// on is in its reach. Gives its number and the chunks.
    pub(crate) fn snapshot(
        &mut self,
        fill: impl FnOnce(&mut ForgedPack<'_>) -> Vec<Kept>,
    ) -> (u64, Vec<Kept>) {
        self.snapshot_beside(Vec::new(), fill)
    }

    /// The same, of an entry that lists other packs too.
    pub(crate) fn snapshot_beside(
        &mut self,
        beside: Vec<NewPack>,
        fill: impl FnOnce(&mut ForgedPack<'_>) -> Vec<Kept>,
    ) -> (u64, Vec<Kept>) {
        let mut len = 0;
        let (mut list, mut top) = (None, None);
        let (pack, chunks) = self.pack(|pack| {
            let chunks = fill(pack);
            let items: Vec<Item> = chunks.iter().map(Kept::item).collect();
            let places = chunks.iter().map(|kept| kept.place).collect();
            len = items.iter().map(|item| item.len).sum();
            let root = pack.node_over(0, items, places);
            let entry = TreeEntry {
                path: path(b"dump.sql"),
                kind: EntryKind::Stream {
                    content: Content::Own(root.root(0)),
                },
            };
            top = Some(pack.page(&entry.encode(), &[root]));
            list = top.map(|page| pack.node(0, &[page]));
            chunks
        });
        let reached = chunks
            .iter()
            .flat_map(|kept| kept.below.iter().chain([&kept.place.pack]));
        let reach = Reach::collect(reached.filter_map(|pack| self.listed.get(pack).copied()));
        let manifest = Manifest {
            content_bytes: len,
            ..manifest(list.expect("it was made"), 0, &pack)
        };
        let mut packs = beside;
        packs.push(pack);
        let number = self
            .insider
            .commit_reaching(packs.clone(), manifest, &reach);
        self.listed.extend(
            packs
                .iter()
                .zip(0..)
                .map(|(pack, at)| (pack.id, (number, at))),
        );
        self.insider.refresh();
        (number, chunks)
    }
}

impl Kept {
    /// As a list names it.
    pub(crate) fn item(&self) -> Item {
        Item {
            id: self.id,
            len: self.plain.len() as u64,
        }
    }
}

/// The plaintext of chunks together.
pub(crate) fn plain_of(chunks: &[Kept]) -> Vec<u8> {
    let plains = chunks.iter().map(|kept| kept.plain.as_slice());
    plains.collect::<Vec<_>>().concat()
}

/// One zstd frame with a prefix.
pub(crate) fn delta(prefix: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut frames = CCtx::create();
    let window = usize::BITS - (prefix.len() + plain.len()).leading_zeros();
    let set = frames.set_parameter(CParameter::CompressionLevel(1));
    set.expect("a level");
    let set = frames.set_parameter(CParameter::WindowLog(window.max(10)));
    set.expect("a window");
    frames.ref_prefix(prefix).expect("a prefix");
    let mut coded = Vec::with_capacity(zstd::zstd_safe::compress_bound(plain.len()));
    frames.compress2(&mut coded, plain).expect("there is room");
    coded
}

impl ForgedPack<'_> {
    /// A chunk that leans on these, or on nothing.
    pub(crate) fn keep(&mut self, plain: Vec<u8>, bases: &[&Kept]) -> Kept {
        let depth = bases.iter().map(|base| base.depth + 1).max().unwrap_or(0);
        let prefix: Vec<&[u8]> = bases.iter().map(|base| base.plain.as_slice()).collect();
        let coded = match bases {
            [] => zstd::bulk::compress(&plain, 1).expect("there is room"),
            _ => delta(&prefix.concat(), &plain),
        };
        self.keep_as(plain, depth, bases, coded)
    }

    /// A chunk that says that it is so deep, and leans on these.
    pub(crate) fn keep_as(
        &mut self,
        plain: Vec<u8>,
        depth: u8,
        bases: &[&Kept],
        coded: Vec<u8>,
    ) -> Kept {
        let places = bases.iter().map(|base| base.place).collect();
        let below = bases.iter().flat_map(|base| {
            let packs = base.below.iter().copied();
            packs.chain([base.place.pack])
        });
        let below = below.collect();
        let coding = if bases.is_empty() {
            Coding::Zstd
        } else {
            Coding::Delta
        };
        let leaning = Basis {
            depth,
            bases: places,
        };
        let stored = self.chunk_on(Class::Data, &plain, (coding, coded, plain.len()), leaning);
        Kept {
            id: stored.id,
            place: stored.place(),
            plain: Arc::new(plain),
            depth,
            below,
        }
    }
}

/// The data keys of all packs in a store, as their writers could remember them.
pub(crate) fn data_keys(fixture: &Fixture) -> HashMap<PackId, SecretKey> {
    let restore = fixture
        .bundle
        .restore
        .as_ref()
        .expect("it is the first key");
    let of_pack = |id: PackId| {
        let bytes = object(&fixture.store, &ObjectKey::Pack(id));
        // Repository, class, domain and epoch, as they are bound (SPEC 2.7).
        let bound = [&bytes[12..44], &[0], &bytes[44..60], &bytes[60..64]].concat();
        let wrapped = bytes[64..144].try_into().expect("80 bytes");
        let (private, psk) = (&restore.data_private, &fixture.bundle.psk);
        let key = seal::unwrap(private, psk, PACK_DATA_KEY, &bound, wrapped);
        (id, key.expect("the pack is sealed to it"))
    };
    packs(&fixture.store).into_iter().map(of_pack).collect()
}
