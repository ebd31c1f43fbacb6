//! What a client of a server may create: objects that are what their names say, and
//! entries of the log that count (SPEC 16.5).
//!
//! Why it is safe: the guard is a store itself, so who serves it can't go past it. An
//! entry is judged by [`Authority`] on the log as the store has it at that moment; if
//! another connection is faster, the store's exclusive creation decides, and the log is
//! read again. A name that is taken is left to the store, which compares.

use std::sync::{Arc, Mutex, PoisonError};

use indelible_format::authority::{Authority, GenesisError, Void};
use indelible_format::entry::Header;
use indelible_format::history::History;
use indelible_format::limits::LEAF_BYTES_MAX;
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::Frontier;
use indelible_format::rights::Kind;

use super::Quota;
use crate::env::Clock;
use crate::log::{self, LogError, Signed};
use crate::retention::DAY_MS;
use crate::store::{
    AppendStore, Area, Capabilities, Listed, ObjectKey, PutOutcome, ReadStore, StoreError,
    VersionId, hand_on,
};

/// How much longer a lock may be than is allowed: clocks differ, and who locks for as long
/// as is promised counts from a moment ahead.
const AHEAD_MS: u64 = 3_600_000;

/// Why a guard refuses an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A pack or a commit record under another's name.
    #[error("its bytes have another hash")]
    OtherHash,
    /// No such object has so many bytes.
    #[error("it has {actual} bytes, and may have {limit}")]
    TooLong {
        /// Its bytes.
        actual: usize,
        /// The most that are allowed.
        limit: usize,
    },
    /// What is put as the copy of the first entry is none.
    #[error("it is no copy of the first log entry")]
    NoCopy,
    /// A first entry that begins no repository.
    #[error("it begins no repository")]
    Genesis(#[source] GenesisError),
    /// A first entry where there is a log.
    #[error("there are log entries already")]
    LogThere,
    /// An entry where there is no log that can be read.
    #[error("there is no log that it could stand in")]
    NoLog(#[source] Box<LogError>),
    /// An entry at another number than the next.
    #[error("the next log entry is {next}")]
    NotNext {
        /// Where writers append.
        next: u64,
    },
    /// A bundle of log objects that differs from them, or of a log that is shorter.
    #[error("it does not hold what the log holds")]
    OtherObjects,
    /// An entry that would have no effect.
    #[error("it would have no effect")]
    Void(#[source] Void),
    /// An entry that was signed for another log.
    #[error("it states another log than this one")]
    OtherLog,
    /// A lock for longer than the server allows.
    #[error("this server locks for at most {days} days")]
    LockTooLong {
        /// Days from now on.
        days: u64,
    },
    /// The log must be understood by who judges what is added.
    #[error("entry {number} ({kind}) must be understood first, and this release does not know it")]
    NewerRelease {
        /// The critical entry.
        number: u64,
        /// Its kind.
        kind: Kind,
    },
}

/// What one client may have.
#[derive(Default)]
pub struct ServeTerms {
    /// How much it may store; without one, as much as there is room for.
    pub quota: Option<Quota>,
    /// For how long it may lock; without one, it may not.
    pub locks: Option<LockLimit>,
}

/// For how long a client may lock what is there, so that a stolen key fills no disk for
/// ever.
pub struct LockLimit {
    /// From now on, in milliseconds. What is up to an hour longer is allowed.
    pub span_ms: u64,
    /// Tells when now is.
    pub clock: Arc<dyn Clock>,
}

/// A store in front of a store, for one client.
pub struct Guard<'a> {
    store: &'a dyn AppendStore,
    terms: ServeTerms,
    log: Mutex<Option<Seen>>,
}

/// The log as it was last seen.
struct Seen {
    history: History,
    /// Over the leaves below where writers append, so that each entry that comes costs no
    /// pass over all of them.
    below: Frontier,
}

impl Seen {
    fn new(history: History) -> Self {
        let below = Frontier::new();
        Self { history, below }.caught_up()
    }

    fn caught_up(mut self) -> Self {
        let index = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let next = index(self.history.next).min(self.history.leaves.len());
        let more = index(self.below.size())..next;
        self.below.extend(self.history.leaves[more].iter().copied());
        self
    }

    /// With what was created where writers append.
    fn with_entry(self, number: u64, bytes: &[u8]) -> Self {
        let history = log::with_entry(self.history, number, bytes);
        Self { history, ..self }.caught_up()
    }

    /// Whether an entry, where writers append, states the log that it is to stand in.
    ///
    /// What stood where there is no valid entry now, its writer may remember and the server
    /// can't know. Damage must not stop writers, so there readers alone compare.
    fn is_continued_by(&self, header: &Header) -> bool {
        let (history, number) = (&self.history, header.number);
        let leaf = header.previous == log::leaf_before(history, number)
            || !history.entries.contains_key(&(number - 1));
        let is_whole = self.below.size() == number;
        let root = is_whole && header.root == self.below.root();
        leaf && (root || !history.problems.is_empty())
    }
}

impl<'a> Guard<'a> {
    /// Stands in front of a store.
    pub fn new(store: &'a dyn AppendStore, terms: ServeTerms) -> Self {
        Self {
            store,
            terms,
            log: Mutex::new(None),
        }
    }

    /// Whether something has the name.
    fn is_taken(&self, key: &ObjectKey) -> Result<bool, StoreError> {
        match self.store.size(key) {
            Ok(_) | Err(StoreError::NotRegular { .. }) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Creates an object that may be created, within the quota.
    fn create(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        let Some(quota) = &self.terms.quota else {
            return self.store.put_new(key, bytes);
        };
        quota.charge(bytes.len() as u64)?;
        let outcome = self.store.put_new(key, bytes);
        match outcome {
            Ok(PutOutcome::Created | PutOutcome::Indeterminate { .. }) => {}
            Ok(PutOutcome::AlreadySame | PutOutcome::Conflict) | Err(_) => {
                quota.refund(bytes.len() as u64)?;
            }
        }
        outcome
    }

    fn put_entry(&self, number: u64, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        // Held until it is created, so that what was judged is still so.
        let mut seen = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ObjectKey::Log(number);
        let refused = |refusal: Refusal| refused(&key, refusal);
        if number == 0 {
            self.check_first(bytes)?;
            return self.create(&key, bytes);
        }
        let log = self.current(seen.take(), &key)?;
        let log = seen.insert(log);
        let history = &log.history;
        if let Some((number, kind)) = history.authority.stop() {
            return Err(refused(Refusal::NewerRelease { number, kind }));
        }
        if number != history.next {
            let next = history.next;
            return Err(refused(Refusal::NotNext { next }));
        }
        let judged = history.authority.clone().admit(number, bytes);
        let entry = judged.map_err(|void| refused(Refusal::Void(void)))?;
        if !log.is_continued_by(entry.header()) {
            return Err(refused(Refusal::OtherLog));
        }
        let outcome = self.create(&key, bytes)?;
        if matches!(outcome, PutOutcome::Created) {
            *seen = seen.take().map(|log| log.with_entry(number, bytes));
        }
        Ok(outcome)
    }

    fn check_first(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let refused = |refusal| refused(&ObjectKey::Log(0), refusal);
        Authority::begin(bytes).map_err(|error| refused(Refusal::Genesis(error)))?;
        let mut others = false;
        self.store.list(Area::Log, &mut |listed| {
            others |= matches!(listed, Listed::Object { .. });
        })?;
        if others {
            return Err(refused(Refusal::LogThere));
        }
        Ok(())
    }

    /// The log as it stands: what was seen, if nothing stands behind it.
    fn current(&self, seen: Option<Seen>, key: &ObjectKey) -> Result<Seen, StoreError> {
        let (known, signed) = match seen {
            Some(log) if !self.is_taken(&ObjectKey::Log(log.history.next))? => return Ok(log),
            Some(Seen { history, .. }) => {
                let signed = Signed::of(&history);
                (history.leaves, signed)
            }
            None => (Vec::new(), Signed::default()),
        };
        let read = log::read(self.store, &known, &signed);
        read.map(Seen::new).map_err(|error| match error {
            LogError::Store(error) => error,
            other => refused(key, Refusal::NoLog(Box::new(other))),
        })
    }

    fn check_bundle(&self, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let key = ObjectKey::Bundle(number);
        let mut seen = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let log = self.current(seen.take(), &key)?;
        if LogBundle::is_right(bytes, number, &seen.insert(log).history) {
            Ok(())
        } else {
            Err(refused(&key, Refusal::OtherObjects))
        }
    }

    fn check_copy(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let first = self
            .store
            .read_oldest(&ObjectKey::Log(0), LEAF_BYTES_MAX as u64);
        match first {
            Ok(first) if first == bytes => Ok(()),
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                Err(refused(&ObjectKey::Repository, Refusal::NoCopy))
            }
            Err(error) => Err(error),
        }
    }
}

fn refused(key: &ObjectKey, refusal: Refusal) -> StoreError {
    StoreError::Refused {
        key: *key,
        source: Box::new(refusal),
    }
}

/// Refuses what is longer than objects of its kind are, or has another name.
fn check_bytes(key: &ObjectKey, bytes: &[u8]) -> Result<(), StoreError> {
    let limit = key.bytes_max();
    if bytes.len() > limit {
        let actual = bytes.len();
        return Err(refused(key, Refusal::TooLong { actual, limit }));
    }
    if !key.names(bytes) {
        return Err(refused(key, Refusal::OtherHash));
    }
    Ok(())
}

impl ReadStore for Guard<'_> {
    hand_on!(store: read, read_range, read_into, read_prefix, size, list, versions, version_that_counts);
    hand_on!(store: read_version, stored_sum, locked_until, location);

    fn capabilities(&self) -> Capabilities {
        let can = self.store.capabilities();
        Capabilities {
            locks: can.locks && self.terms.locks.is_some(),
            ..can
        }
    }
}

impl AppendStore for Guard<'_> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        // Nothing can be created there. What is asked is whether it is the same.
        if self.is_taken(key)? {
            return self.store.put_new(key, bytes);
        }
        check_bytes(key, bytes)?;
        match *key {
            ObjectKey::Log(number) => return self.put_entry(number, bytes),
            ObjectKey::Repository => self.check_copy(bytes)?,
            ObjectKey::Bundle(number) => self.check_bundle(number, bytes)?,
            ObjectKey::Record(_) | ObjectKey::Pack(_) => {}
        }
        self.create(key, bytes)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.store.prepare()
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        let Some(limit) = &self.terms.locks else {
            return Err(StoreError::LocksUnsupported {
                location: self.location(),
            });
        };
        let now_ms = limit.clock.now_unix_ms();
        let latest_ms = now_ms.saturating_add(limit.span_ms.saturating_add(AHEAD_MS));
        if until_ms > latest_ms {
            let days = limit.span_ms / DAY_MS;
            return Err(refused(key, Refusal::LockTooLong { days }));
        }
        self.store.extend_lock(key, version, until_ms)
    }
}
