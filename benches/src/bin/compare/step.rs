//! The steps, in the order in which a round takes them, and the marks that
//! Indelible shall reach in each.

use indelible_benches::databases::Workload;
use indelible_benches::marks::{Bound, Target, ratio};
use indelible_benches::zstd::PATCH;

use crate::results::{Results, Row};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    FirstFile,
    RestoreFirst,
    UnchangedFile,
    NextNight,
    NightAfter,
    RestoreFile,
    RestoreStdout,
    Verify,
    List,
    SmallFile,
    FirstStream,
    UnchangedStream,
}

impl Step {
    pub(crate) const ALL: [Self; 12] = [
        Self::FirstFile,
        Self::RestoreFirst,
        Self::UnchangedFile,
        Self::NextNight,
        Self::NightAfter,
        Self::RestoreFile,
        Self::RestoreStdout,
        Self::Verify,
        Self::List,
        Self::SmallFile,
        Self::FirstStream,
        Self::UnchangedStream,
    ];

    /// Those that say something of a workload which others do not.
    pub(crate) fn of(workload: Workload) -> Vec<Self> {
        let all = Self::ALL.into_iter();
        let steps = all.filter(|step| match step {
            Self::FirstFile | Self::RestoreFirst | Self::NextNight | Self::RestoreFile => true,
            Self::NightAfter => workload == Workload::Pgbench,
            _ => workload == Workload::Heap,
        });
        steps.collect()
    }

    /// Which night it stores the dump of, if it is a later one.
    pub(crate) fn night(self) -> Option<usize> {
        match self {
            Self::NextNight => Some(1),
            Self::NightAfter => Some(2),
            _ => None,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::FirstFile => "First snapshot of a file",
            Self::UnchangedFile => "The same bytes again, written anew",
            Self::NextNight => "Next night's version of the file",
            Self::NightAfter => "The night after",
            Self::RestoreFirst => "Restore the first night to a file",
            Self::RestoreFile => "Restore to a file",
            Self::RestoreStdout => "Restore to standard output",
            Self::Verify => "Verify all data",
            Self::List => "List",
            Self::SmallFile => "Snapshot of a file of 1 MB",
            Self::FirstStream => "First snapshot of a stream",
            Self::UnchangedStream => "The same stream again",
        }
    }

    /// Names what is stored, for tools that need each archive called otherwise; of so
    /// many nights the last is what is restored.
    pub(crate) fn label(self, nights: usize) -> &'static str {
        match self {
            Self::FirstFile | Self::RestoreFirst => "first",
            Self::UnchangedFile => "unchanged",
            Self::SmallFile => "small",
            Self::FirstStream => "stream",
            Self::UnchangedStream => "stream-again",
            Self::NextNight => "night",
            Self::NightAfter => "night-after",
            _ if nights > 2 => "night-after",
            _ => "night",
        }
    }

    pub(crate) fn stores(self) -> bool {
        !matches!(
            self,
            Self::RestoreFirst
                | Self::RestoreFile
                | Self::RestoreStdout
                | Self::Verify
                | Self::List
        )
    }
}

/// Each baseline, by the name of its row.
pub(crate) const ZSTD: &str = "zstd -T2 -3";
pub(crate) const HASH: &str = "BLAKE3, 2 threads";

/// The largest peak of memory in any step, MiB.
const PEAK_MIB_MAX: f64 = 256.0;

/// All marks, held against the medians.
pub(crate) fn targets(workload: Workload, results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    if workload == Workload::Heap {
        targets.extend(speed_targets(results));
    } else {
        targets.push(faster(results, Step::RestoreFile, 1.0));
    }
    let steps = Step::of(workload);
    for step in steps.into_iter().filter(|step| step.night().is_some()) {
        targets.extend(night_targets(workload, step, results));
    }
    targets.push(Target {
        what: format!(
            "{}: wall time of the first night's",
            Step::RestoreFile.title()
        ),
        bound: Bound::AtMost(2.0),
        unit: "x",
        measured: ratio(
            results.indelible_wall(Step::RestoreFile),
            results.indelible_wall(Step::RestoreFirst),
        ),
    });
    targets.push(Target {
        what: "Peak of memory in any step".to_owned(),
        bound: Bound::AtMost(PEAK_MIB_MAX),
        unit: " MiB",
        measured: results.indelible_peak_mib(),
    });
    targets
}

fn faster(results: &Results, step: Step, times: f64) -> Target {
    Target {
        what: format!("{}: times faster than the fastest peer", step.title()),
        bound: Bound::AtLeast(times),
        unit: "x",
        measured: ratio(
            results.fastest_peer(step).map(Row::wall),
            results.indelible_wall(step),
        ),
    }
}

/// What a later night shall add, and how fast.
fn night_targets(workload: Workload, step: Step, results: &Results) -> Vec<Target> {
    let added = results.indelible_added(step);
    let (of_patch, less) = match workload {
        Workload::Heap => (Some(1.3), 40.0),
        // Its rows are nearly all alike, so that little is left of any of them.
        Workload::Pgbench => (None, 1.0),
        _ => (Some(1.4), 1.0),
    };
    let of_patch = of_patch.map(|times| Target {
        what: format!("{}: bytes of `{PATCH}`", step.title()),
        bound: Bound::AtMost(times),
        unit: "x",
        measured: ratio(added, results.added(step, PATCH)),
    });
    let others = [
        Target {
            what: format!("{}: times less bytes than the smallest peer", step.title()),
            bound: Bound::AtLeast(less),
            unit: "x",
            measured: ratio(results.smallest_peer(step), added),
        },
        Target {
            what: format!("{}: wall time of the first snapshot", step.title()),
            bound: Bound::AtMost(1.0),
            unit: "x",
            measured: ratio(
                results.indelible_wall(step),
                results.indelible_wall(Step::FirstFile),
            ),
        },
        faster(results, step, 1.0),
    ];
    of_patch.into_iter().chain(others).collect()
}

/// What does not depend on what happens between nights.
fn speed_targets(results: &Results) -> Vec<Target> {
    let seconds = |step: Step| Target {
        what: format!("{}: wall time", step.title()),
        bound: Bound::AtMost(0.05),
        unit: " s",
        measured: results.indelible_wall(step),
    };
    let faster = |step, times| faster(results, step, times);
    let first = Step::FirstFile;
    let unchanged = Step::UnchangedFile;
    vec![
        Target {
            what: format!("{}: wall time of `{ZSTD}`", first.title()),
            bound: Bound::AtMost(1.35),
            unit: "x",
            measured: ratio(results.indelible_wall(first), results.wall(first, ZSTD)),
        },
        faster(first, 1.8),
        Target {
            what: format!("{}: bytes of the smallest peer", first.title()),
            bound: Bound::AtMost(1.02),
            unit: "x",
            measured: ratio(results.indelible_added(first), results.smallest_peer(first)),
        },
        faster(unchanged, 5.0),
        Target {
            what: format!("{}: speed of hashing ({HASH})", unchanged.title()),
            bound: Bound::AtLeast(0.5),
            unit: "x",
            measured: ratio(
                results.wall(unchanged, HASH),
                results.indelible_wall(unchanged),
            ),
        },
        faster(Step::FirstStream, 1.8),
        faster(Step::UnchangedStream, 2.5),
        faster(Step::RestoreFile, 2.0),
        faster(Step::RestoreStdout, 1.8),
        faster(Step::Verify, 2.0),
        seconds(Step::List),
        seconds(Step::SmallFile),
    ]
}
