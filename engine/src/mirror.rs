//! Copies a repository to another store as it is. It takes no key: what is copied is
//! what anybody may check.
//!
//! The log of the copy becomes the log of the original, object by object in its order,
//! junk and holes included, so that roots, pins and proofs are the same. An entry is
//! copied behind the packs and the record that it names, so a copy that was broken off
//! is an older state of the repository. A pack is copied only if its bytes have the hash
//! that is its name. What is damaged in the original is told and stops nothing else: the
//! copy lacks it, and the next run tries again.
//!
//! Where the copy's store locks, its locks are made as long as the original's.
//!
//! A copy whose log is no beginning of the original's is never touched: that is a fork,
//! or the original was rolled back, and both are what mirrors are for noticing.

mod locks;

use std::collections::BTreeSet;

pub use locks::{CarriedLocks, ShortLock};

use indelible_format::commit::SnapshotBody;
use indelible_format::entry::{Body, Entry};
use indelible_format::history::History;
use indelible_format::ids::LogHash;
use indelible_format::limits::{COMMIT_BYTES_MAX, LEAF_BYTES_MAX, PACK_BYTES_MAX};
use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::log::{self, LogError, Signed};
use crate::progress::{Phase, Progress};
use crate::repository::{RecordError, read_commit_body};
use crate::store::{
    AppendStore, Area, ErrorClass, Listed, ObjectKey, ReadStore, StoreError, put_object,
};

