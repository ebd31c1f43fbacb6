//! What may be leaned on in place of a chunk that is too deep.
//!
//! A delta that holds little of its own can make way for its bases: what then is stored
//! again is little. One that holds much can't, and counts as if it leaned on nothing;
//! so how far a chunk is *above ground* is how many deltas it decodes through down to
//! such a one, or to a chunk that is no delta.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use indelible_format::ids::ChunkId;
use indelible_format::limits::DELTA_DEPTH_MAX;

use super::segment::Lost;
use super::{Found, Hit, Index};

/// A chunk that may be leaned on.
struct Candidate {
    hit: Hit,
    /// How many deltas it decodes through.
    depth: u8,
    /// How many of them are above ground.
    above: u8,
}

impl Candidate {
    /// Whether it must make way for its bases, if it can.
    fn is_too_deep(&self, above_max: u8) -> bool {
        self.above > above_max || (self.depth >= DELTA_DEPTH_MAX && self.above > 0)
    }
}

impl Index<'_> {
    /// A chunk, if it can be had and is at most so far above ground; else what it leans
    /// on that is, in the order of the content. At most `many`: what would become more
    /// is left as it is. What is as deep as readers decode is left out.
    pub fn shallow(&self, id: &ChunkId, above_max: u8, many: usize) -> Vec<(ChunkId, Found)> {
        if self.is_lost() {
            return Vec::new();
        }
        self.try_shallow(id, above_max, many)
            .unwrap_or_else(|Lost| {
                self.lost.store(true, Ordering::Release);
                Vec::new()
            })
    }

    fn try_shallow(
        &self,
        id: &ChunkId,
        above_max: u8,
        many: usize,
    ) -> Result<Vec<(ChunkId, Found)>, Lost> {
        let Some((hit, _)) = self.find(id)? else {
            return Ok(Vec::new());
        };
        let mut heights = HashMap::new();
        let mut row: Vec<Candidate> = Vec::new();
        row.extend(self.candidate(hit, &mut heights)?);
        while let Some(at) = row.iter().position(|one| one.is_too_deep(above_max)) {
            let Some((_, bases)) = self.bases(row[at].hit)? else {
                return Ok(Vec::new());
            };
            let mut instead = Vec::with_capacity(bases.len());
            for base in bases {
                if row.iter().all(|one| one.hit != base) {
                    instead.extend(self.candidate(base, &mut heights)?);
                }
            }
            if row.len() - 1 + instead.len() > many {
                break;
            }
            row.splice(at..=at, instead);
        }
        let mut shallow = Vec::with_capacity(row.len());
        for Candidate { hit, depth, .. } in row {
            let chunks = self.chunks(hit.0)?;
            let id = chunks.and_then(|chunks| chunks.ids.get(usize::from(hit.1)).copied());
            if let (Some(id), Some(leans_on)) = (id, self.leans_on(hit)?)
                && depth < DELTA_DEPTH_MAX
            {
                shallow.push((id, self.found(hit, leans_on)));
            }
        }
        Ok(shallow)
    }

    /// A chunk with its depths, if its bases can be found.
    fn candidate(
        &self,
        hit: Hit,
        heights: &mut HashMap<Hit, u8>,
    ) -> Result<Option<Candidate>, Lost> {
        let Some((depth, _)) = self.bases(hit)? else {
            return Ok(None);
        };
        let above = self.above(hit, heights)?;
        Ok(above.map(|above| Candidate { hit, depth, above }))
    }

    /// How far a chunk is above ground. Each chunk is looked at once, and bases are
    /// shallower than what leans on them, so that this ends.
    fn above(&self, hit: Hit, heights: &mut HashMap<Hit, u8>) -> Result<Option<u8>, Lost> {
        if let Some(known) = heights.get(&hit) {
            return Ok(Some(*known));
        }
        let Some((depth, bases)) = self.bases(hit)? else {
            return Ok(None);
        };
        let chunks = self.chunks(hit.0)?;
        let heavy = chunks.is_none_or(|chunks| chunks.is_heavy(hit.1));
        let mut above = 0;
        if !heavy {
            for base in bases {
                let shallower = self.bases(base)?.is_some_and(|(deep, _)| deep < depth);
                if !shallower {
                    return Ok(None);
                }
                let Some(below) = self.above(base, heights)? else {
                    return Ok(None);
                };
                above = above.max(below + 1);
            }
        }
        heights.insert(hit, above);
        Ok(Some(above))
    }
}
