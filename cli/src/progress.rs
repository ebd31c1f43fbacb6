//! Shows progress on a terminal: a bar for each phase, on standard error.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use indelible_engine::progress::{Note, Phase, Progress, Unit};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::context::Context;
use crate::output;

/// Reading so much is worth a word beforehand, bytes: some seconds.
const LONG_BYTES: u64 = 256 << 20;

/// Shows phases as bars and notes as lines.
pub(crate) struct Bars<'c> {
    context: &'c Context,
    all: Option<MultiProgress>,
    shown: Mutex<BTreeMap<Phase, ProgressBar>>,
}

impl<'c> Bars<'c> {
    /// Bars if standard error is a terminal and nobody asked for silence.
    pub(crate) fn new(context: &'c Context) -> Self {
        let common = &context.common;
        let visible =
            std::io::stderr().is_terminal() && !common.quiet && !common.no_progress && !common.json;
        Self {
            context,
            all: visible.then(MultiProgress::new),
            shown: Mutex::default(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<Phase, ProgressBar>) -> T) -> T {
        act(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prints something between the bars.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        match &self.all {
            Some(all) => all.suspend(print),
            None => print(),
        }
    }

    fn say(&self, text: &str) {
        self.aside(|| output::warn(self.context, text));
    }
}

impl Drop for Bars<'_> {
    /// Leaves no half-drawn bar above an error message.
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            let _ = all.clear();
        }
    }
}

fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Scanning => "scanning",
        Phase::Reading => "reading",
        Phase::Publishing => "writing",
        Phase::Committing => "committing",
        Phase::Restoring => "restoring",
        Phase::CheckingPacks => "checking packs",
        Phase::WalkingTree => "walking trees",
        Phase::CheckingData => "checking data",
        Phase::CheckingLocks => "asking for locks",
        Phase::ExtendingLocks => "locking",
        Phase::CheckingDeltas => "checking deltas",
        Phase::Mirroring => "mirroring",
    }
}

fn style(phase: Phase, total: Option<u64>) -> ProgressStyle {
    let template = match (phase.unit(), total) {
        (Unit::Bytes, Some(_)) => {
            "{prefix:15} {wide_bar} {bytes:>11} of {total_bytes:11} {binary_bytes_per_sec:>13} {eta:>5}"
        }
        (Unit::Bytes, None) => {
            "{prefix:15} {spinner} {bytes:>11} {binary_bytes_per_sec:>13} {elapsed:>5}"
        }
        (Unit::Items, Some(_)) => "{prefix:15} {wide_bar} {human_pos} of {human_len} {eta:>5}",
        (Unit::Items, None) => "{prefix:15} {spinner} {human_pos}",
    };
    ProgressStyle::with_template(template).expect("the templates are written right")
}

/// What is about to be read, as numbers of packs and bytes, if that takes long
/// enough for somebody to ask.
fn estimate(chosen: (u64, u64), all: (u64, u64)) -> Option<String> {
    let shown = |(packs, bytes)| {
        let packs = output::count(packs, "pack", "packs");
        format!("{packs}, {}", output::size(bytes))
    };
    let whole = if chosen == all {
        String::new()
    } else {
        format!(" (of {})", shown(all))
    };
    (chosen.1 >= LONG_BYTES).then(|| format!("reading {}{whole}", shown(chosen)))
}

impl Progress for Bars<'_> {
    fn begin(&self, phase: Phase, total: Option<u64>) {
        let Some(all) = &self.all else { return };
        self.with(|bars| {
            let bar = bars
                .entry(phase)
                .or_insert_with(|| all.add(ProgressBar::no_length().with_prefix(name(phase))));
            bar.set_style(style(phase, total));
            if let Some(total) = total {
                bar.set_length(total);
            }
        });
    }

    fn advance(&self, phase: Phase, amount: u64) {
        if self.all.is_some() {
            self.with(|bars| bars.get(&phase).inspect(|bar| bar.inc(amount)).is_some());
        }
    }

    fn end(&self, phase: Phase) {
        if let Some(bar) = self.with(|bars| bars.remove(&phase)) {
            bar.finish_and_clear();
        }
    }

    fn note(&self, note: Note) {
        match note {
            Note::PacksAdopted { count, size_bytes } => self.say(&format!(
                "a run that died left {} ({}); this one goes on from there",
                output::count(count, "pack", "packs"),
                output::size(size_bytes)
            )),
            Note::PacksToRead {
                chosen,
                chosen_bytes,
                all,
                all_bytes,
            } => {
                if let Some(text) = estimate((chosen, chosen_bytes), (all, all_bytes)) {
                    self.aside(|| output::note(self.context, &text));
                }
            }
            Note::NothingToLeanOn => self.say(
                "this host has no list of an earlier snapshot of this NAME; if there is one, chunks that changed since are stored whole, this time",
            ),
            Note::SourceChanged { path } => {
                self.say(&format!(
                    "{path} changed while it was read; the snapshot holds what was read"
                ));
            }
            Note::ForeignName { path } => {
                let path = indelible_format::path::shown(path.as_bytes()).to_string();
                self.say(&format!("{path} is no object of a repository"));
            }
            // Another writer was faster, which is nobody's concern; void entries
            // are counted when the log is opened.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::estimate;

    /// Long work says how long beforehand, and short work does not.
    ///
    /// Method: all, a sample, and little.
    #[test]
    fn long_work_is_announced() {
        let all = (12_000, 400 << 30);
        let text = "reading 12,000 packs, 400.00 GiB";
        assert_eq!(estimate(all, all).as_deref(), Some(text));
        let text = "reading 12 packs, 384.00 MiB (of 12,000 packs, 400.00 GiB)";
        assert_eq!(estimate((12, 384 << 20), all).as_deref(), Some(text));
        assert_eq!(estimate((1, 1 << 20), all), None);
    }
}
