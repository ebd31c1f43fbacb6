//! Gives what was restored its owner, mode and time.
//!
//! The order matters: changing the owner clears setuid and setgid, so the mode
//! follows it, and the time comes last. Where the owner can't be set, setuid and
//! setgid are left out: they would lend the rights of somebody else.
//!
//! What a file system or a user without privileges can't do is reported and
//! doesn't stop a restore, since the rows matter more than their permissions.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::{Step, TargetError};

/// The bits that lend the rights of owner or group.
const SET_ID_BITS: u32 = 0o6000;

/// Something that was restored without a part of its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotApplied {
    /// It belongs to somebody else than in the snapshot.
    Owner {
        /// The path as the snapshot has it.
        path: EntryPath,
        /// The owner in the snapshot.
        uid: u32,
        /// The group in the snapshot.
        gid: u32,
    },
    /// Setuid or setgid was left out, because the owner could not be set.
    SetIdBits {
        /// The path as the snapshot has it.
        path: EntryPath,
        /// The mode in the snapshot.
        mode: u32,
    },
    /// The file system keeps no such mode; only the owner has access.
    Mode {
        /// The path as the snapshot has it.
        path: EntryPath,
        /// The mode in the snapshot.
        mode: u32,
    },
    /// The time of the last change is that of the restore.
    Time {
        /// The path as the snapshot has it.
        path: EntryPath,
    },
    /// The directory was there before and keeps its own metadata.
    DirectoryKept {
        /// The path as the snapshot has it.
        path: EntryPath,
    },
}

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { path, uid, gid } => {
                write!(
                    f,
                    "{path} belongs to you, not to user {uid} and group {gid}"
                )
            }
            Self::SetIdBits { path, mode } => {
                write!(
                    f,
                    "{path} lost its setuid and setgid bits (mode {mode:04o})"
                )
            }
            Self::Mode { path, mode } => {
                write!(
                    f,
                    "{path} could not get its mode {mode:04o}; its owner alone has access"
                )
            }
            Self::Time { path } => write!(f, "{path} has the time of this restore"),
            Self::DirectoryKept { path } => {
                write!(
                    f,
                    "{path} was there before and keeps its owner, mode and time"
                )
            }
        }
    }
}

/// Applies all of `metadata` to an open file or directory.
pub(super) fn apply(
    fd: BorrowedFd<'_>,
    path: &EntryPath,
    metadata: &Metadata,
) -> Result<Vec<NotApplied>, TargetError> {
    let times = timestamps(path, metadata)?;
    let mut missing = Vec::new();
    let mut mode = metadata.mode & 0o7777;
    if !set_owner(fd, path, metadata)? {
        missing.push(owner_missing(path, metadata));
        if mode & SET_ID_BITS != 0 {
            missing.push(NotApplied::SetIdBits {
                path: path.clone(),
                mode,
            });
            mode &= !SET_ID_BITS;
        }
    }
    if !tolerate(
        Step::SetMode,
        path,
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)),
    )? {
        missing.push(NotApplied::Mode {
            path: path.clone(),
            mode: metadata.mode,
        });
    }
    if !tolerate(Step::SetTime, path, rustix::fs::futimens(fd, &times))? {
        missing.push(NotApplied::Time { path: path.clone() });
    }
    Ok(missing)
}

/// Applies owner and time to a link, which has no mode of its own.
///
/// `fd` was opened with `O_PATH` on the link itself.
pub(super) fn apply_to_symlink(
    fd: &OwnedFd,
    path: &EntryPath,
    metadata: &Metadata,
) -> Result<Vec<NotApplied>, TargetError> {
    let times = timestamps(path, metadata)?;
    let mut missing = Vec::new();
    if !set_owner(fd, path, metadata)? {
        missing.push(owner_missing(path, metadata));
    }
    let set = rustix::fs::utimensat(fd, "", &times, AtFlags::EMPTY_PATH);
    if !tolerate(Step::SetTime, path, set)? {
        missing.push(NotApplied::Time { path: path.clone() });
    }
    Ok(missing)
}

/// Whether `fd` leads to a symbolic link and not to what took its name.
pub(super) fn is_symlink(fd: &OwnedFd) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Symlink)
}

/// Sets owner and group, and says whether they are the snapshot's now.
fn set_owner(fd: impl AsFd, path: &EntryPath, metadata: &Metadata) -> Result<bool, TargetError> {
    let stat = rustix::fs::fstat(&fd).map_err(|e| TargetError::io(Step::Examine, path, e))?;
    if (stat.st_uid, stat.st_gid) == (metadata.uid, metadata.gid) {
        return Ok(true);
    }
    // All ones means "leave it as it is" to the kernel, so nobody owns that.
    if metadata.uid == u32::MAX || metadata.gid == u32::MAX {
        return Ok(false);
    }
    let (uid, gid) = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
    let set = rustix::fs::chownat(&fd, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
    tolerate(Step::SetOwner, path, set)
}

pub(super) fn owner_missing(path: &EntryPath, metadata: &Metadata) -> NotApplied {
    NotApplied::Owner {
        path: path.clone(),
        uid: metadata.uid,
        gid: metadata.gid,
    }
}

/// Tells "not here, or not by you" apart from a failure.
///
/// EINVAL is the answer to an owner that the user namespace doesn't map and, on
/// kernels before 5.8, to the time of a link.
fn tolerate(step: Step, path: &EntryPath, answer: Result<(), Errno>) -> Result<bool, TargetError> {
    match answer {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => Ok(false),
        Err(errno) => Err(TargetError::io(step, path, errno)),
    }
}

fn timestamps(path: &EntryPath, metadata: &Metadata) -> Result<Timestamps, TargetError> {
    let mtime_ns = metadata.mtime_ns;
    if mtime_ns >= 1_000_000_000 {
        return Err(TargetError::BadTime {
            path: path.clone(),
            mtime_ns,
        });
    }
    Ok(Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: metadata.mtime_s,
            tv_nsec: mtime_ns.into(),
        },
    })
}
