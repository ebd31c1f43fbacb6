//! A file of a snapshot, read at any offset by any number of readers.

use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::ids::ChunkId;
use indelible_format::node::PlacedRoot;

use super::tree::Tree;
use crate::read::{Part, ReadError};
use crate::store::ReadStore;

/// How much is decoded ahead at a time, bytes.
const AHEAD_BYTES: u64 = 4 << 20;
/// How far ahead of who reads on: while one such window is read, the next is ready and
/// one more is being decoded, so that nobody waits for a decoder that was idle.
const HORIZON_BYTES: u64 = 2 * AHEAD_BYTES;
/// Who has read so many bytes on end reads on, it is assumed.
const RUN_BYTES: u64 = 128 << 10;
/// Reads that are so close to where the last one ended go on from there: a file
/// system hands them out to several threads, and they overtake each other.
const NEAR_BYTES: u64 = 1 << 20;

/// Why a part of a file can't be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the {len} bytes from offset {offset} can't be read")]
pub struct ReadFault {
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub len: u64,
    /// Why.
    #[source]
    pub cause: ReadError,
}

/// A file, or a slice of one.
pub struct File<S: ReadStore + ?Sized + 'static> {
    tree: Arc<Tree<S>>,
    /// Its stream; none if it has no bytes.
    root: Option<PlacedRoot>,
    /// Where it begins in the stream.
    base: u64,
    len: u64,
    ahead: Arc<Mutex<Ahead>>,
}

/// How a file is being read.
#[derive(Default)]
struct Ahead {
    /// Where the last read ended.
    next: u64,
    /// How many bytes were read on end.
    run: u64,
    /// How far chunks are decoded or being decoded.
    horizon: u64,
    /// Whether something is being decoded ahead.
    busy: bool,
}

impl Ahead {
    /// Takes a read down, and says which range is to be decoded ahead of the next.
    fn note(&mut self, offset: u64, len: u64, file_len: u64) -> Option<(u64, u64)> {
        let end = offset + len;
        if offset.abs_diff(self.next) > NEAR_BYTES {
            *self = Self {
                busy: self.busy,
                ..Self::default()
            };
        }
        self.run += len;
        self.next = end;
        self.due(file_len)
    }

    /// The range that is to be decoded next, if it is time.
    fn due(&mut self, file_len: u64) -> Option<(u64, u64)> {
        let from = self.horizon.max(self.next);
        let is_near = from < self.next + HORIZON_BYTES && from < file_len;
        if self.busy || self.run < RUN_BYTES || !is_near {
            return None;
        }
        let len = AHEAD_BYTES.min(file_len - from);
        (self.busy, self.horizon) = (true, from + len);
        Some((from, len))
    }
}

impl<S: ReadStore + ?Sized + 'static> File<S> {
    /// A file of `len` bytes from `base` on in a stream.
    pub(super) fn new(tree: Arc<Tree<S>>, root: Option<PlacedRoot>, base: u64, len: u64) -> Self {
        Self {
            tree,
            root,
            base,
            len,
            ahead: Arc::default(),
        }
    }

    /// Its length, bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A range of it, cut where it ends.
    #[must_use]
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        Self::new(Arc::clone(&self.tree), self.root, self.base + offset, len)
    }

    /// The bytes from an offset on: `len` of them, or as many as there are.
    ///
    /// # Errors
    ///
    /// [`ReadFault`], for the first part that can't be read.
    pub fn read_at(&self, offset: u64, len: u64) -> Result<Vec<u8>, ReadFault> {
        let len = len.min(self.len.saturating_sub(offset));
        let Some(root) = self.root.as_ref().filter(|_| len > 0) else {
            return Ok(Vec::new());
        };
        self.read_ahead(root, offset, len);
        let reader = &self.tree.reader;
        let parts: Vec<Part> = reader.walk(root, self.base + offset, len).collect();
        let (whole, skips): (Vec<Part>, Vec<u64>) = parts.iter().map(Part::widened).unzip();
        let chunks = self.tree.chunks.get(reader, &whole);
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        for ((part, skip), chunk) in parts.iter().zip(skips).zip(chunks) {
            let at = offset + bytes.len() as u64;
            let fault = |cause| ReadFault {
                offset: at,
                len: part.len,
                cause,
            };
            let chunk = chunk.map_err(fault)?;
            let range = usize::try_from(skip)
                .ok()
                .zip(usize::try_from(part.len).ok());
            let range = range.and_then(|(skip, len)| chunk.get(skip..skip.checked_add(len)?));
            bytes.extend_from_slice(range.ok_or_else(|| fault(ReadError::BeyondEnd))?);
        }
        Ok(bytes)
    }

    /// The chunks that it consists of, each with how many of its bytes lie in front of
    /// the file's and how many the file has.
    pub(super) fn chunks(&self) -> Result<Vec<(ChunkId, u64, u64)>, ReadError> {
        let Some(root) = self.root.as_ref().filter(|_| self.len > 0) else {
            return Ok(Vec::new());
        };
        let parts = self.tree.reader.walk(root, self.base, self.len);
        let chunk = |part: Part| {
            let (item, _) = part.chunk.clone()?;
            Ok((item.id, part.widened().1, part.len))
        };
        parts.map(chunk).collect()
    }

    /// Has the next chunks decoded, if the file is read from one end to the other.
    fn read_ahead(&self, root: &PlacedRoot, offset: u64, len: u64) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let due = ahead.note(offset, len, self.len);
        drop(ahead);
        if let Some(range) = due {
            let runner = Runner {
                tree: Arc::clone(&self.tree),
                root: *root,
                base: self.base,
                len: self.len,
                ahead: Arc::clone(&self.ahead),
            };
            runner.decode(range);
        }
    }
}

