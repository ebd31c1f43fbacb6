//! A store behind a server, over any stream of bytes in each direction (SPEC 16).
//!
//! Any number of threads have requests under way; one thread reads the answers and
//! hands each to who waits for it. Why it is safe:
//!
//! - The server is believed no more than any store: lengths are bounded before
//!   memory is taken, an answer longer than what was asked for is none, and whoever
//!   reads compares bytes with their hash.
//! - An answer that fits no request ends the connection. Once it is lost, nothing is
//!   sent any more: what was put and not answered is
//!   [`PutOutcome::Indeterminate`], and every other call fails.
//! - A put that fails without that was answered, or never sent.
//!
//! It does not connect again. Dropping the store closes the stream to the server.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use indelible_format::limits::SERVED_READ_BYTES_MAX;
use indelible_format::protocol::{Answer, Item, OBJECT_BYTES_MAX, Outcome, PageEnd, Request};
use indelible_format::wire::LayoutError;

use super::probe::{self, Attempt, ProbeTerms};
use super::wire::{error_of, key_of, object_of, read_frame, served_area};
use super::{
    AppendStore, Area, Capabilities, Listed, ObjectKey, PutOutcome, ReadStore, StoreError, Version,
    VersionId, only_version, read_only_version,
};

/// Why a server can't be talked to any more.
#[derive(Debug, Clone, thiserror::Error)]
enum Lost {
    #[error("the connection has ended")]
    Ended,
    #[error("the connection failed: {0}")]
    Broken(Arc<io::Error>),
    #[error("the server's answer can't be read: {0}")]
    Unreadable(#[from] LayoutError),
    #[error("the server's answer fits no request")]
    Unasked,
}

/// Those who wait for an answer, by the number of their request.
struct Waiting {
    next: u64,
    threads: BTreeMap<u64, SyncSender<Vec<u8>>>,
    lost: Option<Lost>,
}

/// A store behind a server.
pub struct RemoteStore {
    location: String,
    output: Mutex<Box<dyn Write + Send>>,
    waiting: Arc<Mutex<Waiting>>,
    conditional_create: bool,
    locks: bool,
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl RemoteStore {
    /// Greets the server at the other end of the two streams. `location` is for
    /// messages.
    ///
    /// # Errors
    ///
    /// What the server answered, or [`StoreError::Unreachable`] if it is none.
    pub fn connect(
        mut input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        location: String,
    ) -> Result<Self, StoreError> {
        let mut output: Box<dyn Write + Send> = Box::new(output);
        let unreachable = |lost: Lost| unreachable(&location, lost);
        let sent = output.write_all(&Request::Hello.frame(0));
        sent.and_then(|()| output.flush())
            .map_err(|error| unreachable(Lost::Broken(Arc::new(error))))?;
        let frame = next_frame(&mut input).map_err(&unreachable)?;
        let answer = Answer::decode(&frame).map_err(|error| unreachable(error.into()))?;
        let (conditional_create, locks) = match answer {
            (
                0,
                Answer::Welcome {
                    conditional_create,
                    locks,
                },
            ) => (conditional_create, locks),
            (_, Answer::Fault(fault)) => return Err(error_of(&fault, None, &location)),
            _ => return Err(unreachable(Lost::Unasked)),
        };
        let waiting = Arc::new(Mutex::new(Waiting {
            next: 1,
            threads: BTreeMap::new(),
            lost: None,
        }));
        let answers = Arc::clone(&waiting);
        thread::spawn(move || hand_out(&mut input, &answers));
        Ok(Self {
            location,
            output: Mutex::new(output),
            waiting,
            conditional_create,
            locks,
        })
    }

    fn unreachable(&self, lost: Lost) -> StoreError {
        unreachable(&self.location, lost)
    }

    /// Sends a request. Nothing of it was sent if this fails with false.
    fn send(&self, request: &Request<'_>) -> Result<Receiver<Vec<u8>>, (bool, Lost)> {
        // Held while the number is taken, so that numbers ascend.
        let mut output = lock(&self.output);
        let (sender, receiver) = sync_channel(1);
        let number = {
            let mut waiting = lock(&self.waiting);
            if let Some(lost) = &waiting.lost {
                return Err((false, lost.clone()));
            }
            let number = waiting.next;
            waiting.next += 1;
            waiting.threads.insert(number, sender);
            number
        };
        let (head, bytes) = request.frame_in_two(number);
        let sent = output.write_all(&head);
        let sent = sent.and_then(|()| output.write_all(bytes));
        match sent.and_then(|()| output.flush()) {
            Ok(()) => Ok(receiver),
            Err(error) => {
                let lost = Lost::Broken(Arc::new(error));
                lose(&self.waiting, lost.clone());
                Err((true, lost))
            }
        }
    }

    /// The answer to a request that was sent.
    fn await_answer(&self, receiver: &Receiver<Vec<u8>>) -> Result<Vec<u8>, Lost> {
        receiver
            .recv()
            .map_err(|_| lock(&self.waiting).lost.clone().unwrap_or(Lost::Ended))
    }

    /// Asks for something that creates no object.
    fn ask(&self, request: &Request<'_>) -> Result<Vec<u8>, StoreError> {
        let sent = self.send(request).map_err(|(_, lost)| lost);
        let answer = sent.and_then(|receiver| self.await_answer(&receiver));
        answer.map_err(|lost| self.unreachable(lost))
    }

    /// What an answer says that is none to what was asked.
    fn failure(&self, frame: &[u8], key: Option<&ObjectKey>) -> StoreError {
        match Answer::decode(frame) {
            Ok((_, Answer::Fault(fault))) => error_of(&fault, key, &self.location),
            Ok(_) => self.unreachable(Lost::Unasked),
            Err(error) => self.unreachable(error.into()),
        }
    }

    /// Size of an object, with what exists of a range that one answer can hold, which
    /// is added to `into`.
    fn read_piece(
        &self,
        key: &ObjectKey,
        offset: u64,
        len: u64,
        into: &mut Vec<u8>,
    ) -> Result<u64, StoreError> {
        if !key.is_nameable() {
            return Err(StoreError::NotFound { key: *key });
        }
        let len =
            u32::try_from(len).map_or(SERVED_READ_BYTES_MAX, |len| len.min(SERVED_READ_BYTES_MAX));
        let frame = self.ask(&Request::Read {
            object: object_of(key),
            offset,
            len,
        })?;
        match Answer::decode(&frame) {
            Ok((_, Answer::Bytes { size, bytes }))
                if bytes.len() as u64 == size.saturating_sub(offset).min(len.into()) =>
            {
                into.extend_from_slice(bytes);
                Ok(size)
            }
            _ => Err(self.failure(&frame, Some(key))),
        }
    }

    /// Reads what exists of a range, piece by piece, if `wanted` of the object's size
    /// says so. Gives the size too.
    fn read_pieces(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
        wanted: impl Fn(u64) -> Result<(), StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        loop {
            let had = bytes.len() as u64;
            let at = offset.saturating_add(had);
            let size = self.read_piece(key, at, len_bytes - had, &mut bytes)?;
            wanted(size)?;
            let read = bytes.len() as u64;
            if read == len_bytes || at.saturating_add(read - had) >= size {
                return Ok(bytes);
            }
        }
    }

    /// Until when an object is locked, as a server's answer has it.
    fn lock_of(&self, key: &ObjectKey, request: &Request<'_>) -> Result<Option<u64>, StoreError> {
        let frame = self.ask(request)?;
        match Answer::decode(&frame) {
            Ok((_, Answer::Locked { until_ms })) => Ok(until_ms),
            _ => Err(self.failure(&frame, Some(key))),
        }
    }
}

impl ReadStore for RemoteStore {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.read_pieces(key, 0, size_bytes_max, |actual| {
            if actual <= size_bytes_max {
                return Ok(());
            }
            Err(StoreError::TooLong {
                key: *key,
                limit: size_bytes_max,
                actual,
            })
        })
    }

    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.read_pieces(key, offset, len_bytes, |size| {
            let actual = size.saturating_sub(offset);
            if actual >= len_bytes {
                return Ok(());
            }
            Err(StoreError::ShortRead {
                key: *key,
                offset,
                wanted: len_bytes,
                actual,
            })
        })
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.read_pieces(key, 0, len_bytes_max, |_| Ok(()))
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.read_piece(key, 0, 0, &mut Vec::new())
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        let mut after: Option<Item> = None;
        loop {
            let frame = self.ask(&Request::List {
                area: served_area(area),
                after: after.clone(),
            })?;
            let Ok((_, Answer::Page { items, end })) = Answer::decode(&frame) else {
                return Err(self.failure(&frame, None));
            };
            // Without this a server could list the same for ever.
            if items
                .first()
                .is_some_and(|(first, _)| after.as_ref() >= Some(first))
            {
                return Err(self.unreachable(Lost::Unasked));
            }
            for (item, size_bytes) in items {
                let listed = match &item {
                    Item::Foreign(path) => Listed::Foreign { path: path.clone() },
                    Item::Object(object) => {
                        let key = key_of(object);
                        if !area.holds(&key) {
                            return Err(self.unreachable(Lost::Unasked));
                        }
                        Listed::Object { key, size_bytes }
                    }
                };
                each(listed);
                after = Some(item);
            }
            match end {
                PageEnd::More => {}
                PageEnd::Complete => return Ok(()),
                PageEnd::Incomplete(fault) => return Err(error_of(&fault, None, &self.location)),
            }
        }
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        only_version(self, key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        read_only_version(self, key, version, len_bytes_max)
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        if *version != VersionId::only() {
            return Err(StoreError::NotFound { key: *key });
        }
        if !self.locks {
            return Ok(None);
        }
        let object = object_of(key);
        self.lock_of(key, &Request::Locked { object })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            distant: true,
            versions: false,
            conditional_create: self.conditional_create,
            locks: self.locks,
            final_locks: false,
        }
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

impl AppendStore for RemoteStore {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        if let ObjectKey::Log(number) | ObjectKey::Bundle(number) = *key
            && !key.is_nameable()
        {
            return Err(StoreError::LogFull { number });
        }
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(StoreError::TooLong {
                key: *key,
                limit: OBJECT_BYTES_MAX as u64,
                actual: bytes.len() as u64,
            });
        }
        let unclear = |lost: Lost| PutOutcome::Indeterminate {
            cause: Box::new(self.unreachable(lost)),
        };
        let object = object_of(key);
        let receiver = match self.send(&Request::Put { object, bytes }) {
            Ok(receiver) => receiver,
            Err((true, lost)) => return Ok(unclear(lost)),
            Err((false, lost)) => return Err(self.unreachable(lost)),
        };
        let frame = match self.await_answer(&receiver) {
            Ok(frame) => frame,
            Err(lost) => return Ok(unclear(lost)),
        };
        Ok(match Answer::decode(&frame) {
            Ok((_, Answer::Put(Outcome::Created))) => PutOutcome::Created,
            Ok((_, Answer::Put(Outcome::AlreadySame))) => PutOutcome::AlreadySame,
            Ok((_, Answer::Put(Outcome::Conflict))) => PutOutcome::Conflict,
            Ok((_, Answer::Put(Outcome::Indeterminate(fault)))) => PutOutcome::Indeterminate {
                cause: Box::new(error_of(&fault, Some(key), &self.location)),
            },
            Ok((_, Answer::Fault(fault))) => {
                return Err(error_of(&fault, Some(key), &self.location));
            }
            Ok(_) => unclear(Lost::Unasked),
            Err(error) => unclear(error.into()),
        })
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let frame = self.ask(&Request::Prepare)?;
        match Answer::decode(&frame) {
            Ok((_, Answer::Done)) => Ok(()),
            _ => Err(self.failure(&frame, None)),
        }
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        if *version != VersionId::only() {
            return Err(StoreError::NotFound { key: *key });
        }
        if !self.locks {
            return Err(StoreError::LocksUnsupported {
                location: self.location.clone(),
            });
        }
        let object = object_of(key);
        match self.lock_of(key, &Request::Extend { object, until_ms })? {
            Some(end_ms) if end_ms == until_ms => Ok(()),
            Some(locked_until_ms) if locked_until_ms > until_ms => Err(StoreError::WouldShorten {
                key: *key,
                locked_until_ms,
            }),
            _ => Err(self.unreachable(Lost::Unasked)),
        }
    }

