//! Why a store could not do what it was asked.
//!
//! One enum serves every store, because callers treat them alike. Each variant
//! carries what was tried and on what; [`StoreError::class`] says what kind of
//! failure it is, from which the program takes its exit code and its advice.

use std::error::Error;
use std::fmt;
use std::io;

use super::ObjectKey;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The place that should hold the repository does not exist.
    #[error("there is no directory {location}")]
    RootMissing {
        /// Where the store was expected.
        location: String,
    },
    /// The place that should hold the repository is something else.
    #[error("{location} is not a directory")]
    RootNotDirectory {
        /// Where the store was expected.
        location: String,
    },
    /// No version of the object exists.
    #[error("{key} is not in the store")]
    NotFound {
        /// Which object.
        key: ObjectKey,
    },
    /// The object is longer than the caller is ready to hold.
    #[error("{key} has {actual} bytes, and at most {limit} are read")]
    TooLong {
        /// Which object.
        key: ObjectKey,
        /// The most that the caller accepts, in bytes.
        limit: u64,
        /// What the store says that there is, in bytes.
        actual: u64,
    },
    /// The object ends before the bytes that were asked for.
    #[error("{key} gave {actual} of the {wanted} bytes from offset {offset}")]
    ShortRead {
        /// Which object.
        key: ObjectKey,
        /// The first byte that was asked for.
        offset: u64,
        /// How many bytes were asked for.
        wanted: u64,
        /// How many of them exist.
        actual: u64,
    },
    /// The name leads to a symbolic link, a directory or a device.
    #[error("{key} is not a regular file")]
    NotRegular {
        /// Which object.
        key: ObjectKey,
    },
    /// The number does not fit into the name of a log entry.
    #[error("log number {number} has more than 12 digits")]
    LogFull {
        /// The number that was to be created.
        number: u64,
    },
    /// Objects of this kind stay for ever.
    #[error("{key} is never removed")]
    Permanent {
        /// Which object.
        key: ObjectKey,
    },
    /// A sync failed earlier. A later one that succeeds proves nothing, because
    /// the system may have dropped what it could not write.
    #[error("an earlier sync of {path} failed, so it cannot be known to be stored")]
    Doubtful {
        /// The name within the store.
        path: String,
    },
    /// A call to the system failed.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: Action,
        /// The name within the store, or the place of the store.
        path: String,
        /// What the system answered.
        source: io::Error,
    },
    /// The store answered, and did not do it.
    #[error("could not {action} {path}")]
    Answered {
        /// What was tried.
        action: Action,
        /// The name within the store, or the place of the store.
        path: String,
        /// What the store answered.
        source: Box<Answer>,
    },
    /// There is no bucket of that name.
    #[error("there is no bucket at {location}")]
    BucketMissing {
        /// Where the store was expected.
        location: String,
    },
    /// The store lacks what a repository rests on.
    #[error("{location} can't hold a repository: {lacks}")]
    Unfit {
        /// Where the store is.
        location: String,
        /// What it lacks.
        lacks: Unfit,
    },
    /// The clocks of the store and of this machine are too far apart to agree
    /// on when a lock ends.
    #[error(
        "the clock of {location} and of this machine are {apart_s} seconds apart: set this machine's clock"
    )]
    ClockSkew {
        /// Where the store is.
        location: String,
        /// How far apart they are, in seconds.
        apart_s: u64,
    },
    /// The version is locked for longer than was asked.
    #[error("{key} stays locked until {locked_until_ms}, and locks are never made shorter")]
    WouldShorten {
        /// Which object.
        key: ObjectKey,
        /// When the lock ends, in milliseconds since 1970.
        locked_until_ms: u64,
    },
    /// The version is locked.
    #[error("{key} is locked until {until_ms}")]
    Locked {
        /// Which object.
        key: ObjectKey,
        /// When the lock ends, in milliseconds since 1970.
        until_ms: u64,
    },
    /// The store does not lock objects, or was not opened to.
    #[error("{location} locks no objects")]
    LocksUnsupported {
        /// Where the store is.
        location: String,
    },
    /// The store does not take the object, whoever asks again.
    #[error("{key} is refused")]
    Refused {
        /// Which object.
        key: ObjectKey,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What this account may store is used up.
    #[error("the account may store {limit_bytes} bytes, and that is used up")]
    OverQuota {
        /// The most that it may store, in bytes.
        limit_bytes: u64,
    },
    /// A server says that it failed.
    #[error("{location} answers: {message}")]
    Served {
        /// Where the server is.
        location: String,
        /// What kind of failure it says that it is.
        class: ErrorClass,
        /// In its words: untrusted, and without control characters.
        message: String,
    },
    /// The store gave no answer.
    #[error("{location} cannot be reached")]
    Unreachable {
        /// Where the store is.
        location: String,
        /// What stood in the way.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What a store answered over HTTP, when it did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store answered {status}{}{}", Detail(.code), Detail(.message))]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The store's own word for it; may be empty. Untrusted, but printable and
    /// short, as is the message.
    pub code: String,
    /// The store's own sentence; may be empty.
    pub message: String,
}

/// A part of an answer, which may be missing.
struct Detail<'a>(&'a str);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ", {}", self.0)
    }
}

