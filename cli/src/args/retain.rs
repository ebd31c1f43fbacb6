//! What `indelible retain` takes, and `init` of it.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use indelible_format::name::Pattern;
use indelible_format::policy::{LockMode, Promise};

use super::SNAP_HELP;
use crate::when::KeptFor;

/// Promise for how long snapshots stay, and have the store lock them.
#[derive(Debug, Subcommand)]
pub(crate) enum Retain {
    Show(RetainShow),
    Promise(RetainPromise),
    Hold(RetainHold),
    Extend(RetainExtend),
}

/// Show what is promised, and until when the store locks it.
///
/// Takes the verify right. The store is asked for the lock of everything that each
/// snapshot needs; a snapshot is locked until the first of these ends.
#[derive(Debug, Args)]
pub(crate) struct RetainShow {
    /// Only snapshots with this NAME; `*` matches any sequence.
    pub(crate) name: Option<String>,
}

/// Promise that snapshots stay for longer.
///
/// Takes the admin right. A promise counts for the snapshots that are there and for
/// those to come, and is never made shorter.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    indelible retain promise 90d                 every NAME\n  \
    indelible retain promise 'orders*=400d' 35d  some for longer\n\n\
Then run `indelible retain extend`, or wait for the next snapshots: they lock what they need.")]
pub(crate) struct RetainPromise {
    /// For how long, such as 35d, 12w or 1y, and for which NAMEs.
    #[arg(required = true, value_name = "[PATTERN=]SPAN")]
    pub(crate) promises: Vec<RetainFor>,
    #[command(flatten)]
    pub(crate) locking: Locking,
}

/// Keep one snapshot for longer than its NAME is promised.
///
/// Takes the admin right. A hold is never made shorter.
#[derive(Debug, Args)]
#[command(after_help = SNAP_HELP)]
pub(crate) struct RetainHold {
    /// Which snapshot.
    pub(crate) snap: String,
    /// Until when: a date, or a span from now such as 2y.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: String,
}

/// Lock what every snapshot needs for as long as it is promised.
///
/// Takes the verify right, and credentials of the store that may lock. Run it from a
/// timer on a host that writes no backups, and the hosts that do need not be able to lock
/// (`indelible snapshot --no-lock`). Exits with 22 if a promise is not kept then.
#[derive(Debug, Args)]
pub(crate) struct RetainExtend {}

/// How a store is to lock.
#[derive(Debug, Args)]
pub(crate) struct Locking {
    /// Who may break the locks of a store in S3: whoever its owner grants it to, or
    /// nobody, its owner and its provider included.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) lock: Option<LockKind>,
    /// For scripts: what would have to be typed before the first compliance lock, which
    /// is the longest SPAN.
    #[arg(long, value_name = "SPAN")]
    pub(crate) confirm_compliance: Option<KeptFor>,
}

/// How a directory keeps objects from change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Immutable {
    /// Every file gets the immutable flag of Linux (`chattr +i`), which only root can set
    /// and clear. It stops others, and costs root one command.
    Flags,
    /// Every file is committed on a write-once (WORM) filesystem that takes permissions
    /// and access times for it: NetApp SnapLock, Dell SmartLock and others. It is tried
    /// first whether the filesystem heeds them. Nobody can take such a lock back, so the
    /// longest SPAN has to be confirmed as for `--lock compliance`.
    PosixWorm,
}

impl Immutable {
    /// Who may break the locks.
    pub(crate) fn mode(self) -> LockMode {
        match self {
            Self::Flags => LockMode::Governance,
            Self::PosixWorm => LockMode::Compliance,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LockKind {
    /// Whoever holds the right to bypass governance can break them.
    Governance,
    /// Nobody can, until they end.
    Compliance,
}

impl LockKind {
    pub(crate) fn mode(self) -> LockMode {
        match self {
            Self::Governance => LockMode::Governance,
            Self::Compliance => LockMode::Compliance,
        }
    }
}

impl Locking {
    pub(crate) fn mode(&self) -> Option<LockMode> {
        self.lock.map(LockKind::mode)
    }
}

/// For how long the NAMEs of a pattern are kept.
#[derive(Debug, Clone)]
pub(crate) struct RetainFor(Promise);

impl RetainFor {
    pub(crate) fn promise(&self) -> Promise {
        self.0.clone()
    }
}

impl FromStr for RetainFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pattern, span) = text.split_once('=').unwrap_or(("*", text));
        let pattern = Pattern::new(pattern.as_bytes())
            .map_err(|error| format!("{pattern:?} is no pattern of NAMEs: {error}"))?;
        let retain_ms = span.parse::<KeptFor>()?.ms();
        Ok(Self(Promise { pattern, retain_ms }))
    }
}
