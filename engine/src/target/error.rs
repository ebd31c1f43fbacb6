//! Why something can't be restored to its place.

use std::fmt;
use std::io;
use std::path::PathBuf;

use indelible_format::path::{EntryPath, shown};
use rustix::io::Errno;

/// Why an entry was not restored. Nothing stands half-written under its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The target directory doesn't exist.
    #[error("the target directory {} does not exist", shown(path.as_os_str().as_encoded_bytes()))]
    NoTarget {
        /// As the user typed it.
        path: PathBuf,
    },
    /// The target directory can't be made or opened.
    #[error("the target directory {} can't be used", shown(path.as_os_str().as_encoded_bytes()))]
    Unusable {
        /// As the user typed it.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The link's target is empty, too long or holds a NUL byte.
    #[error("the link {path} has a target that no link can have")]
    BadLinkTarget {
        /// The path as the snapshot has it.
        path: EntryPath,
    },
    /// The nanoseconds are a second or more; the kernel would read some such
    /// values as "now".
    #[error("{path} has a time with {mtime_ns} nanoseconds")]
    BadTime {
        /// The path as the snapshot has it.
        path: EntryPath,
        /// What stands there.
        mtime_ns: u32,
    },
    /// No file of the file system can be so long.
    #[error("{path} would have {len_bytes} bytes, which is longer than a file can be there")]
    TooLong {
        /// The path as the snapshot has it.
        path: EntryPath,
        /// How long it would be.
        len_bytes: u64,
    },
    /// A file or link is there, and the policy is not to overwrite.
    #[error("{path} exists already")]
    Exists {
        /// The path as the snapshot has it.
        path: EntryPath,
    },
    /// What is there is not replaced even when overwriting: a directory or
    /// special file where a file or link should be, or anything but a
    /// directory where a directory should be.
    #[error("something of another kind stands at {path} and is not replaced")]
    InTheWay {
        /// The path as the snapshot has it.
        path: EntryPath,
    },
    /// A file or a link stands where a directory is needed.
    #[error("{path} leads through a file or a symbolic link, which is not followed")]
    NotADirectory {
        /// The directory as the snapshot has it.
        path: EntryPath,
    },
    /// A directory on the way is missing.
    #[error("the directory {path} is missing")]
    NoDirectory {
        /// The directory as the snapshot has it.
        path: EntryPath,
    },
    /// The system refused a step.
    #[error("{step} {path} failed")]
    Io {
        /// What was tried.
        step: Step,
        /// The path as the snapshot has it.
        path: EntryPath,
        /// The system's answer.
        source: io::Error,
    },
    /// The system refused a step with the target directory itself.
    #[error("{step} the target directory failed")]
    Root {
        /// What was tried.
        step: Step,
        /// The system's answer.
        source: io::Error,
    },
}

impl TargetError {
    pub(super) fn io(step: Step, path: &EntryPath, source: impl Into<io::Error>) -> Self {
        Self::Io {
            step,
            path: path.clone(),
            source: source.into(),
        }
    }

    pub(super) fn root(step: Step, source: impl Into<io::Error>) -> Self {
        Self::Root {
            step,
            source: source.into(),
        }
    }

    /// What a failure to open the directory `path` means.
    pub(super) fn from_resolving(path: &EntryPath, errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NoDirectory { path: path.clone() },
            Errno::LOOP | Errno::NOTDIR => Self::NotADirectory { path: path.clone() },
            _ => Self::io(Step::Open, path, errno),
        }
    }
}

/// What was tried when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Looking at what stands there.
    Examine,
    /// Opening a directory.
    Open,
    /// Creating an entry.
    Create,
    /// Writing bytes.
    Write,
    /// Setting owner and group.
    SetOwner,
    /// Setting the permission bits.
    SetMode,
    /// Setting the time of the last change.
    SetTime,
    /// Making it durable.
    Sync,
    /// Giving it its final name.
    Rename,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Examine => "examining",
            Self::Open => "opening",
            Self::Create => "creating",
            Self::Write => "writing",
            Self::SetOwner => "setting the owner of",
            Self::SetMode => "setting the mode of",
            Self::SetTime => "setting the time of",
            Self::Sync => "syncing",
            Self::Rename => "giving its name to",
        })
    }
}
