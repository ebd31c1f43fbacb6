//! Makes locks long enough, with as few calls as may be.
//!
//! Why it is safe: a lock that this client does not know to be long enough is extended,
//! whatever it was. What the client keeps of locks can only be wrong about a store that
//! broke them, which `verify` notices, since it asks.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::Term;
use crate::at_once;
use crate::state::RepositoryState;
use crate::store::{AppendStore, ErrorClass, ObjectKey, StoreError};

/// A lock could not be made as long as was promised.
#[derive(Debug, thiserror::Error)]
#[error("could not lock {key} for as long as the repository promises")]
pub struct LockError {
    /// Which object.
    pub key: ObjectKey,
    /// Why.
    pub source: StoreError,
}

/// Extends locks, and knows which it need not.
pub struct Keeper<'k, S: ?Sized> {
    store: &'k S,
    state: Option<RepositoryState>,
    known: BTreeMap<ObjectKey, u64>,
    changed: bool,
    /// Whether each lock is asked for before it is made longer.
    asks: bool,
}

impl<'k, S: AppendStore + ?Sized> Keeper<'k, S> {
    /// Begins with what this client knows of the store's locks.
    pub fn new(store: &'k S, state: Option<&RepositoryState>) -> Self {
        Self {
            store,
            known: state
                .map(|state| state.locks(&store.location()))
                .unwrap_or_default(),
            state: state.cloned(),
            changed: false,
            asks: false,
        }
    }

    /// One that believes nothing it knew, and asks the store for each lock first.
    pub fn asking(store: &'k S, state: Option<&RepositoryState>) -> Self {
        Self {
            known: BTreeMap::new(),
            asks: true,
            ..Self::new(store, state)
        }
    }

    /// Makes the locks of these objects long enough, and gives how many had to be made
    /// longer.
    ///
    /// # Errors
    ///
    /// [`LockError`] of one of them. The others are extended all the same, unless the store
    /// would answer for each as it did for that one. What is absent is no error.
    pub fn ensure(
        &mut self,
        keys: impl IntoIterator<Item = ObjectKey>,
        term: Term,
    ) -> Result<u64, LockError> {
        let known = &self.known;
        let is_due = |key: &ObjectKey| known.get(key).is_none_or(|end| *end < term.until_ms);
        let due: Vec<ObjectKey> = keys.into_iter().filter(is_due).collect();
        if due.is_empty() {
            return Ok(0);
        }
        let done = Mutex::new((BTreeMap::new(), None, 0));
        at_once::visit(due.iter(), |key| {
            let extended = self.extend(key, term);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match extended {
                Ok((end_ms, is_longer)) => {
                    done.0.insert(*key, end_ms);
                    done.2 += u64::from(is_longer);
                }
                // Nothing is there to be locked, which whoever needs it tells.
                Err(error) if error.is_not_found() => {}
                Err(source) => {
                    let is_of_all = source.is_of_all();
                    done.1.get_or_insert(LockError { key: *key, source });
                    if is_of_all {
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        });
        let (ends, error, extended) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.changed |= !ends.is_empty();
        self.known.extend(ends);
        error.map_or(Ok(extended), Err)
    }

    /// Extends one lock. Gives its end as it is now, which may be later, and whether it
    /// was made longer.
    fn extend(&self, key: &ObjectKey, term: Term) -> Result<(u64, bool), StoreError> {
        // No lock is put on what somebody else wrote over it.
        let version = self.store.version_that_counts(key)?.id;
        if self.asks
            && let Some(end_ms) = self.store.locked_until(key, &version)?
            && end_ms >= term.until_ms
        {
            return Ok((end_ms, false));
        }
        let extend_to = |end_ms| match self.store.extend_lock(key, &version, end_ms) {
            Ok(()) => Ok((end_ms, true)),
            Err(StoreError::WouldShorten {
                locked_until_ms, ..
            }) => Ok((locked_until_ms, false)),
            Err(error) => Err(error),
        };
        let end_ms = term.lock_end_ms(key);
        match extend_to(end_ms) {
            // Some stores bound how long locks may be: what was promised may be allowed.
            Err(error) if end_ms > term.until_ms && may_be_too_long(&error) => {
                extend_to(term.until_ms)
            }
            extended => extended,
        }
    }

    /// Remembers the locks that end after now. That they can't be remembered is not
    /// missed: the store is asked again.
    pub fn keep(mut self, now_ms: u64) {
        if let Some(state) = self.state.filter(|_| self.changed) {
            self.known.retain(|_, end_ms| *end_ms > now_ms);
            state.keep_locks(&self.store.location(), &self.known);
        }
    }
}

/// Whether a store may have answered so because the lock would have been too long for it.
fn may_be_too_long(error: &StoreError) -> bool {
    matches!(
        error.class(),
        ErrorClass::Refused | ErrorClass::PermissionDenied
    )
}
