//! How much a target has room for.

use std::path::Path;

use super::{Step, TargetError};

/// What the file system of a target says of its free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that a user without privileges may still write.
    pub free_bytes: u64,
    /// The unit in which files take space, bytes; at least 1.
    pub block_bytes: u64,
}

impl Room {
    /// Asks the file system that `path` is on, or would be on if it were made.
    ///
    /// # Errors
    ///
    /// [`TargetError::Root`] when the file system doesn't say.
    pub fn at(path: &Path) -> Result<Self, TargetError> {
        let there = path.ancestors().find(|there| there.exists());
        let there = there.unwrap_or(Path::new("."));
        let stat =
            rustix::fs::statvfs(there).map_err(|errno| TargetError::root(Step::Examine, errno))?;
        Ok(Self {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            block_bytes: stat.f_frsize.max(1),
        })
    }

    /// The space that a file of this size takes, bytes.
    pub fn taken_by(&self, size_bytes: u64) -> u64 {
        size_bytes
            .div_ceil(self.block_bytes)
            .saturating_mul(self.block_bytes)
    }
}
