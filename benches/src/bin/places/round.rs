//! A round: a fresh repository in each place, and every step on each of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::Context as _;
use indelible_benches::databases::Nightly;
use indelible_benches::measure::{self, Input, Output, Sample};
use indelible_benches::programs::said_version;
use indelible_benches::tools::{PASSWORD, Place};

use crate::long_log;
use crate::servers::{Sshd, Weed};

/// Where repositories lie.
pub(crate) const PLACES: [&str; 3] = ["directory", "ssh", "S3"];
/// What is done with each, in this order.
pub(crate) const STEPS: [&str; 4] = ["first snapshot", "unchanged", "restore", "verify packs"];

/// What each step took in each place, one sample a round.
pub(crate) type Measured = [[Vec<Sample>; STEPS.len()]; PLACES.len()];

/// A dump, and the servers.
pub(crate) struct Bench {
    pub(crate) measured: Measured,
    /// Opening the long log in each place.
    pub(crate) opened: [Vec<Sample>; PLACES.len()],
    /// First snapshots while the servers have a core of their own; none where there is
    /// only one.
    pub(crate) apart: [Vec<Sample>; PLACES.len()],
    /// Length of the dump, bytes.
    pub(crate) len: u64,
    pub(crate) version: String,
    program: PathBuf,
    /// Those that the program may use, for `taskset`, once they are fewer than all.
    cores: Option<String>,
    dir: PathBuf,
    dump: PathBuf,
    sshd: Sshd,
    weed: Weed,
}

impl Bench {
    /// Makes the dump and starts the servers.
    ///
    /// # Errors
    ///
    /// Those of the servers and of the disk.
    pub(crate) fn prepare(program: PathBuf, size_bytes: u64, dir: &Path) -> anyhow::Result<Self> {
        let dump = dir.join("dump.sql");
        Nightly::Heap.start(size_bytes)?.dump(&dump)?;
        let (ssh, s3) = (dir.join("sshd"), dir.join("weed"));
        fs::create_dir(&ssh)?;
        fs::create_dir(&s3)?;
        Ok(Self {
            measured: Measured::default(),
            opened: Default::default(),
            apart: Default::default(),
            cores: None,
            len: fs::metadata(&dump)?.len(),
            version: said_version(&program, "version")?,
            sshd: Sshd::start(&program, &ssh)?,
            weed: Weed::start(&s3)?,
            program,
            dir: dir.to_owned(),
            dump,
        })
    }

    /// Every step, in each place. Places take turns to begin.
    ///
    /// # Errors
    ///
    /// If the program fails, or restores something else.
    pub(crate) fn round(&mut self, number: u16) -> anyhow::Result<()> {
        for turn in 0..PLACES.len() {
            let at = (turn + usize::from(number)) % PLACES.len();
            let place = Place::new(self.dir.join(format!("round-{number}-{at}")))?;
            let environment = self.environment(at, number, &place)?;
            self.create(&place, &environment, at)
                .with_context(|| format!("{}: no repository can be made", PLACES[at]))?;
            for (step, name) in STEPS.iter().enumerate() {
                let sample = self
                    .step(&place, &environment, step)
                    .with_context(|| format!("{}: {name}", PLACES[at]))?;
                eprintln!("{name:<15} {:<10} {:.2} s", PLACES[at], sample.wall);
                self.measured[at][step].push(sample);
            }
            fs::remove_dir_all(place.file(""))?;
        }
        Ok(())
    }

    /// Copies a log of so many entries to each place, and opens it, remembering nothing.
    ///
    /// # Errors
    ///
    /// If the program fails.
    pub(crate) fn long_log(&mut self, entries: u64, rounds: u16) -> anyhow::Result<()> {
        let original = Place::new(self.dir.join("original"))?;
        let here = self.environment(0, 0, &original)?;
        self.create(&original, &here, 0)?;
        long_log::fill(&original.repository(), entries)?;
        for (at, name) in PLACES.iter().enumerate() {
            let place = Place::new(self.dir.join(format!("long-log-{at}")))?;
            // A number that no round has.
            let environment = self.environment(at, rounds, &place)?;
            let (_, dest) = &environment[0];
            let mut copy = self.command(&original, &environment);
            copy.env("INDELIBLE_REPO", original.repository());
            copy.arg("mirror").arg(dest);
            measure::prepare(copy, &place.log())?;
            for round in 0..rounds {
                let mut list = self.command(&place, &environment);
                list.env("INDELIBLE_KEY_FILE", original.file("restore"))
                    .env("INDELIBLE_STATE_DIR", place.file(&format!("state-{round}")))
                    .arg("list");
                let sample = measure::run(list, &Input::Nothing, Output::Logged, &place.log())?;
                eprintln!("{:<15} {name:<10} {:.2} s", "long log", sample.wall);
                self.opened[at].push(sample);
            }
        }
        Ok(())
    }

