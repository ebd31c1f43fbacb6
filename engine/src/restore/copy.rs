//! How a file's bytes get where they are to stand: the one way for whole files
//! and for files with holes, for the first try and for the next.
//!
//! A file is a range of a stream, and that is a sequence of parts. Each part is
//! kept if it stands there and is right, written if it can be read, and a hole
//! of zeros otherwise. What stands there is right if it has the chunk's id, or,
//! where the file has only a part of the chunk, the bytes of that.
//!
//! The work goes window by window, in three stages at once: a thread of its own
//! walks the tree, compares what stands there and waits for the store; all cores
//! decode what it fetched; and the thread that called writes, in order, what they
//! decoded before. No stage is more than a window ahead of the next, so memory
//! does not grow with the file, and what comes of it does not depend on which
//! stage is the slowest. A file's bytes are made durable meanwhile, by one more
//! thread, so that its end does not wait for all of them.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use indelible_format::node::PlacedRoot;
use indelible_format::page::{Content, TreeEntry};
use indelible_format::places::Place;

use super::content::{Sink, Standing};
use super::hole::{Hole, Tally, is_lasting};
use super::{Restore, RestoreError, check};
use crate::cancel::Cancel;
use crate::progress::Phase;
use crate::read::{Decoded, Fetched, ReadError, Reader, StreamWalk};
use crate::store::ReadStore;

/// How much of a stream is fetched and decoded at once, bytes.
const WINDOW_BYTES: u64 = 16 << 20;
/// After how many windows what was written is made durable.
const FLUSH_WINDOWS: usize = 4;

/// A part of a window.
enum Piece {
    /// It stands there already: so many bytes.
    Kept(u64),
    /// The next part of what is read.
    Read,
}

/// A window as it goes from stage to stage.
struct Window<P> {
    /// Where it begins in the file.
    offset: u64,
    pieces: Vec<Piece>,
    parts: P,
}

/// The first stage: windows that are fetched, in order.
struct Ahead<'a, 'r, S: ReadStore + ?Sized> {
    reader: &'a Reader<'r, S>,
    walk: StreamWalk<'a, 'r, S>,
    standing: &'a Standing,
    cancel: &'a Cancel,
    offset: u64,
}

impl<S: ReadStore + ?Sized> Iterator for Ahead<'_, '_, S> {
    type Item = Result<Window<Fetched>, RestoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(interrupted) = check(self.cancel) {
            return Some(Err(interrupted));
        }
        let window = self.walk.window(WINDOW_BYTES);
        let offset = self.offset;
        let mut pieces = Vec::with_capacity(window.len());
        let mut wanted = Vec::with_capacity(window.len());
        for part in window {
            let at = self.offset;
            self.offset += part.len;
            if let Some((item, _)) = part.whole_chunk() {
                let is = |bytes: &[u8]| self.reader.is_chunk(&item.id, bytes);
                match self.standing.holds(at, chunk_len(part.len), &is) {
                    Ok(true) => {
                        pieces.push(Piece::Kept(part.len));
                        continue;
                    }
                    Ok(false) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
            pieces.push(Piece::Read);
            wanted.push(part);
        }
        (!pieces.is_empty()).then(|| {
            Ok(Window {
                offset,
                pieces,
                parts: self.reader.fetch(wanted),
            })
        })
    }
}

/// The last stage: one file, and the account of what was done.
struct Copy<'c, 'a, 't, S: ReadStore + ?Sized> {
    restore: &'c Restore<'a, S>,
    entry: &'c TreeEntry,
    standing: &'c Standing,
    sink: &'c mut dyn Sink,
    tally: &'c mut Tally<'t>,
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
        let standing = &sink.standing();
        let mut copy = Copy {
            restore: self,
            entry,
            standing,
            sink,
            tally,
        };
        // What its stream can't hold is not begun, unless it is to be salvaged.
        let fits = |root: &PlacedRoot| {
            let end = offset.checked_add(content.len());
            self.tell.is_some() || end.is_some_and(|end| end <= root.root.len)
        };
        let Some(root) = root.filter(fits) else {
            return copy.lose(0, content.len(), ReadError::BeyondEnd);
        };
        let ahead = Ahead {
            reader: &self.reader,
            walk: self.reader.walk(&root, offset, content.len()),
            standing,
            cancel: self.cancel,
            offset: 0,
        };
        if content.len() <= WINDOW_BYTES {
            copy.one_by_one(ahead)
        } else {
            copy.overlapped(ahead)
        }
    }
}

