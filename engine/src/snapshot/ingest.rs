//! Turns bytes into stored chunks and a list over them.
//!
//! Bytes are read into a buffer that this module owns, never mapped: a file that
//! changes while it is read changes what is stored, and can't make a chunk stand
//! under another content's id. A batch of chunks is hashed, looked up, coded by
//! all cores, and stored in the order of the stream.

use std::io::{self, Read};
use std::ops::Range;

use indelible_format::coding::Class;
use indelible_format::ids::ChunkId;
use indelible_format::node::{Item, Root};
use indelible_format::pack::chunk_id;
use indelible_format::secret::SecretKey;
use rayon::prelude::*;

use super::COMPRESSION_LEVEL;
use super::writer::{WriteError, Writer};
use crate::chunker::Chunker;
use crate::pack::{CodedChunk, code};
use crate::tree::ListBuilder;

/// How many bytes are cut, hashed and coded together.
const BATCH_BYTES: usize = 16 << 20;

/// What cutting and naming need to know.
pub(super) struct Cutting<'k> {
    pub(super) chunker: Chunker,
    pub(super) data_id: &'k SecretKey,
    pub(super) node_id: &'k SecretKey,
}

/// A stream on its way into the repository.
pub(super) struct Ingest<'k> {
    cutting: &'k Cutting<'k>,
    buffer: Vec<u8>,
    list: ListBuilder,
    len: u64,
}

impl<'k> Ingest<'k> {
    pub(super) fn new(cutting: &'k Cutting<'k>) -> Self {
        Self {
            cutting,
            buffer: Vec::new(),
            list: ListBuilder::new(),
            len: 0,
        }
    }

    /// Bytes taken so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Takes more of the reader, and says how many bytes; 0 at its end.
    ///
    /// Reads until the buffer is full, so that batches are large even where a
    /// pipe hands out little at a time.
    pub(super) fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        let full = BATCH_BYTES + self.cutting.chunker.lookahead();
        let before = self.buffer.len();
        let room = full.saturating_sub(before) as u64;
        let read = reader.take(room).read_to_end(&mut self.buffer)?;
        self.len += read as u64;
        Ok(read)
    }

    /// Takes bytes that the caller has already.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
    }

    /// Stores the chunks that are decided. What could still depend on bytes to
    /// come stays in the buffer.
    pub(super) fn process(&mut self, writer: &mut Writer<'_, '_>) -> Result<(), WriteError> {
        if self.buffer.len() < BATCH_BYTES {
            return Ok(());
        }
        self.store(self.cutting.chunker.lookahead(), writer)
    }

    /// Ends the stream, and gives its root; `None` if it had no bytes.
    pub(super) fn finish(
        mut self,
        writer: &mut Writer<'_, '_>,
    ) -> Result<Option<Root>, WriteError> {
        self.store(1, writer)?;
        self.list.finish(self.cutting.node_id, writer)
    }

    /// Cuts while at least `needed` bytes are left, and stores the chunks.
    fn store(&mut self, needed: usize, writer: &mut Writer<'_, '_>) -> Result<(), WriteError> {
        let mut cuts: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        while self.buffer.len() - start >= needed {
            let end = start + self.cutting.chunker.cut(&self.buffer[start..]);
            cuts.push(start..end);
            start = end;
        }
        store_chunks(self.cutting, &self.buffer, &cuts, &mut self.list, writer)?;
        self.buffer.drain(..start);
        Ok(())
    }
}

fn store_chunks(
    cutting: &Cutting<'_>,
    bytes: &[u8],
    cuts: &[Range<usize>],
    list: &mut ListBuilder,
    writer: &mut Writer<'_, '_>,
) -> Result<(), WriteError> {
    let ids: Vec<ChunkId> = cuts
        .par_iter()
        .map(|cut| chunk_id(cutting.data_id, Class::Data, &bytes[cut.clone()]))
        .collect();
    let mut seen = std::collections::HashSet::new();
    let new: Vec<(&ChunkId, &Range<usize>)> = ids
        .iter()
        .zip(cuts)
        .filter(|(id, _)| !writer.has(id) && seen.insert(**id))
        .collect();
    let compressor =
        || zstd::bulk::Compressor::new(COMPRESSION_LEVEL).expect("the level is one of zstd's");
    let coded: Vec<CodedChunk> = new
        .par_iter()
        .map_init(compressor, |compressor, (id, cut)| {
            let plain = &bytes[(*cut).clone()];
            let (coding, coded) = code(compressor, plain);
            CodedChunk {
                id: **id,
                class: Class::Data,
                coding,
                plain_len: plain.len(),
                coded,
            }
        })
        .collect();
    writer.put(coded)?;
    for (id, cut) in ids.iter().zip(cuts) {
        list.push(
            Item {
                id: *id,
                len: cut.len() as u64,
            },
            cutting.node_id,
            writer,
        )?;
    }
    Ok(())
}
