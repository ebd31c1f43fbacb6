//! What a restore could not bring back, and the account of what it did.

use std::mem::discriminant;

use indelible_format::path::EntryPath;

use super::Restored;
use crate::read::ReadError;

/// What could not be restored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Hole {
    /// Bytes of a file, which are zeros instead. Neighbours with one cause are
    /// one hole.
    Bytes {
        /// The file.
        path: EntryPath,
        /// Where they begin in it, bytes.
        offset: u64,
        /// How many they are.
        len: u64,
        /// Why, or why the first of them.
        cause: ReadError,
    },
    /// Entries: nobody can tell which and how many.
    Entries {
        /// The last path that was read before them, if there is any.
        after: Option<EntryPath>,
        /// The first path that was read behind them, if there is any.
        before: Option<EntryPath>,
        /// How many bytes their records take.
        records_len: u64,
        /// Why, or why the first of them.
        cause: ReadError,
    },
}

impl Hole {
    /// Why, or why the first part of it.
    pub fn cause(&self) -> &ReadError {
        match self {
            Self::Bytes { cause, .. } | Self::Entries { cause, .. } => cause,
        }
    }

    /// The cause alone.
    pub(super) fn into_cause(self) -> ReadError {
        match self {
            Self::Bytes { cause, .. } | Self::Entries { cause, .. } => cause,
        }
    }

    /// Whether something at or below a path may be lost with it.
    pub(super) fn may_hold(&self, path: &EntryPath) -> bool {
        match self {
            Self::Bytes { path: file, .. } => file.is_within(path),
            Self::Entries { after, before, .. } => {
                let ends_before = before.as_ref().is_some_and(|before| before <= path);
                let begins_behind = after
                    .as_ref()
                    .is_some_and(|after| after > path && !after.is_within(path));
                !ends_before && !begins_behind
            }
        }
    }

    /// Takes a hole in that follows directly and has the same cause.
    fn join(&mut self, next: &Self) -> bool {
        match (self, next) {
            (
                Self::Bytes {
                    path,
                    offset,
                    len,
                    cause,
                },
                Self::Bytes {
                    path: next_path,
                    offset: next_offset,
                    len: next_len,
                    cause: next_cause,
                },
            ) if path == next_path
                && offset.checked_add(*len) == Some(*next_offset)
                && is_alike(cause, next_cause) =>
            {
                *len += next_len;
                true
            }
            _ => false,
        }
    }
}

/// Whether two chunks are lost for one reason.
fn is_alike(one: &ReadError, other: &ReadError) -> bool {
    match (one, other) {
        (
            ReadError::Chunk { place, fault, .. },
            ReadError::Chunk {
                place: other_place,
                fault: other_fault,
                ..
            },
        ) => place.pack == other_place.pack && discriminant(fault) == discriminant(other_fault),
        _ => false,
    }
}

/// Whether trying again would not help.
pub(super) fn is_lasting(cause: &ReadError) -> bool {
    match cause {
        ReadError::Chunk { fault, .. } => !fault.is_unreachable(),
        ReadError::NotAllowed { .. } => false,
        _ => true,
    }
}

/// Adds up what was done, and tells holes.
pub(super) struct Tally<'t> {
    pub(super) restored: Restored,
    tell: Option<&'t dyn Fn(&Hole)>,
    /// The last hole, which the next one may continue.
    pending: Option<Hole>,
}

impl<'t> Tally<'t> {
    pub(super) fn new(tell: Option<&'t dyn Fn(&Hole)>) -> Self {
        Self {
            restored: Restored::default(),
            tell,
            pending: None,
        }
    }

    /// Counts a hole and tells it, as soon as it is known where it ends.
    pub(super) fn tell(&mut self, hole: Hole) {
        if let Hole::Bytes { len, .. } = &hole {
            self.restored.hole_bytes = self.restored.hole_bytes.saturating_add(*len);
        }
        if let Some(pending) = &mut self.pending
            && pending.join(&hole)
        {
            return;
        }
        self.flush();
        self.restored.holes += 1;
        self.pending = Some(hole);
    }

    fn flush(&mut self) {
        if let (Some(hole), Some(tell)) = (self.pending.take(), self.tell) {
            tell(&hole);
        }
    }

    /// The account, after the last hole was told.
    pub(super) fn finish(mut self) -> Restored {
        self.flush();
        std::mem::take(&mut self.restored)
    }
}

impl Drop for Tally<'_> {
    /// A restore that fails has told its last hole, too.
    fn drop(&mut self) {
        self.flush();
    }
}