impl<S: ReadStore + ?Sized> Copy<'_, '_, '_, S> {
    /// Copies a file of about a window.
    fn one_by_one(&mut self, ahead: Ahead<'_, '_, S>) -> Result<(), RestoreError> {
        for window in ahead {
            self.settle(decode(&self.restore.reader, window?))?;
        }
        Ok(())
    }

    /// Copies a file of many windows, in three stages at once.
    fn overlapped(&mut self, ahead: Ahead<'_, '_, S>) -> Result<(), RestoreError> {
        let flusher = self.sink.flusher();
        thread::scope(|scope| {
            let (queue, fetched) = sync_channel(0);
            scope.spawn(move || {
                for window in ahead {
                    let last = window.is_err();
                    // Nobody waits for the next one if the copy has failed.
                    if queue.send(window).is_err() || last {
                        break;
                    }
                }
            });
            let (due, dues) = sync_channel(1);
            let durable = scope.spawn(move || match flusher {
                Some(flusher) => dues.iter().try_for_each(|()| flusher.flush()),
                None => Ok(()),
            });
            let copied = self.drain(&fetched, &due);
            drop((fetched, due));
            let durable = durable.join().unwrap_or_else(|panic| resume_unwind(panic));
            copied.and(durable.map_err(RestoreError::from))
        })
    }

    /// Decodes what comes and writes what was decoded before.
    fn drain(
        &mut self,
        fetched: &Receiver<Result<Window<Fetched>, RestoreError>>,
        flush: &SyncSender<()>,
    ) -> Result<(), RestoreError> {
        let reader = &self.restore.reader;
        let mut written = 0;
        let mut decoded: Option<Window<Decoded>> = None;
        loop {
            // What is decoded does not wait for what is not fetched yet.
            let next = match decoded {
                None => fetched.recv().ok(),
                Some(_) => fetched.try_recv().ok(),
            };
            let (next, failed) = match next {
                Some(Err(error)) => (None, Some(error)),
                next => (next.and_then(Result::ok), None),
            };
            if next.is_none() && failed.is_none() && decoded.is_none() {
                return Ok(());
            }
            let (mut after, mut settled) = (None, Ok(()));
            rayon::in_place_scope(|scope| {
                if let Some(next) = next {
                    scope.spawn(|_| after = Some(decode(reader, next)));
                }
                if let Some(ready) = decoded.take() {
                    settled = self.settle(ready);
                }
            });
            settled?;
            if let Some(error) = failed {
                return Err(error);
            }
            decoded = after;
            written += 1;
            if written % FLUSH_WINDOWS == 0 {
                // If it is at work still, the next time comes. If it failed, that
                // is told at the end.
                let _ = flush.try_send(());
            }
        }
    }

    /// Hands a window on.
    fn settle(&mut self, window: Window<Decoded>) -> Result<(), RestoreError> {
        let mut at = window.offset;
        let mut parts = window.parts.parts();
        for piece in &window.pieces {
            let offset = at;
            let len = match piece {
                Piece::Kept(len) => {
                    self.tally.restored.kept_bytes += len;
                    *len
                }
                Piece::Read => {
                    check(self.restore.cancel)?;
                    let (part, bytes) = parts.next().expect("each was asked for");
                    let whole = part.whole_chunk().is_some();
                    match bytes {
                        Ok(bytes) => self.write(offset, bytes, whole)?,
                        Err(cause) => self.lose(offset, part.len, cause.clone())?,
                    }
                    part.len
                }
            };
            at += len;
            self.restore.progress.advance(Phase::Restoring, len);
        }
        drop(parts);
        self.restore.reader.recycle(window.parts);
        Ok(())
    }

    /// Writes bytes that are not there. Where the file has a whole chunk, that was
    /// looked at before it was read.
    fn write(&mut self, offset: u64, bytes: &[u8], whole: bool) -> Result<(), RestoreError> {
        let same = |there: &[u8]| there == bytes;
        if !whole && self.standing.holds(offset, bytes.len(), &same)? {
            self.tally.restored.kept_bytes += bytes.len() as u64;
        } else {
            self.sink.write(offset, bytes)?;
            self.tally.restored.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes a hole of what can't be read, or ends the restore.
    fn lose(&mut self, offset: u64, len: u64, cause: ReadError) -> Result<(), RestoreError> {
        let path = self.entry.path.clone();
        if self.restore.tell.is_none() || !is_lasting(&cause) {
            return Err(RestoreError::Read {
                path: Some(path),
                source: cause,
            });
        }
        self.sink.hole(offset, len)?;
        self.tally.tell(Hole::Bytes {
            path,
            offset,
            len,
            cause,
        });
        Ok(())
    }
}

/// The second stage.
fn decode<S: ReadStore + ?Sized>(
    reader: &Reader<'_, S>,
    window: Window<Fetched>,
) -> Window<Decoded> {
    Window {
        offset: window.offset,
        pieces: window.pieces,
        parts: reader.decode(window.parts),
    }
}

fn chunk_len(len: u64) -> usize {
    usize::try_from(len).expect("a chunk is at most 1 MiB")
}
