//! Reads many data chunks at once: few requests, all cores decoding.

use std::collections::BTreeMap;
use std::sync::Arc;

use indelible_format::coding::Class;
use indelible_format::ids::PackId;
use rayon::prelude::*;

use super::walk::Part;
use super::{ChunkFault, ReadError, ReadPack, Reader};
use crate::pack::Span;
use crate::store::{ObjectKey, ReadStore};

/// Chunks that lie closer than this are read in one request, gap included.
const GAP_BYTES: u64 = 256 << 10;
/// The most that one request asks for, bytes.
const REQUEST_BYTES: u64 = 8 << 20;

/// A chunk to be read from a known span of a pack.
struct Wanted {
    /// Its place in the window.
    at: usize,
    number: usize,
    span: Span,
}

impl<S: ReadStore + ?Sized> Reader<'_, S> {
    /// Reads the parts of a window, in its order.
    ///
    /// Chunks of which the window has all go past the cache. Of the others, the
    /// next window has more.
    pub fn parts(&self, window: &[Part]) -> Vec<Result<Vec<u8>, ReadError>> {
        // A small file has parts of one chunk or two, which are cached: waking
        // other threads costs more.
        if window.iter().all(|part| part.whole_chunk().is_none()) {
            return window.iter().map(|part| self.cut(part, None)).collect();
        }
        let mut chunks: Vec<Option<Vec<u8>>> = window.iter().map(|_| None).collect();
        for (pack_id, wanted) in self.by_pack(window) {
            let Ok(pack) = self.pack(&pack_id) else {
                continue;
            };
            for group in grouped(wanted) {
                for (at, chunk) in self.read_group(&pack_id, &pack, group) {
                    chunks[at] = chunk.ok();
                }
            }
        }
        let parts = window.par_iter().zip(chunks);
        let checked = parts.map(|(part, chunk)| self.cut(part, chunk));
        checked.collect()
    }

    /// The bytes of a part, from its chunk. What the chunk's place did not give
    /// is looked for elsewhere.
    fn cut(&self, part: &Part, chunk: Option<Vec<u8>>) -> Result<Vec<u8>, ReadError> {
        let (item, place) = part.chunk.clone()?;
        let plain = match chunk {
            Some(plain) => Arc::new(plain),
            None => self.chunk(&item.id, Class::Data, place)?.0,
        };
        if plain.len() as u64 != item.len {
            return Err(ReadError::Shape { id: item.id });
        }
        if part.len == item.len {
            return Ok(Arc::unwrap_or_clone(plain));
        }
        let start = usize::try_from(part.skip).expect("within a chunk");
        let len = usize::try_from(part.len).expect("within a chunk");
        Ok(plain[start..start + len].to_vec())
    }

    /// The whole chunks of a window whose places hold them, by pack and offset.
    fn by_pack(&self, window: &[Part]) -> BTreeMap<PackId, Vec<Wanted>> {
        let mut by_pack: BTreeMap<PackId, Vec<Wanted>> = BTreeMap::new();
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
                by_pack
                    .entry(place.pack)
                    .or_default()
                    .push(Wanted { at, number, span });
            }
        }
        for wanted in by_pack.values_mut() {
            wanted.sort_by_key(|wanted| wanted.span.offset);
        }
        by_pack
    }

    /// Reads a group in one request, and decodes its chunks on all cores.
    fn read_group(
        &self,
        id: &PackId,
        pack: &ReadPack,
        group: Vec<Wanted>,
    ) -> Vec<(usize, Result<Vec<u8>, ChunkFault>)> {
        let from = group[0].span.offset;
        let end = group
            .iter()
            .map(|wanted| wanted.span.offset + u64::from(wanted.span.len))
            .max()
            .unwrap_or(from);
        let bytes = self
            .store
            .read_range(&ObjectKey::Pack(*id), from, end - from)
            .map_err(|error| ChunkFault::Store(Arc::new(error)));
        let decode = |wanted: Wanted| {
            let chunk = bytes.as_ref().map_err(ChunkFault::clone).and_then(|bytes| {
                let start = usize::try_from(wanted.span.offset - from).expect("within a request");
                let len = usize::try_from(wanted.span.len).expect("within a request");
                self.keys
                    .verify(pack, wanted.number, bytes[start..start + len].to_vec())
            });
            (wanted.at, chunk)
        };
        group.into_par_iter().map(decode).collect()
    }
}

/// Cuts sorted chunks into groups that one request reads.
fn grouped(wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    for next in wanted {
        let joins = groups
            .last()
            .and_then(|group| Some((group.first()?.span, group.last()?.span)))
            .is_some_and(|(first, last)| {
                let end = next.span.offset + u64::from(next.span.len);
                let gap = next
                    .span
                    .offset
                    .saturating_sub(last.offset + u64::from(last.len));
                gap <= GAP_BYTES && end - first.offset <= REQUEST_BYTES
            });
        match groups.last_mut() {
            Some(group) if joins => group.push(next),
            _ => groups.push(vec![next]),
        }
    }
    groups
}
