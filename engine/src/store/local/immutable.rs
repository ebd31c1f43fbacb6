//! Objects that the system itself keeps from change, in one of the ways that a directory's
//! file `immutable` names.
//!
//! - By the immutable flag of Linux (`chattr +i`). A file with the flag can't be written,
//!   renamed, linked or removed by anybody until the flag is taken off, which takes
//!   `CAP_LINUX_IMMUTABLE`. That stops whoever is not root on this machine, and costs root
//!   one command: it is no immutability against root.
//! - By a filesystem that is write-once: see [`super::worm`].
//!
//! Why it is safe: an object is locked once it is durable under its name and has no other,
//! so that nothing depends on it. What a crash left without a lock gets one by the next
//! snapshot that needs it, as any lock that is too short. Whether a file is locked is asked
//! of the system, never remembered. Before a directory counts as one that locks, files in it
//! are seen to withstand.

use std::io;
use std::sync::atomic::Ordering;

use super::files::Files;
use super::probe::CANARIES;
use super::{LocalStore, STAGING};
use crate::store::{Action, ObjectKey, StoreError, Unfit};

/// Names, in the directory, how what is put there is kept from change.
pub(super) const MODE_FILE: &str = "immutable";

/// How the system keeps the objects of a directory from change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Immutable {
    /// By the immutable flag of each file.
    Flags,
    /// By a filesystem that is write-once, which is told by permissions and access times.
    PosixWorm,
}

impl Immutable {
    const ALL: [Self; 2] = [Self::Flags, Self::PosixWorm];

    /// What [`MODE_FILE`] says.
    const fn word(self) -> &'static [u8] {
        match self {
            Self::Flags => b"flags\n",
            Self::PosixWorm => b"posix-worm\n",
        }
    }
}

/// More bytes than any of these words has.
const WORD_BYTES_MAX: usize = 16;

impl<F: Files> LocalStore<F> {
    /// Has every object that is put here from now on kept from change, whoever opens the
    /// store. There is no way back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] with [`Action::Lock`] where the filesystem knows no such thing or
    /// this user may not do it, and [`StoreError::Unfit`] where it was done and does not
    /// hold. Nothing was made then, but canaries that can't be removed yet.
    pub fn make_immutable(&self, how: Immutable) -> Result<(), StoreError> {
        self.learn_mode()?;
        if self.mode().is_some_and(|mode| mode != how) {
            return Err(self.unfit(Unfit::OtherMode));
        }
        self.make_directory(STAGING)?;
        let tried = match how {
            Immutable::Flags => self.try_flag(),
            Immutable::PosixWorm => self.try_worm(),
        };
        if tried.is_err() {
            self.files.remove_empty(CANARIES);
            self.files.remove_empty(STAGING);
        }
        tried?;
        let staged = self.stage(how.word(), Some(how))?;
        let linked = self.files.link(&staged, MODE_FILE);
        self.discard(&staged);
        match linked {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Io {
                    action: Action::Link,
                    path: MODE_FILE.to_owned(),
                    source,
                });
            }
            _ => self.sync_directory("")?,
        }
        self.keep(MODE_FILE, how)?;
        self.learn_mode()
    }

    /// Sees that a file with the flag can't be removed.
    fn try_flag(&self) -> Result<(), StoreError> {
        let path = self.stage(b"canary", None)?;
        let tried = self.flag(&path, true).and_then(|()| {
            if self.files.unlink(&path).is_ok() {
                return Err(self.unfit(Unfit::FlagIgnored));
            }
            self.flag(&path, false)
        });
        self.discard(&path);
        tried
    }

    pub(super) fn unfit(&self, lacks: Unfit) -> StoreError {
        StoreError::Unfit {
            location: self.location.clone(),
            lacks,
        }
    }

    /// Looks how objects are kept from change here.
    pub(super) fn learn_mode(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io {
            action: Action::Read,
            path: MODE_FILE.to_owned(),
            source,
        };
        let file = match self.files.open(MODE_FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let mut word = [0; WORD_BYTES_MAX];
        let read = super::retry(|| self.files.read_at(&file, &mut word, 0)).map_err(failed)?;
        let named = Immutable::ALL
            .into_iter()
            .find(|it| it.word() == &word[..read]);
        let mode = named.ok_or_else(|| self.unfit(Unfit::UnknownMode))?;
        let _ = self.mode.set(mode);
        Ok(())
    }

    /// How objects here are kept from change.
    pub(super) fn mode(&self) -> Option<Immutable> {
        self.mode.get().copied()
    }

    /// Locks what was put under a name, and has no other.
    pub(super) fn keep(&self, path: &str, how: Immutable) -> Result<(), StoreError> {
        match how {
            Immutable::Flags => self.flag(path, true),
            Immutable::PosixWorm => self.commit_new(path),
        }
    }

    /// Until when an object that exists is locked, in milliseconds since 1970.
    pub(super) fn kept_until(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        match self.mode() {
            None => Ok(None),
            Some(Immutable::Flags) => self.flagged_until(key),
            Some(Immutable::PosixWorm) => self.committed_until(key),
        }
    }

    /// Locks an object until a time, in milliseconds since 1970, or for longer.
    pub(super) fn keep_until(&self, key: &ObjectKey, until_ms: u64) -> Result<(), StoreError> {
        match self.mode() {
            None => Err(StoreError::LocksUnsupported {
                location: self.location.clone(),
            }),
            Some(Immutable::Flags) => match self.flagged_until(key)? {
                Some(locked_until_ms) if locked_until_ms > until_ms => {
                    Err(StoreError::WouldShorten {
                        key: *key,
                        locked_until_ms,
                    })
                }
                Some(_) => Ok(()),
                None => self.flag(&key.path(), true),
            },
            Some(Immutable::PosixWorm) => self.commit_until(key, until_ms),
        }
    }

    /// For how long what is put is locked at first, where locks end.
    pub(super) fn lock_first(&self, span_ms: u64) {
        self.first_span_ms.store(span_ms, Ordering::Relaxed);
    }

    /// Sets or clears the flag of a file.
    pub(super) fn flag(&self, path: &str, on: bool) -> Result<(), StoreError> {
        let set = super::retry(|| self.files.set_immutable(path, on));
        set.map_err(|source| {
            let why = match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    "setting the immutable flag takes CAP_LINUX_IMMUTABLE, which root has"
                }
                io::ErrorKind::Unsupported => "this filesystem keeps no immutable flag",
                _ => return lock_failed(path, source),
            };
            lock_failed(path, io::Error::new(source.kind(), why))
        })
    }

    /// Until when an object that exists is locked by its flag: for good, or not at all.
    fn flagged_until(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        let path = key.path();
        match super::retry(|| self.files.is_immutable(&path)) {
            Ok(is_immutable) => Ok(is_immutable.then_some(u64::MAX)),
            Err(source) => Err(inspection_failed(key, source)),
        }
    }
}

pub(super) fn lock_failed(path: &str, source: io::Error) -> StoreError {
    StoreError::Io {
        action: Action::Lock,
        path: path.to_owned(),
        source,
    }
}

pub(super) fn inspection_failed(key: &ObjectKey, source: io::Error) -> StoreError {
    if source.kind() == io::ErrorKind::NotFound {
        return StoreError::NotFound { key: *key };
    }
    StoreError::Io {
        action: Action::Inspect,
        path: key.path(),
        source,
    }
}
