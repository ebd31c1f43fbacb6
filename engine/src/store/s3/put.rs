//! Creates objects in S3.
//!
//! Why it is safe:
//!
//! - Every try sends the same bytes to the same name, under the condition that
//!   nothing stands there (`If-None-Match: *`), with their SHA-256.
//! - The condition holds over a marker that hides an older version, and some
//!   stores ignore it. So of a name that is no hash, creation is believed only
//!   once a list of versions shows that the oldest is ours.
//! - An error is answered only if every try was refused by the store, or failed
//!   before it could have arrived. After anything less clear the versions are
//!   listed: what is found decides, and what is not found may still arrive, which
//!   is [`PutOutcome::Indeterminate`].
//! - "Taken" may be the effect of our own try whose answer was lost, so it is
//!   always followed by a comparison of bytes.

use std::sync::PoisonError;

use indelible_format::policy::LockMode;

use super::super::probe::{Attempt, ProbeTerms};
use super::super::{Action, AppendStore, ObjectKey, PutOutcome, StoreError, Version, VersionId};
use super::S3Store;
use super::client::Fetch;
use super::fault::{Fault, is_raced, is_transient};
use super::lock::{ObjectLock, name_of};
use super::request::Request;
use super::time::lock_date;

/// How many versions of a name that is a hash are compared. More than one are
/// the work of an attacker.
const COMPARED_MAX: usize = 8;

/// What the tries came to.
enum Tried {
    /// The store says that it created the object, as this version.
    Accepted(Option<String>),
    /// Something stands under the name. A try before may not have arrived yet, and
    /// this made it unclear.
    Taken(Option<StoreError>),
    /// It may have been created, or may still be.
    Unclear(StoreError),
    /// It was not created, and won't be.
    Refused(StoreError),
}

impl S3Store {
    /// The request that creates an object, with its lock. The store's clock counts.
    fn creation<'a>(&self, key: &ObjectKey, bytes: &'a [u8]) -> Result<Request<'a>, StoreError> {
        let request = Request::put(self.path_of(key), bytes).header("if-none-match", "*");
        let Some(lock) = self.lock() else {
            return Ok(request);
        };
        let until_ms = self.client.store_now_ms().saturating_add(lock.span_ms);
        let until = lock_date(until_ms).ok_or_else(|| self.locks_unsupported())?;
        Ok(request
            .header("x-amz-object-lock-mode", name_of(lock.mode))
            .header("x-amz-object-lock-retain-until-date", until))
    }

    /// Sends the object until there is a clear answer, or no try is left.
    fn try_to_create(&self, key: &ObjectKey, request: &Request<'_>) -> Tried {
        let fetch = Fetch::new(Action::Write, key);
        let (mut tries, mut unclear) = (self.client.tries(), None);
        loop {
            let (fault, may_be_done) = match self.client.send(request) {
                Ok(reply) => match reply.status() {
                    200..=299 => {
                        let version = reply.header("x-amz-version-id").map(str::to_owned);
                        return Tried::Accepted(version);
                    }
                    412 => return Tried::Taken(unclear),
                    _ => {
                        let answer = reply.into_answer();
                        let may_be_done = is_transient(&answer) && !is_raced(&answer);
                        (Fault::Answered(answer), may_be_done)
                    }
                },
                Err(lost) => {
                    let may_be_done = lost.may_have_arrived;
                    (Fault::Lost(lost), may_be_done)
                }
            };
            let again = fault.is_transient() && tries.wait();
            let error = self.creation_error(&fetch, fault);
            match (again, may_be_done || unclear.is_some()) {
                (true, true) => unclear = Some(error),
                (true, false) => {}
                (false, true) => return Tried::Unclear(error),
                (false, false) => return Tried::Refused(error),
            }
        }
    }

    /// An object that is being created is never missing; a bucket may be.
    fn creation_error(&self, fetch: &Fetch, fault: Fault) -> StoreError {
        match self.client.error(fetch, fault) {
            StoreError::NotFound { .. } => StoreError::BucketMissing {
                location: self.client.location.clone(),
            },
            error => error,
        }
    }

    /// Says what became of the tries, from what stands under the name.
    fn settle(
        &self,
        key: &ObjectKey,
        bytes: &[u8],
        tried: Tried,
    ) -> Result<PutOutcome, StoreError> {
        let named_by_content = matches!(key, ObjectKey::Pack(_) | ObjectKey::Record(_));
        let (ours, unclear) = match tried {
            Tried::Refused(error) => return Err(error),
            Tried::Accepted(_) if named_by_content => return Ok(PutOutcome::Created),
            Tried::Accepted(version) => (version, None),
            Tried::Taken(cause) => (None, cause),
            Tried::Unclear(cause) => (None, Some(cause)),
        };
        let most = if named_by_content { COMPARED_MAX } else { 1 };
        let oldest = match self.oldest_versions(key, most) {
            Ok(versions) => versions,
            Err(error) => return Ok(indeterminate(unclear.unwrap_or(error))),
        };
        let Some(first) = oldest.first() else {
            // Accepted, or taken, and not to be seen: no clear answer either.
            let cause = unclear.unwrap_or(StoreError::NotFound { key: *key });
            return Ok(indeterminate(cause));
        };
        if ours.is_some_and(|ours| ours == first.id.0) {
            return Ok(PutOutcome::Created);
        }
        match self.any_is_same(key, &oldest, bytes) {
            Ok(true) => Ok(PutOutcome::AlreadySame),
            Ok(false) => match unclear {
                // Behind another version it may still come to stand.
                Some(cause) if named_by_content => Ok(indeterminate(cause)),
                _ => Ok(PutOutcome::Conflict),
            },
            Err(error) => Ok(indeterminate(unclear.unwrap_or(error))),
        }
    }

    fn any_is_same(
        &self,
        key: &ObjectKey,
        versions: &[Version],
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        for version in versions {
            if self.is_same(key, version, bytes)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn indeterminate(cause: StoreError) -> PutOutcome {
    PutOutcome::Indeterminate {
        cause: Box::new(cause),
    }
}

impl AppendStore for S3Store {
    fn put_new(&self, key: &ObjectKey, bytes: &[u8]) -> Result<PutOutcome, StoreError> {
        if let ObjectKey::Log(number) | ObjectKey::Bundle(number) = *key
            && !key.is_nameable()
        {
            return Err(StoreError::LogFull { number });
        }
        self.learn_time()?;
        let tried = self.try_to_create(key, &self.creation(key, bytes)?);
        self.settle(key, bytes, tried)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        self.learn_time()?;
        self.check_bucket()?;
        self.check_conditions()
    }

    fn lock_new(&self, mode: LockMode, span_ms: u64) {
        let lock = ObjectLock { mode, span_ms };
        if lock.is_sound() {
            *self.lock.write().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        }
    }

    fn extend_lock(
        &self,
        key: &ObjectKey,
        version: &VersionId,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        self.extend(key, version, until_ms)
    }

    fn probe(&self, terms: &ProbeTerms) -> Result<Vec<Attempt>, StoreError> {
        self.attack(terms)
    }
}
