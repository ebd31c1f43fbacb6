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
//! This module decides nothing about trust: who calls it has looked at the
//! snapshot's refusal and the log's continuity.

use std::io::{self, Write};
use std::path::Path;

use indelible_format::node::PlacedRoot;
use indelible_format::page::{Content, EntryKind, Metadata, TreeEntry};
use indelible_format::path::EntryPath;
use indelible_format::places::Place;

use crate::cancel::Cancel;
use crate::progress::{Phase, Progress};
use crate::read::{ReadError, Reader};
use crate::repository::{Listings, Repository, Snapshot};
use crate::store::ReadStore;
use crate::target::{NotApplied, Policy, TargetDir, TargetError, TargetFile};

/// How much of a stream is fetched and decoded at once, bytes.
const WINDOW_BYTES: u64 = 16 << 20;
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
    /// Entries written.
    pub entries: u64,
    /// Bytes of content written.
    pub bytes: u64,
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
            reader,
            snapshot,
            name_seed: repository.env().random(),
            cancel,
            progress,
        })
    }

    /// Restores the entries at and below `paths`, or all if there are none, below
    /// a directory that is made if it is absent.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]. What was finished before stays.
    pub fn to_directory(
        &self,
        target: &Path,
        paths: &[EntryPath],
        policy: Policy,
    ) -> Result<Restored, RestoreError> {
        let total = self.select(paths)?;
        self.progress.begin(Phase::Restoring, Some(total));
        let target = TargetDir::open(target, policy, true, self.name_seed)?;
        let mut restored = Restored::default();
        let mut directories: Vec<(EntryPath, Metadata)> = Vec::new();
        let mut last_parent = None;
        for entry in self
            .reader
            .entries(&self.snapshot.manifest.list)
            .map_err(unread)?
        {
            let (entry, place) = entry.map_err(unread)?;
            self.check_cancel()?;
            if !is_selected(&entry.path, paths) {
                continue;
            }
            let parent = entry.path.parent();
            if parent.is_some() && parent != last_parent {
                make_ancestors(&target, &entry.path)?;
                last_parent = parent;
            }
            match &entry.kind {
                EntryKind::Directory { metadata } => {
                    target.make_directory(&entry.path)?;
                    directories.push((entry.path.clone(), *metadata));
                }
                EntryKind::Symlink {
                    metadata,
                    target: to,
                } => {
                    restored
                        .not_applied
                        .extend(target.make_symlink(&entry.path, to, metadata)?);
                }
                EntryKind::File { content, metadata } => {
                    let file = self.write_file(&target, &entry, content, place)?;
                    restored.not_applied.extend(file.finish(metadata)?);
                    restored.bytes += content.len();
                }
                EntryKind::Stream { content } => {
                    let file = self.write_file(&target, &entry, content, place)?;
                    restored
                        .not_applied
                        .extend(file.finish(&self.stream_metadata())?);
                    restored.bytes += content.len();
                }
            }
            restored.entries += 1;
        }
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
        let (entry, place) = self.find_file(path)?;
        let content = *entry.content().ok_or_else(|| RestoreError::NotAFile {
            path: entry.path.clone(),
        })?;
        self.progress.begin(Phase::Restoring, Some(content.len()));
        self.copy(&entry, &content, place, &mut |bytes| {
            out.write_all(bytes).map_err(RestoreError::Output)
        })?;
        out.flush().map_err(RestoreError::Output)?;
        self.progress.end(Phase::Restoring);
        Ok(Restored {
            entries: 1,
            bytes: content.len(),
            not_applied: Vec::new(),
        })
    }

    /// Checks that each path stands for something, and adds up the bytes.
    fn select(&self, paths: &[EntryPath]) -> Result<u64, RestoreError> {
        let mut found = vec![false; paths.len()];
        let mut total = 0;
        for entry in self
            .reader
            .entries(&self.snapshot.manifest.list)
            .map_err(unread)?
        {
            let (entry, _) = entry.map_err(unread)?;
            for (path, found) in paths.iter().zip(&mut found) {
                *found |= entry.path.is_within(path);
            }
            if is_selected(&entry.path, paths) {
                total += entry.content().map_or(0, Content::len);
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
    ) -> Result<(TreeEntry, Option<Place>), RestoreError> {
        let mut files = Vec::new();
        for entry in self
            .reader
            .entries(&self.snapshot.manifest.list)
            .map_err(unread)?
        {
            let entry = entry.map_err(unread)?;
            match path {
                Some(path) if entry.0.path == *path => return Ok(entry),
                None if entry.0.content().is_some() && files.len() < 20 => files.push(entry),
                Some(_) | None => {}
            }
        }
        match (path, files.len()) {
            (Some(path), _) => Err(RestoreError::NoSuchPath { path: path.clone() }),
            (None, 1) => Ok(files.remove(0)),
            (None, _) => Err(RestoreError::Several {
                paths: files.into_iter().map(|(entry, _)| entry.path).collect(),
            }),
        }
    }

    fn write_file(
        &self,
        target: &TargetDir,
        entry: &TreeEntry,
        content: &Content,
        place: Option<Place>,
    ) -> Result<TargetFile, RestoreError> {
        let mut file = target.create_file(&entry.path)?;
        self.copy(entry, content, place, &mut |bytes| {
            Ok(file.write_all(bytes)?)
        })?;
        Ok(file)
    }

    /// Hands an entry's content on, in order.
    fn copy(
        &self,
        entry: &TreeEntry,
        content: &Content,
        place: Option<Place>,
        write: &mut dyn FnMut(&[u8]) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let failed = |source| RestoreError::Read {
            path: Some(entry.path.clone()),
            source,
        };
        match (content, place) {
            (Content::Empty, _) => Ok(()),
            (Content::Small { offset, len }, _) => {
                let small = self
                    .snapshot
                    .manifest
                    .small
                    .as_ref()
                    .ok_or_else(|| failed(ReadError::BeyondEnd))?;
                write(&self.reader.read(small, *offset, *len).map_err(failed)?)?;
                self.progress.advance(Phase::Restoring, *len);
                Ok(())
            }
            (Content::Own(_), None) => Err(failed(ReadError::BeyondEnd)),
            (Content::Own(root), Some(place)) => {
                let mut walk = self
                    .reader
                    .walk(&PlacedRoot { root: *root, place }, 0)
                    .map_err(failed)?;
                loop {
                    let window = walk.window(WINDOW_BYTES).map_err(failed)?;
                    if window.is_empty() {
                        return Ok(());
                    }
                    for chunk in walk.chunks(&window) {
                        let chunk = chunk.map_err(failed)?;
                        self.check_cancel()?;
                        write(&chunk)?;
                        self.progress.advance(Phase::Restoring, chunk.len() as u64);
                    }
                }
            }
        }
    }

    fn check_cancel(&self) -> Result<(), RestoreError> {
        if self.cancel.is_requested() {
            Err(RestoreError::Interrupted)
        } else {
            Ok(())
        }
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
