//! Locks what a snapshot needs before it is committed (SPEC 17.3).
//!
//! Why it is safe: a lock that fails takes no backup away. The snapshot is committed
//! all the same, its [`Locked`] says that it is not kept as was promised, and so does every
//! verification until somebody extends the locks.

use std::sync::Arc;

use indelible_format::ids::RecordId;
use indelible_format::manifest::Manifest;
use indelible_format::name::Name;

use super::writer::Written;
use crate::env::Clock;
use crate::repository::{Listings, Repository};
use crate::retention::{InForce, Keeper, LockError, Needed};
use crate::store::{AppendStore, ObjectKey};

/// A lock must last from the entry's claimed time on, which is read a little later.
const MARGIN_MS: u64 = 10 * 60 * 1_000;

/// What became of the locks of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Locked {
    /// Until when it is promised to stay, Unix milliseconds; `None` where nothing is
    /// promised, or another is to lock it.
    pub promised_until_ms: Option<u64>,
    /// Locks that had to be made longer.
    pub extended: u64,
    /// Why not all could be.
    pub short: Option<Arc<LockError>>,
}

/// Locks what one snapshot needs.
pub(super) struct Locking<'s, S: ?Sized> {
    promised: Option<Promised<'s, S>>,
    outcome: Locked,
}

/// What is promised, and to which objects.
struct Promised<'s, S: ?Sized> {
    keeper: Keeper<'s, S>,
    needed: Needed,
    policy: InForce,
    name: Name,
    clock: Arc<dyn Clock>,
}

impl<'s, S: AppendStore + ?Sized> Locking<'s, S> {
    /// Begins to lock what a snapshot needs, if its NAME is promised anything.
    pub(super) fn begin(
        repository: &Repository<'s, S>,
        manifest: &Manifest,
        policy: Option<&InForce>,
    ) -> Self {
        let clock = &repository.env().clock;
        let now_ms = clock.now_unix_ms();
        let term = policy.and_then(|policy| policy.term_now(&manifest.name, now_ms));
        let promised = policy.filter(|_| term.is_some()).map(|policy| Promised {
            keeper: Keeper::new(repository.store(), repository.state()),
            needed: Needed::default(),
            policy: policy.clone(),
            name: manifest.name.clone(),
            clock: Arc::clone(clock),
        });
        let promised_until_ms = term.map(|term| term.until_ms);
        Self {
            promised,
            outcome: Locked {
                promised_until_ms,
                ..Locked::default()
            },
        }
    }

    /// Until when the snapshot is promised to stay.
    pub(super) fn until_ms(&self) -> Option<u64> {
        self.outcome.promised_until_ms
    }

    /// Notes that the snapshot needs these packs.
    pub(super) fn need(
        &mut self,
        repository: &Repository<'s, S>,
        written: &Written,
        listings: &Listings,
    ) {
        let Some(promised) = &mut self.promised else {
            return;
        };
        let domain = &repository.key().domain;
        let new = written.packs.iter().map(|pack| &pack.id);
        let packs = new.chain(&written.reused);
        let needed = &mut promised.needed;
        needed.add_packs(packs, domain, repository.history(), listings);
    }

    /// Notes that it needs this commit record.
    pub(super) fn need_record(&mut self, id: RecordId) {
        if let Some(promised) = &mut self.promised {
            promised.needed.add_record(id);
        }
    }

    /// Locks what it needs beside its own entry, whose number is this.
    pub(super) fn lock(&mut self, number: u64) {
        let Some(promised) = &mut self.promised else {
            return;
        };
        promised.needed.add_log(number);
        let keys: Vec<ObjectKey> = promised.needed.keys().collect();
        self.outcome.lock(promised, &keys);
    }

    /// Locks its entry.
    pub(super) fn finish(mut self, number: u64) -> Locked {
        let Some(mut promised) = self.promised else {
            return self.outcome;
        };
        self.outcome.lock(&mut promised, &[ObjectKey::Log(number)]);
        let now_ms = promised.clock.now_unix_ms();
        promised.keeper.keep(now_ms);
        self.outcome
    }
}

impl Locked {
    fn lock<S: AppendStore + ?Sized>(
        &mut self,
        promised: &mut Promised<'_, S>,
        keys: &[ObjectKey],
    ) {
        if self.short.is_some() {
            return;
        }
        // What took long is looked at again: time has passed meanwhile.
        loop {
            let now_ms = promised.clock.now_unix_ms();
            let from_ms = now_ms.saturating_add(MARGIN_MS);
            let Some(term) = promised.policy.term_now(&promised.name, from_ms) else {
                return;
            };
            match promised.keeper.ensure(keys.iter().copied(), term) {
                Ok(0) => return,
                Ok(extended) => self.extended += extended,
                Err(error) => {
                    self.short = Some(Arc::new(error));
                    return;
                }
            }
            if promised.clock.now_unix_ms() < from_ms {
                return;
            }
        }
    }
}
