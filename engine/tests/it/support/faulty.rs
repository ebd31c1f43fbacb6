//! A store that does what a test says at the moment when something is created.

use std::sync::atomic::{AtomicBool, Ordering};

use indelible_engine::store::{
    AppendStore, Area, Capabilities, Listed, MemoryStore, ObjectKey, PutOutcome, ReadStore,
    StoreError, Version, VersionId,
};

/// What becomes of one `put_new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// Nothing is created, and the store says so.
    Refused,
    /// It is done, and the answer is unclear.
    AnswerLost,
    /// Nothing is created, and the answer is unclear.
    Unclear,
    /// It is done and said so, and the store does not answer any more.
    LastWord,
    /// It is done, and the store does not answer any more.
    DownAfter,
    /// Nothing is created, and the store does not answer any more.
    DownBefore,
}

/// What a test decides for each `put_new`.
type Decide<'a> = Box<dyn Fn(&ObjectKey, &[u8]) -> Fate + Send + Sync + 'a>;

/// A store in memory whose `put_new` a test decides.
pub(crate) struct Faulty<'a> {
    inner: &'a MemoryStore,
    decide: Decide<'a>,
    versions: bool,
    down: AtomicBool,
}

impl<'a> Faulty<'a> {
    pub(crate) fn new(
        inner: &'a MemoryStore,
        decide: impl Fn(&ObjectKey, &[u8]) -> Fate + Send + Sync + 'a,
    ) -> Self {
        Self {
            inner,
            decide: Box::new(decide),
            versions: true,
            down: AtomicBool::new(false),
        }
    }

    /// Says that it keeps no versions, as a directory does.
    pub(crate) fn without_versions(mut self) -> Self {
        self.versions = false;
        self
    }

    /// Lets it answer again.
    pub(crate) fn is_back(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    /// The store, if it answers.
    fn up(&self) -> Result<&'a MemoryStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            Err(unreachable())
        } else {
            Ok(self.inner)
        }
    }
}

fn unreachable() -> StoreError {
    StoreError::Unreachable {
        location: "memory".to_owned(),
        source: "the cable is out".into(),
    }
}

fn unclear() -> PutOutcome {
    PutOutcome::Indeterminate {
        cause: Box::new(unreachable()),
    }
}

impl ReadStore for Faulty<'_> {
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.up()?.read(key, size_bytes_max)
    }

    fn read_range(&self, key: &ObjectKey, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.up()?.read_range(key, offset, len)
    }

    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        self.up()?.read_prefix(key, len_bytes_max)
    }

    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError> {
        self.up()?.size(key)
    }

    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError> {
        self.up()?.list(area, each)
    }

    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError> {
        self.up()?.versions(key)
    }

    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError> {
        self.up()?.read_version(key, version, len_bytes_max)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.versions = self.versions;
        capabilities
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

impl AppendStore for Faulty<'_> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        let inner = self.up()?;
        match (self.decide)(key, bytes) {
            Fate::Done => inner.put_new(key, bytes),
            Fate::Refused => Err(unreachable()),
            Fate::AnswerLost => inner.put_new(key, bytes).map(|_| unclear()),
            Fate::Unclear => Ok(unclear()),
            Fate::LastWord => {
                self.down.store(true, Ordering::SeqCst);
                inner.put_new(key, bytes)
            }
            Fate::DownAfter => {
                self.down.store(true, Ordering::SeqCst);
                inner.put_new(key, bytes).map(|_| unclear())
            }
            Fate::DownBefore => {
                self.down.store(true, Ordering::SeqCst);
                Ok(unclear())
            }
        }
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.up()?.prepare()
    }
}
