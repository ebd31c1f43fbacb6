//! Finds for each new chunk the old ones that it is a version of.
//!
//! With a few rows changed here and there, nearly every chunk of a dump is new and
//! nearly all of its bytes are old. Such a chunk is stored as a delta: what it does
//! not share with its bases. Where those are is followed along the stream: a cut is
//! decided by the content in front of it, so old and new version of a chunk mostly
//! begin behind the same cut, and have the same *anchor*, a hash of their first bytes.
//! A chunk with a known anchor begins where that old chunk does; one without goes on
//! where the one before ended. Where a chunk ends, the anchor of the next one says.
//!
//! The ground is the list of the snapshot that this generation leans on (see
//! [`generations`](crate::generations)). What was not there yet is looked for on
//! younger ones that are kept, the oldest of them first, since what stands there is
//! the least deep.
//!
//! All that lists say is a guess. What is leaned on is what the index has in an
//! authentic directory, decoded and held against its id; a wrong guess costs room.

mod forerunner;

use std::collections::HashMap;
use std::sync::Arc;

use indelible_format::ids::{ChunkId, PackId};
use indelible_format::limits::{DELTA_BASES_MAX, DELTA_DEPTH_MAX};
use indelible_format::places::Place;

use super::cutter::Cut;
use super::writer::Writer;
use crate::pack::Basis;
use crate::read::Reader;
use crate::state::{ANCHOR_BYTES, ListFile, anchor};
use crate::store::ReadStore;
use forerunner::{Forerunner, Spot};

/// A base that has less than this part of a chunk's length in common with it is not
/// worth decoding.
const SHARE_MIN: u64 = 32;
/// What lies between two anchors is no version of a chunk if it is longer than this
/// many times its length.
const STRETCH_MAX: u64 = 3;

/// Nor if it is more chunks than these.
const CHUNKS_MAX: u64 = 16;

/// Gives the plaintexts of old chunks, as far as they can be had.
pub(super) trait Bases: Sync {
    /// One for each id, from its place.
    fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>>;
}

impl<S: ReadStore + ?Sized> Bases for Reader<'_, S> {
    fn bases(&self, wanted: &[(ChunkId, Place)]) -> Vec<Option<Arc<Vec<u8>>>> {
        Reader::bases(self, wanted)
    }
}

/// What a new chunk can lean on.
pub(super) struct Leaned {
    /// For its record.
    pub(super) basis: Basis,
    /// The plaintexts of its bases.
    pub(super) plains: Vec<Arc<Vec<u8>>>,
    /// The packs that decoding it takes.
    pub(super) packs: Vec<PackId>,
}

/// Where a stream has come to on each ground.
#[derive(Debug, Default)]
pub(super) struct Trail(Vec<Option<Spot>>);

/// Old versions of new chunks.
pub(super) struct Lean<'b> {
    /// The one that is leaned on, and younger ones up to the last.
    grounds: Vec<Forerunner>,
    bases: Box<dyn Bases + 'b>,
}

impl<'b> Lean<'b> {
    pub(super) fn new(
        grounds: impl IntoIterator<Item = ListFile>,
        bases: Box<dyn Bases + 'b>,
    ) -> Self {
        Self {
            grounds: grounds.into_iter().map(Forerunner::new).collect(),
            bases,
        }
    }

    /// The trail of a stream, the `place`-th of its snapshot.
    pub(super) fn begin(&mut self, path: &[u8], place: Option<usize>) -> Trail {
        let grounds = self.grounds.iter_mut();
        Trail(grounds.map(|ground| ground.begin(path, place)).collect())
    }

    /// What each of the chunks that `is_new` can lean on. All of a stream's chunks
    /// pass here, so that the trail is not lost.
    pub(super) fn on(
        &mut self,
        trail: &mut Trail,
        bytes: &[u8],
        cuts: &[Cut],
        is_new: &[bool],
        writer: &Writer<'_, '_>,
    ) -> Vec<Option<Leaned>> {
        let mut chosen = Vec::with_capacity(cuts.len());
        for (cut, is_new) in cuts.iter().zip(is_new) {
            let versions = self.versions(trail, bytes, cut);
            let versions = if *is_new { &versions[..] } else { &[] };
            chosen.push(Self::choose(versions, writer));
        }
        self.decode(chosen)
    }

