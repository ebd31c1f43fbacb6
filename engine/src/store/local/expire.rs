//! Removes objects from a directory.
//!
//! Why it is safe: only the code that sweeps holds an [`ExpireStore`], only packs and commit
//! records are removed, and what is locked is not.

use std::io;

use super::files::Files;
use super::{LocalStore, retry};
use crate::store::{Action, ExpireStore, ObjectKey, ReadStore as _, StoreError};

impl<F: Files> ExpireStore for LocalStore<F> {
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        if !key.is_expirable() {
            return Err(StoreError::Permanent { key: *key });
        }
        // What was planted under an object's name is not ours to remove.
        self.size(key)?;
        if let Some(until_ms) = self.kept_until(key)?
            && until_ms > self.clock.now_unix_ms()
        {
            return Err(StoreError::Locked {
                key: *key,
                until_ms,
            });
        }
        retry(|| self.files.unlink(&key.path())).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { key: *key },
            _ => StoreError::Io {
                action: Action::Remove,
                path: key.path(),
                source,
            },
        })
    }
}
