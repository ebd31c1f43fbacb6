//! What a snapshot reads: files and directories, or a stream.
//!
//! [`list`] walks the paths that a user named and gives their entries in the
//! order of the snapshot; [`FileItem::open`] reads one of them; [`start`] runs a
//! dump command and hands on what it prints.
//!
//! Why a snapshot never claims more than was read:
//!
//! - Whatever can't be read is an error, so nothing half-read is committed.
//!   Sockets, FIFOs and devices have no content to keep; each is reported.
//! - A file is opened by the name that the walk saw and must be the same inode
//!   still. Somebody who swaps a directory for a link while the walk runs can
//!   thus stop a snapshot, not point it at other files.
//! - The bytes that were read are the entry, whatever a size said before; a file
//!   that changed meanwhile says so in [`FinalMetadata`].
//! - A command counts only once it exited with 0 and printed something.
//!
//! This module never maps a file into memory, never follows a link that the
//! user didn't name, never writes, and knows neither chunks nor repositories.

mod command;
mod drain;
mod file;
mod group;
mod paths;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use indelible_format::page::Metadata;
use indelible_format::path::{EntryPath, PathError, shown};
use rustix::fs::Stat;
use rustix::io::Errno;

pub use self::command::{
    CommandError, CommandOutput, CommandSpec, KillSwitch, RunningCommand, STDERR_TAIL_BYTES_MAX,
    Stderr, start,
};
pub use self::drain::LineHandler;
pub use self::file::{Change, FileItem, FileReader, FinalMetadata};
pub use self::paths::{Listing, NamedPath, Skipped, SpecialKind, list};

/// What a snapshot keeps about an entry besides its content.
fn metadata_of(stat: &Stat) -> Metadata {
    Metadata {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime_s: stat.st_mtime,
        // The kernel keeps it below one second.
        mtime_ns: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
    }
}

/// One entry of a snapshot before it is stored.
pub enum Item {
    /// A regular file, not opened yet.
    File(FileItem),
    /// A directory; what it holds follows as items of its own.
    Directory {
        /// Where it stands in the snapshot.
        path: EntryPath,
        /// As the walk saw it.
        metadata: Metadata,
    },
    /// A symbolic link, kept as a link.
    Symlink {
        /// Where it stands in the snapshot.
        path: EntryPath,
        /// Of the link itself.
        metadata: Metadata,
        /// What it points to: any bytes, not checked.
        target: Vec<u8>,
    },
    /// Bytes without a file behind them, such as a command's output.
    Stream {
        /// Where it stands in the snapshot.
        path: EntryPath,
        /// Read once, to its end.
        reader: Box<dyn Read + Send>,
    },
}

impl Item {
    /// Where the entry stands in the snapshot.
    pub fn path(&self) -> &EntryPath {
        match self {
            Self::File(file) => &file.path,
            Self::Directory { path, .. }
            | Self::Symlink { path, .. }
            | Self::Stream { path, .. } => path,
        }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::File(_) => "File",
            Self::Directory { .. } => "Directory",
            Self::Symlink { .. } => "Symlink",
            Self::Stream { .. } => "Stream",
        };
        write!(f, "{kind}({})", self.path())
    }
}

/// The path of a stream, whose name the user gives in full.
///
/// # Errors
///
/// [`SourceError::StreamPath`] when no entry can have that path.
pub fn stream_path(bytes: Vec<u8>) -> Result<EntryPath, SourceError> {
    EntryPath::new(bytes.as_slice()).map_err(|source| SourceError::StreamPath {
        path: bytes,
        source,
    })
}

/// Puts items of several sources into the order of a snapshot, which is that of
/// [`EntryPath`].
///
/// # Errors
///
/// [`SourceError::DuplicatePath`] when two of them have one path.
pub fn arrange(mut items: Vec<Item>) -> Result<Vec<Item>, SourceError> {
    items.sort_by(|a, b| a.path().cmp(b.path()));
    let twice = items
        .windows(2)
        .find(|pair| pair[0].path() == pair[1].path());
    match twice {
        Some(pair) => Err(SourceError::DuplicatePath {
            path: pair[0].path().clone(),
        }),
        None => Ok(items),
    }
}

/// Why a source can't be read. Nothing of it may then be committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The user named something that isn't there.
    #[error("{} does not exist", shown_path(path))]
    Missing {
        /// As the user typed it.
        path: PathBuf,
    },
    /// It was there when its directory was listed.
    #[error("{} vanished while it was being backed up", shown_path(path))]
    Vanished {
        /// Where it was on disk.
        path: PathBuf,
    },
    /// Another inode, or another kind of one, has taken the name since.
    #[error("{} was replaced while it was being backed up", shown_path(path))]
    Replaced {
        /// Where it was on disk.
        path: PathBuf,
    },
    /// The permission to read it is missing.
    #[error("{} can't be read", shown_path(path))]
    Unreadable {
        /// Where it is on disk.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Reading failed for a reason other than those above.
    #[error("reading {} failed", shown_path(path))]
    Io {
        /// Where it is on disk.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The user named a socket, a FIFO or a device.
    #[error(
        "{} is a {kind}, which has no content to keep; pipe it to --stdin",
        shown_path(path)
    )]
    NamedSpecial {
        /// As the user typed it.
        path: PathBuf,
        /// What it is.
        kind: SpecialKind,
    },
    /// The root directory has no last component to be stored under.
    #[error("{} has no name of its own; give it one with --as", shown_path(path))]
    NoName {
        /// As the user typed it.
        path: PathBuf,
    },
    /// A name given with `--as` has several components.
    #[error("{} can't be stored as {name}: a name has no slash", shown_path(path))]
    NameWithSlash {
        /// As the user typed it.
        path: PathBuf,
        /// What it was to be called.
        name: EntryPath,
    },
    /// Two sources would be stored under one name.
    #[error(
        "{} and {} would both be stored as {name}; rename one with --as",
        shown_path(first),
        shown_path(second)
    )]
    SameName {
        /// The name that both would have.
        name: EntryPath,
        /// The source that was named first.
        first: PathBuf,
        /// The source that was named later.
        second: PathBuf,
    },
    /// Two items of different sources have one path.
    #[error("two entries would be stored as {path}")]
    DuplicatePath {
        /// The path in the snapshot.
        path: EntryPath,
    },
    /// An entry's path in the snapshot would break the format's rules.
    #[error("{} can't be stored under its path", shown_path(path))]
    EntryPath {
        /// Where it is on disk.
        path: PathBuf,
        /// Which rule.
        source: PathError,
    },
    /// A stream's path in the snapshot would break the format's rules.
    #[error("a stream can't be stored as {}", shown(path))]
    StreamPath {
        /// What was to be the path in the snapshot.
        path: Vec<u8>,
        /// Which rule.
        source: PathError,
    },
}

impl SourceError {
    /// What a failed call on something that the walk had seen means.
    fn from_errno(path: &Path, errno: Errno) -> Self {
        let path = path.to_path_buf();
        match errno {
            Errno::NOENT => Self::Vanished { path },
            // A link where O_NOFOLLOW met a file; a file where a directory was;
            // a socket or a device without a driver.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Self::Replaced { path },
            Errno::ACCESS | Errno::PERM => Self::Unreadable {
                path,
                source: errno.into(),
            },
            _ => Self::Io {
                path,
                source: errno.into(),
            },
        }
    }
}

fn shown_path(path: &Path) -> impl fmt::Display {
    shown(path.as_os_str().as_encoded_bytes())
}