    /// The old chunks that a new one has content of, in their order.
    fn versions(&mut self, trail: &mut Trail, bytes: &[u8], cut: &Cut) -> Vec<ChunkId> {
        let begins = anchor(&bytes[cut.at.clone()]);
        let rest = &bytes[cut.at.end..];
        let next = (rest.len() >= ANCHOR_BYTES).then(|| anchor(rest));
        let mut found: Option<(bool, Vec<ChunkId>)> = None;
        for (ground, spot) in self.grounds.iter_mut().zip(&mut trail.0) {
            let Some((from, to, anchored)) = locate(ground, *spot, begins, next, cut.at.len())
            else {
                continue;
            };
            *spot = Some(to);
            let len = cut.at.len() as u64;
            let shared = ground.between(from, to);
            let shared = shared.filter(|(_, shared)| shared * SHARE_MIN >= len);
            let ids: Vec<ChunkId> = shared.map(|(chunk, _)| chunk.id).collect();
            ground.follow(to);
            // What only a younger ground knows where to look for is looked for there.
            let better = found.as_ref().is_none_or(|(was, _)| anchored && !was);
            if better && !ids.is_empty() {
                found = Some((anchored, ids));
            }
        }
        let (_, mut ids) = found.unwrap_or_default();
        ids.truncate(DELTA_BASES_MAX);
        ids
    }

    /// The bases among old versions: those that can be had, and are not too deep.
    fn choose(versions: &[ChunkId], writer: &Writer<'_, '_>) -> Option<Chosen> {
        let mut chosen = Chosen::default();
        for id in versions {
            let Some(found) = writer.indexed(id) else {
                continue;
            };
            let base = (*id, found.place);
            if found.depth < DELTA_DEPTH_MAX && !chosen.bases.contains(&base) {
                chosen.depth = chosen.depth.max(found.depth + 1);
                chosen.bases.push(base);
                chosen.packs.push(found.place.pack);
                chosen.packs.extend(found.leans_on);
            }
        }
        (!chosen.bases.is_empty()).then_some(chosen)
    }

    /// Decodes the bases of all chunks together, each once.
    fn decode(&self, chosen: Vec<Option<Chosen>>) -> Vec<Option<Leaned>> {
        let mut wanted: Vec<(ChunkId, Place)> = Vec::new();
        let mut at = HashMap::new();
        for base in chosen.iter().flatten().flat_map(|chosen| &chosen.bases) {
            at.entry(base.1).or_insert_with(|| {
                wanted.push(*base);
                wanted.len() - 1
            });
        }
        let plains = self.bases.bases(&wanted);
        let leaned = chosen.into_iter().map(|chosen| {
            let chosen = chosen?;
            let plains = chosen
                .bases
                .iter()
                .map(|(_, place)| plains[at[place]].clone());
            Some(Leaned {
                plains: plains.collect::<Option<Vec<_>>>()?,
                basis: Basis {
                    depth: chosen.depth,
                    bases: chosen.bases.iter().map(|(_, place)| *place).collect(),
                },
                packs: chosen.packs,
            })
        });
        leaned.collect()
    }
}

/// Bases that are not decoded yet.
#[derive(Default)]
struct Chosen {
    depth: u8,
    bases: Vec<(ChunkId, Place)>,
    packs: Vec<PackId>,
}

/// Where on a ground the old version of a chunk begins and ends, and whether an anchor
/// says so.
fn locate(
    ground: &Forerunner,
    spot: Option<Spot>,
    begins: u64,
    next: Option<u64>,
    len: usize,
) -> Option<(Spot, Spot, bool)> {
    let len = len as u64;
    let anchored = ground.anchored(begins, spot).map(Spot::front_of);
    let from = anchored.or(spot)?;
    let by_len = ground.behind(from, len);
    let end = next
        .and_then(|next| ground.anchored(next, Some(by_len)))
        .map(Spot::front_of)
        .filter(|end| end.chunk.saturating_sub(from.chunk) <= CHUNKS_MAX)
        .filter(|end| {
            let between = ground.between(from, *end).map(|(_, shared)| shared);
            *end > from && between.sum::<u64>() <= STRETCH_MAX * len
        });
    let anchors = anchored.is_some() || end.is_some();
    Some((from, end.unwrap_or(by_len), anchors))
}
