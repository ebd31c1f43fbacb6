//! Turns typed errors into what a person can act on: an exit code, what was
//! tried and why it failed, and what to do next.
//!
//! Each error of the engine is classified here and nowhere else.

mod dumps;

use std::error::Error;
use std::fmt::Display;

use indelible_engine::keys::{InitError, IssueError, UnlockError};
use indelible_engine::log::{AppendError, LogError};
use indelible_engine::mirror::MirrorError;
use indelible_engine::read::ReadError;
use indelible_engine::repository::{
    AddKeyError, Forbidden, NotJunk, OpenError, OtherRepository, RevokeError, RotateError,
    SnapshotError,
};
use indelible_engine::retention::PolicyRefused;
use indelible_engine::state::StateError;
use indelible_engine::store::{ErrorClass, StoreError};
use indelible_engine::verify::VerifyError;
use indelible_format::authority::GenesisError;

use crate::exit::Exit;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What was being done, in front of what went wrong.
    pub(crate) fn context(mut self, context: impl Into<String>) -> Self {
        let message = std::mem::replace(&mut self.message, context.into());
        self.causes.insert(0, message);
        self
    }

    /// What went wrong and why, in one line.
    pub(crate) fn line(&self) -> String {
        let causes = self.causes.iter();
        causes.fold(self.message.clone(), |line, cause| {
            format!("{line}: {cause}")
        })
    }

    pub(crate) fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut failure = Self::new(exit, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // A transparent error shows its source's text as its own.
            if failure.causes.last().unwrap_or(&failure.message) != &text {
                failure.causes.push(text);
            }
            source = cause.source();
        }
        failure
    }

    /// A failed call to the system.
    pub(crate) fn io(action: impl Display, error: &std::io::Error) -> Self {
        Self::of(Exit::Failed, error).context(format!("could not {action}"))
    }
}

const RETRY: &str = "nothing was lost; run the command again";

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        from_store(&error, &error)
    }
}

/// Classifies `error`, which a store's error caused.
fn from_store(error: &dyn Error, store: &StoreError) -> Failure {
    let (exit, hint) = match store.class() {
        ErrorClass::NoRepository => {
            return Failure::of(Exit::NoRepository, error)
                .hint("check --repo (or INDELIBLE_REPO), or make a repository there with `indelible init`");
        }
        ErrorClass::NotFound => (
            Exit::Missing,
            "run `indelible verify` to see what else is missing",
        ),
        ErrorClass::Unreachable => (Exit::Unreachable, RETRY),
        ErrorClass::PermissionDenied => (
            Exit::Failed,
            "check that this user may read and write the repository",
        ),
        ErrorClass::NoSpace => (
            Exit::Failed,
            "free some space and run the command again; nothing was lost",
        ),
        ErrorClass::Refused => (
            Exit::Failed,
            "the store takes no such object, now or later; nothing was committed",
        ),
        ErrorClass::ReadOnly => (
            Exit::Failed,
            "the repository is on a read-only file system: remount it, or write elsewhere",
        ),
        ErrorClass::Malformed | ErrorClass::Doubtful => (
            Exit::Integrity,
            "run `indelible verify` to see what is damaged",
        ),
        _ => (Exit::Failed, RETRY),
    };
    Failure::of(exit, error).hint(hint)
}

impl From<&StateError> for Failure {
    fn from(error: &StateError) -> Self {
        let hint = match error {
            StateError::Damaged { .. } => {
                "compare with a checkpoint that was kept elsewhere before you remove it"
            }
            _ => {
                "choose a directory that this user may write with --state-dir (or INDELIBLE_STATE_DIR)"
            }
        };
        Self::of(Exit::Failed, error).hint(hint)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::from(&error)
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match &error {
            LogError::NoRepository { .. } => Self::of(Exit::NoRepository, &error)
                .hint("check --repo (or INDELIBLE_REPO), or make a repository there with `indelible init`"),
            LogError::Genesis { source: GenesisError::TooNew { .. }, .. } => {
                Self::of(Exit::Failed, &error).hint("install a newer release of indelible")
            }
            LogError::Genesis { .. } => Self::of(Exit::Integrity, &error)
                .hint("its log/000000000000 was damaged or exchanged: bring it back from another copy of the store"),
            LogError::Store(store) => from_store(&error, store),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        let hint = match &error {
            UnlockError::WrongPassphrase { .. } => {
                "check the passphrase on the recovery sheet, or use a key file with --key-file"
            }
            UnlockError::OtherRepository { .. } => {
                "use the key file that was made for this repository, or check --repo"
            }
            _ => "bring the log entry that holds the slot back from another copy of the store",
        };
        Self::of(Exit::Key, &error).hint(hint)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Log(error) => error.into(),
            OpenError::Unlock(error) => error.into(),
            OpenError::State(error) => error.into(),
            exchanged => Self::of(Exit::Rollback, &exchanged).hint(
                "if you replaced the repository on purpose, say so with a fresh --state-dir; if not, do not trust this store",
            ),
        }
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Self {
        match &error {
            InitError::Exists { .. } => Self::of(Exit::Exists, &error)
                .hint("choose another place; a repository is never overwritten"),
            InitError::Store(store) => from_store(&error, store),
            InitError::Unknown(_) => {
                Self::of(Exit::Unknown, &error).hint("look whether `indelible list` finds it")
            }
            _ => Self::of(Exit::Usage, &error),
        }
    }
}

impl From<Forbidden> for Failure {
    fn from(error: Forbidden) -> Self {
        Self::of(Exit::Key, &error)
            .hint("ask the administrator for a key that may, with `indelible key add`")
    }
}

impl<E: Error + 'static> From<&AppendError<E>> for Failure {
    fn from(error: &AppendError<E>) -> Self {
        match error {
            AppendError::Unknown { .. } => Self::of(Exit::Unknown, error).hint(
                "look with `indelible list` whether it is there before you run the command again",
            ),
            AppendError::Store(store) | AppendError::Log(LogError::Store(store)) => {
                from_store(error, store)
            }
            AppendError::NewerRelease { .. } => {
                Self::of(Exit::Failed, error).hint("install a newer release of indelible")
            }
            AppendError::Void { .. } => Self::of(Exit::Key, error)
                .hint("its key was revoked or expired while it was written; nothing was committed"),
            AppendError::Outrun => Self::of(Exit::Unreachable, error).hint(RETRY),
            _ => Self::of(Exit::Failed, error),
        }
    }
}

