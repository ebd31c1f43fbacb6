//! Removes objects from S3, where no lock holds them.
//!
//! Why it is safe: only the code that sweeps holds an [`ExpireStore`], only packs
//! and commit records are removed, and versions are removed by name. The store
//! refuses what is locked; no way around locks is ever asked for.

use super::super::{Action, ExpireStore, ObjectKey, StoreError};
use super::S3Store;
use super::client::{Fetch, reads_nothing};
use super::request::Request;

impl ExpireStore for S3Store {
    fn remove(&self, key: &ObjectKey) -> Result<(), StoreError> {
        if !key.is_expirable() {
            return Err(StoreError::Permanent { key: *key });
        }
        let mut found = Vec::new();
        let mut has_bytes = false;
        self.each_version(key, &mut |entry| {
            has_bytes |= !entry.is_marker;
            found.push(entry);
        })?;
        if !has_bytes {
            return Err(StoreError::NotFound { key: *key });
        }
        // What hides the others goes last: a removal that ends halfway leaves an
        // object that nothing shows by itself, as it was.
        found.sort_by_key(|entry| entry.is_marker);
        self.chosen.forget(key);
        let fetch = Fetch::new(Action::Remove, key);
        for entry in found {
            let request = Request::delete(self.path_of(key)).query("versionId", entry.version);
            self.client.ask(&fetch, &request, &mut reads_nothing)?;
        }
        Ok(())
    }
}
