//! Writes a snapshot's entries back: into a directory, or one of them to a
//! stream.
//!
//! Every byte was checked against its chunk's id by [`read`](crate::read) before
//! it gets here. A file is written under a temporary name and renamed when it is
//! complete, so a truncated one never stands under its final name; and
//! [`target`](crate::target) never leaves the directory that it was given.
//! Writing to a stream has no such shelter: there, an error is the sign that
//! what was written is not whole.
//!
//! A restore stops at the first byte that can't be read, unless it is to
//! [salvage](Restore::salvaging) what is intact: then what can't be read becomes
//! a [`Hole`] of zeros, which is told, and the file gets another name than its
//! own. It goes on with what an earlier run left if it is to
//! [resume](Restore::resuming) that: what stands in the target counts if it has
//! the bytes of the snapshot, whatever its size and time say. Either way there is
//! one way for a byte to get into a file (`copy`), and a wrong one has none.
//!
//! This module decides nothing about trust: who calls it has looked at the
//! snapshot's refusal and the log's continuity.

mod content;
mod copy;
mod hole;
mod listed;
mod plan;

use std::io::{self, Write};
use std::path::Path;

use indelible_format::page::{Content, EntryKind, Metadata, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use crate::cancel::Cancel;
use crate::progress::{Phase, Progress};
use crate::read::{ReadError, Reader};
use crate::repository::{Listings, Repository, Snapshot};
use crate::store::{ReadStore, StoreError};
use crate::target::{NotApplied, Policy, TargetDir, TargetError};
use content::{FileSink, StandingSink, WriterSink};
pub use hole::Hole;
use hole::Tally;
use listed::{Found, Listed};
pub use plan::{Conflict, Intent, NeededPack, Outcome, Plan, plan};

/// Permissions of what had none: standard input, or the output of a command. A
/// dump is for its owner.
const STREAM_MODE: u32 = 0o600;

/// Why a restore did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot can't be read.
    #[error("{}could not be read back", .path.as_ref().map(|path| format!("{path} ")).unwrap_or_default())]
    Read {
        /// The entry, if one was being read.
        path: Option<EntryPath>,
        /// Why.
        source: ReadError,
    },
    /// A pack could not be asked after.
    #[error("the packs could not be looked for")]
    Packs(#[source] StoreError),
    /// The target refused.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The snapshot has no such entry.
    #[error("the snapshot has no {path}")]
    NoSuchPath {
        /// What was asked for.
        path: EntryPath,
    },
    /// Only files and streams can be written to a stream.
    #[error("{path} is not a file")]
    NotAFile {
        /// What was asked for.
        path: EntryPath,
    },
    /// One entry was to be written, and the snapshot has several.
    #[error("the snapshot has {} files; name one", .paths.len())]
    Several {
        /// The files, at most 20 of them.
        paths: Vec<EntryPath>,
    },
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// What was restored could not be handed on.
    #[error("writing the output failed")]
    Output(#[source] io::Error),
}

/// What a restore came to.
#[derive(Debug, Default)]
pub struct Restored {
    /// Entries restored.
    pub entries: u64,
    /// Bytes of content written.
    pub bytes: u64,
    /// Bytes of content that stood there already, and were right.
    pub kept_bytes: u64,
    /// Holes, each of which was told. A restore that is not to salvage has none.
    pub holes: u64,
    /// Bytes of files that are holes.
    pub hole_bytes: u64,
    /// Files with holes. They stand under their name with `.salvaged` behind.
    pub files_with_holes: u64,
    /// Owners, modes and times that could not be set.
    pub not_applied: Vec<NotApplied>,
}

/// One restore of one snapshot.
pub struct Restore<'a, S: ReadStore + ?Sized> {
    reader: Reader<'a, S>,
    snapshot: &'a Snapshot,
    name_seed: [u8; 32],
    cancel: &'a Cancel,
    progress: &'a dyn Progress,
    /// Whom holes are told to, if it is to go on behind them.
    tell: Option<&'a dyn Fn(&Hole)>,
    resumes: bool,
}

fn unread(source: ReadError) -> RestoreError {
    RestoreError::Read { path: None, source }
}

impl<'a, S: ReadStore + ?Sized> Restore<'a, S> {
    /// Prepares to restore a snapshot.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotAllowed`] without the restore right.
    pub fn new(
        repository: &'a Repository<'_, S>,
        listings: &'a Listings,
        snapshot: &'a Snapshot,
        cancel: &'a Cancel,
        progress: &'a dyn Progress,
    ) -> Result<Self, RestoreError> {
        if repository.key().restore.is_none() {
            return Err(unread(ReadError::NotAllowed { needed: "restore" }));
        }
        let reader = Reader::new(repository, listings, snapshot.binding.domain).map_err(unread)?;
        Ok(Self {
            reader: reader.wanting_contents(),
            snapshot,
            name_seed: repository.env().random(),
            cancel,
            progress,
            tell: None,
            resumes: false,
        })
    }

    /// Restores what is intact, and tells what is not, each hole once.
    ///
    /// A store that does not answer still ends the restore: what it holds may be
    /// intact.
    #[must_use]
    pub fn salvaging(mut self, tell: &'a dyn Fn(&Hole)) -> Self {
        self.tell = Some(tell);
        self
    }

    /// Goes on with what an earlier restore left in the target directory.
    #[must_use]
    pub fn resuming(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Restores the entries at and below `paths`, or all if there are none, below
    /// a directory that is made if it is absent.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]. What was finished before stays, and an unfinished file
    /// waits under a temporary name for a restore that resumes.
    pub fn to_directory(
        &self,
        target: &Path,
        paths: &[EntryPath],
        policy: Policy,
    ) -> Result<Restored, RestoreError> {
        let total = self.select(paths)?;
        self.progress.begin(Phase::Restoring, Some(total));
        let target = if self.resumes {
            TargetDir::resume(target, policy, self.name_seed)?
        } else {
            TargetDir::open(target, policy, true, self.name_seed)?
        };
        let mut tally = Tally::new(self.tell);
        let mut directories: Vec<(EntryPath, Metadata)> = Vec::new();
        let mut last_parent = None;
        for found in self.listed() {
            self.check_cancel()?;
            let (entry, place) = match found? {
                Found::Entry(entry, place) => (entry, place),
                Found::Lost(hole) => {
                    if paths.is_empty() || paths.iter().any(|path| hole.may_hold(path)) {
                        tally.tell(hole);
                    }
                    continue;
                }
            };
            if !is_selected(&entry.path, paths) {
                continue;
            }
            let parent = entry.path.parent();
            if parent.is_some() && parent != last_parent {
                make_ancestors(&target, &entry.path)?;
                last_parent = parent;
            }
            if let EntryKind::Directory { metadata } = &entry.kind {
                target.make_directory(&entry.path)?;
                directories.push((entry.path.clone(), *metadata));
            } else {
                let not_applied = self.write_entry(&target, policy, &entry, place, &mut tally)?;
                tally.restored.not_applied.extend(not_applied);
            }
            tally.restored.entries += 1;
        }
        let mut restored = tally.finish();
        // Deepest first, since filling a directory changes its time.
        for (path, metadata) in directories.iter().rev() {
            restored
                .not_applied
                .extend(target.finish_directory(path, metadata)?);
        }
        target.sync()?;
        self.progress.end(Phase::Restoring);
        Ok(restored)
    }

    /// Writes the content of one file: the one at `path`, or the only one.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]. What was written then is not whole.
    pub fn to_writer(
        &self,
        path: Option<&EntryPath>,
        out: &mut dyn Write,
    ) -> Result<Restored, RestoreError> {
        let mut tally = Tally::new(self.tell);
        let (entry, place) = self.find_file(path, &mut tally)?;
        let content = entry.content().ok_or_else(|| RestoreError::NotAFile {
            path: entry.path.clone(),
        })?;
        self.progress.begin(Phase::Restoring, Some(content.len()));
        let cancel = self.cancel;
        self.copy(&entry, place, &mut WriterSink { out, cancel }, &mut tally)?;
        out.flush().map_err(RestoreError::Output)?;
        self.progress.end(Phase::Restoring);
        tally.restored.entries = 1;
        Ok(tally.finish())
    }

    fn listed(&self) -> Listed<'_, 'a, S> {
        Listed::new(
            &self.reader,
            &self.snapshot.manifest.list,
            self.tell.is_some(),
        )
    }

    /// Checks that each path stands for something, or may do so where the list
    /// can't be read, and adds up the bytes.
    fn select(&self, paths: &[EntryPath]) -> Result<u64, RestoreError> {
        let mut found = vec![false; paths.len()];
        let mut total = 0_u64;
        for listed in self.listed() {
            match listed? {
                Found::Entry(entry, _) => {
                    for (path, found) in paths.iter().zip(&mut found) {
                        *found |= entry.path.is_within(path);
                    }
                    if is_selected(&entry.path, paths) {
                        total = total.saturating_add(entry.content().map_or(0, Content::len));
                    }
                }
                Found::Lost(hole) => {
                    for (path, found) in paths.iter().zip(&mut found) {
                        *found |= hole.may_hold(path);
                    }
                }
            }
        }
        match found.iter().position(|found| !found) {
            Some(missing) => Err(RestoreError::NoSuchPath {
                path: paths[missing].clone(),
            }),
            None => Ok(total),
        }
    }

    fn find_file(
        &self,
        path: Option<&EntryPath>,
        tally: &mut Tally<'_>,
    ) -> Result<(TreeEntry, Option<Place>), RestoreError> {
        let mut files = Vec::new();
        let mut lost = Vec::new();
        for found in self.listed() {
            match (found?, path) {
                (Found::Entry(entry, place), Some(path)) if entry.path == *path => {
                    return Ok((entry, place));
                }
                (Found::Entry(entry, place), None) if entry.content().is_some() => {
                    if files.len() < 20 {
                        files.push((entry, place));
                    }
                }
                (Found::Entry(..), _) => {}
                (Found::Lost(hole), _) => {
                    if path.is_none_or(|path| hole.may_hold(path)) {
                        lost.push(hole);
                    }
                }
            }
        }
        if files.is_empty()
            && let Some(hole) = lost.pop()
        {
            return Err(RestoreError::Read {
                path: path.cloned(),
                source: hole.into_cause(),
            });
        }
        match (path, files.len()) {
            (Some(path), _) => Err(RestoreError::NoSuchPath { path: path.clone() }),
            (None, 1) => {
                for hole in lost {
                    tally.tell(hole);
                }
                Ok(files.remove(0))
            }
            (None, _) => Err(RestoreError::Several {
                paths: files.into_iter().map(|(entry, _)| entry.path).collect(),
            }),
        }
    }

    /// Restores anything but a directory, and gives what could not be set.
    fn write_entry(
        &self,
        target: &TargetDir,
        policy: Policy,
        entry: &TreeEntry,
        place: Option<Place>,
        tally: &mut Tally<'_>,
    ) -> Result<Vec<NotApplied>, RestoreError> {
        let metadata = match &entry.kind {
            EntryKind::Symlink {
                metadata,
                target: to,
            } => return Ok(target.make_symlink(&entry.path, to, metadata)?),
            EntryKind::File { metadata, .. } | EntryKind::Directory { metadata } => *metadata,
            EntryKind::Stream { .. } => self.stream_metadata(),
        };
        if self.resumes {
            let kept = self.keep(target, policy, entry, place, &metadata, tally)?;
            if let Some(not_applied) = kept {
                return Ok(not_applied);
            }
        }
        let mut file = if self.resumes {
            target.resume_file(&entry.path, &metadata)?
        } else {
            target.create_file(&entry.path)?
        };
        let len = entry.content().map_or(0, Content::len);
        let holes = tally.restored.hole_bytes;
        let copied = self.copy(entry, place, &mut FileSink(&mut file), tally);
        if let Err(error) = copied.and_then(|()| Ok(file.set_len(len)?)) {
            file.leave();
            return Err(error);
        }
        tally.restored.files_with_holes += u64::from(tally.restored.hole_bytes > holes);
        Ok(file.finish(&metadata)?)
    }

    /// Keeps a file that stands there whole and right, if one does.
    fn keep(
        &self,
        target: &TargetDir,
        policy: Policy,
        entry: &TreeEntry,
        place: Option<Place>,
        metadata: &Metadata,
        tally: &mut Tally<'_>,
    ) -> Result<Option<Vec<NotApplied>>, RestoreError> {
        let len = entry.content().map_or(0, Content::len);
        let Some(file) = target.standing_file(&entry.path, len, metadata)? else {
            return Ok(None);
        };
        let mut compared = Tally::new(self.tell);
        match self.copy(entry, place, &mut StandingSink(&file), &mut compared) {
            Ok(()) => {
                tally.restored.kept_bytes += compared.restored.kept_bytes;
                Ok(Some(file.finish(metadata)?))
            }
            // Not what this restore would write: to be replaced, or refused.
            Err(RestoreError::Target(TargetError::Exists { .. })) if policy.overwrite => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn check_cancel(&self) -> Result<(), RestoreError> {
        check(self.cancel)
    }

    /// What a stream gets, which came without metadata.
    fn stream_metadata(&self) -> Metadata {
        let ms = self.snapshot.claimed_ms;
        Metadata {
            mode: STREAM_MODE,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mtime_s: i64::try_from(ms / 1_000).unwrap_or(0),
            mtime_ns: u32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
        }
    }
}

fn check(cancel: &Cancel) -> Result<(), RestoreError> {
    if cancel.is_requested() {
        Err(RestoreError::Interrupted)
    } else {
        Ok(())
    }
}

fn is_selected(path: &EntryPath, paths: &[EntryPath]) -> bool {
    paths.is_empty() || paths.iter().any(|selected| path.is_within(selected))
}

/// Makes the directories above a path that stand in no selected entry.
fn make_ancestors(target: &TargetDir, path: &EntryPath) -> Result<(), RestoreError> {
    let mut ancestors = Vec::new();
    let mut above = path.parent();
    while let Some(directory) = above {
        above = directory.parent();
        ancestors.push(directory);
    }
    for directory in ancestors.iter().rev() {
        target.make_directory(directory)?;
    }
    Ok(())
}
