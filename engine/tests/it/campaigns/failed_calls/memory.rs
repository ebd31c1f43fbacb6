//! Work over a store in memory, whose calls fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indelible_engine::state::State;
use indelible_engine::store::faulty::Fate;
use indelible_engine::store::{FaultyStore, MemoryStore};

use super::super::model::Judge;
use super::super::{Coverage, Scale};
use super::{Site, Trial, When, Work};
use crate::support::Client;

/// A store in memory that work is done in.
pub(super) struct Memory<'a> {
    site: &'a Site,
    work: Work,
    base: MemoryStore,
    /// The host that made the base.
    host: Client,
    scale: Scale,
}

impl<'a> Memory<'a> {
    pub(super) fn new(site: &'a Site, work: Work, scale: Scale) -> Self {
        let base = MemoryStore::new();
        let host = site.prepare(work, &base);
        Self {
            site,
            work,
            base,
            host,
            scale,
        }
    }

    /// How many calls the work makes if none fails: by a client that remembers, or by
    /// one that does not, whoever makes more.
    pub(super) fn calls(&self) -> u64 {
        let count = |state: Option<&State>| {
            let inner = self.base.clone();
            let counted = FaultyStore::new(&inner, |_| Fate::Done);
            self.site.run(self.work, &counted, state);
            counted.calls()
        };
        count(None).max(count(Some(&self.host.again().state)))
    }

    /// Lets a call fail, and judges: with versions and without, by a client that
    /// remembers and by one that does not. A short campaign does it in one of the
    /// four ways.
    pub(super) fn fail(&self, fault: (Fate, When), first: u64, coverage: &mut Coverage) {
        for way in self.scale.pick(first / 4 % 4..first / 4 % 4 + 1, 0..4) {
            self.fail_as(fault, first, (way % 2 == 0, way / 2 == 0), coverage);
        }
    }

    fn fail_as(
        &self,
        (fate, when): (Fate, When),
        first: u64,
        (versions, remembers): (bool, bool),
        coverage: &mut Coverage,
    ) {
        let inner = self.base.clone();
        let (struck, met) = (AtomicBool::new(false), Mutex::new(String::new()));
        let mut faulty = FaultyStore::new(&inner, |call| {
            if !when.strikes(first, call.number) {
                return Fate::Done;
            }
            if !struck.swap(true, Ordering::SeqCst) {
                *met.lock().unwrap_or_else(PoisonError::into_inner) = format!("{call:?}");
            }
            fate
        });
        if !versions {
            faulty = faulty.without_versions();
        }
        let host = self.host.again();
        let state = remembers.then_some(&host.state);
        let mut trial = Trial {
            site: self.site,
            work: self.work,
            what: String::new(),
            struck: false,
            is_legal: false,
            is_passing: false,
        };
        let outcome = trial.run(&faulty, state);
        let met = met.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // With the last word the call itself is done; only those behind it fail.
        let last_word = fate == Fate::LastWord && faulty.calls() == first + 1;
        trial.struck = struck.load(Ordering::SeqCst) && !last_word;
        trial.what = format!(
            "{:?}, {met}: {fate:?} {when:?}, versions {versions}, memory {remembers}",
            self.work
        );
        coverage.add("runs", 1);
        let model = trial.learn(outcome, coverage);
        let mut judge = Judge {
            owner: &self.site.owner,
            model: &model,
            saw_more: false,
            what: trial.what,
            coverage,
        };
        judge.judge(&inner, state, &self.site.second);
    }
}
