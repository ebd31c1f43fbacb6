//! Every exit code, decided in one place.

use std::process::ExitCode;

/// What a run ended with. Scripts rely on these numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done = 0,
    /// Something failed that has no code of its own.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The source or the dump command failed; nothing was committed.
    Source = 4,
    /// There is no repository.
    NoRepository = 10,
    /// The key is wrong, or lacks the right.
    Key = 12,
    /// The store can't be reached; trying again may help.
    Unreachable = 13,
    /// What was to be made is there already.
    Exists = 14,
    /// Something is damaged, forged or removed.
    Integrity = 20,
    /// The log was rolled back or forked.
    Rollback = 21,
    /// Something is locked shorter than was promised.
    ShortLock = 22,
    /// An object that is needed is gone.
    Missing = 23,
    /// What was asked to be so before anything else is not.
    Policy = 24,
    /// It is unknown whether the commit happened.
    Unknown = 25,
    /// It was interrupted.
    Interrupted = 130,
}

const ALL: [Exit; 15] = [
    Exit::Done,
    Exit::Failed,
    Exit::Usage,
    Exit::Source,
    Exit::NoRepository,
    Exit::Key,
    Exit::Unreachable,
    Exit::Exists,
    Exit::Integrity,
    Exit::Rollback,
    Exit::ShortLock,
    Exit::Missing,
    Exit::Policy,
    Exit::Unknown,
    Exit::Interrupted,
];

impl Exit {
    /// A stable word for the code, for programs that read JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Source => "source_failed",
            Self::NoRepository => "no_repository",
            Self::Key => "key",
            Self::Unreachable => "unreachable",
            Self::Exists => "exists",
            Self::Integrity => "integrity",
            Self::Rollback => "rollback",
            Self::ShortLock => "lock_short",
            Self::Missing => "missing",
            Self::Policy => "policy",
            Self::Unknown => "outcome_unknown",
            Self::Interrupted => "interrupted",
        }
    }

    /// What a run of this program ended with.
    pub(crate) fn of_number(number: u8) -> Option<Self> {
        ALL.into_iter().find(|exit| exit.number() == number)
    }

    /// The number.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
