//! How a file's bytes get where they are to stand: the one way for whole files
//! and for files with holes, for the first try and for the next.
//!
//! A file is a range of a stream, and that is a sequence of parts. Each part is
//! kept if it stands there and is right, written if it can be read, and a hole
//! of zeros otherwise. What stands there is right if it has the chunk's id, or,
//! where the file has only a part of the chunk, the bytes of that.

use std::io::Write;

use indelible_format::node::PlacedRoot;
use indelible_format::page::{Content, TreeEntry};
use indelible_format::places::Place;

use super::hole::{Hole, Tally, is_lasting};
use super::{Restore, RestoreError, check};
use crate::cancel::Cancel;
use crate::progress::Phase;
use crate::read::{Part, ReadError};
use crate::store::ReadStore;
use crate::target::{StandingFile, TargetError, TargetFile};

/// How much of a stream is fetched and decoded at once, bytes.
const WINDOW_BYTES: u64 = 16 << 20;
/// How many zeros are written to a stream at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Takes the bytes of one file.
pub(super) trait Sink {
    /// Whether the `len` bytes at an offset stand there already and are right, as
    /// far as `is` can tell.
    fn holds(
        &mut self,
        offset: u64,
        len: usize,
        is: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, RestoreError>;

    /// Writes bytes. Offsets ascend, unless something was held in between.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), RestoreError>;

    /// Makes a range zeros.
    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError>;
}

/// A file that is being written.
pub(super) struct FileSink<'f>(pub(super) &'f mut TargetFile);

impl Sink for FileSink<'_> {
    fn holds(
        &mut self,
        offset: u64,
        len: usize,
        is: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, RestoreError> {
        Ok(self.0.holds(offset, len, is))
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        Ok(self.0.write_at(offset, bytes)?)
    }

    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError> {
        Ok(self.0.hole(offset, len)?)
    }
}

/// A finished file that is to be the same, or else is in the way.
pub(super) struct StandingSink<'f>(pub(super) &'f StandingFile);

impl StandingSink<'_> {
    fn differs(&self) -> RestoreError {
        let path = self.0.path().clone();
        TargetError::Exists { path }.into()
    }
}

impl Sink for StandingSink<'_> {
    fn holds(
        &mut self,
        offset: u64,
        len: usize,
        is: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, RestoreError> {
        if self.0.holds(offset, len, is) {
            Ok(true)
        } else {
            Err(self.differs())
        }
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), RestoreError> {
        Err(self.differs())
    }

    fn hole(&mut self, _: u64, _: u64) -> Result<(), RestoreError> {
        Err(self.differs())
    }
}

/// A stream, which has nothing yet.
pub(super) struct WriterSink<'w> {
    pub(super) out: &'w mut dyn Write,
    pub(super) cancel: &'w Cancel,
}

impl Sink for WriterSink<'_> {
    fn holds(&mut self, _: u64, _: usize, _: &dyn Fn(&[u8]) -> bool) -> Result<bool, RestoreError> {
        Ok(false)
    }

    fn write(&mut self, _: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        self.out.write_all(bytes).map_err(RestoreError::Output)
    }

    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError> {
        let mut left = len;
        while left > 0 {
            check(self.cancel)?;
            let zeros = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write(offset, &ZEROS[..zeros])?;
            left -= zeros as u64;
        }
        Ok(())
    }
}

impl<S: ReadStore + ?Sized> Restore<'_, S> {
    /// Hands an entry's content on, in order.
    pub(super) fn copy(
        &self,
        entry: &TreeEntry,
        place: Option<Place>,
        sink: &mut dyn Sink,
        tally: &mut Tally<'_>,
    ) -> Result<(), RestoreError> {
        let content = entry.content().copied().unwrap_or(Content::Empty);
        let (root, offset) = match content {
            Content::Empty => return Ok(()),
            Content::Small { offset, .. } => (self.snapshot.manifest.small, offset),
            Content::Own(root) => (place.map(|place| PlacedRoot { root, place }), 0),
        };
        // What its stream can't hold is not begun, unless it is to be salvaged.
        let fits = |root: &PlacedRoot| {
            let end = offset.checked_add(content.len());
            self.tell.is_some() || end.is_some_and(|end| end <= root.root.len)
        };
        let Some(root) = root.filter(fits) else {
            return self.lose(entry, 0, content.len(), ReadError::BeyondEnd, sink, tally);
        };
        let mut walk = self.reader.walk(&root, offset, content.len());
        let mut at = 0;
        loop {
            self.check_cancel()?;
            let window = walk.window(WINDOW_BYTES);
            if window.is_empty() {
                return Ok(());
            }
            at = self.copy_window(entry, at, window, sink, tally)?;
        }
    }

    /// Hands a window on that begins at an offset in the file, and gives where it
    /// ends.
    fn copy_window(
        &self,
        entry: &TreeEntry,
        mut at: u64,
        window: Vec<Part>,
        sink: &mut dyn Sink,
        tally: &mut Tally<'_>,
    ) -> Result<u64, RestoreError> {
        let mut wanted = Vec::with_capacity(window.len());
        let mut offsets = Vec::with_capacity(window.len());
        for part in window {
            let (offset, len) = (at, part.len);
            at += len;
            if let Some((item, _)) = part.whole_chunk() {
                let is = |bytes: &[u8]| self.reader.is_chunk(&item.id, bytes);
                if sink.holds(offset, chunk_len(len), &is)? {
                    tally.restored.kept_bytes += len;
                    self.progress.advance(Phase::Restoring, len);
                    continue;
                }
            }
            wanted.push(part);
            offsets.push(offset);
        }
        let parts = self.reader.parts(&wanted);
        for ((part, offset), bytes) in wanted.iter().zip(offsets).zip(parts) {
            self.check_cancel()?;
            match bytes {
                Ok(bytes) => {
                    let whole = part.whole_chunk().is_some();
                    if !whole && sink.holds(offset, bytes.len(), &|there| there == bytes)? {
                        tally.restored.kept_bytes += part.len;
                    } else {
                        sink.write(offset, &bytes)?;
                        tally.restored.bytes += part.len;
                    }
                }
                Err(cause) => self.lose(entry, offset, part.len, cause, sink, tally)?,
            }
            self.progress.advance(Phase::Restoring, part.len);
        }
        Ok(at)
    }

    /// Makes a hole of what can't be read, or ends the restore.
    fn lose(
        &self,
        entry: &TreeEntry,
        offset: u64,
        len: u64,
        cause: ReadError,
        sink: &mut dyn Sink,
        tally: &mut Tally<'_>,
    ) -> Result<(), RestoreError> {
        let path = entry.path.clone();
        if self.tell.is_none() || !is_lasting(&cause) {
            return Err(RestoreError::Read {
                path: Some(path),
                source: cause,
            });
        }
        sink.hole(offset, len)?;
        tally.tell(Hole::Bytes {
            path,
            offset,
            len,
            cause,
        });
        Ok(())
    }
}

fn chunk_len(len: u64) -> usize {
    usize::try_from(len).expect("a chunk is at most 1 MiB")
}
