//! Speaks for a store with one client (SPEC 16).
//!
//! One thread reads requests, few answer them. So a client has several under way, and
//! the server holds one frame for each of these threads and one more. Why that is safe:
//! a request is read only when a thread is free for the one before, answers are written
//! whole, and whatever is no request, or comes out of turn, is the last that is read.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use indelible_format::limits::{SERVED_ITEMS_MAX, SERVED_PATH_BYTES_MAX};
use indelible_format::protocol::{
    Answer, Area, Fault, Item, Outcome, PageEnd, Reason, Request, shortened,
};
use indelible_format::wire::LayoutError;

use crate::store::wire::{area_of, fault_of, key_of, object_of, read_frame};
use crate::store::{AppendStore, Listed, ObjectKey, PutOutcome, StoreError};

/// Requests that are answered at once.
const THREADS: usize = 3;

/// Why a session did not end as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The client said something that is no request.
    #[error("the client sent what is no request")]
    Malformed(#[source] LayoutError),
    /// The client did not begin with a hello, or said it again.
    #[error("the client did not say hello once, and first")]
    Hello,
    /// Numbers of requests do not ascend.
    #[error("the client numbers its requests wrongly")]
    Number,
    /// The connection was cut in the middle of a request.
    #[error("the connection to the client failed")]
    Lost(#[source] io::Error),
}

/// Answers a client's requests until it hangs up.
///
/// # Errors
///
/// [`SessionError`]. The client was told, and what it had asked for before was done.
pub fn session(
    store: &dyn AppendStore,
    input: &mut (dyn Read + Send),
    output: &mut (dyn Write + Send),
) -> Result<(), SessionError> {
    let serving = Serving {
        store,
        output: Mutex::new(output),
        is_gone: AtomicBool::new(false),
        listing: Mutex::new(None),
    };
    // Holds none: a frame is taken by a thread that is free.
    let (queue, frames) = sync_channel(0);
    let frames = Mutex::new(frames);
    let ended = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| serving.answer_all(&frames));
        }
        let ended = serving.take_requests(input, &queue);
        // Which ends the threads, once they have answered what they have.
        drop(queue);
        ended
    });
    if let Err(error) = &ended
        && !matches!(error, SessionError::Lost(_))
    {
        let fault = Fault::new(Reason::Malformed, &error.to_string());
        serving.say(0, &Answer::Fault(fault));
    }
    ended
}

/// A listing, whose pages are asked for one by one.
struct Listing {
    area: Area,
    /// Ascending.
    items: Vec<(Item, u64)>,
    /// Why it is not whole.
    fault: Option<Fault>,
}

/// One session.
struct Serving<'a> {
    store: &'a dyn AppendStore,
    output: Mutex<&'a mut (dyn Write + Send)>,
    /// Nobody reads the answers any more.
    is_gone: AtomicBool,
    listing: Mutex<Option<Listing>>,
}

