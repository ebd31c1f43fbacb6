//! A store that fails as it is told to, for tests.
//!
//! It stands in front of any other store and asks a closure, before each call,
//! what shall become of it: [`Fate`]. So a test lets the n-th call fail, once or
//! for good; loses an answer before or after the effect; loses power at a
//! certain write; or, since the closure may do what it likes, lets another
//! writer come first at that very moment. How a store at rest is damaged is
//! [`MemoryStore`](super::MemoryStore)'s affair.
//!
//! Why it is safe: it is not. It breaks no promise of [`super`]'s traits,
//! though: what it answers, some real store may answer. An error of `put_new`
//! still means that nothing was created, and what may have been created is
//! [`PutOutcome::Indeterminate`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::Errno;

use indelible_format::policy::LockMode;

use super::{
    Action, AppendStore, Area, Capabilities, ExpireStore, Listed, ObjectKey, PutOutcome, ReadStore,
    StoreError, StoredSum, Version, VersionId,
};

/// What a store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Bytes of an object.
    Read(ObjectKey),
    /// The size or checksum of an object, its versions, or how long one is locked.
    Inspect(ObjectKey),
    /// What is in an area.
    List(Area),
    /// To create an object.
    Put(ObjectKey),
    /// To make what must exist before the first object.
    Prepare,
    /// To extend the lock of an object.
    Lock(ObjectKey),
    /// To remove an object.
    Remove(ObjectKey),
}

impl Request {
    /// What is tried with the system, and on which name.
    fn tried(&self) -> (Action, String) {
        match self {
            Self::Read(key) => (Action::Read, key.path()),
            Self::Inspect(key) => (Action::Inspect, key.path()),
            Self::List(area) => (Action::List, area.directory().to_owned()),
            Self::Put(key) => (Action::Write, key.path()),
            Self::Prepare => (Action::MakeDirectory, Area::Packs.directory().to_owned()),
            Self::Lock(key) => (Action::Lock, key.path()),
            Self::Remove(key) => (Action::Remove, key.path()),
        }
    }
}

/// One call of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// How many calls were made before it.
    pub number: u64,
    /// What is asked for.
    pub request: Request,
}

impl Call {
    /// The object that it creates, if it creates one.
    pub const fn put(&self) -> Option<ObjectKey> {
        match self.request {
            Request::Put(key) => Some(key),
            _ => None,
        }
    }
}

/// How a call fails that has done nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The system answers with this error.
    System(Errno),
    /// The object ends before the bytes that were asked for. What reads none
    /// fails with an unexpected end of file.
    ShortRead,
    /// The store gives no answer.
    Unreachable,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is not done, and the store says so.
    Fails(Fault),
    /// It is done, and the answer is unclear: [`PutOutcome::Indeterminate`], or
    /// for what creates no object [`StoreError::Unreachable`].
    AnswerLost,
    /// It is not done, and the answer is unclear.
    Unclear,
    /// It is done and said so, and the store does not answer any more.
    LastWord,
    /// It is done, the answer is unclear, and the store does not answer any
    /// more.
    DownAfter,
    /// It is not done, the answer is unclear, and the store does not answer any
    /// more.
    DownBefore,
}

/// Decides what becomes of each call.
type Decide<'a> = Box<dyn Fn(&Call) -> Fate + Send + Sync + 'a>;

/// A store whose calls a test decides.
pub struct FaultyStore<'a, S: ?Sized> {
    inner: &'a S,
    decide: Decide<'a>,
    versions: bool,
    distant: bool,
    down: AtomicBool,
    calls: AtomicU64,
}

impl<'a, S: ?Sized> FaultyStore<'a, S> {
    /// Stands in front of a store. `decide` is asked before every call that the
    /// store still answers, and may itself use the store behind.
    pub fn new(inner: &'a S, decide: impl Fn(&Call) -> Fate + Send + Sync + 'a) -> Self {
        Self {
            inner,
            decide: Box::new(decide),
            versions: true,
            distant: false,
            down: AtomicBool::new(false),
            calls: AtomicU64::new(0),
        }
    }

