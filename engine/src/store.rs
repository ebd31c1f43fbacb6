//! Where a repository's objects lie: what a store promises, and the stores.
//!
//! What a holder may do is the type that it holds. [`ReadStore`] reads,
//! [`AppendStore`] also creates, [`ExpireStore`] also removes. Snapshot code
//! holds an [`AppendStore`] and cannot delete, whatever its mistakes:
//!
//! ```compile_fail,E0599
//! use indelible_engine::store::{AppendStore, ObjectKey};
//! fn tidy_up(store: &dyn AppendStore, key: &ObjectKey) {
//!     let _ = store.remove(key);
//! }
//! ```
//!
//! ```
//! use indelible_engine::store::{ExpireStore, ObjectKey};
//! fn sweep(store: &dyn ExpireStore, key: &ObjectKey) {
//!     let _ = store.remove(key);
//! }
//! ```
//!
//! Why it is safe:
//!
//! 1. No method overwrites. [`AppendStore::put_new`] creates a name or leaves
//!    it as it is, whichever of several writers comes first.
//! 2. [`PutOutcome::Created`] and [`PutOutcome::AlreadySame`] mean that the
//!    object would survive a power cut now. Because packs are put before the
//!    entry that names them, a crash cannot leave an entry without its packs.
//! 3. An error of `put_new` means that this call created nothing and will not
//!    do so later. Where that cannot be known the answer is
//!    [`PutOutcome::Indeterminate`], which no caller can mistake for either.
//! 4. What a store gives is untrusted. Every read is bounded by its caller
//!    before it is allocated, and lengths that the store claims decide nothing
//!    else. Whether the bytes are right is for those who know their hash.
//!
//! A store never interprets an object, and never caches one. Every store passes
//! [`conformance::check`].

mod choice;
pub mod conformance;
mod error;
pub mod faulty;
mod front;
mod key;
pub mod local;
pub mod memory;
pub mod probe;
mod remote;
#[cfg(feature = "s3")]
pub mod s3;
pub(crate) mod wire;

pub use error::{Action, Answer, ErrorClass, StoreError, Unfit};
pub use faulty::FaultyStore;
pub use key::{Area, LOG_NUMBER_MAX, ObjectKey};
pub use local::{Immutable, LocalStore};
pub use memory::MemoryStore;
pub use remote::RemoteStore;
#[cfg(feature = "s3")]
pub use s3::S3Store;

pub(crate) use front::hand_on;

use indelible_format::planted::{Bug, planted};
use indelible_format::policy::LockMode;

use crate::at_once;

/// Reads objects.
///
/// A store may keep several versions of one object, if someone who is not us
/// wrote a name again. [`ReadStore::read`], [`ReadStore::read_range`],
/// [`ReadStore::read_prefix`] and [`ReadStore::size`] answer from the version
/// that has the hash which is its name, if one has; of other objects, from the
/// newest. Of a log entry only the oldest counts, so the log is read with
/// [`ReadStore::read_oldest`].
///
/// [`StoreError::NotFound`] always means that no version exists: a deletion
/// that merely hides an object must not hide it here. Beyond what a method
/// names, its errors are [`StoreError::NotRegular`], [`StoreError::Io`] and
/// [`StoreError::Unreachable`].
#[allow(
    clippy::missing_errors_doc,
    reason = "the trait says it of every method"
)]
pub trait ReadStore: Send + Sync {
    /// The whole object.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLong`] where it has more than `size_bytes_max` bytes;
    /// nothing is then allocated.
    fn read(&self, key: &ObjectKey, size_bytes_max: u64) -> Result<Vec<u8>, StoreError>;

    /// Exactly `len_bytes` bytes from `offset`. The caller bounds `len_bytes`.
    ///
    /// # Errors
    ///
    /// [`StoreError::ShortRead`] where the object ends earlier.
    fn read_range(
        &self,
        key: &ObjectKey,
        offset: u64,
        len_bytes: u64,
    ) -> Result<Vec<u8>, StoreError>;

    /// Fills `bytes` with those from `offset` on, for who reads much and has memory
    /// for it already. After an error nothing is said of what it holds.
    ///
    /// # Errors
    ///
    /// As [`ReadStore::read_range`].
    fn read_into(&self, key: &ObjectKey, offset: u64, bytes: &mut [u8]) -> Result<(), StoreError> {
        let read = self.read_range(key, offset, bytes.len() as u64)?;
        bytes.copy_from_slice(&read);
        Ok(())
    }

