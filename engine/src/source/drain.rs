//! Reads a command's standard error so that the command never waits for us.
//!
//! The thread holds one buffer, one line and the last bytes, whatever the
//! command writes: a line that is longer than the buffer is handed on in pieces.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::ChildStderr;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of the end is kept for an error, and the longest piece of a line.
pub(super) const TAIL_BYTES_MAX: usize = 8 * 1024;

/// How long to wait for the end of the output once the command has ended.
///
/// What it left running may hold the pipe open for hours, as the master of a
/// shared ssh connection does; nothing of that belongs to the dump.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// Takes each line of a command's standard error, without its line feed.
pub type LineHandler = Box<dyn FnMut(&[u8]) + Send>;

/// The thread that reads, and what it has kept.
#[derive(Debug)]
pub(super) struct Drain {
    tail: Arc<Mutex<VecDeque<u8>>>,
    done: Receiver<()>,
}

impl Drain {
    pub(super) fn start(stderr: ChildStderr, on_line: LineHandler) -> io::Result<Self> {
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_BYTES_MAX)));
        let (sender, done) = mpsc::channel::<()>();
        let kept = Arc::clone(&tail);
        thread::Builder::new()
            .name("dump-stderr".into())
            .spawn(move || {
                read_all(stderr, on_line, &kept);
                drop(sender);
            })?;
        Ok(Self { tail, done })
    }

    /// The last bytes, after the command has ended.
    pub(super) fn finish(&self) -> Vec<u8> {
        // The thread never sends: it hangs up, or the limit passes.
        let _ = self.done.recv_timeout(LAST_WORDS_LIMIT);
        self.tail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

fn read_all(mut stderr: ChildStderr, mut on_line: LineHandler, tail: &Mutex<VecDeque<u8>>) {
    let mut buffer = [0; TAIL_BYTES_MAX];
    let mut line = Vec::new();
    loop {
        let bytes = match stderr.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            let surplus = (tail.len() + bytes.len()).saturating_sub(TAIL_BYTES_MAX);
            tail.drain(..surplus);
            tail.extend(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") {
                on_line(&line[..line.len() - 1]);
                line.clear();
            } else if line.len() >= TAIL_BYTES_MAX {
                on_line(&line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        on_line(&line);
    }
}
