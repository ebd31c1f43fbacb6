//! Standard input that an interrupt can end.
//!
//! A read of a pipe that nobody writes to does not return, whatever signal
//! arrives. So a thread of its own waits for standard input, and whoever reads
//! waits for that thread or for the interrupt, whichever comes first.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// What a pipe is asked to hold; who may not have so much keeps what there is.
const PIPE_BYTES: usize = 1 << 20;
/// What is read at a time.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_QUEUED: usize = 4;

enum Message {
    /// What was read. Empty: the end.
    Piece(io::Result<Vec<u8>>),
    Interrupted,
}

/// Reads standard input, from the first call of `read` on.
pub(crate) struct Stdin {
    queue: Receiver<Message>,
    /// Given to the thread when it starts.
    sender: Option<SyncSender<Message>>,
    interrupted: Arc<AtomicBool>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
}

/// Ends the reading.
pub(crate) struct Interrupter {
    sender: SyncSender<Message>,
    interrupted: Arc<AtomicBool>,
}

/// Standard input, and what ends its reading.
pub(crate) fn interruptible() -> (Stdin, Interrupter) {
    let (sender, queue) = sync_channel(PIECES_QUEUED);
    let flag = Arc::new(AtomicBool::new(false));
    let interrupter = Interrupter {
        sender: sender.clone(),
        interrupted: Arc::clone(&flag),
    };
    let stdin = Stdin {
        queue,
        sender: Some(sender),
        interrupted: flag,
        piece: io::Cursor::default(),
        ended: false,
    };
    (stdin, interrupter)
}

impl Interrupter {
    /// Lets the next read fail, and the one that waits now.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        // Where the queue is full nobody waits, and the next read sees the flag.
        let _ = self.sender.try_send(Message::Interrupted);
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(sender) = self.sender.take() {
            thread::spawn(move || pump(&sender));
        }
        loop {
            // Not of the kind `Interrupted`, which callers take for "try again".
            if self.interrupted.load(Ordering::SeqCst) {
                return Err(io::Error::other("interrupted"));
            }
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.ended {
                return Ok(read);
            }
            match self.queue.recv() {
                Ok(Message::Piece(piece)) => {
                    self.piece = io::Cursor::new(piece?);
                    self.ended = self.piece.get_ref().is_empty();
                }
                Ok(Message::Interrupted) => {}
                // The thread ends after the end or an error, which were told.
                Err(_) => self.ended = true,
            }
        }
    }
}

/// Hands on what standard input gives, until its end or an error.
fn pump(sender: &SyncSender<Message>) {
    let mut stdin = io::stdin().lock();
    // The fewer turns the two sides take, the faster. It fails where this is no
    // pipe, or the system grants no more, and then costs only time.
    let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE_BYTES);
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match stdin.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let more = matches!(read, Ok(1..));
        let piece = read.map(|len| {
            piece.truncate(len);
            piece
        });
        if sender.send(Message::Piece(piece)).is_err() || !more {
            return;
        }
    }
}
