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
//! The ground is the list of the last snapshot. What is too deep there for this
//! snapshot's generation (see [`generations`](crate::generations)) leans itself on older
//! versions, and those are leaned on in its place.
//!
//! All that lists say is a guess. What is leaned on is what the index has in an
//! authentic directory, decoded and held against its id; a wrong guess costs room.

mod chosen;
mod forerunner;

use std::ops::Range;

use indelible_format::ids::ChunkId;
use indelible_format::limits::DELTA_BASES_MAX;

use super::cutter::Cut;
use super::writer::Writer;
use crate::state::{ANCHOR_BYTES, ListFile, anchor};
pub(super) use chosen::{Bases, Chosen, Leaned};
use forerunner::{Forerunner, Spot};

/// A base that has less than this part of a chunk's length in common with it is not
/// worth decoding.
const SHARE_MIN: u64 = 32;
/// What lies between two anchors is no version of a chunk if it is longer than this
/// many times its length.
const STRETCH_MAX: u64 = 3;
/// Nor if it is more chunks than these.
const CHUNKS_MAX: u64 = 16;
/// Chunks that one leans on at all depths: all of them together fit what readers hold
/// at once (SPEC 6.6), however they lean on one another.
const BELOW_MAX: usize = 64;

/// Where a stream has come to on the ground.
#[derive(Debug, Default)]
pub(super) struct Trail(Option<Spot>);

/// Old versions of new chunks.
pub(super) struct Lean<'b> {
    ground: Forerunner,
    /// How deep new chunks may be.
    depth_max: u8,
    bases: Box<dyn Bases + 'b>,
}

impl<'b> Lean<'b> {
    pub(super) fn new(ground: ListFile, depth_max: u8, bases: Box<dyn Bases + 'b>) -> Self {
        Self {
            ground: Forerunner::new(ground),
            depth_max,
            bases,
        }
    }

    /// The trail of a stream, the `place`-th of its snapshot.
    pub(super) fn begin(&mut self, path: &[u8], place: Option<usize>) -> Trail {
        Trail(self.ground.begin(path, place))
    }

    /// What each of the chunks that `is_new` is to lean on. All of a stream's chunks
    /// pass here, so that the trail is not lost.
    pub(super) fn choose(
        &mut self,
        trail: &mut Trail,
        bytes: &[u8],
        cuts: &[Cut],
        is_new: &[bool],
        writer: &Writer<'_, '_>,
    ) -> Vec<Option<Chosen>> {
        let mut chosen = Vec::with_capacity(cuts.len());
        for (cut, is_new) in cuts.iter().zip(is_new) {
            let versions = self.versions(trail, bytes, cut);
            let versions = if *is_new { &versions[..] } else { &[] };
            chosen.push(self.shallow(versions, writer));
        }
        chosen
    }

    /// Cuts chunks into stretches whose old versions are held together.
    pub(super) fn stretches(&self, chosen: &[Option<Chosen>]) -> Vec<Range<usize>> {
        chosen::stretches(&*self.bases, chosen)
    }

    /// Decodes the old versions of a stretch of chunks, each once.
    pub(super) fn decode(&self, chosen: Vec<Option<Chosen>>) -> Vec<Option<Leaned>> {
        chosen::decode(&*self.bases, chosen)
    }

    /// The old chunks that a new one has content of, in their order.
    fn versions(&mut self, trail: &mut Trail, bytes: &[u8], cut: &Cut) -> Vec<ChunkId> {
        let begins = anchor(&bytes[cut.at.clone()]);
        let rest = &bytes[cut.at.end..];
        let next = (rest.len() >= ANCHOR_BYTES).then(|| anchor(rest));
        let len = cut.at.len() as u64;
        let Some((from, to)) = locate(&self.ground, trail.0, begins, next, len) else {
            return Vec::new();
        };
        let shared = self.ground.between(from, to);
        let shared = shared.filter(|(_, shared)| shared * SHARE_MIN >= len);
        let ids = shared.map(|(chunk, _)| chunk.id).take(DELTA_BASES_MAX);
        let ids = ids.collect();
        trail.0 = Some(to);
        self.ground.follow(to);
        ids
    }

    /// What is shallow enough of old versions, or of what those lean on.
    fn shallow(&self, versions: &[ChunkId], writer: &Writer<'_, '_>) -> Option<Chosen> {
        let mut chosen = Chosen::default();
        for id in versions {
            let room = DELTA_BASES_MAX.saturating_sub(chosen.bases.len());
            if room == 0 {
                break;
            }
            for (id, found) in writer.shallow(id, self.depth_max.saturating_sub(1), room) {
                let base = (id, found.place);
                if !chosen.bases.contains(&base) && chosen.chunks + found.chunks <= BELOW_MAX {
                    chosen.chunks += found.chunks;
                    chosen.depth = chosen.depth.max(found.depth + 1);
                    chosen.bases.push(base);
                    chosen.packs.push(found.place.pack);
                    chosen.packs.extend(found.leans_on);
                }
            }
        }
        (!chosen.bases.is_empty()).then_some(chosen)
    }
}

/// Where on the ground the old version of a chunk begins and ends.
fn locate(
    ground: &Forerunner,
    spot: Option<Spot>,
    begins: u64,
    next: Option<u64>,
    len: u64,
) -> Option<(Spot, Spot)> {
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
    Some((from, end.unwrap_or(by_len)))
}
