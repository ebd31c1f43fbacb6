//! What can be wrong with a repository, in words that a program can act on.

use std::collections::BTreeSet;
use std::error::Error;

use indelible_format::attest::Level;

/// Why, as the error that was met.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A log object that is no valid entry.
    VoidEntry,
    /// A log object where another was committed.
    DamagedEntry,
    /// A log object that must have been there.
    RemovedEntry,
    /// An entry that was signed over another history than this log shows.
    OtherHistory,
    /// Objects far beyond the end of the log.
    BeyondEnd,
    /// The log ends before what is remembered of it.
    RolledBack,
    /// The log contradicts what is remembered of it.
    Forked,
    /// The copy of genesis under a telling name is another object.
    GenesisCopy,
    /// A bundle of log objects does not hold what the log holds.
    LogBundle,
    /// A commit record is gone or altered.
    CommitRecord,
    /// A snapshot's manifest or reach can't be read.
    Snapshot,
    /// A listed pack is gone.
    PackMissing,
    /// A pack's bytes are not those of its name, its length or its SHA-256.
    PackAltered,
    /// A pack could not be read.
    PackUnread,
    /// A pack's header or directory does not open.
    Directory,
    /// A delta chunk leans on what it may not lean on (SPEC 6.6).
    Basis,
    /// A chunk's bytes do not give its content.
    Chunk,
    /// A chunk that a snapshot names stands nowhere.
    ChunkMissing,
    /// A page or node can't be read or contradicts its parent.
    Tree,
    /// A snapshot needs a pack that its reach does not name.
    OutsideReach,
    /// Other versions lie over an object, or a marker hides it.
    Covered,
    /// Something that a snapshot needs may be removed before the repository promises.
    ShortLock,
}

impl ProblemKind {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::VoidEntry => "log-void-entry",
            Self::DamagedEntry => "log-damaged-entry",
            Self::RemovedEntry => "log-removed-entry",
            Self::OtherHistory => "log-other-history",
            Self::BeyondEnd => "log-beyond-end",
            Self::RolledBack => "log-rolled-back",
            Self::Forked => "log-forked",
            Self::GenesisCopy => "genesis-copy",
            Self::LogBundle => "log-bundle",
            Self::CommitRecord => "commit-record",
            Self::Snapshot => "snapshot-unreadable",
            Self::PackMissing => "pack-missing",
            Self::PackAltered => "pack-altered",
            Self::PackUnread => "pack-unread",
            Self::Directory => "pack-directory",
            Self::Basis => "chunk-basis",
            Self::Chunk => "chunk-damaged",
            Self::ChunkMissing => "chunk-missing",
            Self::Tree => "tree-damaged",
            Self::OutsideReach => "outside-reach",
            Self::Covered => "object-covered",
            Self::ShortLock => "lock-short",
        }
    }

    /// What it means, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::VoidEntry => "an object that is no valid log entry",
            Self::DamagedEntry => "a log entry was damaged or exchanged",
            Self::RemovedEntry => "a log entry was removed",
            Self::OtherHistory => "an entry was signed over another history than this store shows",
            Self::BeyondEnd => "objects far beyond the end of the log",
            Self::RolledBack => "the log is shorter than it was",
            Self::Forked => "the log is not the one that was seen before",
            Self::GenesisCopy => "the copy of the first log entry is damaged or can't be read",
            Self::LogBundle => "a bundle of log entries is damaged or can't be read",
            Self::CommitRecord => "a commit record is gone or damaged",
            Self::Snapshot => "a snapshot's own description can't be read",
            Self::PackMissing => "a pack is gone",
            Self::PackAltered => "a pack is damaged",
            Self::PackUnread => "a pack could not be read",
            Self::Directory => "a pack's directory is damaged",
            Self::Basis => "a chunk leans on others that it may not lean on",
            Self::Chunk => "a chunk is damaged",
            Self::ChunkMissing => "a chunk is nowhere to be found",
            Self::Tree => "a snapshot's tree is damaged",
            Self::OutsideReach => "a snapshot needs a pack that it does not say it reaches",
            Self::Covered => "somebody wrote over an object, or hid it",
            Self::ShortLock => "a snapshot is locked shorter than promised",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::VoidEntry => {
                "somebody wrote to the store without a key: find out who may, change the store's credentials, and accept what you looked at with --accept-void"
            }
            Self::BeyondEnd => {
                "somebody wrote to the store without a key: find out who may, and change the store's credentials"
            }
            Self::DamagedEntry | Self::RemovedEntry | Self::OtherHistory => {
                "restore the log object from another copy of the store; somebody could change or delete it"
            }
            Self::RolledBack => {
                "if this is a mirror, bring it up to date; if not, the store was rolled back: find its newer state"
            }
            Self::Forked => {
                "do not trust this store until you know why; compare checkpoints with other machines"
            }
            Self::GenesisCopy => {
                "nothing depends on it; put a copy of log/000000000000 in its place, in case that one is lost"
            }
            Self::LogBundle => {
                "nothing depends on it, it only saves time; remove it where that can be done, and the next snapshot makes it anew"
            }
            Self::CommitRecord
            | Self::PackMissing
            | Self::PackAltered
            | Self::Directory
            | Self::Chunk => {
                "bring the object back from another copy of the store, or take a new snapshot of what it held"
            }
            Self::PackUnread => "check the store, and verify again",
            Self::Snapshot | Self::Basis | Self::Tree | Self::ChunkMissing | Self::OutsideReach => {
                "this snapshot does not restore in full; use another one, and take a new one now"
            }
            Self::Covered => {
                "the store keeps the object below, and readers take it: find out who may write there, change the store's credentials, and remove the versions and markers that lie over it"
            }
            Self::ShortLock => {
                "run `indelible retain extend` with credentials that may lock; if the store locks nothing, nothing keeps the promise"
            }
        }
    }

    /// The check that finds it.
    fn check(self) -> Check {
        match self {
            Self::VoidEntry
            | Self::DamagedEntry
            | Self::RemovedEntry
            | Self::OtherHistory
            | Self::BeyondEnd
            | Self::GenesisCopy
            | Self::LogBundle => Check::Log,
            Self::RolledBack | Self::Forked => Check::Freshness,
            Self::CommitRecord => Check::Records,
            Self::PackMissing | Self::Covered => Check::Presence,
            Self::PackAltered | Self::PackUnread => Check::Contents,
            Self::Directory | Self::Basis => Check::Directories,
            Self::Snapshot | Self::Tree | Self::ChunkMissing | Self::OutsideReach => Check::Trees,
            Self::Chunk => Check::Chunks,
            Self::ShortLock => Check::Locks,
        }
    }

    /// Whether a check fails by it. A damaged chunk or directory is also a pack that
    /// has other bytes than its name says.
    pub fn fails(self, check: Check) -> bool {
        let of_bytes = matches!(self, Self::Chunk | Self::Directory);
        self.check() == check || (of_bytes && check == Check::Contents)
    }

    /// Whether it is about the log alone, so that what it harms is known without
    /// a key.
    pub fn is_of_the_log(self) -> bool {
        matches!(
            self,
            Self::VoidEntry
                | Self::DamagedEntry
                | Self::RemovedEntry
                | Self::OtherHistory
                | Self::BeyondEnd
                | Self::RolledBack
                | Self::Forked
                | Self::GenesisCopy
                | Self::LogBundle
                | Self::CommitRecord
                | Self::Covered
        )
    }
}