    /// The first `len_bytes_max` bytes, or the whole object if it has fewer.
    fn read_prefix(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError>;

    /// The size in bytes. It is also the way to ask whether an object exists.
    fn size(&self, key: &ObjectKey) -> Result<u64, StoreError>;

    /// Calls `each` for everything in the area, in no particular order.
    ///
    /// An area that nothing was ever put into is empty.
    ///
    /// # Errors
    ///
    /// What could be listed was listed all the same: one directory that cannot
    /// be read hides nothing but itself. The error is the first that was met.
    fn list(&self, area: Area, each: &mut dyn FnMut(Listed)) -> Result<(), StoreError>;

    /// The versions of an object, oldest first, at least one.
    ///
    /// Where [`Capabilities::versions`] is false there is exactly one.
    fn versions(&self, key: &ObjectKey) -> Result<Vec<Version>, StoreError>;

    /// The version that reads answer from, and that is to be locked: of a pack or commit
    /// record the one that has the hash which is its name, of the log the oldest. One that
    /// stands alone is taken unseen.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] also where there are several, and none has the hash.
    fn version_that_counts(&self, key: &ObjectKey) -> Result<Version, StoreError> {
        choice::version_that_counts(self, key)
    }

    /// The first `len_bytes_max` bytes of one version, or all of it if it has
    /// fewer; [`Version::size_bytes`] tells which.
    fn read_version(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        len_bytes_max: u64,
    ) -> Result<Vec<u8>, StoreError>;

    /// Size and SHA-256 of an object as the store keeps them, without reading it; of the
    /// version that reads answer from. `None` where the store keeps none, or none of the
    /// whole object.
    ///
    /// It is the store's word for what was put there, not a proof of what it has.
    fn stored_sum(&self, _key: &ObjectKey) -> Result<Option<StoredSum>, StoreError> {
        Ok(None)
    }

    /// Until when the store refuses to remove a version, in milliseconds since
    /// 1970; `None` where no lock holds it, as in a store without locks.
    ///
    /// It is the store's word, for warnings and renewals. Only the attempt shows
    /// whether a lock holds.
    fn locked_until(
        &self,
        _key: &ObjectKey,
        _version: &VersionId,
    ) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// What the store can do beyond what every store can.
    fn capabilities(&self) -> Capabilities;

    /// Where the store is, for messages. Holds no secret.
    fn location(&self) -> String;

    /// The first `len_bytes_max` bytes of the oldest version, or all of it if
    /// it has fewer.
    fn read_oldest(&self, key: &ObjectKey, len_bytes_max: u64) -> Result<Vec<u8>, StoreError> {
        if !self.capabilities().versions || planted(Bug::YoungestCounts) {
            return self.read_prefix(key, len_bytes_max);
        }
        let versions = self.versions(key)?;
        let oldest = versions.first().ok_or(StoreError::NotFound { key: *key })?;
        self.read_version(key, &oldest.id, len_bytes_max)
    }

    /// [`ReadStore::read_oldest`] of each, in their order; several at once where the
    /// store is distant. The caller bounds how many.
    fn read_oldest_each(
        &self,
        keys: &[ObjectKey],
        len_bytes_max: u64,
    ) -> Vec<Result<Vec<u8>, StoreError>> {
        let read = |key: &ObjectKey| self.read_oldest(key, len_bytes_max);
        if self.capabilities().distant {
            at_once::map(keys, read)
        } else {
            keys.iter().map(read).collect()
        }
    }
}

/// The versions of an object in a store that keeps one.
fn only_version<S: ReadStore + ?Sized>(
    store: &S,
    key: &ObjectKey,
) -> Result<Vec<Version>, StoreError> {
    Ok(vec![Version {
        id: VersionId::only(),
        size_bytes: store.size(key)?,
    }])
}

/// The first bytes of a version, in a store that keeps one.
fn read_only_version<S: ReadStore + ?Sized>(
    store: &S,
    key: &ObjectKey,
    version: &VersionId,
    len_bytes_max: u64,
) -> Result<Vec<u8>, StoreError> {
    if *version != VersionId::only() {
        return Err(StoreError::NotFound { key: *key });
    }
    store.read_prefix(key, len_bytes_max)
}

/// Also creates objects.
pub trait AppendStore: ReadStore {
    /// Creates the object unless its name is taken.
    ///
    /// Calling it again with the same bytes is always right, and with other
    /// bytes never does harm. Where the name is taken, the bytes are compared
    /// with those of its oldest version. Of a name that is the hash of its bytes
    /// it is enough that a version with them is stored, whatever else hides there.
    ///
    /// # Errors
    ///
    /// This call created nothing. [`StoreError::LogFull`] where the key has no
    /// name.
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError>;

    /// Makes whatever must exist before the first object, durably. Does no harm
    /// to what is there.
    ///
    /// # Errors
    ///
    /// What the system answered; some of it may exist then.
    fn prepare(&self) -> Result<(), StoreError>;

    /// Makes the store lock what is put from now on for a while, in milliseconds, as the
    /// mode says. A store that locks what it takes by itself, or locks nothing, goes on as
    /// it is.
    fn lock_new(&self, _mode: LockMode, _span_ms: u64) {}

