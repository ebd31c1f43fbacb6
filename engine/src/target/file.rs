//! A file being restored.
//!
//! It has no final name until [`TargetFile::finish`] has made its bytes and its
//! metadata durable, so whatever stands under a final name is whole. A failed
//! sync is not tried again: the kernel may have dropped the pages and would
//! then report success. The file is given up instead.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use indelible_format::page::Metadata;
use rustix::fs::{Mode, OFlags};

use super::metadata::{self, NotApplied};
use super::staged::Staged;
use super::{Place, Shared, Step, TargetError};

/// A file that is being written. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct TargetFile {
    staged: Staged,
    file: File,
}

impl TargetFile {
    pub(super) fn create(shared: Arc<Shared>, place: Place) -> Result<Self, TargetError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (staged, fd) = Staged::create(shared, place, |parent, name| {
            rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
        })?;
        Ok(Self {
            staged,
            file: File::from(fd),
        })
    }

    /// Appends `bytes` to what earlier calls of this function wrote.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`], such as when no space is left.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), TargetError> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| self.write_error(source))
    }

    /// Writes `bytes` at `offset_bytes`, in any order and from any thread. What
    /// is never written reads as zeros.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`], such as when no space is left.
    pub fn write_at(&self, offset_bytes: u64, bytes: &[u8]) -> Result<(), TargetError> {
        let written = self.file.write_all_at(bytes, offset_bytes);
        written.map_err(|source| self.write_error(source))
    }

    fn write_error(&self, source: io::Error) -> TargetError {
        TargetError::io(Step::Write, self.staged.path(), source)
    }

    /// Makes the file durable with its metadata, then gives it its name.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] or [`TargetError::InTheWay`] when something took
    /// the name meanwhile, [`TargetError::BadTime`], [`TargetError::Io`]. The
    /// file is then removed.
    pub fn finish(self, metadata: &Metadata) -> Result<Vec<NotApplied>, TargetError> {
        let path = self.staged.path();
        let fd = OwnedFd::from(self.file);
        let not_applied = metadata::apply(&fd, path, metadata)?;
        rustix::fs::fsync(&fd).map_err(|errno| TargetError::io(Step::Sync, path, errno))?;
        self.staged.take_name()?;
        Ok(not_applied)
    }
}
