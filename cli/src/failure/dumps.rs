//! Errors of what goes into a snapshot, and of what comes out of one.

use std::error::Error;
use std::io::ErrorKind;

use indelible_engine::read::ReadError;
use indelible_engine::restore::RestoreError;
use indelible_engine::snapshot::{PublishError, SnapshotRunError};
use indelible_engine::source::{CommandError, SourceError};
use indelible_engine::target::TargetError;

use super::{Failure, RETRY, from_store};
use crate::exit::Exit;

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let exit = match error {
            SourceError::NoName { .. }
            | SourceError::NameWithSlash { .. }
            | SourceError::SameName { .. } => Exit::Usage,
            _ => Exit::Source,
        };
        Self::of(exit, &error).hint("nothing was committed")
    }
}

fn from_command(error: &SnapshotRunError, command: &CommandError) -> Failure {
    let tail = match command {
        CommandError::Exited { stderr_tail, .. }
        | CommandError::Signalled { stderr_tail, .. }
        | CommandError::PrintedNothing { stderr_tail }
        | CommandError::WantedTerminal { stderr_tail } => {
            String::from_utf8_lossy(stderr_tail).into_owned()
        }
        _ => String::new(),
    };
    let last = tail.lines().rev().find(|line| !line.trim().is_empty());
    let failure = Failure::of(Exit::Source, error);
    match last {
        Some(line) => failure.hint(format!(
            "nothing was committed; the command said last: {}",
            indelible_format::path::shown(line.trim().as_bytes())
        )),
        None => failure.hint("nothing was committed"),
    }
}

impl From<SnapshotRunError> for Failure {
    fn from(error: SnapshotRunError) -> Self {
        match &error {
            SnapshotRunError::NoWrite { .. } => {
                Self::of(Exit::Key, &error).hint("use a key with the write right: `indelible key add --rights write`")
            }
            SnapshotRunError::NotThisName { allowed, .. } => Self::of(Exit::Key, &error)
                .hint(format!("this key may write {}", if allowed.is_empty() { "no NAME".into() } else { allowed.join(", ") })),
            SnapshotRunError::Forbidden(forbidden) => (*forbidden).into(),
            SnapshotRunError::Source(_) | SnapshotRunError::Stream { .. } | SnapshotRunError::NoEntries => {
                Self::of(Exit::Source, &error).hint("nothing was committed")
            }
            SnapshotRunError::EmptyStream { .. } => Self::of(Exit::Source, &error)
                .hint("nothing was committed; an empty dump is no backup: check the command that feeds it"),
            SnapshotRunError::Command { source, .. } => from_command(&error, source),
            SnapshotRunError::Interrupted => Self::of(Exit::Interrupted, &error)
                .hint("nothing was committed; what was stored so far is used by the next run"),
            SnapshotRunError::Publish(PublishError::Store { source, .. }) => {
                from_store(&error, source)
            }
            SnapshotRunError::ListPacks(source)
            | SnapshotRunError::Record(source) => from_store(&error, source),
            SnapshotRunError::Publish(_) | SnapshotRunError::RecordTaken { .. } => {
                Self::of(Exit::Integrity, &error)
                    .hint("nothing was committed; somebody writes to the store: run `indelible verify`")
            }
            SnapshotRunError::Order { .. } | SnapshotRunError::Notes => {
                Self::of(Exit::Usage, &error).hint("nothing was committed")
            }
            SnapshotRunError::ReachLost { .. } => Self::of(Exit::Missing, &error)
                .hint("nothing was committed; run the command again, which stores it anew, and then `indelible verify`"),
            SnapshotRunError::Append(append) => Self::from(&**append),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        from_read(&error, &error)
    }
}

fn from_read(error: &dyn Error, read: &ReadError) -> Failure {
    match read {
        ReadError::NotAllowed { needed } => Failure::of(Exit::Key, error).hint(format!(
            "use a key with the right {needed}, or the recovery passphrase"
        )),
        ReadError::Chunk { fault, .. } if fault.is_missing() => Failure::of(Exit::Missing, error)
            .hint("run `indelible verify` to see which snapshots need it"),
        ReadError::Chunk { fault, .. } if fault.is_unreachable() => {
            Failure::of(Exit::Unreachable, error).hint(RETRY)
        }
        _ => Failure::of(Exit::Integrity, error)
            .hint("run `indelible verify` to see what is damaged"),
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        let full = |error: &std::io::Error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            )
        };
        match &error {
            TargetError::Exists { .. } => Self::of(Exit::Exists, &error).hint(
                "restore into an empty directory, replace what is there with --overwrite, or go on with an earlier restore with --resume",
            ),
            TargetError::Io { source, .. } if full(source) => Self::of(Exit::Failed, &error)
                .hint("make room and run it again with --resume, which goes on where this ended"),
            TargetError::TooLong { .. } => Self::of(Exit::Failed, &error)
                .hint("leave this file out by naming the others, or restore to another file system"),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Target(error) => error.into(),
            RestoreError::Interrupted => Self::of(Exit::Interrupted, &error).hint(
                "what stands under its name is whole; into a directory, --resume goes on from here",
            ),
            RestoreError::Packs(ref store) => from_store(&error, store),
            RestoreError::Read {
                ref path,
                ref source,
            } => {
                let read: &dyn Error = if path.is_some() { &error } else { source };
                let mut failure = from_read(read, source);
                if matches!(failure.exit, Exit::Integrity | Exit::Missing) {
                    failure.hint = failure
                        .hint
                        .map(|hint| format!("{hint}, and restore what is intact with --salvage"));
                }
                failure
            }
            RestoreError::NoSuchPath { .. } => Self::of(Exit::Usage, &error)
                .hint("restore everything into a directory to see what there is"),
            RestoreError::Several { ref paths } => {
                let list: Vec<String> = paths.iter().map(ToString::to_string).collect();
                Self::of(Exit::Usage, &error).hint(list.join(", "))
            }
            RestoreError::NotAFile { .. } => Self::of(Exit::Usage, &error),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}
