//! Objects that the system itself keeps from change: the immutable flag of Linux
//! (`chattr +i`).
//!
//! A file with the flag can't be written, renamed, linked or removed by anybody until the
//! flag is taken off, which takes `CAP_LINUX_IMMUTABLE`. That stops whoever is not root on
//! this machine, and costs root one command: it is no immutability against root.
//!
//! Why it is safe: an object gets the flag once it is durable under its name and has no
//! other, so that nothing depends on it. What a crash left without one is locked by the
//! next snapshot that needs it, as any lock that is too short. That a file has the flag is
//! asked of the system, never remembered. Before a directory counts as one that keeps
//! flags, a file in it is seen to withstand removal.

use std::io;
use std::sync::atomic::Ordering;

use super::files::Files;
use super::{LocalStore, STAGING};
use crate::store::{Action, ObjectKey, StoreError, Unfit};

/// Names, in the directory, how what is put there is kept from change.
const MODE_FILE: &str = "immutable";
/// What it says.
const FLAGS: &[u8] = b"flags\n";

impl<F: Files> LocalStore<F> {
    /// Has every object that is put here from now on get the immutable flag, whoever opens
    /// the store. There is no way back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] with [`Action::Lock`] where the filesystem keeps no flag or this
    /// user may not set it, and [`StoreError::Unfit`] where it is set and nothing heeds it.
    pub fn make_immutable(&self) -> Result<(), StoreError> {
        self.make_directory(STAGING)?;
        let canary = self.stage(b"canary")?;
        let tried = self.try_flag(&canary);
        self.discard(&canary);
        tried?;
        let staged = self.stage(FLAGS)?;
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
        self.flag(MODE_FILE, true)?;
        self.learn_mode()
    }

    /// Sees that a file with the flag can't be removed. It has none afterwards.
    fn try_flag(&self, path: &str) -> Result<(), StoreError> {
        self.flag(path, true)?;
        let removed = self.files.unlink(path).is_ok();
        if removed {
            return Err(StoreError::Unfit {
                location: self.location.clone(),
                lacks: Unfit::FlagIgnored,
            });
        }
        self.flag(path, false)
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
        let mut mode = [0; FLAGS.len() + 1];
        let read = super::retry(|| self.files.read_at(&file, &mut mode, 0)).map_err(failed)?;
        if &mode[..read] != FLAGS {
            return Err(StoreError::Unfit {
                location: self.location.clone(),
                lacks: Unfit::UnknownMode,
            });
        }
        self.flags.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether objects here get the flag.
    pub(super) fn keeps_flags(&self) -> bool {
        self.flags.load(Ordering::Relaxed)
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
                _ => {
                    return StoreError::Io {
                        action: Action::Lock,
                        path: path.to_owned(),
                        source,
                    };
                }
            };
            StoreError::Io {
                action: Action::Lock,
                path: path.to_owned(),
                source: io::Error::new(source.kind(), why),
            }
        })
    }

    /// Until when an object that exists is locked: for good, or not at all.
    pub(super) fn flagged_until(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        if !self.keeps_flags() {
            return Ok(None);
        }
        let path = key.path();
        match super::retry(|| self.files.is_immutable(&path)) {
            Ok(is_immutable) => Ok(is_immutable.then_some(u64::MAX)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NotFound { key: *key })
            }
            Err(source) => Err(StoreError::Io {
                action: Action::Inspect,
                path,
                source,
            }),
        }
    }
}
