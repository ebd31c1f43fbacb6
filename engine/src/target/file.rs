//! A file being restored.
//!
//! It has no final name until [`TargetFile::finish`] has made its bytes and its
//! metadata durable, so whatever stands under a final name is whole. One with
//! holes never gets it: its name is the entry's with `.salvaged` behind. A failed
//! sync is not tried again: the kernel may have dropped the pages and would
//! then report success. The file is given up instead, and nothing of it is left
//! for another run.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::left::{Left, Unfinished};
use super::metadata::{self, NotApplied};
use super::staged::Staged;
use super::{Place, Shared, Step, TargetError};

/// How many zeros are written at once where a file system can't make holes.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file that is being written. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct TargetFile {
    staged: Staged,
    file: Arc<File>,
    /// Its length now, bytes.
    len: u64,
    /// How much of it an earlier run left, bytes.
    left_len: u64,
    /// Where it is to stand if it has holes.
    salvaged: Option<Place>,
    /// Whether a sync of it failed.
    given_up: Arc<AtomicBool>,
}

/// Makes durable what was written to a file so far, while more is written: then
/// little is left to wait for at its end.
#[derive(Debug)]
pub struct Flusher {
    file: Arc<File>,
    path: EntryPath,
    given_up: Arc<AtomicBool>,
}

impl Flusher {
    /// Waits until the bytes are durable that are written.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`]. The file is given up.
    pub fn flush(&self) -> Result<(), TargetError> {
        self.file.sync_data().map_err(|source| {
            self.given_up.store(true, Ordering::SeqCst);
            TargetError::io(Step::Sync, &self.path, source)
        })
    }
}

impl TargetFile {
    pub(super) fn begin(shared: Arc<Shared>, place: Place) -> Result<Self, TargetError> {
        Unfinished::begin(shared, place).map(Self::from)
    }

    pub(super) fn resume(
        shared: Arc<Shared>,
        place: Place,
        metadata: &Metadata,
    ) -> Result<Self, TargetError> {
        Unfinished::resume(shared, place, metadata).map(Self::from)
    }

    /// What an earlier run left of it, to be compared.
    pub fn left(&self) -> Left {
        Left {
            file: Arc::clone(&self.file),
            len: self.left_len,
        }
    }

    /// Writes `bytes` at `offset_bytes`, in any order. What is never written
    /// reads as zeros.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`], such as when no space is left.
    pub fn write_at(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let written = self.file.write_all_at(bytes, offset_bytes);
        written.map_err(|source| self.write_error(source))?;
        self.len = self.len.max(offset_bytes + bytes.len() as u64);
        Ok(())
    }

    /// Makes a hole of zeros, whatever stood there. The file then is one with
    /// holes.
    ///
    /// # Errors
    ///
    /// [`TargetError::TooLong`] when no file can reach so far;
    /// [`TargetError::Exists`] or [`TargetError::InTheWay`] when the name for a
    /// file with holes is taken, as the policy decides; [`TargetError::Io`].
    pub fn hole(&mut self, offset_bytes: u64, len_bytes: u64) -> Result<(), TargetError> {
        if self.salvaged.is_none() {
            let place = self.staged.place().salvaged()?;
            // Said now rather than after a terabyte; decided by the rename.
            self.staged.may_take(&place)?;
            self.salvaged = Some(place);
        }
        let end = offset_bytes.saturating_add(len_bytes);
        let over = end.min(self.len);
        if over > offset_bytes {
            self.clear(offset_bytes, over - offset_bytes)
                .map_err(|source| self.write_error(source))?;
        }
        if end > self.len {
            self.set_len(end)?;
        }
        Ok(())
    }

    /// Turns what stands in a range into zeros.
    fn clear(&self, offset_bytes: u64, len_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, offset_bytes, len_bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            cleared => return Ok(cleared?),
        }
        let end = offset_bytes + len_bytes;
        let mut at = offset_bytes;
        while at < end {
            let len = (end - at).min(ZEROS.len() as u64);
            let zeros = usize::try_from(len).map_or(&ZEROS[..], |len| &ZEROS[..len]);
            self.file.write_all_at(zeros, at)?;
            at += len;
        }
        Ok(())
    }

    /// Sets the file's length, so that nothing of an earlier run stands behind
    /// its end.
    ///
    /// # Errors
    ///
    /// [`TargetError::TooLong`] when no file can be so long; [`TargetError::Io`].
    pub fn set_len(&mut self, len_bytes: u64) -> Result<(), TargetError> {
        if len_bytes == self.len {
            return Ok(());
        }
        self.file.set_len(len_bytes).map_err(|source| {
            let beyond = matches!(
                source.kind(),
                ErrorKind::FileTooLarge | ErrorKind::InvalidInput
            );
            if beyond {
                let path = self.staged.path().clone();
                TargetError::TooLong { path, len_bytes }
            } else {
                self.write_error(source)
            }
        })?;
        self.len = len_bytes;
        Ok(())
    }

    fn write_error(&self, source: io::Error) -> TargetError {
        TargetError::io(Step::Write, self.staged.path(), source)
    }

    /// Makes the file durable with its metadata, then gives it its name: the
    /// entry's, or the one for files with holes.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] or [`TargetError::InTheWay`] when something took
    /// the name meanwhile, [`TargetError::BadTime`], [`TargetError::Io`]. The
    /// file is then removed.
    pub fn finish(self, metadata: &Metadata) -> Result<Vec<NotApplied>, TargetError> {
        let path = self.staged.path();
        // The lock ends with the descriptor, which stays open until the name is
        // taken.
        let fd = self.file.as_fd();
        let not_applied = metadata::apply(fd, path, metadata)?;
        rustix::fs::fsync(fd).map_err(|errno| TargetError::io(Step::Sync, path, errno))?;
        match self.salvaged {
            None => self.staged.take_name()?,
            Some(place) => self.staged.take_name_of(&place)?,
        }
        Ok(not_applied)
    }

    /// For a thread beside the one that writes.
    pub fn flusher(&self) -> Flusher {
        Flusher {
            file: Arc::clone(&self.file),
            path: self.path().clone(),
            given_up: Arc::clone(&self.given_up),
        }
    }

    /// Leaves the file unfinished for the next run to take up, if it has
    /// anything and was not given up.
    pub fn leave(self) {
        if self.len > 0 && !self.given_up.load(Ordering::SeqCst) {
            self.staged.leave();
        }
    }

    /// The path in the snapshot.
    pub fn path(&self) -> &EntryPath {
        self.staged.path()
    }
}

impl From<Unfinished> for TargetFile {
    fn from(begun: Unfinished) -> Self {
        Self {
            staged: begun.staged,
            file: Arc::new(begun.file),
            len: begun.len,
            left_len: begun.len,
            salvaged: None,
            given_up: Arc::default(),
        }
    }
}