    /// Makes the store refuse to remove a version before a time, in milliseconds
    /// since 1970. The version is the one whose bytes the caller has checked.
    /// Stores may count in seconds; the lock is then up to one second longer.
    ///
    /// # Errors
    ///
    /// [`StoreError::WouldShorten`] where the version is locked for longer already:
    /// nothing is asked of the store then, and the lock stays.
    /// [`StoreError::LocksUnsupported`] where there are no locks.
    fn extend_lock(
        &self,
        _key: &ObjectKey,
        _version: &VersionId,
        _until_ms: u64,
    ) -> Result<(), StoreError> {
        Err(StoreError::LocksUnsupported {
            location: self.location(),
        })
    }

    /// Does to canaries whatever a thief of the credentials at hand would do to objects,
    /// and says what became of it. A store that has no canaries tries nothing.
    ///
    /// # Errors
    ///
    /// If no canary can be put, or nothing can be asked of the store.
    fn probe(&self, _terms: &probe::ProbeTerms) -> Result<Vec<probe::Attempt>, StoreError> {
        Ok(Vec::new())
    }
}

/// How often an object is put again after an unclear answer. Putting the same bytes
/// again does no harm.
const TRIES: u32 = 4;

/// Puts an object until the answer is clear. False: its name is taken by other bytes.
pub(crate) fn put_object<S: AppendStore + ?Sized>(
    store: &S,
    key: &ObjectKey,
    bytes: &[u8],
) -> Result<bool, StoreError> {
    let mut unclear = None;
    for _ in 0..TRIES {
        match store.put_new(key, bytes)? {
            PutOutcome::Created | PutOutcome::AlreadySame => return Ok(true),
            PutOutcome::Conflict => return Ok(false),
            PutOutcome::Indeterminate { .. } if planted(Bug::UnclearIsStored) => return Ok(true),
            PutOutcome::Indeterminate { cause } => unclear = Some(*cause),
        }
    }
    Err(unclear.expect("every try was unclear"))
}

/// Also removes objects. Only the code that sweeps holds one.
pub trait ExpireStore: AppendStore {
    /// Removes a pack or a commit record, with all its versions.
    ///
    /// A crash soon afterwards may bring the object back, which costs space and
    /// nothing else.
    ///
    /// # Errors
    ///
    /// [`StoreError::Permanent`] for any other key, whether or not it exists.
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError>;
}

/// What became of an [`AppendStore::put_new`]. Only the first two commit a log
/// entry (SPEC 9.4).
#[derive(Debug)]
#[must_use = "an object that may not be stored must not be named"]
pub enum PutOutcome {
    /// This call created the object, and it is durable.
    Created,
    /// The object has these bytes, and is durable. Another writer may have
    /// created it, or this call or an earlier one whose answer was lost.
    AlreadySame,
    /// The name is taken by other bytes, or by something that is no object. It
    /// stays taken, so these bytes will never stand there.
    Conflict,
    /// The object may exist, or come to exist, or exist and not survive a
    /// power cut.
    Indeterminate {
        /// What made it unclear.
        cause: Box<StoreError>,
    },
}

impl PutOutcome {
    /// Whether the object has the caller's bytes and is durable.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Created | Self::AlreadySame)
    }
}

/// One thing that a listing met.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listed {
    /// An object.
    Object {
        /// Which one.
        key: ObjectKey,
        /// Its size in bytes, as [`ReadStore::size`] would answer; of a log entry that
        /// of the oldest version.
        size_bytes: u64,
    },
    /// An object, told of before, that somebody put other versions over, or hid. What
    /// counts of it can be read all the same.
    Covered {
        /// Which one.
        key: ObjectKey,
        /// How many other versions there are.
        others: u32,
        /// How many markers hide what is older.
        markers: u32,
    },
    /// Something in the area whose name no object has, or which is no regular
    /// file. To be reported; it is no error. What lies below it is not listed.
    Foreign {
        /// Its name in the store. It is untrusted: what is not Unicode was
        /// replaced, and control characters are left for those who show it to
        /// escape.
        path: String,
    },
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Names the version among those of its object.
    pub id: VersionId,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// What a store says of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredSum {
    /// How many there are.
    pub size_bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Names one version of an object, in the store's own words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub String);

impl VersionId {
    /// The only version, in a store that keeps one.
    pub fn only() -> Self {
        Self("only".to_owned())
    }
}

/// What a store can do beyond what every store can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capabilities {
    /// Writing a name again keeps what stood there as an older version.
    pub versions: bool,
    /// Of several writers that create one name, the store itself lets only the
    /// first succeed. Where this is false, only the order of versions tells who
    /// was first.
    pub conditional_create: bool,
    /// An answer takes its way, so that several calls at once take hardly longer than
    /// one.
    pub distant: bool,
    /// The store locks what is put into it for some time, and locks can be
    /// extended. Without that, [`AppendStore::extend_lock`] is not to be called.
    pub locks: bool,
    /// A lock holds against everybody until it ends, whatever is asked for: none may be
    /// longer than somebody who could not take it back wanted.
    pub final_locks: bool,
}
