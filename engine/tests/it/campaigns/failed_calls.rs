//! Every call of a store, and every call of the system beneath one, fails in
//! turn: nothing is called done that is not durable, nothing wrong is shown, and
//! once the fault is gone all goes on.
//!
//! The calls of each kind of work are counted, and the work is repeated with the
//! first of them failing, then the second, to the last: in every way that applies,
//! once and for good. What the work says of itself goes into the model: done,
//! perhaps done, or not done, which then must be so. The store is judged as it
//! stands, by a new process; and, where it lies on a simulated disk, also after a
//! power cut that came at once.

mod disk;
mod memory;
mod work;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use indelible_engine::state::State;
use indelible_engine::store::AppendStore;
use indelible_engine::store::faulty::{Fate, Fault};
use indelible_engine::store::local::simulated::FileFate;
use rustix::io::Errno;

use indelible_format::attest::Level;

use super::model::{Model, undisturbed};
use super::{Coverage, Finding, Scale};
use disk::Disk;
use memory::Memory;
use work::{Did, Outcome, Site, Work};

/// Every call fails in turn.
///
/// Method: the module's header.
#[test]
fn campaign() {
    run(Scale::asked()).finish();
}

pub(crate) fn run(scale: Scale) -> Coverage {
    let mut coverage = Coverage::new("failed_calls", scale);
    let site = Site::new(scale.seed);
    for work in Work::ALL {
        let begun = undisturbed(&mut coverage, || {
            let disk = Disk::new(&site, work, scale);
            let memory = Memory::new(&site, work, scale);
            let calls = (disk.calls(), memory.calls());
            (disk, memory, calls)
        });
        let Some((disk, memory, (of_disk, of_memory))) = begun else {
            continue;
        };
        coverage.add("calls of the system", of_disk);
        coverage.add("calls of the store", of_memory);
        for (place, fault) in FILE_FAULTS.into_iter().enumerate() {
            for first in picked(scale, place, of_disk) {
                if coverage.is_enough() {
                    return coverage;
                }
                disk.fail(fault, first, &mut coverage);
            }
        }
        for (place, fault) in STORE_FAULTS.into_iter().enumerate() {
            for first in picked(scale, place, of_memory) {
                if coverage.is_enough() {
                    return coverage;
                }
                memory.fail(fault, first, &mut coverage);
            }
        }
    }
    coverage
}

/// The calls that fail in turn: all, or a quarter, which is another one for each
/// way to fail.
fn picked(scale: Scale, place: usize, calls: u64) -> impl Iterator<Item = u64> {
    let begin = (place as u64 + scale.seed) % 4;
    (scale.pick(begin, 0)..calls).step_by(scale.pick(4, 1))
}

/// When calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// One.
    Once,
    /// It and all behind it.
    ForGood,
    /// It and every second one behind it: a call that was interrupted is made
    /// again, so it must succeed at some time.
    EverySecond,
}

impl When {
    const fn strikes(self, first: u64, number: u64) -> bool {
        match self {
            Self::Once => number == first,
            Self::ForGood => number >= first,
            Self::EverySecond => number >= first && (number - first).is_multiple_of(2),
        }
    }
}

/// How the system's calls fail.
const FILE_FAULTS: [(FileFate, When); 10] = [
    (FileFate::Fails(Errno::IO), When::Once),
    (FileFate::Fails(Errno::IO), When::ForGood),
    (FileFate::Fails(Errno::NOSPC), When::Once),
    (FileFate::Fails(Errno::NOSPC), When::ForGood),
    (FileFate::Fails(Errno::INTR), When::Once),
    (FileFate::Fails(Errno::INTR), When::EverySecond),
    (FileFate::Short, When::Once),
    (FileFate::Short, When::ForGood),
    (FileFate::AnswerLost(Errno::IO), When::Once),
    (FileFate::AnswerLost(Errno::IO), When::ForGood),
];