    fn probe(&self, terms: &ProbeTerms) -> Result<Vec<Attempt>, StoreError> {
        probe::of_served(self, terms)
    }
}

fn unreachable(location: &str, lost: Lost) -> StoreError {
    StoreError::Unreachable {
        location: location.to_owned(),
        source: Box::new(lost),
    }
}

/// Hands each answer to the thread that waits for it, until there are no more.
fn hand_out(input: &mut impl Read, waiting: &Mutex<Waiting>) {
    let lost = loop {
        let frame = match next_frame(input) {
            Ok(frame) => frame,
            Err(lost) => break lost,
        };
        let number = match Answer::decode(&frame) {
            Ok((number, _)) => number,
            Err(error) => break error.into(),
        };
        let Some(thread) = lock(waiting).threads.remove(&number) else {
            break Lost::Unasked;
        };
        // Its channel has room, and it may have given up only by panicking.
        let _ = thread.send(frame);
    };
    lose(waiting, lost);
}

fn next_frame(input: &mut impl Read) -> Result<Vec<u8>, Lost> {
    match read_frame(input) {
        Ok(Some(frame)) => Ok(frame?),
        Ok(None) => Err(Lost::Ended),
        Err(error) => Err(Lost::Broken(Arc::new(error))),
    }
}

/// Says to all who wait that there will be no answer, and to all who come.
fn lose(waiting: &Mutex<Waiting>, lost: Lost) {
    let mut waiting = lock(waiting);
    waiting.lost.get_or_insert(lost);
    waiting.threads.clear();
}

/// Locks what a panicking thread leaves whole: every change to it is one call.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