/// Why nothing more was copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The original's log can't be read.
    #[error("the log of the original could not be read")]
    Original(#[source] LogError),
    /// The copy's log can't be read.
    #[error("the log of the copy could not be read")]
    Copy(#[source] LogError),
    /// Another repository stands there.
    #[error("another repository stands where the copy is to be")]
    OtherRepository,
    /// The copy has entries that the original has not.
    #[error(
        "the copy has {copy} log entries and the original {original}: the original was rolled back, or is itself a copy that is behind"
    )]
    Behind {
        /// Size of the original's log.
        original: u64,
        /// Size of the copy's.
        copy: u64,
    },
    /// The two logs differ.
    #[error("the logs of original and copy differ from entry {at} on: one of them was forked")]
    Forked {
        /// The first number that differs.
        at: u64,
    },
    /// The original's store failed.
    #[error("the original could not be read")]
    Read(#[source] StoreError),
    /// The copy's store failed.
    #[error("the copy could not be written")]
    Write(#[source] StoreError),
    /// A name in the copy is taken by other bytes.
    #[error("{key} of the copy has other bytes than that of the original")]
    Taken {
        /// The object.
        key: ObjectKey,
    },
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// An object of the original that could not be copied.
#[derive(Debug)]
pub struct Lost {
    /// The object.
    pub key: ObjectKey,
    /// The entry that names it.
    pub entry: u64,
    /// Why.
    pub cause: LostCause,
}

/// Why an object could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LostCause {
    /// It is not there, or can't be read.
    #[error("it can't be read")]
    Store(#[source] StoreError),
    /// No version of it has the hash that is its name.
    #[error("its bytes are not those that its name stands for")]
    Altered,
    /// A commit record that can't be read says which packs there are.
    #[error("its commit record can't be read")]
    Record(#[source] RecordError),
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// Entries of the original's log.
    pub size: u64,
    /// Log objects copied.
    pub entries: u64,
    /// Packs copied.
    pub packs: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// What could not be copied, and the copy lacks.
    pub lost: Vec<Lost>,
    /// What became of the copy's locks.
    pub locks: CarriedLocks,
}

/// Copies what the copy lacks. Its locks get as long as the original's, but for those that
/// would end after `latest_ms`, in milliseconds since 1970.
///
/// # Errors
///
/// [`MirrorError`]. The copy is sound, and goes on where it ended.
pub fn mirror<S: ReadStore + ?Sized, D: AppendStore + ?Sized>(
    original: &S,
    copy: &D,
    latest_ms: u64,
    cancel: &Cancel,
    progress: &dyn Progress,
) -> Result<Mirrored, MirrorError> {
    let history =
        log::read_each(original, &[], &Signed::default()).map_err(MirrorError::Original)?;
    let done = already(&history, copy)?;
    let mut run = Run {
        original,
        copy,
        cancel,
        there: present(copy)?,
        mirrored: Mirrored {
            size: history.size(),
            ..Mirrored::default()
        },
    };
    progress.begin(Phase::Mirroring, Some(history.size()));
    for number in 0..history.size() {
        if cancel.is_requested() {
            return Err(MirrorError::Interrupted);
        }
        // Also of entries that the copy has: what was lost may be back.
        if let Some(entry) = history.entries.get(&number) {
            run.what_it_names(entry)?;
        }
        // The first is put again: a telling name hangs on it.
        if number >= done || number == 0 {
            run.log_object(number, number >= done)?;
        }
        progress.advance(Phase::Mirroring, 1);
    }
    // They are made anew and not copied: then what is wrong with the original's is not.
    log::make_missing(copy, &history, usize::MAX);
    progress.end(Phase::Mirroring);
    if copy.capabilities().locks {
        progress.begin(Phase::ExtendingLocks, None);
        let mut keys: Vec<ObjectKey> = run.there.iter().copied().collect();
        keys.push(ObjectKey::Repository);
        keys.extend((0..history.size()).map(ObjectKey::Log));
        run.mirrored.locks = locks::carry(original, copy, &keys, latest_ms);
        progress.end(Phase::ExtendingLocks);
    }
    Ok(run.mirrored)
}

/// How many entries the copy has already, if its log is a beginning of the original's.
fn already<D: AppendStore + ?Sized>(history: &History, copy: &D) -> Result<u64, MirrorError> {
    let there = match log::read_each(copy, &[], &Signed::default()) {
        Ok(there) => there,
        Err(LogError::NoRepository { .. }) => {
            copy.prepare().map_err(MirrorError::Write)?;
            return Ok(0);
        }
        Err(error) => return Err(MirrorError::Copy(error)),
    };
    if there.authority.repository() != history.authority.repository() {
        return Err(MirrorError::OtherRepository);
    }
    let differs = |(ours, theirs): (&LogHash, &LogHash)| ours != theirs;
    let pairs = history.leaves.iter().zip(&there.leaves);
    if let Some(at) = pairs.map(differs).position(|differs| differs) {
        return Err(MirrorError::Forked { at: at as u64 });
    }
    let (original, copy) = (history.size(), there.size());
    if copy > original {
        return Err(MirrorError::Behind { original, copy });
    }
    Ok(copy)
}

/// The packs and records that a copy has, with their sizes.
fn present<D: AppendStore + ?Sized>(copy: &D) -> Result<BTreeSet<ObjectKey>, MirrorError> {
    let mut there = BTreeSet::new();
    for area in [Area::Packs, Area::Records] {
        copy.list(area, &mut |listed| {
            if let Listed::Object { key, .. } = listed {
                there.insert(key);
            }
        })
        .map_err(MirrorError::Write)?;
    }
    Ok(there)
}

struct Run<'r, S: ?Sized, D: ?Sized> {
    original: &'r S,
    copy: &'r D,
    cancel: &'r Cancel,
    there: BTreeSet<ObjectKey>,
    mirrored: Mirrored,
}

/// What became of an object.
enum Copied {
    Bytes(u64),
    Lost(LostCause),
}

impl<S: ReadStore + ?Sized, D: AppendStore + ?Sized> Run<'_, S, D> {
    /// Copies the record and the packs that an entry names and the copy lacks.
    fn what_it_names(&mut self, entry: &Entry) -> Result<(), MirrorError> {
        let number = entry.header().number;
        let body = match read_commit_body(self.original, entry) {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(()),
            Err(error) => {
                let key = match entry.body() {
                    Body::Snapshot(SnapshotBody::Record { id, .. }) => ObjectKey::Record(*id),
                    _ => ObjectKey::Log(number),
                };
                let cause = LostCause::Record(error);
                self.lose(key, number, cause);
                return Ok(());
            }
        };
        let mut wanted: Vec<(ObjectKey, usize)> = body
            .packs
            .iter()
            .map(|pack| (ObjectKey::Pack(pack.id), PACK_BYTES_MAX))
            .collect();
        if let Body::Snapshot(SnapshotBody::Record { id, .. }) = entry.body() {
            wanted.push((ObjectKey::Record(*id), COMMIT_BYTES_MAX));
        }
        wanted.retain(|(key, _)| !self.there.contains(key));
        let copied: Vec<(ObjectKey, Result<Copied, MirrorError>)> = wanted
            .into_par_iter()
            .with_max_len(1)
            .map(|(key, most)| (key, self.object(key, most)))
            .collect();
        for (key, copied) in copied {
            match copied? {
                Copied::Bytes(bytes) => {
                    self.there.insert(key);
                    self.mirrored.packs += u64::from(matches!(key, ObjectKey::Pack(_)));
                    self.mirrored.bytes += bytes;
                }
                Copied::Lost(cause) => self.lose(key, number, cause),
            }
        }
        Ok(())
    }

    fn lose(&mut self, key: ObjectKey, entry: u64, cause: LostCause) {
        self.mirrored.lost.push(Lost { key, entry, cause });
    }

    /// Copies an object whose name is the hash of its bytes.
    fn object(&self, key: ObjectKey, most: usize) -> Result<Copied, MirrorError> {
        if self.cancel.is_requested() {
            return Err(MirrorError::Interrupted);
        }
        let bytes = match self.right_version(&key, most) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Copied::Lost(LostCause::Altered)),
            Err(error) if error.class() == ErrorClass::Unreachable => {
                return Err(MirrorError::Read(error));
            }
            Err(error) => return Ok(Copied::Lost(LostCause::Store(error))),
        };
        self.put(key, &bytes)?;
        Ok(Copied::Bytes(bytes.len() as u64))
    }

    /// The version of an object that has the hash which is its name.
    fn right_version(&self, key: &ObjectKey, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes = self.original.read(key, most as u64)?;
        Ok(key.names(&bytes).then_some(bytes))
    }

    /// Copies an object of the log, if there is one. The copy may have it, if it is not
    /// new there.
    fn log_object(&mut self, number: u64, is_new: bool) -> Result<(), MirrorError> {
        let key = ObjectKey::Log(number);
        // What is longer differs from every entry by these bytes already.
        let bytes = match self.original.read_oldest(&key, LEAF_BYTES_MAX as u64) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound { .. } | StoreError::NotRegular { .. }) => return Ok(()),
            Err(error) => return Err(MirrorError::Read(error)),
        };
        self.put(key, &bytes)?;
        if number == 0 {
            // Nothing hangs on this one.
            let _ = self.copy.put_new(&ObjectKey::Repository, &bytes);
        }
        if is_new {
            self.mirrored.entries += 1;
            self.mirrored.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    fn put(&self, key: ObjectKey, bytes: &[u8]) -> Result<(), MirrorError> {
        if put_object(self.copy, &key, bytes).map_err(MirrorError::Write)? {
            Ok(())
        } else {
            Err(MirrorError::Taken { key })
        }
    }
}
