//! Why a snapshot is not taken. Whatever it is, nothing half-done is listed.

use std::io;

use indelible_format::ids::{PackId, RecordId};
use indelible_format::name::Name;
use indelible_format::path::EntryPath;
use indelible_format::rights::Rights;

use super::PublishError;
use crate::log::AppendError;
use crate::repository::Forbidden;
use crate::source::{CommandError, SourceError};
use crate::store::StoreError;

/// Why a snapshot was not committed, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotRunError {
    /// The key has not the write right.
    #[error("the key has the rights {held}, and adding a snapshot takes write")]
    NoWrite {
        /// What it has.
        held: Rights,
    },
    /// The key may not write this NAME.
    #[error("the key may not write snapshots named {name}")]
    NotThisName {
        /// The NAME.
        name: Name,
        /// The patterns that it may write.
        allowed: Vec<String>,
    },
    /// The log lets this key sign nothing, or no snapshots.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// A source can't be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Reading a stream failed.
    #[error("reading {path} failed")]
    Stream {
        /// The entry's path.
        path: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A stream ended without a byte.
    #[error("{path} is empty: standard input ended at once")]
    EmptyStream {
        /// The entry's path.
        path: String,
    },
    /// A command failed.
    #[error("the command for {path} failed")]
    Command {
        /// The entry's path.
        path: String,
        /// How.
        source: CommandError,
    },
    /// There is nothing to store.
    #[error("there is nothing to store")]
    NoEntries,
    /// Two entries can't stand in one snapshot so (SPEC 8.4): they have one
    /// path, one is below the other and that is no directory, or they are out
    /// of order.
    #[error("{path} can't be stored behind {before}")]
    Order {
        /// The earlier entry's path.
        before: EntryPath,
        /// The later one's.
        path: EntryPath,
    },
    /// A manifest has no room for them.
    #[error("labels, paths and command lines are more, or longer, than a snapshot can note")]
    Notes,
    /// It was interrupted.
    #[error("interrupted")]
    Interrupted,
    /// Keys of the bundle can't be used.
    #[error(transparent)]
    Seal(#[from] indelible_format::seal::UnusableKey),
    /// A pack could not be stored.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What was read of earlier packs could not be read again.
    #[error("directories of earlier packs could be read at first, and then not again")]
    IndexLost,
    /// The packs that are there could not be listed.
    #[error("the repository's packs could not be listed")]
    ListPacks(#[source] StoreError),
    /// A pack that the snapshot needs has disappeared since it was found.
    #[error(
        "pack {pack} of an earlier snapshot, which this one needs, has disappeared or changed its length"
    )]
    ReachLost {
        /// The pack.
        pack: PackId,
        /// What the store answered, if it failed.
        source: Option<Box<StoreError>>,
    },
    /// The commit record could not be stored.
    #[error("the commit record could not be stored")]
    Record(#[source] StoreError),
    /// The record's name is taken by other bytes, put there on purpose.
    #[error("the store holds other bytes under the name of commit record {id}")]
    RecordTaken {
        /// The record.
        id: RecordId,
    },
    /// The snapshot states more than a commit may.
    #[error("the commit body has {size_bytes} bytes, more than the format allows")]
    CommitTooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The log entry was not created, or may not have been.
    #[error(transparent)]
    Append(#[from] Box<AppendError<SnapshotRunError>>),
}
