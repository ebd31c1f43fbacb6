//! Samples of all rounds, and their medians.

use std::collections::BTreeMap;

use crate::measure::Sample;
use crate::step::Step;
use indelible_benches::figures::{as_f64, median};
use indelible_benches::tools::indelible::NAME;

const MIB: f64 = 1_048_576.0;

/// Who was measured in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Indelible or a peer.
    Tool(&'static str),
    /// What bounds the step, by its name.
    Baseline(&'static str),
}

impl Who {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tool(name) | Self::Baseline(name) => name,
        }
    }

    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Tool(name) if name != NAME)
    }
}

/// The samples of one tool in one step.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn wall(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.wall))
    }

    pub(crate) fn cpu(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.cpu))
    }

    /// The largest of all rounds: a bound is kept in every one or not at all.
    pub(crate) fn peak_mib(&self) -> f64 {
        let peaks = self.samples.iter().map(|sample| as_f64(sample.peak));
        peaks.fold(0.0, f64::max) / MIB
    }

    /// Bytes added to the repository: of an even count of rounds, the larger of
    /// the two in the middle.
    pub(crate) fn added(&self) -> Option<u64> {
        let added: Option<Vec<u64>> = self.samples.iter().map(|sample| sample.added).collect();
        let mut added = added?;
        added.sort_unstable();
        added.get(added.len() / 2).copied()
    }
}

/// What was measured, step by step.
#[derive(Default)]
pub(crate) struct Results {
    rows: BTreeMap<Step, Vec<Row>>,
}

impl Results {
    pub(crate) fn add(&mut self, step: Step, who: Who, sample: Sample) {
        let rows = self.rows.entry(step).or_default();
        if let Some(row) = rows.iter_mut().find(|row| row.who == who) {
            row.samples.push(sample);
        } else {
            let samples = vec![sample];
            rows.push(Row { who, samples });
        }
    }

    /// The rows of a step, by the order of tools and then of baselines.
    pub(crate) fn rows(&self, step: Step, order: &[&'static str]) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.get(&step).into_iter().flatten().collect();
        rows.sort_by_key(|row| {
            let place = order.iter().position(|name| *name == row.who.name());
            (place.unwrap_or(order.len()), row.who)
        });
        rows
    }

    fn row(&self, step: Step, name: &str) -> Option<&Row> {
        let rows = self.rows.get(&step)?;
        rows.iter().find(|row| row.who.name() == name)
    }

    fn peers(&self, step: Step) -> impl Iterator<Item = &Row> {
        let rows = self.rows.get(&step).into_iter().flatten();
        rows.filter(|row| row.who.is_peer())
    }

    pub(crate) fn wall(&self, step: Step, name: &str) -> Option<f64> {
        self.row(step, name).map(Row::wall)
    }

    /// Indelible's row.
    pub(crate) fn indelible(&self, step: Step) -> Option<&Row> {
        self.row(step, NAME)
    }

    pub(crate) fn indelible_wall(&self, step: Step) -> Option<f64> {
        self.indelible(step).map(Row::wall)
    }

    pub(crate) fn indelible_added(&self, step: Step) -> Option<f64> {
        self.added(step, NAME)
    }

    /// What somebody added, bytes.
    pub(crate) fn added(&self, step: Step, name: &str) -> Option<f64> {
        self.row(step, name)?.added().map(as_f64)
    }

    /// The largest peak of all steps, MiB.
    pub(crate) fn indelible_peak_mib(&self) -> Option<f64> {
        let peaks = self.rows.values().flatten();
        peaks
            .filter(|row| row.who == Who::Tool(NAME))
            .map(Row::peak_mib)
            .reduce(f64::max)
    }

    /// The peer with the shortest wall time.
    pub(crate) fn fastest_peer(&self, step: Step) -> Option<&Row> {
        let faster = |a: &&Row, b: &&Row| a.wall().total_cmp(&b.wall());
        self.peers(step).min_by(faster)
    }

    /// Bytes that the smallest peer added.
    pub(crate) fn smallest_peer(&self, step: Step) -> Option<f64> {
        self.peers(step).filter_map(Row::added).min().map(as_f64)
    }
}
