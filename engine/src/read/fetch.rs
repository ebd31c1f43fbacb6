//! Reads many chunks at once, in two steps that may be apart: fetching, which
//! waits for the store, and decoding, which takes all cores.
//!
//! Memory is bounded by the window that the caller asks for: fetching reads ahead
//! so many bytes and leaves the rest to be read when the window is decoded. Either
//! step fills one buffer, and buffers are used again.

use indelible_format::coding::Class;
use rayon::prelude::*;

use super::batch::{Batch, Wanted};
use super::walk::Part;
use super::{ReadError, Reader, at_least};
use crate::store::ReadStore;

/// A window of parts, on their way.
pub struct Fetched {
    parts: Vec<Part>,
    /// Those that were read ahead.
    ahead: Batch,
    /// The first part behind them.
    next: usize,
    /// What was read.
    stored: Vec<u8>,
}

/// A window of parts, each of them checked or given up.
pub struct Decoded {
    parts: Vec<(Part, Result<(), ReadError>)>,
    /// The bytes of all parts that the tree leads to, one after the other.
    bytes: Vec<u8>,
}

impl Decoded {
    /// The parts in order, each with its bytes or with why there are none.
    pub fn parts(&self) -> impl Iterator<Item = (&Part, Result<&[u8], &ReadError>)> {
        let mut at = 0;
        self.parts.iter().map(move |(part, outcome)| {
            let from = at;
            at += slot_len(part);
            (part, outcome.as_ref().map(|()| &self.bytes[from..at]))
        })
    }
}

impl<S: ReadStore + ?Sized> Reader<'_, S> {
    /// Fetches what a window needs: few requests, pack by pack. Nothing is decoded,
    /// and what can't be had shows when it is.
    ///
    /// Chunks of which the window has all go past the cache. Of the others, the
    /// next window has more.
    pub fn fetch(&self, parts: Vec<Part>) -> Fetched {
        let mut stored = self.stored.take();
        let (mut ahead, next) = self.batch(&parts, 0);
        ahead.read(&*self.store, &self.bases, &mut stored);
        Fetched {
            parts,
            ahead,
            next,
            stored,
        }
    }

    /// Decodes and checks a window on all cores. What a chunk's place did not give
    /// is looked for elsewhere.
    pub fn decode(&self, window: Fetched) -> Decoded {
        let Fetched {
            parts,
            mut ahead,
            mut next,
            mut stored,
        } = window;
        let mut bytes = self.plain.take();
        let len = parts.iter().map(slot_len).sum();
        let mut slots = slots(&parts, at_least(&mut bytes, len));
        self.decode_batch(&ahead, &stored, &mut slots);
        while next < parts.len() {
            (ahead, next) = self.batch(&parts, next);
            ahead.read(&*self.store, &self.bases, &mut stored);
            self.decode_batch(&ahead, &stored, &mut slots);
        }
        self.stored.give(stored);
        let cut = |(part, slot): (&Part, Option<&mut [u8]>)| match slot {
            Some(slot) => self.cut(part, slot),
            None => Ok(()),
        };
        // A small file has parts of one chunk or two, which are cached: waking
        // other threads costs more.
        let outcomes: Vec<_> = if parts.iter().all(|part| part.whole_chunk().is_none()) {
            parts.iter().zip(slots).map(cut).collect()
        } else {
            parts.par_iter().zip(slots).map(cut).collect()
        };
        let parts = parts.into_iter().zip(outcomes).collect();
        Decoded { parts, bytes }
    }

    /// Takes a window back that was used, for its memory.
    pub fn recycle(&self, window: Decoded) {
        self.plain.give(window.bytes);
    }

    /// Fills the slots of the chunks whose places give them.
    fn decode_batch(&self, batch: &Batch, stored: &[u8], slots: &mut [Option<&mut [u8]>]) {
        let wanted = batch.wanted.iter();
        let chunks: Vec<_> = wanted
            .filter_map(|wanted| Some((wanted, slots[wanted.at].take()?)))
            .collect();
        // One by one, since the last ones decide how long all cores are at work.
        let failed = chunks.into_par_iter().with_max_len(1);
        let failed = failed.filter_map(|(&Wanted { at, node }, slot)| {
            let decoded = self.decode_wanted(batch, stored, node, slot);
            decoded.is_err().then_some((at, slot))
        });
        for (at, slot) in failed.collect::<Vec<_>>() {
            slots[at] = Some(slot);
        }
    }

    /// The bytes of a part, from its chunk wherever it can be read.
    fn cut(&self, part: &Part, slot: &mut [u8]) -> Result<(), ReadError> {
        let (item, place) = part.chunk.clone()?;
        let plain = self.chunk(&item.id, Class::Data, place)?.0;
        if plain.len() as u64 != item.len {
            return Err(ReadError::Shape { id: item.id });
        }
        let start = usize::try_from(part.skip).expect("within a chunk");
        slot.copy_from_slice(&plain[start..start + slot.len()]);
        Ok(())
    }

    /// The whole chunks from a part on whose places hold them, as many as are read
    /// together, and the first part behind them.
    fn batch(&self, parts: &[Part], from: usize) -> (Batch, usize) {
        let mut batch = Batch::default();
        for (part, at) in parts[from..].iter().zip(from..) {
            let Some((item, place)) = part.whole_chunk() else {
                continue;
            };
            let Ok(pack) = self.pack(&place.pack) else {
                continue;
            };
            let held = self.check_record(&pack, place.number, &item.id, Class::Data);
            if held.is_ok_and(|record| u64::from(record.plain_len) == item.len)
                && !batch.add(at, place, &pack, &|pack| self.pack(pack))
            {
                return (batch, at);
            }
        }
        (batch, parts.len())
    }
}

/// How many bytes a part has in its window's buffer: none if the tree does not lead
/// to it, which may be a part of any length.
fn slot_len(part: &Part) -> usize {
    match part.chunk {
        Ok(_) => usize::try_from(part.len).expect("a part of a chunk"),
        Err(_) => 0,
    }
}

/// A buffer, cut into the slots of a window's parts.
fn slots<'b>(parts: &[Part], mut bytes: &'b mut [u8]) -> Vec<Option<&'b mut [u8]>> {
    let slots = parts.iter().map(|part| {
        let (slot, rest) = std::mem::take(&mut bytes).split_at_mut(slot_len(part));
        bytes = rest;
        Some(slot)
    });
    slots.collect()
}