    /// Leaves the last core to the servers and the others to the program, in each place,
    /// and takes first snapshots again.
    ///
    /// # Errors
    ///
    /// If the program fails, or nothing can be pinned to a core.
    pub(crate) fn apart(&mut self, rounds: u16) -> anyhow::Result<()> {
        let last = thread::available_parallelism()?.get() - 1;
        if last == 0 {
            eprintln!("one core: the servers can't have one of their own");
            return Ok(());
        }
        self.sshd.server.pin(last)?;
        self.weed.server.pin(last)?;
        self.cores = Some(format!("0-{}", last - 1));
        for round in 0..rounds {
            for (at, name) in PLACES.iter().enumerate() {
                let place = Place::new(self.dir.join(format!("apart-{round}-{at}")))?;
                // Numbers that no round has, nor the long log.
                let environment = self.environment(at, rounds + 1 + round, &place)?;
                self.create(&place, &environment, at)?;
                let sample = self.step(&place, &environment, 0)?;
                eprintln!("{:<15} {name:<10} {:.2} s", "apart", sample.wall);
                self.apart[at].push(sample);
                fs::remove_dir_all(place.file(""))?;
            }
        }
        Ok(())
    }

    fn environment(
        &self,
        at: usize,
        number: u16,
        place: &Place,
    ) -> anyhow::Result<Vec<(&'static str, String)>> {
        let repository = place.repository();
        Ok(match at {
            0 => vec![("INDELIBLE_REPO", repository.display().to_string())],
            1 => {
                fs::create_dir(&repository)?;
                self.sshd.serve(&repository)?;
                self.sshd.environment()
            }
            _ => self.weed.environment(&format!("round-{number}")),
        })
    }

    fn command(&self, place: &Place, environment: &[(&'static str, String)]) -> Command {
        let mut command = match &self.cores {
            None => place.command(&self.program),
            Some(cores) => {
                let mut taskset = place.command(Path::new("taskset"));
                taskset.args(["--cpu-list", cores]).arg(&self.program);
                taskset
            }
        };
        command
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("INDELIBLE_STATE_DIR", place.home().join("state"))
            .args(["--quiet", "--no-progress"]);
        command
    }

    fn create(
        &self,
        place: &Place,
        environment: &[(&'static str, String)],
        at: usize,
    ) -> anyhow::Result<()> {
        let with_passphrase = || {
            let mut command = self.command(place, environment);
            command.env("INDELIBLE_PASSPHRASE", PASSWORD);
            command
        };
        let mut init = with_passphrase();
        init.args(["init", "--derivation-memory", "1"]);
        if PLACES[at] == "S3" {
            init.args(["--retain", "7d", "--lock", "governance"]);
        }
        measure::prepare(init, &place.log())?;
        for (right, names) in [("write", &["--names", "*"][..]), ("restore", &[])] {
            let mut add = with_passphrase();
            add.args(["key", "add", "--rights", right, "--out"])
                .arg(place.file(right))
                .args(names);
            measure::prepare(add, &place.log())?;
        }
        Ok(())
    }

    fn step(
        &self,
        place: &Place,
        environment: &[(&'static str, String)],
        step: usize,
    ) -> anyhow::Result<Sample> {
        let mut command = self.command(place, environment);
        let right = if step < 2 { "write" } else { "restore" };
        command.env("INDELIBLE_KEY_FILE", place.file(right));
        let into = place.file("restored");
        match step {
            0 | 1 => command.arg("snapshot").arg("dump").arg(&self.dump),
            2 => command.args(["restore", "dump", "--target"]).arg(&into),
            _ => command.args(["verify", "--level", "packs"]),
        };
        let sample = measure::run(command, &Input::Nothing, Output::Logged, &place.log())?;
        if step == 2 {
            measure::files_must_equal(&into.join("dump.sql"), &self.dump)?;
        }
        Ok(sample)
    }
}
