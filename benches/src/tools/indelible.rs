//! Indelible itself: a write key takes snapshots, a restore key reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{Job, PASSWORD, Place, Task, Tool};
use crate::measure;
use crate::programs::said_version;

/// What it is called.
pub const NAME: &str = "indelible";

/// The program.
pub struct Indelible {
    program: PathBuf,
    version: String,
}

impl Indelible {
    /// The program of this path.
    ///
    /// # Errors
    ///
    /// If it can't be run.
    pub fn new(program: PathBuf) -> anyhow::Result<Self> {
        let version = said_version(&program, "version")?;
        Ok(Self { program, version })
    }

    /// A command with the key of this right.
    pub fn with_key(&self, place: &Place, right: &str) -> Command {
        let mut command = self.bare(place);
        command.env("INDELIBLE_KEY_FILE", place.file(right));
        command
    }

    fn bare(&self, place: &Place) -> Command {
        let mut command = place.command(&self.program);
        command
            .env("INDELIBLE_REPO", place.repository())
            .env("INDELIBLE_STATE_DIR", place.home().join("state"))
            .args(["--quiet", "--no-progress"]);
        command
    }
}

impl Tool for Indelible {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn create(&self, place: &Place) -> anyhow::Result<()> {
        let with_passphrase = || {
            let mut command = self.bare(place);
            command.env("INDELIBLE_PASSPHRASE", PASSWORD);
            command
        };
        let mut init = with_passphrase();
        init.args(["init", "--derivation-memory", "1"]);
        measure::prepare(init, &place.log())?;
        for (right, names) in [("write", Some("*")), ("restore", None)] {
            let mut add = with_passphrase();
            add.args(["key", "add", "--rights", right, "--out"])
                .arg(place.file(right));
            if let Some(names) = names {
                add.args(["--names", names]);
            }
            measure::prepare(add, &place.log()).context("a key can't be made")?;
        }
        Ok(())
    }

    fn job(&self, place: &Place, task: &Task<'_>) -> Option<Job> {
        let mut command = self.with_key(
            place,
            match task {
                Task::Store { .. } | Task::StoreStream { .. } => "write",
                _ => "restore",
            },
        );
        // One NAME for each file, which is its series of nights.
        match task {
            Task::Store { file, .. } => command.arg("snapshot").arg(file.file_stem()?).arg(file),
            Task::StoreStream { name, .. } => {
                command.args(["snapshot", "stream", "--stdin", "--filename", name])
            }
            Task::Restore { file, into, .. } => command
                .arg("restore")
                .arg(file.file_stem()?)
                .arg("--target")
                .arg(into),
            Task::Print { file, .. } => command
                .arg("restore")
                .arg(file.file_stem()?)
                .arg("--stdout"),
            Task::Mount { at, .. } => command.arg("mount").arg(at),
            Task::Verify => command.args(["verify", "--level", "data"]),
            Task::List => command.arg("list"),
        };
        Some(command.into())
    }

    fn mounted(&self, at: &Path, stored: &Path, _label: &str) -> Option<PathBuf> {
        let series = at.join("by-name").join(stored.file_stem()?);
        Some(series.join("latest").join(stored.file_name()?))
    }
}
