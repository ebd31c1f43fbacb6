//! Which of an object's versions counts, where a store keeps several.
//!
//! Whoever holds the credentials of a writer can put versions over an object, and can't
//! take away what is locked below. So of what is named by its hash the version counts
//! that has it, and of the log the oldest (SPEC 9.2).
//!
//! Why it is safe: where there is one version alone it is taken unseen, for then nothing
//! else could be. Of several, those are hashed that are no longer than such an object may
//! be, so that none is held that could not be right.

use super::{ObjectKey, ReadStore, StoreError, Version, VersionId};

/// See [`ReadStore::version_that_counts`].
pub(super) fn version_that_counts<S: ReadStore + ?Sized>(
    store: &S,
    key: &ObjectKey,
) -> Result<Version, StoreError> {
    if !store.capabilities().versions {
        return Ok(Version {
            id: VersionId::only(),
            size_bytes: store.size(key)?,
        });
    }
    let versions = store.versions(key)?;
    let is_one = versions.len() == 1;
    for version in versions {
        if is_one || !key.is_hash() {
            return Ok(version);
        }
        if version.size_bytes <= key.bytes_max() as u64
            && key.names(&store.read_version(key, &version.id, version.size_bytes)?)
        {
            return Ok(version);
        }
    }
    Err(StoreError::NotFound { key: *key })
}
