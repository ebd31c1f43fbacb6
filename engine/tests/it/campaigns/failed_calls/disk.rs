//! Work over a local store on a simulated disk, whose calls fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indelible_engine::store::local::simulated::{FaultyFiles, FileFate, SimulatedFiles, Survival};
use rustix::io::Errno;

use super::super::model::{Judge, Model};
use super::super::power_cut::local;
use super::super::{Coverage, Finding, Scale};
use super::{Site, Trial, When, Work};

/// A disk that work is done on.
pub(super) struct Disk<'a> {
    site: &'a Site,
    work: Work,
    base: SimulatedFiles,
    scale: Scale,
}

impl<'a> Disk<'a> {
    pub(super) fn new(site: &'a Site, work: Work, scale: Scale) -> Self {
        let files = SimulatedFiles::new();
        site.prepare(work, &local(&files, 1));
        let cut = files.power_cut(files.operations());
        Self {
            site,
            work,
            base: cut.image(Survival::Everything),
            scale,
        }
    }

    /// How many calls the work makes if none fails.
    pub(super) fn calls(&self) -> u64 {
        let files = self.base.clone();
        let counted = FaultyFiles::new(&files, |_| FileFate::Done);
        self.site.run(self.work, &local(&counted, 3), None);
        counted.calls()
    }

    /// Lets a call fail, and judges.
    pub(super) fn fail(&self, (fate, when): (FileFate, When), first: u64, coverage: &mut Coverage) {
        let files = self.base.clone();
        let struck = AtomicBool::new(false);
        let met = Mutex::new(String::new());
        let faulty = FaultyFiles::new(&files, |call| {
            if !when.strikes(first, call.number) {
                return FileFate::Done;
            }
            if !struck.swap(true, Ordering::SeqCst) {
                *met.lock().unwrap_or_else(PoisonError::into_inner) = call.to_string();
            }
            fate
        });
        let mut trial = Trial {
            site: self.site,
            work: self.work,
            what: String::new(),
            struck: false,
            is_legal: fate == FileFate::Short,
            is_passing: fate == FileFate::Fails(Errno::INTR),
        };
        let outcome = trial.run(&local(&faulty, 3), None);
        let met = met.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trial.struck = struck.load(Ordering::SeqCst);
        trial.what = format!("{:?}, {met}: {fate:?} {when:?}", self.work);
        coverage.add("runs", 1);
        coverage.expect(trial.struck, Finding::Broken, || {
            format!("{}: the fault was not met", trial.what)
        });
        let model = trial.learn(outcome, coverage);
        if self.work.only_reads() {
            coverage.expect(files.operations() == 0, Finding::Broken, || {
                format!("{}: something was written", trial.what)
            });
        } else {
            self.judge_all(&files, &model, &trial.what, coverage);
        }
    }

    /// Judges the disk as it stands, and after a power cut that comes at once.
    fn judge_all(
        &self,
        files: &SimulatedFiles,
        model: &Model,
        what: &str,
        coverage: &mut Coverage,
    ) {
        let cut = files.power_cut(files.operations());
        self.judge(files, model, format!("{what}, the fault gone"), coverage);
        let tried = self.scale.pick(2, Survival::EXTREMES.len());
        for survival in Survival::EXTREMES.into_iter().take(tried) {
            let what = format!("{what}, then a power cut, {survival:?}");
            self.judge(&cut.image(survival), model, what, coverage);
        }
    }

    fn judge(&self, files: &SimulatedFiles, model: &Model, what: String, coverage: &mut Coverage) {
        let mut judge = Judge {
            owner: &self.site.owner,
            model,
            saw_more: false,
            what,
            coverage,
        };
        let source = &self.site.second;
        let Some(next) = judge.judge(&local(files, 99), None, source) else {
            return;
        };
        // What a failed sync has forsaken, no program makes durable: a real
        // filesystem takes no more writes then.
        if !files.is_forsaken() {
            let after = files.power_cut(files.operations()).image(Survival::Nothing);
            judge.judge_next(&local(&after, 98), &next, source);
        }
    }
}
