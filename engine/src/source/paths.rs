//! Finds what stands below the paths that a user named.
//!
//! Each path is stored under its last component. The walk keeps names and
//! metadata, O(entries) of memory, and one open directory at a time; contents
//! are read later, in the order that it returns.
//!
//! A directory is opened without following a link and must be the inode that
//! its parent's listing showed, so the walk stays below what the user named
//! whatever somebody else renames meanwhile. It never leaves out an entry
//! silently: each is an item, a [`Skipped`], or the error that ends the walk.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use indelible_format::path::{EntryPath, PathError};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::file::{FileItem, Identity, open_as_seen};
use super::{Item, SourceError, arrange, metadata_of};

/// A path that a user named, and the name to store it under.
#[derive(Clone, Debug)]
pub struct NamedPath {
    /// A file or a directory; a link here is followed, since the user named it.
    pub path: PathBuf,
    /// One component, used instead of the path's last.
    pub as_name: Option<Vec<u8>>,
}

/// What [`list`] found.
#[derive(Debug)]
pub struct Listing {
    /// Every entry, in the order of the snapshot.
    pub items: Vec<Item>,
    /// What has no content to keep; the caller tells the user.
    pub skipped: Vec<Skipped>,
}

/// Something inside a directory that a snapshot can't hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is on disk.
    pub path: PathBuf,
    /// What it is.
    pub kind: SpecialKind,
}

/// What is neither file, directory nor link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecialKind {
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
    /// A block or character device.
    Device,
    /// Something that this release has no word for.
    Unknown,
}

impl fmt::Display for SpecialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fifo => "named pipe",
            Self::Socket => "socket",
            Self::Device => "device",
            Self::Unknown => "special file",
        })
    }
}

/// Lists everything at and below `sources`, in the order of the snapshot.
///
/// `/var/dumps/app.sql` becomes `app.sql`; the directory `dumps/` becomes
/// `dumps` and everything below it. `.` and `..` are stored under the name of
/// the directory that they stand for. Links inside directories are kept as
/// links.
///
/// # Errors
///
/// Any [`SourceError`]: something is missing, unreadable or changes while it is
/// listed, or two sources have one name.
pub fn list(sources: &[NamedPath]) -> Result<Listing, SourceError> {
    let mut names: BTreeMap<EntryPath, &Path> = BTreeMap::new();
    let mut walk = Walk::default();
    for source in sources {
        let name = name_of(source)?;
        if let Some(first) = names.insert(name.clone(), &source.path) {
            let (first, second) = (first.to_path_buf(), source.path.clone());
            return Err(SourceError::SameName {
                name,
                first,
                second,
            });
        }
        walk.add_source(&source.path, name)?;
    }
    while let Some(directory) = walk.pending.pop() {
        walk.add_directory(&directory)?;
    }
    Ok(Listing {
        items: arrange(walk.items)?,
        skipped: walk.skipped,
    })
}

/// The name that a source is stored under.
fn name_of(source: &NamedPath) -> Result<EntryPath, SourceError> {
    let path = || source.path.clone();
    let name = match (&source.as_name, source.path.file_name()) {
        (Some(name), _) => name.clone(),
        (None, Some(last)) => last.as_bytes().to_vec(),
        (None, None) => {
            let real = fs::canonicalize(&source.path).map_err(|e| named_error(&source.path, e))?;
            let last = real
                .file_name()
                .ok_or_else(|| SourceError::NoName { path: path() })?;
            last.as_bytes().to_vec()
        }
    };
    let name = EntryPath::new(name).map_err(|source| SourceError::EntryPath {
        path: path(),
        source,
    })?;
    if name.parent().is_some() {
        return Err(SourceError::NameWithSlash { path: path(), name });
    }
    Ok(name)
}

/// A failure on a path that the user typed.
fn named_error(path: &Path, source: io::Error) -> SourceError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SourceError::Missing { path },
        io::ErrorKind::PermissionDenied => SourceError::Unreadable { path, source },
        _ => SourceError::Io { path, source },
    }
}

/// A directory that was seen and is still to be listed.
struct PendingDirectory {
    path: EntryPath,
    on_disk: PathBuf,
    identity: Identity,
}

