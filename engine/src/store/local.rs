//! A store in a directory of this machine, or of one that is mounted.
//!
//! An object is written in full under an unpredictable name in `tmp/`, synced,
//! and only then linked to its own name (SPEC 9.2). So:
//!
//! - A name in an object directory always leads to a finished object. Whatever
//!   a crash leaves lies in `tmp/`, where no listing looks.
//! - `link` replaces nothing and lets one of several writers win. Object
//!   directories need to allow neither renaming nor removal (`chattr +a`).
//! - An object counts as stored when its bytes, its entry in the directory and
//!   the directory's own entry have all been synced. The last has to be done by
//!   whoever puts first, not by whoever made the directory: that one may have
//!   crashed in between. What another writer created is synced again before it
//!   is vouched for, for the same reason.
//! - Before a log entry is linked the log's directory is synced: the entry states
//!   those before it, and the last of them may be visible and not yet durable.
//! - A sync that failed is never repeated, because the system may drop what it
//!   could not write and then report success (Rebello et al., "Can Applications
//!   Recover from fsync Failures?", USENIX ATC 2020). A staged file is given up
//!   and written anew under another name. A directory can't be, so this store
//!   vouches for nothing more in it; a fresh store asks the system anew.
//!
//! This module never replaces or truncates a file, follows no symbolic link
//! below its root, maps no file into memory, and unlinks nothing but its own
//! staged files and what [`remove`](super::ExpireStore::remove) names. Staged files that an
//! interrupted run left are not its own.

mod expire;
pub mod files;
mod immutable;
mod probe;
mod read;
pub mod simulated;
mod stage;
mod worm;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use self::files::{Files, RealFiles};
pub use self::immutable::Immutable;
use super::probe::{Attempt, ProbeTerms};
use super::{
    Action, AppendStore, Area, ObjectKey, PutOutcome, ReadStore as _, StoreError, VersionId,
};
use crate::env::{Clock, Entropy, SystemClock};

use indelible_format::planted::{Bug, planted};
use indelible_format::policy::LockMode;

/// Where files are written before they have their name.
const STAGING: &str = "tmp";

/// A store in a directory.
pub struct LocalStore<F: Files = RealFiles> {
    files: F,
    location: String,
    entropy: Arc<dyn Entropy>,
    /// What is known of the directories that objects were put into.
    anchors: Mutex<BTreeMap<String, Anchor>>,
    /// Says when locks end that are to last for some time.
    clock: Arc<dyn Clock>,
    /// How objects are kept from change, once it is known.
    mode: OnceLock<Immutable>,
    /// For how long what is put is locked at first, in milliseconds.
    first_span_ms: AtomicU64,
    /// Until when what names the mode is known to be locked.
    mode_until_ms: AtomicU64,
}

impl<F: Files> fmt::Debug for LocalStore<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// What this store knows of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    /// The directory would survive a power cut: its entry and those above it
    /// were synced.
    Held,
    /// A sync of the directory, or of something in it, failed. Trying again
    /// would prove nothing, neither of what was put then nor of what another
    /// thread had put just before.
    Lost,
}

