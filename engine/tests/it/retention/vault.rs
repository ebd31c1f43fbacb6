//! A repository whose store locks, and what its locks come to.

use std::sync::Arc;

use indelible_engine::env::{Env, ManualClock, SeededEntropy};
use indelible_engine::keys::Credential;
use indelible_engine::progress::Silent;
use indelible_engine::repository::Repository;
use indelible_engine::retention::{Locks, Needed};
use indelible_engine::store::MemoryStore;
use indelible_engine::verify::{ProblemKind, Report};
use indelible_format::attest::Level;
use indelible_format::name::Pattern;
use indelible_format::policy::Promise;
use indelible_format::rights::Rights;

use crate::support::{
    CHUNKER, START_UNIX_MS, key_file, key_request, new_repository, recovery, snapshot_at,
    verify_with,
};

pub(super) const DAY_MS: u64 = 86_400_000;

/// A repository in a store that locks what it takes for a day.
pub(super) struct Vault {
    pub(super) store: MemoryStore,
    pub(super) clock: Arc<ManualClock>,
    pub(super) env: Env,
    pub(super) recovery: Credential,
}

impl Vault {
    pub(super) fn new(seed: u64, promises: &[(&str, u64)]) -> Self {
        let clock = Arc::new(ManualClock::new(START_UNIX_MS));
        let env = Env {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        let store = MemoryStore::locking(Arc::clone(&clock) as _, DAY_MS);
        let new = new_repository(&env, CHUNKER);
        new.create(&store).expect("the store is empty");
        let vault = Self {
            store,
            clock,
            env,
            recovery: recovery(),
        };
        if !promises.is_empty() {
            let stated = vault.open().promise(None, &promised(promises));
            assert!(stated.expect("it is stated").short.is_none());
        }
        vault
    }

    pub(super) fn open(&self) -> Repository<'_, MemoryStore> {
        self.open_as(&self.recovery)
    }

    pub(super) fn open_as(&self, credential: &Credential) -> Repository<'_, MemoryStore> {
        Repository::open(&self.store, None, credential, self.env.clone()).expect("it opens")
    }

    pub(super) fn add_key(&self, rights: Rights, patterns: &[&str]) -> Credential {
        let mut repository = self.open();
        let new = repository.add_key(key_request(rights, patterns));
        key_file(&repository, new.expect("it is authorised").bundle())
    }

    /// When the first lock of what a snapshot needs ends.
    pub(super) fn locked_until_ms(&self, number: u64) -> Option<u64> {
        let repository = self.open();
        let (listings, _) = repository.listings();
        let snapshot = snapshot_at(&repository, number);
        let needed = Needed::of(&repository, &snapshot, &listings).expect("its reach opens");
        let locks = Locks::ask(&repository, [&snapshot], &listings, &Silent);
        assert!(locks.count() > number, "the log alone has so many");
        locks.first_end_ms(needed.keys())
    }

    pub(super) fn short(&self) -> Vec<u64> {
        short(&verify_with(&self.open(), Level::Tree))
    }
}

/// The snapshots that are locked too briefly, where nothing else is wrong.
pub(super) fn short(report: &Report) -> Vec<u64> {
    for problem in &report.problems {
        assert_eq!(problem.kind, ProblemKind::ShortLock, "{problem:?}");
    }
    let verdicts = report.snapshots.iter();
    let harmed = verdicts.filter(|verdict| !verdict.problems.is_empty());
    harmed.map(|verdict| verdict.number).collect()
}

pub(super) fn promised(promises: &[(&str, u64)]) -> Vec<Promise> {
    let promise = |(pattern, days): &(&str, u64)| Promise {
        pattern: Pattern::new(pattern.as_bytes()).expect("a pattern"),
        retain_ms: days * DAY_MS,
    };
    promises.iter().map(promise).collect()
}