impl From<AddKeyError> for Failure {
    fn from(error: AddKeyError) -> Self {
        match &error {
            AddKeyError::Issue(
                issue @ (IssueError::Lacking { .. } | IssueError::Overreach { .. }),
            ) => Self::of(Exit::Key, issue)
                .hint("open the repository with the recovery passphrase, which has every right"),
            AddKeyError::Issue(issue @ IssueError::NoPart { .. })
            | AddKeyError::Append(AppendError::Draft(issue @ IssueError::NoPart { .. })) => {
                Self::of(Exit::Key, issue).hint("run it again; if it says so again, open the repository with a key that has a part, or rotate once more")
            }
            AddKeyError::Append(append) => append.into(),
            other => Self::of(Exit::Failed, other),
        }
    }
}

impl From<MirrorError> for Failure {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Read(ref store) | MirrorError::Write(ref store) => {
                from_store(&error, store)
            }
            MirrorError::Original(error) | MirrorError::Copy(error) => error.into(),
            MirrorError::OtherRepository => Self::of(Exit::Exists, &error)
                .hint("choose another place for the copy"),
            MirrorError::Behind { .. } | MirrorError::Forked { .. } => {
                Self::of(Exit::Rollback, &error)
                    .hint("nothing was copied; keep both, and compare them with a checkpoint that was kept elsewhere")
            }
            MirrorError::Taken { .. } => Self::of(Exit::Integrity, &error)
                .hint("somebody wrote to the copy: run `indelible verify` on it"),
            MirrorError::Interrupted => Self::of(Exit::Interrupted, &error)
                .hint("the copy is sound, and the next run goes on from here"),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        match &error {
            RevokeError::Forbidden(forbidden) => (*forbidden).into(),
            RevokeError::Administrator => {
                Self::of(Exit::Key, &error).hint("open the repository with the recovery passphrase")
            }
            RevokeError::Append(append) => Self::from(&**append),
            _ => Self::of(Exit::Usage, &error)
                .hint("`indelible key list` and `indelible log show` show what there is"),
        }
    }
}

impl From<RotateError> for Failure {
    fn from(error: RotateError) -> Self {
        match &error {
            RotateError::Forbidden(forbidden) => (*forbidden).into(),
            RotateError::Lacking { .. } | RotateError::NoPart { .. } => {
                Self::of(Exit::Key, &error).hint(
                    "open the repository with the recovery passphrase, which has every right",
                )
            }
            RotateError::Append(append) => Self::from(&**append),
            RotateError::Overtaken { .. } => Self::of(Exit::Failed, &error).hint(
                "nothing was done; `indelible log show` says by whom, and running it again rotates once more",
            ),
            RotateError::Partly { source, .. } => {
                let cause = Self::from(&**source);
                Self::of(cause.exit, &error).hint("rotate once more, so that all have a part")
            }
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<PolicyRefused> for Failure {
    fn from(error: PolicyRefused) -> Self {
        match &error {
            PolicyRefused::Forbidden(forbidden) => (*forbidden).into(),
            PolicyRefused::Append(append) => Self::from(&**append),
            PolicyRefused::NoPolicy => Self::of(Exit::Policy, &error)
                .hint("make a promise first: `indelible retain promise 35d`"),
            _ => Self::of(Exit::Policy, &error)
                .hint("`indelible retain show` shows what is promised"),
        }
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        match &error {
            SnapshotError::NotAllowed => Self::from(ReadError::NotAllowed { needed: "verify" }),
            _ => Self::of(Exit::Integrity, &error)
                .hint("run `indelible verify` to see what is damaged"),
        }
    }
}

impl From<OtherRepository> for Failure {
    fn from(error: OtherRepository) -> Self {
        Self::of(Exit::Rollback, &error).hint(
            "if you replaced the repository on purpose, remove the pin file; if not, do not trust this store",
        )
    }
}

impl From<NotJunk> for Failure {
    fn from(error: NotJunk) -> Self {
        let hint = match error {
            NotJunk::Valid { .. } | NotJunk::Absent { .. } => {
                "only void entries, which `indelible verify` lists, can be accepted"
            }
            NotJunk::Beyond { .. } => {
                "have the store's administrator remove it, or wait until the log has come near it"
            }
            NotJunk::Damaged { .. } | NotJunk::Removed { .. } => {
                "bring the log entry back from another copy of the store"
            }
            _ => "find out first why the log is not the one that was seen before",
        };
        Self::of(Exit::Usage, &error).hint(hint)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::NotAllowed(error) => error.into(),
            VerifyError::List(ref store) => from_store(&error, store),
            VerifyError::OtherRepository(error) => error.into(),
            VerifyError::Log(error) => error.into(),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}
