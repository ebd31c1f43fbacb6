//! Extends locks for others: what a timer on another host does, with credentials that may
//! lock and that the hosts which write backups do not have.
//!
//! Why it is safe: it believes nothing that this machine knew of locks, and asks for each.
//! It locks what was promised, for as long, and nothing else; and it goes
//! on behind what it can't lock, so that one object keeps no other from being locked.

use super::grid::{self, Term};
use super::keeper::{Keeper, LockError};
use super::needed::Needed;
use crate::progress::{Phase, Progress};
use crate::repository::{BrokenSnapshot, Repository, Snapshot};
use crate::store::{AppendStore, ObjectKey};

/// What an extension came to.
#[derive(Debug, Default)]
pub struct Extended {
    /// Snapshots with a promise that has not ended.
    pub snapshots: u64,
    /// Locks that were made longer.
    pub locks: u64,
    /// The first lock of each snapshot that could not be made long enough.
    pub short: Vec<(u64, LockError)>,
    /// Snapshots of which nothing is known.
    pub broken: Vec<BrokenSnapshot>,
}

impl<S: AppendStore + ?Sized> Repository<'_, S> {
    /// Locks what every snapshot needs for as long as it is promised. Takes the verify
    /// right; without a policy nothing is done.
    pub fn extend_locks(&self, progress: &dyn Progress) -> Extended {
        let mut extended = Extended::default();
        let Some(policy) = self.policy() else {
            return extended;
        };
        policy.begin(self.store());
        let now_ms = self.env().clock.now_unix_ms();
        let (listings, _) = self.listings();
        let mut promised: Vec<(Term, Snapshot)> = Vec::new();
        for shown in self.snapshots() {
            match shown {
                Ok(snapshot) => {
                    let term = policy.term(&snapshot, now_ms);
                    let term = term.filter(|term| term.until_ms > now_ms);
                    promised.extend(term.map(|term| (term, snapshot)));
                }
                Err(broken) => extended.broken.push(broken),
            }
        }
        // What is locked for the longest promise needs no second call for a shorter one.
        promised.sort_by_key(|(term, snapshot)| (u64::MAX - term.until_ms, snapshot.number));
        let mut keeper = Keeper::asking(self.store(), self.state());
        progress.begin(Phase::ExtendingLocks, Some(promised.len() as u64));
        for (term, snapshot) in &promised {
            extended.snapshots += 1;
            match Needed::of(self, snapshot, &listings) {
                Ok(needed) => match keeper.ensure(needed.keys(), *term) {
                    Ok(locks) => extended.locks += locks,
                    Err(error) => extended.short.push((snapshot.number, error)),
                },
                Err(error) => extended.broken.push(BrokenSnapshot {
                    number: snapshot.number,
                    error,
                }),
            }
            progress.advance(Phase::ExtendingLocks, 1);
        }
        progress.end(Phase::ExtendingLocks);
        keeper.keep(now_ms);
        extended
    }

    /// Locks the log as it is, with the copy of its first entry, for as long as the
    /// longest promise has it.
    pub(super) fn lock_log(&self) -> Result<(), LockError> {
        let Some(in_force) = self.policy() else {
            return Ok(());
        };
        let retain_ms = in_force.policy.longest_ms();
        let now_ms = self.env().clock.now_unix_ms();
        let term = Term {
            until_ms: now_ms.saturating_add(retain_ms),
            period_ms: grid::period_ms(retain_ms),
        };
        let mut keeper = Keeper::new(self.store(), self.state());
        let log = (0..self.history().next).map(ObjectKey::Log);
        let locked = keeper.ensure(log.chain([ObjectKey::Repository]), term);
        keeper.keep(now_ms);
        locked.map(drop)
    }
}
