//! One round: every step, in each step every tool, each with fresh repositories.
//!
//! Tools take turns within a step rather than one after the other taking all, so
//! that what else the machine does meets them alike; each round begins with
//! another tool. What is restored is compared with what was stored, each time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use indelible_benches::tools::{Place, Task, Tool};
use indelible_benches::zstd::{self, PATCH};

use crate::baselines;
use crate::measure::{self, Input, Output, Sample};
use crate::nights::Nights;
use crate::results::{Results, Who};
use crate::step::{HASH, Step, ZSTD};

/// Bytes of the small file.
const SMALL_BYTES: usize = 1_000_000;

/// What a stream is stored as.
const STREAM_NAME: &str = "stream.sql";

/// A round about to be run in a directory of its own.
pub(crate) struct Round<'a> {
    /// At least one.
    tools: &'a [Box<dyn Tool>],
    nights: &'a Nights,
    steps: &'a [Step],
    /// Which round it is, from 0.
    number: usize,
    dir: &'a Path,
    /// The file that is stored, always under this path.
    source: PathBuf,
    small: PathBuf,
}

impl<'a> Round<'a> {
    /// # Errors
    ///
    /// If its sources can't be made.
    pub(crate) fn new(
        tools: &'a [Box<dyn Tool>],
        nights: &'a Nights,
        steps: &'a [Step],
        number: usize,
        dir: &'a Path,
    ) -> anyhow::Result<Self> {
        let sources = dir.join("sources");
        fs::create_dir(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
        let small = sources.join("small.sql");
        let end = fs::metadata(nights.first())?.len();
        baselines::copy_part(nights.first(), end / 2, SMALL_BYTES, &small)?;
        Ok(Self {
            tools,
            nights,
            steps,
            number,
            dir,
            source: sources.join("dump.sql"),
            small,
        })
    }

    /// Takes every step.
    ///
    /// # Errors
    ///
    /// If a tool fails, or gives back other bytes than it was given.
    pub(crate) fn run(&self, results: &mut Results) -> anyhow::Result<()> {
        let mut order: Vec<&dyn Tool> = self.tools.iter().map(AsRef::as_ref).collect();
        order.rotate_left(self.number % self.tools.len());
        for tool in &order {
            for kind in ["files", "streams"] {
                tool.create(&self.place(*tool, kind)?)
                    .with_context(|| format!("{} can't make a repository", tool.name()))?;
            }
        }
        for &step in self.steps {
            self.lay_out(step)?;
            for tool in &order {
                let sample = self
                    .measure(step, *tool)
                    .with_context(|| format!("{}: {}", tool.name(), step.title()))?;
                if let Some(sample) = sample {
                    note(step, tool.name(), &sample);
                    results.add(step, Who::Tool(tool.name()), sample);
                }
            }
            if let Some((name, sample)) = self.baseline(step)? {
                note(step, name, &sample);
                results.add(step, Who::Baseline(name), sample);
            }
        }
        Ok(())
    }

    fn place(&self, tool: &dyn Tool, kind: &str) -> anyhow::Result<Place> {
        Place::new(self.dir.join(tool.name()).join(kind))
    }

    /// Writes the version of the file that a step stores, over the one before.
    fn lay_out(&self, step: Step) -> anyhow::Result<()> {
        let version = match step {
            // Written anew, so that no tool may pass over it by its times.
            Step::FirstFile | Step::UnchangedFile => Some(self.nights.first()),
            _ => step.night().and_then(|night| self.nights.get(night)),
        };
        let Some(version) = version else {
            return Ok(());
        };
        fs::copy(version, &self.source)
            .with_context(|| format!("cannot write {}", self.source.display()))?;
        Ok(())
    }

    fn measure(&self, step: Step, tool: &dyn Tool) -> anyhow::Result<Option<Sample>> {
        let is_stream = matches!(step, Step::FirstStream | Step::UnchangedStream);
        let place = self.place(tool, if is_stream { "streams" } else { "files" })?;
        let into = place.file("restored");
        let file = &self.source;
        let label = step.label(self.nights.all().len());
        let task = match step {
            Step::FirstFile | Step::UnchangedFile | Step::NextNight | Step::NightAfter => {
                Task::Store { file, label }
            }
            Step::SmallFile => Task::Store {
                file: &self.small,
                label,
            },
            Step::FirstStream | Step::UnchangedStream => Task::StoreStream {
                name: STREAM_NAME,
                label,
            },
            Step::RestoreFirst | Step::RestoreFile => Task::Restore {
                file,
                label,
                into: &into,
            },
            Step::RestoreStdout => Task::Print { file, label },
            Step::Verify => Task::Verify,
            Step::List => Task::List,
        };
        let restored = match step {
            Step::RestoreFirst => Some(self.nights.first()),
            Step::RestoreFile => Some(self.nights.last()),
            _ => None,
        };
        if restored.is_some() {
            fs::create_dir(&into)?;
        }
        let Some(job) = tool.job(&place, &task) else {
            return Ok(None);
        };
        let input = if is_stream {
            Input::File(self.nights.first())
        } else {
            Input::Nothing
        };
        let output = match job.into_file {
            Some(path) => Output::File(path),
            None if step == Step::RestoreStdout => Output::Equals(self.nights.last()),
            None => Output::Logged,
        };
        let before = measure::tree_bytes(&place.repository())?;
        let mut sample = measure::run(job.command, &input, output, &place.log())?;
        if step.stores() {
            let after = measure::tree_bytes(&place.repository())?;
            sample.added = Some(after.saturating_sub(before));
        }
        if let Some(expected) = restored {
            check_restored(&into, expected)?;
            fs::remove_dir_all(&into)?;
        }
        Ok(Some(sample))
    }

    /// What bounds a step, measured beside it.
    fn baseline(&self, step: Step) -> anyhow::Result<Option<(&'static str, Sample)>> {
        let dir = self.dir.join("baselines");
        let place = Place::new(dir.clone())?;
        let first = self.nights.first();
        let night = step.night().unwrap_or_default();
        let before = night
            .checked_sub(1)
            .and_then(|night| self.nights.get(night));
        let sample = match (step, before, self.nights.get(night)) {
            (Step::FirstFile, ..) => (ZSTD, zstd::compress(&["-T2", "-3"], first, &dir)?),
            (Step::UnchangedFile, ..) => (HASH, baselines::hash(&place, first)?),
            (_, Some(before), Some(tonight)) => (PATCH, zstd::patch(before, tonight, &dir)?),
            _ => return Ok(None),
        };
        Ok(Some(sample))
    }
}

/// Fails unless one file was restored, and is what was stored.
fn check_restored(into: &Path, expected: &Path) -> anyhow::Result<()> {
    let restored = measure::files_below(into)?;
    ensure!(
        restored.len() == 1,
        "{} files were restored, instead of one",
        restored.len()
    );
    measure::files_must_equal(&restored[0], expected)
}

fn note(step: Step, name: &str, sample: &Sample) {
    eprintln!(
        "{:<36} {name:<32} {:>8.3} s wall {:>8.3} s cpu",
        step.title(),
        sample.wall,
        sample.cpu
    );
}