impl Serving<'_> {
    /// Reads requests, and hands them to the threads.
    fn take_requests(
        &self,
        mut input: &mut (dyn Read + Send),
        queue: &SyncSender<Vec<u8>>,
    ) -> Result<(), SessionError> {
        let mut last = None;
        while !self.is_gone.load(Ordering::Relaxed) {
            let Some(frame) = read_frame(&mut input).map_err(SessionError::Lost)? else {
                break;
            };
            let frame = frame.map_err(SessionError::Malformed)?;
            let (number, request) = Request::decode(&frame).map_err(SessionError::Malformed)?;
            if matches!(request, Request::Hello) != last.is_none() {
                return Err(SessionError::Hello);
            }
            if last.is_some_and(|last| number <= last) {
                return Err(SessionError::Number);
            }
            last = Some(number);
            if queue.send(frame).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn answer_all(&self, frames: &Mutex<Receiver<Vec<u8>>>) {
        loop {
            let next = lock(frames).recv();
            let Ok(frame) = next else {
                return;
            };
            let (number, request) = Request::decode(&frame).expect("it was decoded before");
            self.answer(number, request);
        }
    }

    fn say(&self, number: u64, answer: &Answer<'_>) {
        let (head, bytes) = answer.frame_in_two(number);
        let mut output = lock(&self.output);
        let said = output.write_all(&head);
        let said = said.and_then(|()| output.write_all(bytes));
        if said.and_then(|()| output.flush()).is_err() {
            self.is_gone.store(true, Ordering::Relaxed);
        }
    }

    fn answer(&self, number: u64, request: Request<'_>) {
        let mut read = Vec::new();
        let answer = match request {
            Request::Hello => {
                let can = self.store.capabilities();
                Ok(Answer::Welcome {
                    conditional_create: can.conditional_create,
                    locks: can.locks,
                })
            }
            Request::Prepare => self.store.prepare().map(|()| Answer::Done),
            Request::Put { object, bytes } => {
                let outcome = self.store.put_new(&key_of(&object), bytes);
                outcome.map(|outcome| Answer::Put(said(&outcome)))
            }
            Request::Read {
                object,
                offset,
                len,
            } => self
                .read(&key_of(&object), offset, len)
                .map(|(size, bytes)| {
                    read = bytes;
                    Answer::Bytes { size, bytes: &read }
                }),
            Request::List { area, after } => Ok(self.page(area, after.as_ref())),
            Request::Extend { object, until_ms } => self.extend(&key_of(&object), until_ms),
            Request::Locked { object } => self.locked(&key_of(&object)),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Fault(fault_of(&error)));
        self.say(number, &answer);
    }

    /// Extends a lock, and says how long it is now.
    fn extend(&self, key: &ObjectKey, until_ms: u64) -> Result<Answer<'static>, StoreError> {
        let version = self.store.version_that_counts(key)?;
        match self.store.extend_lock(key, &version.id, until_ms) {
            Ok(()) => Ok(Answer::Locked {
                until_ms: Some(until_ms),
            }),
            Err(StoreError::WouldShorten {
                locked_until_ms, ..
            }) => Ok(Answer::Locked {
                until_ms: Some(locked_until_ms),
            }),
            Err(error) => Err(error),
        }
    }

    fn locked(&self, key: &ObjectKey) -> Result<Answer<'static>, StoreError> {
        let version = self.store.version_that_counts(key)?;
        let until_ms = self.store.locked_until(key, &version.id)?;
        Ok(Answer::Locked { until_ms })
    }

    /// The size of an object, and what exists of a range. Of a log entry the oldest
    /// version counts.
    fn read(&self, key: &ObjectKey, offset: u64, len: u32) -> Result<(u64, Vec<u8>), StoreError> {
        if matches!(key, ObjectKey::Log(_)) && self.store.capabilities().versions {
            let versions = self.store.versions(key)?;
            let oldest = versions.first().ok_or(StoreError::NotFound { key: *key })?;
            let end = offset.saturating_add(len.into()).min(oldest.size_bytes);
            let mut bytes = self.store.read_version(key, &oldest.id, end)?;
            let start = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            bytes.drain(..start);
            return Ok((oldest.size_bytes, bytes));
        }
        let size = self.store.size(key)?;
        let len = size.saturating_sub(offset).min(len.into());
        if len == 0 {
            return Ok((size, Vec::new()));
        }
        Ok((size, self.store.read_range(key, offset, len)?))
    }

    /// A page of a listing. It is made when its first page is asked for, and kept for
    /// the others.
    fn page(&self, area: Area, after: Option<&Item>) -> Answer<'static> {
        let mut kept = lock(&self.listing);
        let listing = match kept.take() {
            Some(listing) if after.is_some() && listing.area == area => listing,
            _ => self.list(area),
        };
        let first = after.map_or(0, |after| {
            listing.items.partition_point(|(item, _)| item <= after)
        });
        let rest = &listing.items[first..];
        let items = rest[..rest.len().min(SERVED_ITEMS_MAX)].to_vec();
        let end = if items.len() < rest.len() {
            PageEnd::More
        } else {
            let fault = listing.fault.clone();
            fault.map_or(PageEnd::Complete, PageEnd::Incomplete)
        };
        if end == PageEnd::More {
            *kept = Some(listing);
        }
        Answer::Page { items, end }
    }

    fn list(&self, area: Area) -> Listing {
        let mut items = Vec::new();
        let listed = self.store.list(area_of(area), &mut |listed| match listed {
            Listed::Object { key, size_bytes } => {
                items.push((Item::Object(object_of(&key)), size_bytes));
            }
            Listed::Foreign { path } => {
                let path = shortened(path, SERVED_PATH_BYTES_MAX);
                items.push((Item::Foreign(path), 0));
            }
            Listed::Covered { .. } => {}
        });
        items.sort();
        // Long names may be the same where they are cut.
        items.dedup_by(|a, b| a.0 == b.0);
        Listing {
            area,
            items,
            fault: listed.err().map(|error| fault_of(&error)),
        }
    }
}

fn said(outcome: &PutOutcome) -> Outcome {
    match outcome {
        PutOutcome::Created => Outcome::Created,
        PutOutcome::AlreadySame => Outcome::AlreadySame,
        PutOutcome::Conflict => Outcome::Conflict,
        PutOutcome::Indeterminate { cause } => Outcome::Indeterminate(fault_of(cause)),
    }
}

/// Locks what a panicking thread leaves whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