#[derive(Default)]
struct Walk {
    items: Vec<Item>,
    skipped: Vec<Skipped>,
    pending: Vec<PendingDirectory>,
}

impl Walk {
    fn add_source(&mut self, typed: &Path, name: EntryPath) -> Result<(), SourceError> {
        let failed = |e| named_error(typed, e);
        // Later opens refuse links. The user may name one, so it is resolved
        // here, once.
        let on_disk = if fs::symlink_metadata(typed).map_err(failed)?.is_symlink() {
            fs::canonicalize(typed).map_err(failed)?
        } else {
            typed.to_path_buf()
        };
        let stat = rustix::fs::stat(&on_disk).map_err(|errno| failed(errno.into()))?;
        if let Some(kind) = special_kind(&stat) {
            let path = typed.to_path_buf();
            return Err(SourceError::NamedSpecial { path, kind });
        }
        self.add_content(name, on_disk, &stat);
        Ok(())
    }

    fn add_directory(&mut self, directory: &PendingDirectory) -> Result<(), SourceError> {
        let failed = |errno| SourceError::from_errno(&directory.on_disk, errno);
        let (fd, _) = open_as_seen(&directory.on_disk, OFlags::DIRECTORY, directory.identity)?;
        let mut dir = Dir::new(fd).map_err(failed)?;
        let mut names = Vec::new();
        for entry in dir.by_ref() {
            let entry = entry.map_err(failed)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                names.push(entry.file_name().to_owned());
            }
        }
        let fd = dir.fd().map_err(failed)?;
        for name in &names {
            self.add_entry(directory, fd, name)?;
        }
        Ok(())
    }

    fn add_entry(
        &mut self,
        parent: &PendingDirectory,
        parent_fd: BorrowedFd<'_>,
        name: &CStr,
    ) -> Result<(), SourceError> {
        let on_disk = parent.on_disk.join(OsStr::from_bytes(name.to_bytes()));
        let path = match join(&parent.path, name.to_bytes()) {
            Ok(path) => path,
            Err(source) => {
                return Err(SourceError::EntryPath {
                    path: on_disk,
                    source,
                });
            }
        };
        let failed = |errno| SourceError::from_errno(&on_disk, errno);
        let stat =
            rustix::fs::statat(parent_fd, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let target = match rustix::fs::readlinkat(parent_fd, name, Vec::new()) {
                // It is no longer a link.
                Err(Errno::INVAL) => return Err(SourceError::Replaced { path: on_disk }),
                answer => answer.map_err(failed)?,
            };
            let (metadata, target) = (metadata_of(&stat), target.into_bytes());
            self.items.push(Item::Symlink {
                path,
                metadata,
                target,
            });
        } else if let Some(kind) = special_kind(&stat) {
            self.skipped.push(Skipped {
                path: on_disk,
                kind,
            });
        } else {
            self.add_content(path, on_disk, &stat);
        }
        Ok(())
    }

    /// Adds what has content: a file, or a directory whose turn comes later.
    fn add_content(&mut self, path: EntryPath, on_disk: PathBuf, stat: &Stat) {
        let metadata = metadata_of(stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let identity = Identity::from_stat(stat);
            self.pending.push(PendingDirectory {
                path: path.clone(),
                on_disk,
                identity,
            });
            self.items.push(Item::Directory { path, metadata });
        } else {
            self.items
                .push(Item::File(FileItem::seen(path, on_disk, stat)));
        }
    }
}

fn join(parent: &EntryPath, name: &[u8]) -> Result<EntryPath, PathError> {
    EntryPath::new([parent.as_bytes(), b"/", name].concat())
}

/// What `stat` shows, unless it is a file, a directory or a link.
fn special_kind(stat: &Stat) -> Option<SpecialKind> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory | FileType::Symlink => None,
        FileType::Fifo => Some(SpecialKind::Fifo),
        FileType::Socket => Some(SpecialKind::Socket),
        FileType::CharacterDevice | FileType::BlockDevice => Some(SpecialKind::Device),
        FileType::Unknown => Some(SpecialKind::Unknown),
    }
}