/// What a store lacks that a repository rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Writing a name again would destroy what stood there.
    #[error("versioning is not switched on in the bucket")]
    NotVersioned,
    /// Locks were asked for.
    #[error(
        "Object Lock is not switched on in the bucket, which most stores allow only when a bucket is made"
    )]
    NotLocking,
    /// Of several writers of one name, more than one is told that it was first.
    #[error("it lets several writers create one name (it ignores `If-None-Match: *`)")]
    IgnoresConditions,
    /// A file was removed that had the immutable flag.
    #[error("its filesystem takes the immutable flag and does not heed it")]
    FlagIgnored,
    /// A canary was changed or removed that was made read-only, to be kept until a date.
    #[error(
        "its filesystem is not write-once: a file that was committed (made read-only, with a date to be kept until) can be changed all the same: an attempt to {tried} succeeded"
    )]
    NotWriteOnce {
        /// What was let through.
        tried: &'static str,
    },
    /// Objects are kept from change already, not as was asked.
    #[error("its file `immutable` names another way to keep objects from change")]
    OtherMode,
    /// The directory says that objects are kept from change in a way unknown to us.
    #[error(
        "its file `immutable` names a way to keep objects from change that this release does not know"
    )]
    UnknownMode,
}

/// What was tried when a call to the system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Create a file that must not exist yet.
    Create,
    /// Inspect a name without opening it.
    Inspect,
    /// Enter a name for a finished file.
    Link,
    /// List a directory.
    List,
    /// Extend a lock.
    Lock,
    /// Make a directory.
    MakeDirectory,
    /// Open a file or directory.
    Open,
    /// Read from a file.
    Read,
    /// Remove a name.
    Remove,
    /// Make a file's bytes durable.
    Sync,
    /// Make a directory's entries durable.
    SyncDirectory,
    /// Write to a file.
    Write,
}

/// The verb, as it stands after "could not".
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Inspect => "inspect",
            Self::Link => "link into place",
            Self::List => "list",
            Self::Lock => "lock",
            Self::MakeDirectory => "make the directory",
            Self::Open => "open",
            Self::Read => "read",
            Self::Remove => "remove",
            Self::Sync => "sync",
            Self::SyncDirectory => "sync the directory",
            Self::Write => "write",
        })
    }
}

/// What kind of failure it is, for exit codes and advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// There is no repository at that place.
    NoRepository,
    /// The object does not exist.
    NotFound,
    /// The store does not answer now; the same call may succeed later.
    Unreachable,
    /// The system forbids it to this user. A filesystem without hard links also
    /// answers so.
    PermissionDenied,
    /// The disk or the quota is full.
    NoSpace,
    /// The store is mounted read-only.
    ReadOnly,
    /// The store cannot do this at all.
    Unsupported,
    /// What is stored is not what an object looks like.
    Malformed,
    /// Whether the object is stored cannot be known.
    Doubtful,
    /// The caller asked for what is never done.
    Refused,
    /// Any other failure, a failing disk among them.
    Other,
}

