//! Makes the locks of a copy as long as those of the original.
//!
//! Why it is safe: locks are only ever made longer, on the version that counts, and none
//! beyond what the caller allows, whatever the original's store claims.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use crate::at_once;
use crate::store::{AppendStore, ObjectKey, ReadStore, StoreError};

/// What became of the locks.
#[derive(Debug, Default)]
pub struct CarriedLocks {
    /// Locks that were made longer.
    pub longer: u64,
    /// The first object of the copy whose lock is shorter than the original's, and why.
    pub short: Option<(ObjectKey, ShortLock)>,
}

/// Why a lock of the copy is shorter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShortLock {
    /// A store failed or refused.
    #[error("its lock could not be made longer")]
    Store(#[from] StoreError),
    /// It would be longer than was allowed.
    #[error("the original is locked for longer than was allowed for the copy")]
    BeyondAllowed,
}

/// Asks for each lock of the original, and extends that of the copy. None is made to end
/// after `latest_ms`. What is absent is passed over.
pub(super) fn carry<S: ReadStore + ?Sized, D: AppendStore + ?Sized>(
    original: &S,
    copy: &D,
    keys: &[ObjectKey],
    latest_ms: u64,
) -> CarriedLocks {
    let carried = Mutex::new(CarriedLocks::default());
    at_once::visit(keys.iter(), |key| {
        let outcome = carry_one(original, copy, key, latest_ms);
        let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(is_longer) => carried.longer += u64::from(is_longer),
            Err(ShortLock::Store(error)) if error.is_not_found() => {}
            Err(error) => {
                let ends = matches!(&error, ShortLock::Store(error) if error.is_of_all());
                carried.short.get_or_insert((*key, error));
                if ends {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    });
    carried.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn carry_one<S: ReadStore + ?Sized, D: AppendStore + ?Sized>(
    original: &S,
    copy: &D,
    key: &ObjectKey,
    latest_ms: u64,
) -> Result<bool, ShortLock> {
    let version = original.version_that_counts(key)?;
    let Some(until_ms) = original.locked_until(key, &version.id)? else {
        return Ok(false);
    };
    let version = copy.version_that_counts(key)?;
    if copy.locked_until(key, &version.id)? >= Some(until_ms) {
        return Ok(false);
    }
    if until_ms > latest_ms {
        return Err(ShortLock::BeyondAllowed);
    }
    match copy.extend_lock(key, &version.id, until_ms) {
        Ok(()) => Ok(true),
        Err(StoreError::WouldShorten { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
