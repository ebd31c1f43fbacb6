//! Reads one file that the walk found.
//!
//! The name must still lead to the inode that the walk saw: a link, a FIFO that
//! would block for ever, or another file under that name is refused. Metadata is
//! taken from the open file before the first byte and compared after the last.
//! A change finer than the file system's clock tick can escape that comparison;
//! what is stored is in any case exactly what was read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{SourceError, metadata_of};

/// Which inode a name led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    kind: rustix::fs::FileType,
}

impl Identity {
    pub(super) fn from_stat(stat: &Stat) -> Self {
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            kind,
        }
    }
}

/// Opens what was seen at `path` for reading, without following a link.
///
/// Access times are left alone where the kernel permits it, which is where the
/// file is ours or we are privileged.
pub(super) fn open_as_seen(
    path: &Path,
    extra: OFlags,
    seen: Identity,
) -> Result<(OwnedFd, Stat), SourceError> {
    // NONBLOCK changes nothing for files. It keeps a FIFO that took the name
    // from blocking the open until somebody writes to it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | extra;
    let open = |flags| rustix::fs::open(path, flags, Mode::empty());
    let failed = |errno| SourceError::from_errno(path, errno);
    let fd = match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        answer => answer,
    }
    .map_err(failed)?;
    let stat = rustix::fs::fstat(&fd).map_err(failed)?;
    if Identity::from_stat(&stat) == seen {
        Ok((fd, stat))
    } else {
        Err(SourceError::Replaced {
            path: path.to_path_buf(),
        })
    }
}

/// A regular file that the walk found.
#[derive(Clone, Debug)]
pub struct FileItem {
    /// Where it stands in the snapshot.
    pub path: EntryPath,
    /// As the walk saw it; [`FinalMetadata`] is what to store.
    pub metadata: Metadata,
    /// Its length in bytes as the walk saw it, for planning only.
    pub size_hint: u64,
    on_disk: PathBuf,
    identity: Identity,
}

impl FileItem {
    pub(super) fn seen(path: EntryPath, on_disk: PathBuf, stat: &Stat) -> Self {
        Self {
            path,
            metadata: metadata_of(stat),
            size_hint: size_bytes(stat),
            on_disk,
            identity: Identity::from_stat(stat),
        }
    }

    /// Where it is on disk, for messages.
    pub fn on_disk(&self) -> &Path {
        &self.on_disk
    }

    /// Opens it for one reading from start to end.
    ///
    /// # Errors
    ///
    /// [`SourceError::Vanished`], [`SourceError::Replaced`],
    /// [`SourceError::Unreadable`] or [`SourceError::Io`].
    pub fn open(&self) -> Result<FileReader, SourceError> {
        let (fd, stat) = open_as_seen(&self.on_disk, OFlags::empty(), self.identity)?;
        Ok(FileReader {
            file: File::from(fd),
            on_disk: self.on_disk.clone(),
            metadata: metadata_of(&stat),
            size_before_bytes: size_bytes(&stat),
            read_bytes: 0,
        })
    }
}

/// A file being read.
#[derive(Debug)]
pub struct FileReader {
    file: File,
    on_disk: PathBuf,
    metadata: Metadata,
    size_before_bytes: u64,
    read_bytes: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read_bytes += count as u64;
        Ok(count)
    }
}

impl FileReader {
    /// Ends the reading, after the last byte was read, and says what to store.
    ///
    /// # Errors
    ///
    /// [`SourceError::Io`] when the file can't be examined any more.
    pub fn finish(self) -> Result<FinalMetadata, SourceError> {
        let stat = rustix::fs::fstat(&self.file)
            .map_err(|errno| SourceError::from_errno(&self.on_disk, errno))?;
        let after = metadata_of(&stat);
        let size_after_bytes = size_bytes(&stat);
        let same_time =
            (after.mtime_s, after.mtime_ns) == (self.metadata.mtime_s, self.metadata.mtime_ns);
        let same_size =
            size_after_bytes == self.size_before_bytes && size_after_bytes == self.read_bytes;
        let change = (!same_time || !same_size).then_some(Change {
            size_before_bytes: self.size_before_bytes,
            size_after_bytes,
            mtime_changed: !same_time,
        });
        Ok(FinalMetadata {
            metadata: self.metadata,
            size_bytes: self.read_bytes,
            change,
        })
    }
}

/// What to store about a file that was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalMetadata {
    /// As it was when the file was opened. After a change it is the older time,
    /// so that nobody later takes the file for unchanged since.
    pub metadata: Metadata,
    /// How many bytes were read, which is the size of the entry.
    pub size_bytes: u64,
    /// Set when the bytes may mix two states of the file.
    pub change: Option<Change>,
}

/// How a file changed while it was being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its length when it was opened.
    pub size_before_bytes: u64,
    /// Its length after the last read.
    pub size_after_bytes: u64,
    /// Whether the time of its last change moved.
    pub mtime_changed: bool,
}

fn size_bytes(stat: &Stat) -> u64 {
    // The kernel reports no negative length for a file.
    u64::try_from(stat.st_size).unwrap_or(0)
}
