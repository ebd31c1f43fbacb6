//! Where a file's bytes go: into a file that is being written, against one that
//! stands there finished, or to a stream.

use std::io::Write;

use indelible_format::path::EntryPath;

use super::{RestoreError, check};
use crate::cancel::Cancel;
use crate::target::{Flusher, Left, StandingFile, TargetError, TargetFile};

/// How many zeros are written to a stream at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What stands already where a file's bytes are to go.
pub(super) enum Standing {
    /// Nothing that could be right.
    Nothing,
    /// What an earlier run wrote, right or not.
    Unfinished(Left),
    /// A finished file, which is to be the same, or else is in the way.
    Finished(Left, EntryPath),
}

impl Standing {
    /// Whether the `len` bytes at an offset stand there and are right, as far as
    /// `is` can tell.
    pub(super) fn holds(
        &self,
        offset: u64,
        len: usize,
        is: &dyn Fn(&[u8]) -> bool,
    ) -> Result<bool, RestoreError> {
        match self {
            Self::Nothing => Ok(false),
            Self::Unfinished(left) => Ok(left.holds(offset, len, is)),
            Self::Finished(left, _) if left.holds(offset, len, is) => Ok(true),
            Self::Finished(_, path) => Err(differs(path)),
        }
    }
}

/// Takes the bytes of one file.
pub(super) trait Sink {
    /// What stands there already.
    fn standing(&self) -> Standing;

    /// Writes bytes. Offsets ascend, unless something was held in between.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), RestoreError>;

    /// Makes a range zeros.
    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError>;

    /// Makes durable what was written, beside who writes, where that means anything.
    fn flusher(&self) -> Option<Flusher> {
        None
    }
}

/// A file that is being written.
pub(super) struct FileSink<'f>(pub(super) &'f mut TargetFile);

impl Sink for FileSink<'_> {
    fn standing(&self) -> Standing {
        Standing::Unfinished(self.0.left())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        Ok(self.0.write_at(offset, bytes)?)
    }

    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError> {
        Ok(self.0.hole(offset, len)?)
    }

    fn flusher(&self) -> Option<Flusher> {
        Some(self.0.flusher())
    }
}

/// A finished file that is to be the same, or else is in the way.
pub(super) struct StandingSink<'f>(pub(super) &'f StandingFile);

impl Sink for StandingSink<'_> {
    fn standing(&self) -> Standing {
        Standing::Finished(self.0.left(), self.0.path().clone())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), RestoreError> {
        Err(differs(self.0.path()))
    }

    fn hole(&mut self, _: u64, _: u64) -> Result<(), RestoreError> {
        Err(differs(self.0.path()))
    }
}

fn differs(path: &EntryPath) -> RestoreError {
    let path = path.clone();
    TargetError::Exists { path }.into()
}

/// A stream, which has nothing yet.
pub(super) struct WriterSink<'w> {
    pub(super) out: &'w mut dyn Write,
    pub(super) cancel: &'w Cancel,
}

impl Sink for WriterSink<'_> {
    fn standing(&self) -> Standing {
        Standing::Nothing
    }

    fn write(&mut self, _: u64, bytes: &[u8]) -> Result<(), RestoreError> {
        self.out.write_all(bytes).map_err(RestoreError::Output)
    }

    fn hole(&mut self, offset: u64, len: u64) -> Result<(), RestoreError> {
        let mut left = len;
        while left > 0 {
            check(self.cancel)?;
            let zeros = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write(offset, &ZEROS[..zeros])?;
            left -= zeros as u64;
        }
        Ok(())
    }
}
