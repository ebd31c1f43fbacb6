//! What was sealed in entries and was opened before, sealed again by its reader.
//!
//! This module keeps bytes and knows neither their key nor their meaning: the
//! repository opens them with the key that it was opened with, and takes nothing
//! that does not open. Losing them costs the time to open each entry again, so
//! they are not synced.

use std::path::PathBuf;

use super::{RepositoryState, read_file, write_unsynced};

/// The most that is kept, bytes.
pub const OPENED_BYTES_MAX: usize = 16 << 20;

impl RepositoryState {
    /// The bytes that [`keep_opened`](Self::keep_opened) got last. Unchecked.
    pub fn opened(&self) -> Option<Vec<u8>> {
        read_file(&self.opened_file(), OPENED_BYTES_MAX as u64)
            .ok()
            .flatten()
    }

    /// Keeps at most [`OPENED_BYTES_MAX`] bytes in the place of those before. That
    /// they can't be kept is not missed.
    pub fn keep_opened(&self, bytes: &[u8]) {
        let _ = write_unsynced(&self.opened_file(), bytes);
    }

    fn opened_file(&self) -> PathBuf {
        self.root.join("opened")
    }
}
