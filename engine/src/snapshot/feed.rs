//! Reads a stream ahead of its cutting, into buffers that go round.
//!
//! One thread reads, one cuts, and the caller stores: each has a buffer at a time,
//! so reading a disk or waiting for a dump tool costs no core its work, and who is
//! fastest waits. The buffers are ours: a file that changes while it is read
//! changes what is stored, and can't make a chunk stand under another content's id.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::cutter::{Cut, Cutter};

/// How much is read at a time, bytes.
pub(super) const BATCH_BYTES: usize = 8 << 20;
/// Buffers that go round.
const BUFFERS: usize = 3;

/// Bytes of a stream.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Room in front for what was left of the buffer before.
    room: usize,
    from: usize,
    to: usize,
}

impl Buffer {
    pub(super) fn new(room: usize) -> Self {
        Self {
            bytes: vec![0; room + BATCH_BYTES],
            room,
            from: room,
            to: room,
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// Empties it, and puts `head` at its front, followed by what the reader gives,
    /// until it is full or the reader ends. Says how much was read, and whether
    /// that is the end.
    pub(super) fn fill(&mut self, head: &[u8], reader: &mut dyn Read) -> io::Result<(usize, bool)> {
        (self.from, self.to) = (self.room, self.room + head.len());
        self.bytes[self.from..self.to].copy_from_slice(head);
        let before = self.to;
        while self.to < self.bytes.len() {
            match reader.read(&mut self.bytes[self.to..]) {
                Ok(0) => return Ok((self.to - before, true)),
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.to - before, false))
    }

    fn prepend(&mut self, tail: &[u8]) {
        self.from -= tail.len();
        self.bytes[self.from..self.from + tail.len()].copy_from_slice(tail);
    }
}

/// A filled buffer, and whether the stream ends with it.
type Filled<E> = Result<(Buffer, bool), E>;
/// A buffer with its chunks.
type Chunked<E> = Result<(Buffer, Vec<Cut>), E>;

/// Fills, cuts and takes buffers until the stream ends or one of the three fails.
/// `filled` is the first. Gives the buffers back.
///
/// `stop` is called when taking fails, and ends a reader that may wait for ever.
pub(super) fn flow<E: Send>(
    filled: Buffer,
    mut spare: Vec<Buffer>,
    mut cutter: Cutter<'_, '_>,
    fill: impl FnMut(&mut Buffer) -> Result<bool, E> + Send,
    mut take: impl FnMut(&Buffer, &[Cut]) -> Result<(), E>,
    stop: &dyn Fn(),
) -> Result<Vec<Buffer>, E> {
    let room = filled.room;
    spare.resize_with(BUFFERS - 1, || Buffer::new(room));
    let (empty, empties) = sync_channel(BUFFERS);
    for buffer in spare {
        empty.send(buffer).expect("the receiver is here");
    }
    let (read, buffers) = sync_channel(BUFFERS);
    read.send(Ok((filled, false)))
        .expect("the receiver is here");
    let (cut, cuts) = sync_channel(1);
    // Who is left waiting for a buffer when this ends learns it from the other end:
    // the channels go with the closure, before the threads are waited for.
    thread::scope(move |scope| {
        scope.spawn(move || feed(&empties, &read, fill));
        scope.spawn(move || chunk(buffers, &cut, &mut cutter));
        let mut done = Vec::new();
        for chunked in cuts {
            let taken = chunked.and_then(|(buffer, cuts)| {
                take(&buffer, &cuts)?;
                Ok(buffer)
            });
            match taken {
                // At the end nobody takes it any more.
                Ok(buffer) => done.extend(empty.send(buffer).err().map(|back| back.0)),
                Err(error) => {
                    stop();
                    return Err(error);
                }
            }
        }
        Ok(done)
    })
}

/// Fills buffers until the stream ends.
fn feed<E>(
    empties: &Receiver<Buffer>,
    read: &SyncSender<Filled<E>>,
    mut fill: impl FnMut(&mut Buffer) -> Result<bool, E>,
) {
    for mut buffer in empties {
        let ended = fill(&mut buffer);
        let last = !matches!(ended, Ok(false));
        if read.send(ended.map(|ended| (buffer, ended))).is_err() || last {
            return;
        }
    }
}

/// Cuts buffers, and moves what is not decided to the next.
fn chunk<E>(
    buffers: Receiver<Filled<E>>,
    cut: &SyncSender<Chunked<E>>,
    cutter: &mut Cutter<'_, '_>,
) {
    let mut tail = Vec::new();
    for filled in buffers {
        let chunked = filled.map(|(mut buffer, ended)| {
            buffer.prepend(&tail);
            let cuts = cutter.cut(buffer.content(), ended);
            let used = cuts.last().map_or(0, |cut| cut.at.end);
            tail.clear();
            tail.extend_from_slice(&buffer.content()[used..]);
            (buffer, cuts)
        });
        if cut.send(chunked).is_err() {
            return;
        }
    }
}
