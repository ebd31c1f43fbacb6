//! Objects on a filesystem that is write-once: NetApp SnapLock, Dell SmartLock, and others
//! that are told in the same way.
//!
//! Such a filesystem commits a file when its last write bit goes. Until the file's access
//! time it can then be neither written, renamed nor removed, by anybody, and that time can
//! only be moved later. So that is what a lock is here: a file with a write bit has none,
//! and of one without, the lock ends with the access time.
//!
//! Why it is safe: an object is created writable, since a file that never was is never
//! committed, and is committed once it is durable under its name and has no other. A crash
//! in between leaves one with a write bit, which is not locked, as its readers see. Each date is read back
//! once it was set, and a filesystem that kept an earlier one is not believed. Any
//! filesystem takes these calls and most keep nothing by them: a directory becomes one of
//! this kind only if canaries in it withstood what they were told to. That the filesystem is the
//! same later on, only [`probe`](crate::store::AppendStore::probe) sees.

use std::io;
use std::sync::atomic::Ordering;

use super::files::{Attack, Files, Retention};
use super::immutable::{Immutable, MODE_FILE, inspection_failed, lock_failed};
use super::{LocalStore, retry};
use crate::retention::DAY_MS;
use crate::store::probe::Outcome;
use crate::store::{ObjectKey, StoreError, Unfit};

/// For how long what is put is locked, unless it is said.
pub(super) const FIRST_SPAN_MS: u64 = DAY_MS;

/// For how long canaries are: the clocks of both sides may differ by less.
pub(super) const CANARY_SPAN_MS: u64 = 600_000;

/// The end of the year 9999. No filesystem keeps later dates, and nobody means them.
const LATEST_S: u64 = 253_402_300_799;

impl<F: Files> LocalStore<F> {
    /// Sees that the filesystem keeps what is committed.
    pub(super) fn try_worm(&self) -> Result<(), StoreError> {
        for (attack, attempt) in self.attack_canaries(Some(Immutable::PosixWorm))? {
            let holds = matches!(attempt.outcome, Outcome::Refused | Outcome::InVain);
            // Where objects are moved with all their directory, they are still there.
            if !holds && attack != Attack::RenameParent {
                return Err(self.unfit(Unfit::NotWriteOnce {
                    tried: attempt.tried,
                }));
            }
        }
        Ok(())
    }

    /// Commits what was put, for a first while. What is committed already stays as it is.
    pub(super) fn commit_new(&self, path: &str) -> Result<(), StoreError> {
        let held = retry(|| self.files.retention(path));
        if held
            .map_err(|source| lock_failed(path, source))?
            .is_committed
        {
            return Ok(());
        }
        self.commit_for(path, self.first_span_ms.load(Ordering::Relaxed))
    }

    /// Commits a file for some time from now on.
    pub(super) fn commit_for(&self, path: &str, span_ms: u64) -> Result<(), StoreError> {
        let until_ms = self.clock.now_unix_ms().saturating_add(span_ms);
        self.commit(path, self.date_s(until_ms)?).map(drop)
    }

    /// Commits a file until a date, or keeps it for longer. Answers until when it is kept.
    fn commit(&self, path: &str, until_s: u64) -> Result<u64, StoreError> {
        let failed = |source| lock_failed(path, source);
        let wanted_ms = until_s * 1_000;
        let mut again = true;
        loop {
            retry(|| self.files.commit(path, until_s)).map_err(failed)?;
            let held = retry(|| self.files.retention(path)).map_err(failed)?;
            if held.is_committed && held.until_ms >= wanted_ms {
                return Ok(held.until_ms);
            }
            // Whoever read it before it was committed may have moved its access time.
            if !std::mem::take(&mut again) {
                return Err(failed(kept_other(held, wanted_ms)));
            }
        }
    }

    /// Until when an object that exists is locked.
    pub(super) fn committed_until(&self, key: &ObjectKey) -> Result<Option<u64>, StoreError> {
        let held = self.retention_of(key)?;
        Ok(held.is_committed.then_some(held.until_ms))
    }

    /// Locks an object until a time, in milliseconds since 1970, or for longer.
    pub(super) fn commit_until(&self, key: &ObjectKey, until_ms: u64) -> Result<(), StoreError> {
        let date_s = self.date_s(until_ms)?;
        let wanted_ms = date_s * 1_000;
        let held = self.retention_of(key)?;
        let kept_ms = if held.is_committed && held.until_ms >= wanted_ms {
            held.until_ms
        } else {
            self.commit(&key.path(), date_s)?
        };
        self.keep_mode_file(date_s);
        if kept_ms > wanted_ms {
            return Err(StoreError::WouldShorten {
                key: *key,
                locked_until_ms: kept_ms,
            });
        }
        Ok(())
    }

    /// What has writers commit is kept as long as anything that they commit. Without it
    /// they would commit nothing more, which they would be told.
    fn keep_mode_file(&self, until_s: u64) {
        let wanted_ms = until_s * 1_000;
        if self.mode_until_ms.load(Ordering::Relaxed) >= wanted_ms {
            return;
        }
        let Ok(held) = retry(|| self.files.retention(MODE_FILE)) else {
            return;
        };
        let kept_ms = if held.is_committed && held.until_ms >= wanted_ms {
            Ok(held.until_ms)
        } else {
            self.commit(MODE_FILE, until_s)
        };
        if let Ok(kept_ms) = kept_ms {
            self.mode_until_ms.fetch_max(kept_ms, Ordering::Relaxed);
        }
    }

    fn retention_of(&self, key: &ObjectKey) -> Result<Retention, StoreError> {
        let held = retry(|| self.files.retention(&key.path()));
        held.map_err(|source| inspection_failed(key, source))
    }

    /// The access time, in seconds, by which a file is kept until a time in milliseconds.
    fn date_s(&self, until_ms: u64) -> Result<u64, StoreError> {
        let date_s = until_ms.div_ceil(1_000);
        if date_s > LATEST_S {
            return Err(StoreError::LocksUnsupported {
                location: self.location.clone(),
            });
        }
        Ok(date_s)
    }
}

fn kept_other(held: Retention, wanted_ms: u64) -> io::Error {
    if held.is_committed {
        let kept_ms = held.until_ms;
        io::Error::other(format!(
            "its filesystem keeps it until {kept_ms}, and not until {wanted_ms} as it was told"
        ))
    } else {
        io::Error::other("its filesystem lets it stay writable")
    }
}
