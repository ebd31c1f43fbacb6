//! What S3 tells of an object's bytes without sending them.
//!
//! Every object is created with its SHA-256, which the store compares with what arrives,
//! and keeps. Why it is safe: what it tells later is its word and nothing more, which is for
//! the caller to take or not. It is asked of the version that reads answer from. A checksum
//! that is not of the whole object, or is none, counts as not told.

use data_encoding::BASE64;

use super::super::{Action, ObjectKey, StoreError, StoredSum};
use super::S3Store;
use super::client::{Fetch, Reply};
use super::request::Request;

impl S3Store {
    /// See [`ReadStore::stored_sum`](super::super::ReadStore::stored_sum).
    pub(super) fn told_sum(&self, key: &ObjectKey) -> Result<Option<StoredSum>, StoreError> {
        self.of_right(key, |version| {
            let fetch = Fetch::new(Action::Inspect, key);
            let mut request =
                Request::head(self.path_of(key)).header("x-amz-checksum-mode", "ENABLED");
            if let Some(version) = version {
                request = request.query("versionId", &version.0);
            }
            self.client
                .ask(&fetch, &request, &mut |reply| Ok(sum_in(&reply)))
        })
    }
}

fn sum_in(reply: &Reply) -> Option<StoredSum> {
    // Of an object in parts, it is the hash of their hashes. Some stores don't say.
    let kind = reply.header("x-amz-checksum-type");
    if kind.is_some_and(|kind| kind != "FULL_OBJECT") {
        return None;
    }
    let sha256 = reply.header("x-amz-checksum-sha256")?;
    Some(StoredSum {
        size_bytes: reply.content_length()?,
        sha256: BASE64.decode(sha256.as_bytes()).ok()?.try_into().ok()?,
    })
}
