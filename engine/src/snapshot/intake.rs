//! Takes the chunks of streams into the repository.
//!
//! What the domain does not have is coded by all cores and handed to the writer,
//! in the order of the stream; over everything grows the stream's list. The
//! client's own list of chunks grows beside it, and is not missed if it fails.

use std::collections::HashSet;
use std::iter;

use indelible_format::node::{Item, Root};
use indelible_format::secret::SecretKey;

use super::before::is_entry;
use super::code::{Coder, NewChunk};
use super::cutter::Cut;
use super::lean::{Chosen, Lean, Trail};
use super::writer::{WriteError, Writer};
use crate::state::{ListWriter, ListedChunk, StreamList, anchor};
use crate::tree::ListBuilder;

/// A stream on its way into the repository.
pub(super) struct Stream {
    list: ListBuilder,
    chunks: StreamList,
    trail: Trail,
}

/// Takes the chunks of streams.
pub(super) struct Intake<'k, 'w, 'scope> {
    pub(super) writer: Writer<'w, 'scope>,
    node_id: &'k SecretKey,
    lists: Option<ListWriter>,
    lean: Option<Lean<'k>>,
    coder: Coder,
    /// Streams of entries that were begun.
    begun: usize,
}

impl<'k, 'w, 'scope> Intake<'k, 'w, 'scope> {
    pub(super) fn new(
        writer: Writer<'w, 'scope>,
        node_id: &'k SecretKey,
        lists: Option<ListWriter>,
        lean: Option<Lean<'k>>,
        level: i32,
    ) -> Self {
        Self {
            writer,
            node_id,
            lists,
            lean,
            coder: Coder::new(level),
            begun: 0,
        }
    }

    /// Begins the stream at a path.
    pub(super) fn begin(&mut self, path: &[u8]) -> Stream {
        let place = is_entry(path).then_some(self.begun);
        self.begun += usize::from(is_entry(path));
        let lean = self.lean.as_mut();
        Stream {
            list: ListBuilder::default(),
            chunks: StreamList::default(),
            trail: lean.map_or_else(Trail::default, |lean| lean.begin(path, place)),
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
        let is_new: Vec<bool> = cuts
            .iter()
            .map(|cut| !self.writer.has(&cut.id) && seen.insert(cut.id))
            .collect();
        let writer = &self.writer;
        let chosen = match &mut self.lean {
            Some(lean) => lean.choose(&mut stream.trail, bytes, cuts, &is_new, writer),
            None => cuts.iter().map(|_| None).collect(),
        };
        self.store_new(bytes, cuts, &is_new, chosen)?;
        for cut in cuts {
            let item = Item {
                id: cut.id,
                len: cut.at.len() as u64,
            };
            stream.list.push(item, self.node_id, &mut self.writer)?;
            self.note(stream, cut, bytes);
        }
        Ok(())
    }

    /// Codes and stores the chunks that are new, in stretches: as many at a time as
    /// the old chunks that they lean on can be held of.
    fn store_new(
        &mut self,
        bytes: &[u8],
        cuts: &[Cut],
        is_new: &[bool],
        mut chosen: Vec<Option<Chosen>>,
    ) -> Result<(), WriteError> {
        let stretches = match &self.lean {
            Some(lean) => lean.stretches(&chosen),
            None => iter::once(0..cuts.len()).collect(),
        };
        for stretch in stretches {
            let chosen: Vec<Option<Chosen>> = chosen.drain(..stretch.len()).collect();
            let leaned = match &self.lean {
                Some(lean) => lean.decode(chosen),
                None => chosen.iter().map(|_| None).collect(),
            };
            let chunks = cuts[stretch.clone()].iter().zip(&is_new[stretch]);
            let new: Vec<NewChunk<'_>> = chunks
                .zip(leaned)
                .filter(|((_, is_new), _)| **is_new)
                .map(|((cut, _), leaned)| NewChunk { cut, leaned })
                .collect();
            let coded = self.coder.code(&new, bytes);
            self.writer.put(coded)?;
        }
        Ok(())
    }

    fn note(&mut self, stream: &mut Stream, cut: &Cut, bytes: &[u8]) {
        let Some(lists) = &mut self.lists else { return };
        let chunk = ListedChunk {
            id: cut.id,
            len: u32::try_from(cut.at.len()).expect("a chunk is at most 1 MiB"),
            anchor: anchor(&bytes[cut.at.clone()]),
        };
        if lists.push(&mut stream.chunks, &chunk).is_err() {
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