impl LocalStore<RealFiles> {
    /// Opens the store in an existing directory. It need not hold a repository.
    ///
    /// `entropy` gives the names of staged files.
    ///
    /// # Errors
    ///
    /// [`StoreError::RootMissing`], [`StoreError::RootNotDirectory`], or what
    /// the system answered.
    pub fn open(root: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, StoreError> {
        Self::rooted(root, RealFiles::open(root), entropy)
    }

    /// Makes the directory where it is missing, durably, and opens the store in
    /// it. [`AppendStore::prepare`] then makes what belongs inside.
    ///
    /// # Errors
    ///
    /// As for [`LocalStore::open`].
    pub fn create(root: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, StoreError> {
        Self::rooted(root, RealFiles::create(root), entropy)
    }

    fn rooted(
        root: &Path,
        files: io::Result<RealFiles>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        let location = root.display().to_string();
        match files {
            Ok(files) => {
                let store = Self::with_files(files, location, entropy);
                store.learn_mode()?;
                Ok(store)
            }
            Err(source) => Err(match source.kind() {
                io::ErrorKind::NotFound => StoreError::RootMissing { location },
                io::ErrorKind::NotADirectory => StoreError::RootNotDirectory { location },
                _ => StoreError::Io {
                    action: Action::Open,
                    path: location,
                    source,
                },
            }),
        }
    }
}

impl<F: Files> LocalStore<F> {
    /// A store over other system calls than the real ones.
    pub fn with_files(files: F, location: String, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            files,
            location,
            entropy,
            anchors: Mutex::default(),
            clock: Arc::new(SystemClock::new()),
            mode: OnceLock::new(),
            first_span_ms: AtomicU64::new(worm::FIRST_SPAN_MS),
            mode_until_ms: AtomicU64::new(0),
        }
    }

    /// With another clock than the system's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Gives a staged file its name.
    fn publish(
        &self,
        staged: &str,
        key: &ObjectKey,
        bytes: &[u8],
    ) -> Result<PutOutcome, StoreError> {
        let path = key.path();
        let Err(source) = self.files.link(staged, &path) else {
            return Ok(self.vouch(key, None, PutOutcome::Created));
        };
        let refused = refuses_link(source.kind());
        let error = StoreError::Io {
            action: Action::Link,
            path,
            source,
        };
        if refused {
            Err(error)
        } else {
            Ok(self.settle(key, bytes, error))
        }
    }

    /// Finds out what became of a name that is taken, or may be.
    ///
    /// Over a network the call that reports "exists", or any failure, may be
    /// the very one that created the object: its first answer was lost.
    fn settle(&self, key: &ObjectKey, bytes: &[u8], unclear: StoreError) -> PutOutcome {
        match self.open_same(key, bytes) {
            Ok(None) if planted(Bug::TakenIsSame) => PutOutcome::AlreadySame,
            Ok(Some(file)) => self.vouch(key, Some(&file), PutOutcome::AlreadySame),
            Ok(None) | Err(StoreError::NotRegular { .. }) => PutOutcome::Conflict,
            Err(error) => {
                let cause = Box::new(if error.is_not_found() { unclear } else { error });
                PutOutcome::Indeterminate { cause }
            }
        }
    }

    /// Syncs what a linked object depends on, and only then answers `stored`.
    ///
    /// The lock is held meanwhile. Otherwise a thread whose sync fails could
    /// use up the only report of a loss that concerns another's object too.
    fn vouch(&self, key: &ObjectKey, file: Option<&F::File>, stored: PutOutcome) -> PutOutcome {
        let path = key.path();
        let directory = directory_of(&path);
        let mut anchors = lock(&self.anchors);
        let lost = anchors.get(directory) == Some(&Anchor::Lost);
        if lost && !planted(Bug::LostForgotten) {
            return doubtful(directory);
        }
        let unsynced = Bug::DirectoryUnsynced;
        if planted(unsynced) || (file.is_some() && planted(Bug::OtherUnsynced)) {
            return stored;
        }
        let synced = file
            .map_or(Ok(()), |file| self.files.fsync(file))
            .map_err(|source| StoreError::Io {
                action: Action::Sync,
                path: path.clone(),
                source,
            })
            .and_then(|()| self.sync_directory(directory));
        match synced {
            Ok(()) => stored,
            Err(error) => {
                anchors.insert(directory.to_owned(), Anchor::Lost);
                PutOutcome::Indeterminate {
                    cause: Box::new(error),
                }
            }
        }
    }

    /// Whether the object certainly does not exist.
    fn is_absent(&self, key: &ObjectKey) -> bool {
        self.size(key).is_err_and(|error| error.is_not_found())
    }

    fn sync_directory(&self, path: &str) -> Result<(), StoreError> {
        self.files.fsync_dir(path).map_err(|source| StoreError::Io {
            action: Action::SyncDirectory,
            path: path.to_owned(),
            source,
        })
    }

    /// Makes a directory where it is missing, without syncing.
    fn make_directory(&self, path: &str) -> Result<(), StoreError> {
        match retry(|| self.files.mkdir(path)) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::Io {
                action: Action::MakeDirectory,
                path: path.to_owned(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Makes sure that a directory and those above it exist and would survive
    /// a power cut.
    fn anchor(&self, path: &str) -> Result<(), StoreError> {
        let mut anchors = lock(&self.anchors);
        let mut parent = "";
        for end in path
            .match_indices('/')
            .map(|(end, _)| end)
            .chain([path.len()])
        {
            let directory = &path[..end];
            for known in [parent, directory] {
                let lost = anchors.get(known) == Some(&Anchor::Lost);
                if lost && !planted(Bug::LostForgotten) {
                    return Err(StoreError::Doubtful {
                        path: known.to_owned(),
                    });
                }
            }
            if !directory.is_empty() && !anchors.contains_key(directory) {
                self.make_directory(directory)?;
                if !planted(Bug::AnchorUnsynced)
                    && let Err(error) = self.sync_directory(parent)
                {
                    anchors.insert(parent.to_owned(), Anchor::Lost);
                    return Err(error);
                }
                anchors.insert(directory.to_owned(), Anchor::Held);
            }
            parent = directory;
        }
        Ok(())
    }

    /// Makes the entries of the log durable that are there.
    ///
    /// The next entry states them all, and the last of them may be one that its
    /// writer has linked and not yet synced. Were the next to survive a power cut
    /// and that one not, everyone would see a removal.
    fn hold_log(&self, directory: &str) -> Result<(), StoreError> {
        let mut anchors = lock(&self.anchors);
        if anchors.get(directory) == Some(&Anchor::Lost) {
            let path = directory.to_owned();
            return Err(StoreError::Doubtful { path });
        }
        self.sync_directory(directory).inspect_err(|_| {
            anchors.insert(directory.to_owned(), Anchor::Lost);
        })
    }
}

impl<F: Files> AppendStore for LocalStore<F> {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        if let ObjectKey::Log(number) | ObjectKey::Bundle(number) = *key
            && !key.is_nameable()
        {
            return Err(StoreError::LogFull { number });
        }
        let path = key.path();
        match self.anchor(directory_of(&path)) {
            // An earlier call may have linked the object before the sync failed.
            Err(StoreError::Doubtful { path }) if !self.is_absent(key) => {
                return Ok(doubtful(&path));
            }
            anchored => anchored?,
        }
        if matches!(key, ObjectKey::Log(number) if *number > 0) {
            self.hold_log(directory_of(&path))?;
        }
        self.make_directory(STAGING)?;
        let staged = self.stage(bytes, self.mode())?;
        let outcome = self.publish(&staged, key, bytes);
        self.discard(&staged);
        if let Some(how) = self.mode()
            && matches!(&outcome, Ok(outcome) if outcome.is_stored())
        {
            // It is stored without a lock too. Whoever asks for that is told.
            let _ = self.keep(&path, how);
        }
        outcome
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.make_directory(STAGING)?;
        Area::ALL
            .into_iter()
            .try_for_each(|area| self.anchor(area.directory()))
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
        self.keep_until(key, until_ms)
    }

    fn lock_new(&self, _mode: LockMode, span_ms: u64) {
        self.lock_first(span_ms);
    }

    fn probe(&self, _terms: &ProbeTerms) -> Result<Vec<Attempt>, StoreError> {
        let attempts = self.attack_canaries(self.mode())?;
        Ok(attempts.into_iter().map(|(_, attempt)| attempt).collect())
    }
}

/// Whether the answer to `link` proves that nothing was linked.
///
/// Whatever else the system says may come from a server whose answer was lost.
fn refuses_link(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        kind,
        Kind::CrossesDevices
            | Kind::NotADirectory
            | Kind::NotFound
            | Kind::PermissionDenied
            | Kind::QuotaExceeded
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
            | Kind::TooManyLinks
            | Kind::Unsupported
    )
}

/// The answer about an object in a directory that is [`Anchor::Lost`].
fn doubtful(directory: &str) -> PutOutcome {
    let cause = Box::new(StoreError::Doubtful {
        path: directory.to_owned(),
    });
    PutOutcome::Indeterminate { cause }
}

/// The directory part of a path within the store; empty for the root.
fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Repeats a call that a signal interrupted before it did anything.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// Locks a map. One that a panicking thread left is still whole, since every
/// change to it is a single insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
