//! Object Lock: what a store in S3 holds against everyone, its owner included.
//!
//! Why it is safe: a lock is only ever put on at creation and made longer. The
//! mode of a lock that is there is kept, so nothing here weakens one; a store that
//! would allow it is not asked. The lock names the version whose bytes the caller
//! checked, so nobody can have it put on another.

use indelible_format::policy::LockMode;

use super::super::{Action, ObjectKey, StoreError, VersionId};
use super::S3Store;
use super::client::{Fetch, reads_nothing};
use super::fault::Fault;
use super::request::Request;
use super::time::lock_date;
use super::xml;

/// As S3 writes it.
pub(super) const fn name_of(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Governance => "GOVERNANCE",
        LockMode::Compliance => "COMPLIANCE",
    }
}

pub(super) fn mode_of(name: &str) -> Option<LockMode> {
    [LockMode::Governance, LockMode::Compliance]
        .into_iter()
        .find(|mode| name_of(*mode) == name)
}

/// The lock that objects are created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may break it.
    pub mode: LockMode,
    /// How long it lasts from the creation on, in milliseconds.
    pub span_ms: u64,
}

impl ObjectLock {
    /// A second, the unit of S3.
    const SPAN_MS_MIN: u64 = 1_000;
    /// A hundred years, as Amazon has it. Nobody could undo what is longer.
    const SPAN_MS_MAX: u64 = 36_500 * 86_400_000;

    pub(super) fn is_sound(&self) -> bool {
        (Self::SPAN_MS_MIN..=Self::SPAN_MS_MAX).contains(&self.span_ms)
    }
}

/// The lock of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retention {
    pub(super) mode: LockMode,
    pub(super) until_ms: u64,
}

impl S3Store {
    pub(super) fn locks_unsupported(&self) -> StoreError {
        StoreError::LocksUnsupported {
            location: self.client.location.clone(),
        }
    }

    /// The lock of a version, if it has one.
    pub(super) fn retention(
        &self,
        key: &ObjectKey,
        version: &VersionId,
    ) -> Result<Option<Retention>, StoreError> {
        let fetch = Fetch::new(Action::Inspect, key);
        self.retention_at(&fetch, self.path_of(key), version)
    }

    pub(super) fn retention_at(
        &self,
        fetch: &Fetch,
        path: String,
        version: &VersionId,
    ) -> Result<Option<Retention>, StoreError> {
        let request = Request::get(path)
            .query("retention", "")
            .query("versionId", &version.0);
        let answer = self.client.ask(fetch, &request, &mut |reply| {
            xml::retention(&reply.into_bytes()?)
                .map(Some)
                .map_err(Fault::from)
        });
        match answer {
            Err(StoreError::Answered { source, .. }) if has_no_lock(&source.code) => Ok(None),
            other => other,
        }
    }

    /// Extends a lock, which must not end later already.
    pub(super) fn extend(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        let lock = self.lock().ok_or_else(|| self.locks_unsupported())?;
        // S3 counts in seconds.
        let until_ms = until_ms.div_ceil(1_000).saturating_mul(1_000);
        let held = self.retention(key, version)?;
        if let Some(held) = held
            && held.until_ms >= until_ms
        {
            return if held.until_ms == until_ms {
                Ok(())
            } else {
                Err(StoreError::WouldShorten {
                    key: *key,
                    locked_until_ms: held.until_ms,
                })
            };
        }
        let mode = held.map_or(lock.mode, |held| held.mode);
        let until = lock_date(until_ms).ok_or_else(|| self.locks_unsupported())?;
        let body = retention_xml(mode, &until);
        let request = Request::put(self.path_of(key), body.as_bytes())
            .query("retention", "")
            .query("versionId", &version.0);
        let fetch = Fetch::new(Action::Lock, key);
        self.client.ask(&fetch, &request, &mut reads_nothing)
    }
}

pub(super) fn retention_xml(mode: LockMode, until: &str) -> String {
    format!(
        "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>",
        name_of(mode)
    )
}

/// Whether an error says that a version, or its bucket, has no lock.
fn has_no_lock(code: &str) -> bool {
    matches!(
        code,
        "NoSuchObjectLockConfiguration" | "ObjectLockConfigurationNotFoundError" | "InvalidRequest"
    )
}