    /// Says that it keeps no versions, as a directory does.
    #[must_use]
    pub fn without_versions(mut self) -> Self {
        self.versions = false;
        self
    }

    /// Says that it is distant, as a server does.
    #[must_use]
    pub fn distant(mut self) -> Self {
        self.distant = true;
        self
    }

    /// Lets it answer again.
    pub fn is_back(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    /// How many calls were made, answered or not.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn fall(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Answers a call as it is decided. `unclear` is the answer that says
    /// nothing.
    fn answer<T>(
        &self,
        request: Request,
        unclear: impl FnOnce() -> Result<T, StoreError>,
        run: impl FnOnce(&S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(unreachable());
        }
        match (self.decide)(&Call { number, request }) {
            Fate::Done => run(self.inner),
            Fate::Fails(fault) => Err(error_of(fault, &request)),
            Fate::AnswerLost => run(self.inner).and_then(|_| unclear()),
            Fate::Unclear => unclear(),
            Fate::LastWord => {
                self.fall();
                run(self.inner)
            }
            Fate::DownAfter => {
                self.fall();
                run(self.inner).and_then(|_| unclear())
            }
            Fate::DownBefore => {
                self.fall();
                unclear()
            }
        }
    }

    /// Answers a call that creates no object.
    fn ask<T>(
        &self,
        request: Request,
        run: impl FnOnce(&S) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.answer(request, || Err(unreachable()), run)
    }
}

fn error_of(fault: Fault, request: &Request) -> StoreError {
    let source = match (fault, request) {
        (Fault::Unreachable, _) => return unreachable(),
        (Fault::ShortRead, Request::Read(key)) => {
            return StoreError::ShortRead {
                key: *key,
                offset: 0,
                wanted: 1,
                actual: 0,
            };
        }
        (Fault::ShortRead, _) => io::ErrorKind::UnexpectedEof.into(),
        (Fault::System(errno), _) => errno.into(),
    };
    let (action, path) = request.tried();
    StoreError::Io {
        action,
        path,
        source,
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable {
        location: "a faulty store".to_owned(),
        source: "the cable is out".into(),
    }
}

impl<S: ReadStore + ?Sized> ReadStore for FaultyStore<'_, S> {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.ask(Request::Read(*key), |store| store.read(key, size_bytes_max))
    }

    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.ask(Request::Read(*key), |store| {
            store.read_range(key, offset, len_bytes)
        })
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.ask(Request::Read(*key), |store| {
            store.read_prefix(key, len_bytes_max)
        })
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.ask(Request::Inspect(*key), |store| store.size(key))
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.ask(Request::List(area), |store| store.list(area, each))
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.ask(Request::Inspect(*key), |store| store.versions(key))
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.ask(Request::Read(*key), |store| {
            store.read_version(key, version, len_bytes_max)
        })
    }

    fn stored_sum(&self, key: &ObjectKey) -> Result<Option<StoredSum>, StoreError> {
        self.ask(Request::Inspect(*key), |store| store.stored_sum(key))
    }

    fn locked_until(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        self.ask(Request::Inspect(*key), |store| {
            store.locked_until(key, version)
        })
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.versions &= self.versions;
        capabilities.distant |= self.distant;
        capabilities
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

impl<S: AppendStore + ?Sized> AppendStore for FaultyStore<'_, S> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        let unclear = || {
            Ok(PutOutcome::Indeterminate {
                cause: Box::new(unreachable()),
            })
        };
        self.answer(Request::Put(*key), unclear, |store| {
            store.put_new(key, bytes)
        })
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.ask(Request::Prepare, AppendStore::prepare)
    }

    fn lock_new(&self, mode: LockMode, span_ms: u64) {
        self.inner.lock_new(mode, span_ms);
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        self.ask(Request::Lock(*key), |store| {
            store.extend_lock(key, version, until_ms)
        })
    }
}

impl<S: ExpireStore + ?Sized> ExpireStore for FaultyStore<'_, S> {
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        self.ask(Request::Remove(*key), |store| store.remove(key))
    }
}