/// Decodes a file ahead of who reads it.
struct Runner<S: ReadStore + ?Sized + 'static> {
    tree: Arc<Tree<S>>,
    root: PlacedRoot,
    base: u64,
    len: u64,
    ahead: Arc<Mutex<Ahead>>,
}

impl<S: ReadStore + ?Sized + 'static> Runner<S> {
    /// Has a range decoded, and then what is due by then: each in a task of its own,
    /// since whoever waits for other threads takes a whole task on meanwhile.
    fn decode(self, (from, len): (u64, u64)) {
        rayon::spawn(move || {
            let Self { tree, root, .. } = &self;
            let parts = tree.reader.walk(root, self.base + from, len);
            let whole: Vec<Part> = parts.map(|part| part.widened().0).collect();
            // What can't be had shows when it is read.
            tree.chunks.load(&tree.reader, &whole);
            let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            ahead.busy = false;
            let due = ahead.due(self.len);
            drop(ahead);
            if let Some(range) = due {
                self.decode(range);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is read on end is decoded ahead, once each byte; one that is read
    /// here and there is not.
    #[test]
    fn reading_on_is_noticed() {
        let (step, len) = (64 << 10, 40 << 20);
        let mut ahead = Ahead::default();
        let mut covered = 0;
        for offset in (0..len).step_by(64 << 10) {
            if let Some((from, more)) = ahead.note(offset, step, len) {
                assert!(covered == 0 || from == covered, "no gap and no overlap");
                assert!(from >= offset + step && more <= AHEAD_BYTES);
                assert!(from < offset + step + HORIZON_BYTES, "not too far");
                covered = from + more;
            }
            ahead.busy = false;
            assert!(offset < RUN_BYTES || covered >= (offset + 2 * step).min(len));
        }
        assert_eq!(covered, len);

        let mut ahead = Ahead::default();
        for n in 0..100_u64 {
            // Each at least 7 MiB away from the one before.
            let offset = (n * 7 % 37) << 20;
            assert!(ahead.note(offset, 4096, len).is_none());
        }
    }

    /// What is decoded goes on as far as it should without another read, and no further.
    #[test]
    fn two_windows_are_ahead() {
        let len = 64 << 20;
        let mut ahead = Ahead::default();
        let first = ahead.note(0, RUN_BYTES, len);
        assert_eq!(first, Some((RUN_BYTES, AHEAD_BYTES)));
        ahead.busy = false;
        let second = (RUN_BYTES + AHEAD_BYTES, AHEAD_BYTES);
        assert_eq!(ahead.due(len), Some(second));
        ahead.busy = false;
        assert_eq!(ahead.due(len), None);
    }

    /// Nothing more is begun while something is being decoded ahead.
    #[test]
    fn one_at_a_time() {
        let mut ahead = Ahead::default();
        assert!(ahead.note(0, RUN_BYTES, 64 << 20).is_some());
        assert!(ahead.note(RUN_BYTES, RUN_BYTES, 64 << 20).is_none());
        ahead.busy = false;
        assert!(ahead.note(2 * RUN_BYTES, RUN_BYTES, 64 << 20).is_some());
    }
}