/// How a store's calls fail.
const STORE_FAULTS: [(Fate, When); 17] = [
    (Fate::Fails(Fault::System(Errno::IO)), When::Once),
    (Fate::Fails(Fault::System(Errno::IO)), When::ForGood),
    (Fate::Fails(Fault::System(Errno::NOSPC)), When::Once),
    (Fate::Fails(Fault::System(Errno::NOSPC)), When::ForGood),
    (Fate::Fails(Fault::System(Errno::INTR)), When::Once),
    (Fate::Fails(Fault::System(Errno::INTR)), When::ForGood),
    (Fate::Fails(Fault::ShortRead), When::Once),
    (Fate::Fails(Fault::ShortRead), When::ForGood),
    (Fate::Fails(Fault::Unreachable), When::Once),
    (Fate::Fails(Fault::Unreachable), When::ForGood),
    (Fate::AnswerLost, When::Once),
    (Fate::AnswerLost, When::ForGood),
    (Fate::Unclear, When::Once),
    (Fate::Unclear, When::ForGood),
    (Fate::LastWord, When::Once),
    (Fate::DownAfter, When::Once),
    (Fate::DownBefore, When::Once),
];

/// One run with a fault in it.
struct Trial<'a> {
    site: &'a Site,
    work: Work,
    /// What a finding begins with.
    what: String,
    /// Whether a call was made and not answered as it should be.
    struck: bool,
    /// Whether the fault is one that is no reason to fail.
    is_legal: bool,
    /// Whether the fault is one that a call may be made again after.
    is_passing: bool,
}

impl Trial<'_> {
    /// Does the work, panics included.
    fn run<S: AppendStore>(&self, store: &S, state: Option<&State>) -> Option<Outcome> {
        let run = AssertUnwindSafe(|| self.site.run(self.work, store, state));
        panic::catch_unwind(run).ok()
    }

    /// Judges what the work said of itself, and gives what is known behind it.
    fn learn(&self, outcome: Option<Outcome>, coverage: &mut Coverage) -> Model {
        let mut model = self.site.model(self.work);
        let what = &self.what;
        let Some(outcome) = outcome else {
            coverage.find(Finding::Broken, format!("{what}: a panic"));
            return model;
        };
        match outcome {
            Outcome::Done(did) => {
                coverage.add("done all the same", u64::from(self.struck));
                self.learn_done(did, &mut model, coverage);
            }
            Outcome::Unclear => {
                coverage.add("unclear", 1);
                match self.work {
                    Work::Init => model.may_exist = true,
                    Work::Snapshot => model.attempted.push(Arc::clone(&self.site.second)),
                    _ => {}
                }
            }
            Outcome::Failed(why) => {
                coverage.add("failed", 1);
                coverage.expect(self.struck && !self.is_legal, Finding::Broken, || {
                    format!("{what}: failed, though nothing was in the way: {why}")
                });
            }
        }
        model
    }

    fn learn_done(&self, did: Did, model: &mut Model, coverage: &mut Coverage) {
        let what = &self.what;
        match did {
            Did::Init => model.created = true,
            Did::Snapshot(number) => {
                let second = Arc::clone(&self.site.second);
                model.acknowledged.insert(number, second);
            }
            Did::Key(key) => model.keys.push(*key),
            Did::Restored(bytes) => {
                coverage.expect(*bytes == *self.site.before[1], Finding::Wrong, || {
                    format!("{what}: a restore gave other bytes")
                });
            }
            Did::Verified {
                is_sound: true,
                chunks,
            } => {
                // What deltas lean on is read again, and again if that fails.
                let data = self.work == Work::Verify(Level::Data);
                let whole = data && self.site.chunks.get() == Some(&chunks);
                coverage.expect(
                    !self.struck || self.is_legal || self.is_passing || whole,
                    Finding::Unnoticed,
                    || format!("{what}: called sound, and not all was read"),
                );
            }
            Did::Verified {
                is_sound: false, ..
            } => {
                coverage.expect(self.struck && !self.is_legal, Finding::Broken, || {
                    format!("{what}: called broken, and all was read")
                });
            }
        }
    }
}