impl StoreError {
    /// What kind of failure it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::RootMissing { .. }
            | Self::RootNotDirectory { .. }
            | Self::BucketMissing { .. } => ErrorClass::NoRepository,
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::TooLong { .. } | Self::ShortRead { .. } | Self::NotRegular { .. } => {
                ErrorClass::Malformed
            }
            Self::LogFull { .. }
            | Self::Permanent { .. }
            | Self::Refused { .. }
            | Self::WouldShorten { .. }
            | Self::Locked { .. } => ErrorClass::Refused,
            Self::Unfit { .. } | Self::LocksUnsupported { .. } => ErrorClass::Unsupported,
            Self::ClockSkew { .. } => ErrorClass::Other,
            Self::Answered { source, .. } => source.class(),
            Self::OverQuota { .. } => ErrorClass::NoSpace,
            Self::Served { class, .. } => *class,
            Self::Doubtful { .. } => ErrorClass::Doubtful,
            // How a filesystem says that it can't sync directories.
            Self::Io {
                action: Action::SyncDirectory,
                source,
                ..
            } if source.kind() == io::ErrorKind::InvalidInput => ErrorClass::Unsupported,
            Self::Io { source, .. } => class_of(source.kind()),
            Self::Unreachable { .. } => ErrorClass::Unreachable,
        }
    }

    /// Whether the object does not exist, as far as the store can tell.
    pub fn is_not_found(&self) -> bool {
        self.class() == ErrorClass::NotFound
    }

    /// Whether a store that answers so for one object does so for all: asking on is in
    /// vain.
    pub(crate) fn is_of_all(&self) -> bool {
        matches!(
            self.class(),
            ErrorClass::Unreachable | ErrorClass::PermissionDenied | ErrorClass::Unsupported
        )
    }

    /// Whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        self.class() == ErrorClass::Unreachable
    }
}

impl Answer {
    /// The class of what a store answered.
    ///
    /// Answers that are worth another try are tried again by the store itself;
    /// what comes here outlasted that.
    fn class(&self) -> ErrorClass {
        match (self.status, self.code.as_str()) {
            (404, "NoSuchBucket") => ErrorClass::NoRepository,
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => ErrorClass::NoSpace,
            (501, _) | (_, "NotImplemented") => ErrorClass::Unsupported,
            (401 | 403, _) => ErrorClass::PermissionDenied,
            (408 | 429 | 500..=599, _) => ErrorClass::Unreachable,
            _ => ErrorClass::Other,
        }
    }
}

/// The class of what the operating system answered.
///
/// An input/output error is not counted as transient: it is how a failing disk
/// speaks, and trying again hides it.
fn class_of(kind: io::ErrorKind) -> ErrorClass {
    use io::ErrorKind as Kind;
    match kind {
        Kind::PermissionDenied => ErrorClass::PermissionDenied,
        Kind::StorageFull | Kind::QuotaExceeded => ErrorClass::NoSpace,
        Kind::ReadOnlyFilesystem => ErrorClass::ReadOnly,
        Kind::Unsupported | Kind::CrossesDevices | Kind::TooManyLinks => ErrorClass::Unsupported,
        Kind::TimedOut
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::NotConnected
        | Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::StaleNetworkFileHandle => ErrorClass::Unreachable,
        _ => ErrorClass::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> StoreError {
        StoreError::Io {
            action: Action::Write,
            path: "tmp/x".to_owned(),
            source: kind.into(),
        }
    }

    /// The classes that the exit codes and the advice depend on.
    ///
    /// Method: one system answer for each.
    #[test]
    fn system_answers_have_a_class() {
        let expected = [
            (
                io::ErrorKind::PermissionDenied,
                ErrorClass::PermissionDenied,
            ),
            (io::ErrorKind::StorageFull, ErrorClass::NoSpace),
            (io::ErrorKind::QuotaExceeded, ErrorClass::NoSpace),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorClass::ReadOnly),
            (
                io::ErrorKind::StaleNetworkFileHandle,
                ErrorClass::Unreachable,
            ),
            (io::ErrorKind::CrossesDevices, ErrorClass::Unsupported),
            (io::ErrorKind::Other, ErrorClass::Other),
        ];
        for (kind, class) in expected {
            assert_eq!(io_error(kind).class(), class, "{kind:?}");
        }
        assert!(io_error(io::ErrorKind::TimedOut).is_transient());
        assert!(!io_error(io::ErrorKind::NotFound).is_not_found());
    }

    /// A message never repeats its source.
    ///
    /// Method: show an error whose source has a telling text.
    #[test]
    fn messages_leave_the_source_to_the_chain() {
        let error = StoreError::Io {
            action: Action::SyncDirectory,
            path: "packs/ab".to_owned(),
            source: io::Error::other("the disk is on fire"),
        };
        assert_eq!(error.to_string(), "could not sync the directory packs/ab");
        assert_eq!(
            error.source().expect("a source").to_string(),
            "the disk is on fire"
        );
    }
}
