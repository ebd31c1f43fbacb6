//! Takes the chunks of streams into the repository.
//!
//! What the domain does not have is coded by all cores and handed to the writer,
//! in the order of the stream; over everything grows the stream's list. The
//! client's own list of chunks grows beside it, and is not missed if it fails.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use indelible_format::coding::Class;
use indelible_format::node::{Item, Root};
use indelible_format::secret::SecretKey;
use rayon::prelude::*;

use super::COMPRESSION_LEVEL;
use super::cutter::Cut;
use super::writer::{WriteError, Writer};
use crate::pack::{Basis, CodedChunk, code};
use crate::past::PastChunk;
use crate::state::{ListWriter, StreamList};
use crate::tree::ListBuilder;

/// A stream on its way into the repository.
#[derive(Default)]
pub(super) struct Stream {
    list: ListBuilder,
    chunks: StreamList,
}

/// Takes the chunks of streams.
pub(super) struct Intake<'k, 'w, 'scope> {
    pub(super) writer: Writer<'w, 'scope>,
    node_id: &'k SecretKey,
    lists: Option<ListWriter>,
    compressors: Compressors,
}

impl<'k, 'w, 'scope> Intake<'k, 'w, 'scope> {
    pub(super) fn new(
        writer: Writer<'w, 'scope>,
        node_id: &'k SecretKey,
        lists: Option<ListWriter>,
    ) -> Self {
        Self {
            writer,
            node_id,
            lists,
            compressors: Compressors::default(),
        }
    }

    /// Takes chunks that stand in `bytes`, the next ones of their stream.
    pub(super) fn take(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        cuts: &[Cut],
    ) -> Result<(), WriteError> {
        let mut seen = HashSet::new();
        let new: Vec<&Cut> = cuts
            .iter()
            .filter(|cut| !self.writer.has(&cut.id) && seen.insert(cut.id))
            .collect();
        let coded = new
            .par_iter()
            .map(|cut| self.compressors.code(cut, bytes))
            .collect();
        self.writer.put(coded)?;
        for cut in cuts {
            let item = Item {
                id: cut.id,
                len: cut.at.len() as u64,
            };
            stream.list.push(item, self.node_id, &mut self.writer)?;
            self.note(stream, cut);
        }
        Ok(())
    }

    fn note(&mut self, stream: &mut Stream, cut: &Cut) {
        let len = u32::try_from(cut.at.len()).expect("a chunk is at most 1 MiB");
        let chunk = PastChunk { id: cut.id, len };
        if let Some(lists) = &mut self.lists
            && lists.push(&mut stream.chunks, &chunk).is_err()
        {
            self.forget_lists();
        }
    }

    fn forget_lists(&mut self) {
        if let Some(lists) = self.lists.take() {
            let _ = lists.discard();
        }
    }

    /// Ends the stream at a path, and gives its root; `None` if it had no bytes.
    pub(super) fn end(&mut self, stream: Stream, path: &[u8]) -> Result<Option<Root>, WriteError> {
        if let Some(lists) = &mut self.lists
            && lists.end(path, stream.chunks).is_err()
        {
            self.forget_lists();
        }
        stream.list.finish(self.node_id, &mut self.writer)
    }

    /// The writer, and the client's list, at the end of all streams.
    pub(super) fn finish(self) -> (Writer<'w, 'scope>, Option<ListWriter>) {
        (self.writer, self.lists)
    }
}

/// Compressors that are not in use: each holds tables of a megabyte and more that
/// are not to be made anew for every batch.
#[derive(Default)]
struct Compressors(Mutex<Vec<zstd::bulk::Compressor<'static>>>);

impl Compressors {
    fn code(&self, cut: &Cut, bytes: &[u8]) -> CodedChunk {
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let compressor = idle().pop();
        let mut compressor = compressor.unwrap_or_else(|| {
            zstd::bulk::Compressor::new(COMPRESSION_LEVEL).expect("the level is one of zstd's")
        });
        let plain = &bytes[cut.at.clone()];
        let (coding, coded) = code(&mut compressor, plain);
        idle().push(compressor);
        CodedChunk {
            id: cut.id,
            class: Class::Data,
            coding,
            plain_len: plain.len(),
            coded,
            basis: Basis::default(),
        }
    }
}
