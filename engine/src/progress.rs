//! What an operation tells whoever shows it to a person, while it runs.
//!
//! The library never prints. It reports phases, amounts and notes to a
//! [`Progress`], and the program renders them or drops them.
//!
//! Why it is safe: reports flow one way. No method returns anything, so nothing
//! that is shown or left unshown can change what an operation does. A failure is
//! never told here alone; it is the operation's result.

/// A stretch of work with an amount of its own.
///
/// Several may be under way at once: a snapshot reads and publishes at the same
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Finding the files of the source; counts files.
    Scanning,
    /// Reading the source; counts its bytes.
    Reading,
    /// Writing packs to the store; counts coded bytes.
    Publishing,
    /// Writing the commit: record, locks and log entry; counts objects.
    Committing,
    /// Writing restored files; counts their bytes.
    Restoring,
    /// Hashing packs against their names; counts coded bytes.
    CheckingPacks,
    /// Walking snapshot trees; counts nodes.
    WalkingTree,
    /// Decoding chunks and checking their ids; counts coded bytes.
    CheckingData,
    /// Decoding deltas behind what they lean on, and checking their ids; counts
    /// chunks.
    CheckingDeltas,
    /// Asking for how long objects are locked; counts objects.
    CheckingLocks,
    /// Locking what snapshots need; counts snapshots.
    ExtendingLocks,
    /// Copying to another store; counts log entries.
    Mirroring,
}

/// What the amounts of a [`Phase`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, to be shown with a binary prefix.
    Bytes,
    /// Files, objects or nodes, to be shown as a number.
    Items,
}

impl Phase {
    /// The unit of every amount that is reported for this phase.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Reading
            | Self::Publishing
            | Self::Restoring
            | Self::CheckingPacks
            | Self::CheckingData => Unit::Bytes,
            Self::Scanning
            | Self::Committing
            | Self::WalkingTree
            | Self::CheckingDeltas
            | Self::CheckingLocks
            | Self::ExtendingLocks
            | Self::Mirroring => Unit::Items,
        }
    }
}

/// Something that a person may want to know and that is no failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Finished packs of a run that died were checked and taken over.
    PacksAdopted {
        /// How many.
        count: u64,
        /// Their coded size.
        size_bytes: u64,
    },
    /// Another writer took this log number first; the commit moves to the next.
    LogNumberTaken {
        /// The number that was taken.
        number: u64,
    },
    /// A log object has no effect (SPEC 3.12).
    VoidEntry {
        /// Its number.
        number: u64,
    },
    /// The store holds a name that is no object's.
    ForeignName {
        /// The name as the store spells it. It is untrusted, so whoever shows
        /// it escapes control characters.
        path: String,
    },
    /// A verification is about to read packs whole.
    PacksToRead {
        /// How many it will read, if time allows.
        chosen: u64,
        /// Their length, bytes.
        chosen_bytes: u64,
        /// How many there are to choose from.
        all: u64,
        /// Their length, bytes.
        all_bytes: u64,
    },
    /// The client has no list of what this NAME was, though there seem to be earlier
    /// snapshots of it: chunks that changed are stored whole.
    NothingToLeanOn,
    /// A file changed while it was read; the snapshot holds what was read.
    SourceChanged {
        /// The path as it is stored in the snapshot.
        path: String,
    },
}

/// Receives reports, from several threads at once.
///
/// Methods are called from the middle of the work and must return soon.
pub trait Progress: Send + Sync {
    /// A phase begins. `total` is its amount in [`Phase::unit`]s where that is
    /// known beforehand; a stream has none. A second call corrects the total.
    fn begin(&self, phase: Phase, total: Option<u64>) {
        let _ = (phase, total);
    }

    /// The phase came this many units further.
    fn advance(&self, phase: Phase, amount: u64) {
        let _ = (phase, amount);
    }

    /// The phase is done. An operation that fails does not end its phases.
    fn end(&self, phase: Phase) {
        let _ = phase;
    }

    /// Something worth a line.
    fn note(&self, note: Note) {
        let _ = note;
    }
}

/// Drops every report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
