//! Indelible itself: a write key takes snapshots, a restore key reads.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use indelible_benches::programs::said_version;

use crate::measure;
use crate::tool::{Job, PASSWORD, Place, Task, Tool};

pub(crate) const NAME: &str = "indelible";

pub(crate) struct Indelible {
    program: PathBuf,
    version: String,
}

impl Indelible {
    /// # Errors
    ///
    /// If the program can't be run.
    pub(crate) fn new(program: PathBuf) -> anyhow::Result<Self> {
        let version = said_version(&program, "version")?;
        Ok(Self { program, version })
    }

    /// A command with the key of this right.
    pub(crate) fn with_key(&self, place: &Place, right: &str) -> Command {
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
            Task::Verify => command.args(["verify", "--level", "data"]),
            Task::List => command.arg("list"),
        };
        Some(command.into())
    }
}
