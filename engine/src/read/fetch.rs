//! Reads many chunks at once, in two steps that may be apart: fetching, which
//! waits for the store, and decoding, which takes all cores.
//!
//! Memory is bounded by the window that the caller asks for: fetching reads ahead
//! so many bytes and leaves the rest to be read when the window is decoded. Either
//! step fills one buffer, and buffers are used again.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_format::coding::Class;
use indelible_format::ids::PackId;
use rayon::prelude::*;

use super::domain::{ReadPack, stored};
use super::walk::Part;
use super::{ReadError, Reader, at_least};
use crate::pack::Span;
use crate::store::{ObjectKey, ReadStore};

/// Chunks that lie closer than this are read in one request, gap included.
const GAP_BYTES: u64 = 256 << 10;
/// The most that one request asks for, bytes.
const REQUEST_BYTES: u64 = 8 << 20;
/// The most that is read ahead of a window, bytes.
const AHEAD_BYTES: usize = 16 << 20;

/// A chunk to be read from a known span of a pack.
struct Wanted {
    /// Its place in the window.
    at: usize,
    number: usize,
    span: Span,
}

/// Chunks of a pack that one request reads.
struct Group {
    id: PackId,
    pack: Arc<ReadPack>,
    wanted: Vec<Wanted>,
    from: u64,
    len: u64,
    /// Where in the window's buffer it was read to, if it was and could be.
    read_at: Option<usize>,
}

/// A window of parts, on their way.
pub struct Fetched {
    parts: Vec<Part>,
    /// Those that were read ahead.
    ahead: Vec<Group>,
    /// Those that were not.
    rest: Vec<Group>,
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
        let mut filled = 0;
        let (mut ahead, mut rest) = (Vec::new(), Vec::new());
        for mut group in self.groups(&parts) {
            if filled + group.len() <= AHEAD_BYTES {
                self.read_group(&mut group, &mut stored, filled);
                filled += group.len();
                ahead.push(group);
            } else {
                rest.push(group);
            }
        }
        Fetched {
            parts,
            ahead,
            rest,
            stored,
        }
    }

    /// Decodes and checks a window on all cores. What a chunk's place did not give
    /// is looked for elsewhere.
    pub fn decode(&self, window: Fetched) -> Decoded {
        let Fetched {
            parts,
            ahead,
            rest,
            mut stored,
        } = window;
        let mut bytes = self.plain.take();
        let len = parts.iter().map(slot_len).sum();
        let mut slots = slots(&parts, at_least(&mut bytes, len));
        self.decode_groups(&ahead, &stored, &mut slots);
        for mut group in rest {
            self.read_group(&mut group, &mut stored, 0);
            self.decode_groups(&[group], &stored, &mut slots);
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
    fn decode_groups(&self, groups: &[Group], stored: &[u8], slots: &mut [Option<&mut [u8]>]) {
        let mut chunks = Vec::new();
        for group in groups {
            for wanted in &group.wanted {
                let stored = group.stored(wanted, stored);
                let slot = stored.and_then(|stored| Some((stored, slots[wanted.at].take()?)));
                chunks.extend(slot.map(|(stored, slot)| (&group.pack, wanted, stored, slot)));
            }
        }
        // One by one, since the last ones decide how long all cores are at work.
        let failed = chunks.into_par_iter().with_max_len(1);
        let failed = failed.filter_map(|(pack, wanted, stored, slot)| {
            let decoded = self.keys.decode_into(pack, wanted.number, stored, slot);
            decoded.is_err().then_some((wanted.at, slot))
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

    /// The whole chunks of a window whose places hold them, as they are read.
    fn groups(&self, window: &[Part]) -> Vec<Group> {
        let mut by_pack: BTreeMap<PackId, (Arc<ReadPack>, Vec<Wanted>)> = BTreeMap::new();
        for (at, part) in window.iter().enumerate() {
            let Some((item, place)) = part.whole_chunk() else {
                continue;
            };
            let Ok(pack) = self.pack(&place.pack) else {
                continue;
            };
            let number = usize::from(place.number);
            let held = self.check_record(&pack, number, &item.id, Class::Data);
            if held.is_ok_and(|record| u64::from(record.plain_len) == item.len) {
                let span = pack.pack.spans[number];
                let (_, wanted) = by_pack.entry(place.pack).or_insert((pack, Vec::new()));
                wanted.push(Wanted { at, number, span });
            }
        }
        let mut groups = Vec::new();
        for (id, (pack, mut wanted)) in by_pack {
            wanted.sort_by_key(|wanted| wanted.span.offset);
            group(id, &pack, wanted, &mut groups);
        }
        groups
    }

    fn read_group(&self, group: &mut Group, stored: &mut Vec<u8>, at: usize) {
        if group.pack.stored(group.wanted[0].span).is_none() {
            let into = &mut at_least(stored, at + group.len())[at..];
            let read = (self.store).read_into(&ObjectKey::Pack(group.id), group.from, into);
            group.read_at = read.is_ok().then_some(at);
        }
    }
}

impl Group {
    fn len(&self) -> usize {
        usize::try_from(self.len).expect("a request is at most 8 MiB")
    }

    /// A chunk's bytes, if they could be had.
    fn stored<'a>(&'a self, wanted: &Wanted, read: &'a [u8]) -> Option<&'a [u8]> {
        let whole = self.pack.stored(wanted.span);
        whole.or_else(|| Some(stored(&read[self.read_at?..], self.from, wanted.span)))
    }
}

/// Cuts sorted chunks of a pack into groups that one request reads.
fn group(id: PackId, pack: &Arc<ReadPack>, wanted: Vec<Wanted>, groups: &mut Vec<Group>) {
    let first = groups.len();
    for next in wanted {
        let end = next.span.offset + u64::from(next.span.len);
        let joined = groups[first..].last_mut().filter(|group| {
            let gap = next.span.offset.saturating_sub(group.from + group.len);
            gap <= GAP_BYTES && end - group.from <= REQUEST_BYTES
        });
        if let Some(group) = joined {
            group.len = group.len.max(end - group.from);
            group.wanted.push(next);
        } else {
            groups.push(Group {
                id,
                pack: Arc::clone(pack),
                from: next.span.offset,
                len: next.span.len.into(),
                wanted: vec![next],
                read_at: None,
            });
        }
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