/// A thing that a verification looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// That the log holds together.
    Log,
    /// That it is no older and no other log than was seen before.
    Freshness,
    /// Commit records.
    Records,
    /// That every listed pack is there, with its length.
    Presence,
    /// The bytes of packs, against their names.
    Contents,
    /// The directories of packs.
    Directories,
    /// Manifests, reaches, pages and nodes.
    Trees,
    /// Chunks, decoded.
    Chunks,
    /// Locks, against what is promised.
    Locks,
}

impl Check {
    /// Every check, each after what it leans on.
    pub const ALL: [Self; 9] = [
        Self::Log,
        Self::Freshness,
        Self::Records,
        Self::Presence,
        Self::Contents,
        Self::Directories,
        Self::Trees,
        Self::Chunks,
        Self::Locks,
    ];

    /// The lowest level that makes it.
    pub fn level(self) -> Level {
        match self {
            Self::Log | Self::Freshness | Self::Records | Self::Presence | Self::Contents => {
                Level::Packs
            }
            Self::Directories | Self::Trees | Self::Locks => Level::Tree,
            Self::Chunks => Level::Data,
        }
    }

    /// Whether it reads packs whole, so that an extent may leave some out.
    pub fn reads_packs(self) -> bool {
        matches!(self, Self::Contents | Self::Chunks)
    }
}

/// Which snapshots a problem keeps from being restored in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Harm {
    /// Exactly these.
    Snapshots(BTreeSet<u64>),
    /// Some, and of the others at most some: a pack was altered, and it takes the
    /// restore right to tell which of its contents.
    Within {
        /// These it harms.
        surely: BTreeSet<u64>,
        /// Of these it harms all, some or none.
        perhaps: BTreeSet<u64>,
    },
    /// These, and perhaps later ones that reuse what they stored: telling takes a
    /// key.
    AtLeast(BTreeSet<u64>),
}

/// Something wrong with a repository.
#[derive(Debug)]
pub struct Problem {
    /// What.
    pub kind: ProblemKind,
    /// With which object, as its path in the store.
    pub object: String,
    /// Chunk number in the object, if it is about one chunk.
    pub chunk: Option<u32>,
    /// Why.
    pub cause: Option<Cause>,
    /// Whom it harms.
    pub harm: Harm,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, object: String, cause: Option<Cause>) -> Self {
        Self {
            kind,
            object,
            chunk: None,
            cause,
            harm: Harm::Snapshots(BTreeSet::new()),
        }
    }

    pub(super) fn of_chunk(mut self, number: u32) -> Self {
        self.chunk = Some(number);
        self
    }
}
