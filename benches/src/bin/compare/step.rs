//! The steps, in the order in which a round takes them, and the marks that
//! Indelible shall reach in each.

use crate::results::{Results, Row};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    FirstFile,
    UnchangedFile,
    NextNight,
    RestoreFile,
    RestoreStdout,
    Verify,
    List,
    SmallFile,
    FirstStream,
    UnchangedStream,
}

impl Step {
    pub(crate) const ALL: [Self; 10] = [
        Self::FirstFile,
        Self::UnchangedFile,
        Self::NextNight,
        Self::RestoreFile,
        Self::RestoreStdout,
        Self::Verify,
        Self::List,
        Self::SmallFile,
        Self::FirstStream,
        Self::UnchangedStream,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::FirstFile => "First snapshot of a file",
            Self::UnchangedFile => "The same bytes again, written anew",
            Self::NextNight => "Next night's version of the file",
            Self::RestoreFile => "Restore to a file",
            Self::RestoreStdout => "Restore to standard output",
            Self::Verify => "Verify all data",
            Self::List => "List",
            Self::SmallFile => "Snapshot of a file of 1 MB",
            Self::FirstStream => "First snapshot of a stream",
            Self::UnchangedStream => "The same stream again",
        }
    }

    /// Names what is stored, for tools that need each archive called otherwise.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::FirstFile => "first",
            Self::UnchangedFile => "unchanged",
            Self::SmallFile => "small",
            Self::FirstStream => "stream",
            Self::UnchangedStream => "stream-again",
            // What is restored is what was stored last.
            _ => "night",
        }
    }

    pub(crate) fn stores(self) -> bool {
        !matches!(
            self,
            Self::RestoreFile | Self::RestoreStdout | Self::Verify | Self::List
        )
    }
}

/// Each baseline, by the name of its row.
pub(crate) const ZSTD: &str = "zstd -T2 -3";
pub(crate) const HASH: &str = "BLAKE3, 2 threads";
pub(crate) const PATCH: &str = "zstd -1 --long=30 --patch-from";

/// The largest peak of memory in any step, MiB.
const PEAK_MIB_MAX: f64 = 256.0;

/// A mark and what was measured.
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
    pub(crate) measured: Option<f64>,
}

#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Whether it is reached; nothing if there was nothing to hold it against.
    pub(crate) fn reached(&self) -> Option<bool> {
        self.measured.map(|measured| match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
        })
    }
}

/// All marks, held against the medians.
pub(crate) fn targets(results: &Results) -> Vec<Target> {
    let faster = |step: Step, times: f64| Target {
        what: format!("{}: times faster than the fastest peer", step.title()),
        bound: Bound::AtLeast(times),
        unit: "x",
        measured: ratio(
            results.fastest_peer(step).map(Row::wall),
            results.indelible_wall(step),
        ),
    };
    let seconds = |step: Step| Target {
        what: format!("{}: wall time", step.title()),
        bound: Bound::AtMost(0.05),
        unit: " s",
        measured: results.indelible_wall(step),
    };
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
        Target {
            what: "Peak of memory in any step".to_owned(),
            bound: Bound::AtMost(PEAK_MIB_MAX),
            unit: " MiB",
            measured: results.indelible_peak_mib(),
        },
    ]
}

fn ratio(above: Option<f64>, below: Option<f64>) -> Option<f64> {
    Some(above? / below?)
}
