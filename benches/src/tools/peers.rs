//! The other tools, each with encryption, zstd at level 3 or what it has nearest
//! to it, and its other settings as they come.
//!
//! rustic and bupstash get a key file. restic and borg know passwords only, and
//! derive their key from it in every command, at a cost of their own choice: what
//! that is shows in their list step.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Job, PASSWORD, Place, Task, Tool};
use crate::measure;
use crate::programs::{in_path, said_version};

/// A peer, whether it is installed or not.
pub struct Peer {
    /// What it is called.
    pub name: &'static str,
    /// How it is had.
    pub install: &'static str,
    settings: &'static str,
    create: fn(&Installed, &Place) -> Vec<Command>,
    job: fn(&Installed, &Place, &Task<'_>) -> Option<Job>,
    /// Where a mount has what was stored under an absolute path and a label.
    mounted: Option<fn(&Path, &str) -> PathBuf>,
}

/// All that are known.
pub const PEERS: [Peer; 4] = [
    Peer {
        name: "restic",
        install: "apt-get install restic, or a newer Debian's package of it",
        settings: "compression auto",
        create: |tool, place| vec![restic(tool, place, &["init"])],
        job: |tool, place, task| Some(restic_job(tool, place, task)),
        mounted: Some(|stored, _| Path::new("snapshots/latest").join(stored)),
    },
    Peer {
        name: "rustic",
        install: "cargo install --locked rustic-rs",
        settings: "compression 3",
        create: |tool, place| {
            let mut key = rustic(tool, place, &["key", "create"]);
            key.arg(place.file("key"));
            let init = ["init", "--set-compression", "3"];
            vec![key, rustic(tool, place, &init)]
        },
        job: rustic_job,
        mounted: None,
    },
    Peer {
        name: "borg",
        install: "pip install borgbackup[pyfuse3]==1.4.5, in a venv; apt-get install libacl1-dev \
                  libssl-dev liblz4-dev libzstd-dev libxxhash-dev libfuse3-dev pkg-config before",
        settings: "repokey, zstd,3",
        create: |tool, place| vec![borg(tool, place, &["init", "--encryption=repokey"])],
        job: |tool, place, task| Some(borg_job(tool, place, task)),
        mounted: Some(|stored, label| Path::new(label).join(stored)),
    },
    Peer {
        name: "bupstash",
        install: "apt-get install libsodium-dev pkg-config; cargo install --locked bupstash",
        settings: "zstd:3",
        create: |tool, place| {
            let mut key = bupstash(tool, place, &["new-key", "--output"]);
            key.arg(place.file("key"));
            vec![key, bupstash(tool, place, &["init"])]
        },
        job: bupstash_job,
        mounted: None,
    },
];

impl Peer {
    /// The tool, if it is in `PATH`.
    ///
    /// # Errors
    ///
    /// If it is there and can't be run.
    pub fn find(&'static self) -> anyhow::Result<Option<Installed>> {
        let Some(program) = in_path(self.name) else {
            return Ok(None);
        };
        let argument = if self.name == "restic" {
            "version"
        } else {
            "--version"
        };
        let version = said_version(&program, argument)?;
        Ok(Some(Installed {
            version: format!("{version} ({})", self.settings),
            program,
            peer: self,
        }))
    }
}

/// A peer that can be run.
pub struct Installed {
    peer: &'static Peer,
    program: PathBuf,
    version: String,
}

impl Tool for Installed {
    fn name(&self) -> &'static str {
        self.peer.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn create(&self, place: &Place) -> anyhow::Result<()> {
        (self.peer.create)(self, place)
            .into_iter()
            .try_for_each(|command| measure::prepare(command, &place.log()))
    }

    fn job(&self, place: &Place, task: &Task<'_>) -> Option<Job> {
        (self.peer.job)(self, place, task)
    }

    fn mounted(&self, at: &Path, stored: &Path, label: &str) -> Option<PathBuf> {
        let below = self.peer.mounted?;
        let stored = stored.strip_prefix("/").unwrap_or(stored);
        Some(at.join(below(stored, label)))
    }
}

fn restic(tool: &Installed, place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&tool.program);
    command
        .env("RESTIC_REPOSITORY", place.repository())
        .env("RESTIC_PASSWORD", PASSWORD)
        .env("RESTIC_CACHE_DIR", place.home().join("cache"))
        .args(["--quiet", "--compression=auto"])
        .args(arguments);
    command
}

fn restic_job(tool: &Installed, place: &Place, task: &Task<'_>) -> Job {
    let with = |arguments: &[&str]| restic(tool, place, arguments);
    let command = match task {
        Task::Store { file, .. } => with_path(with(&["backup"]), file),
        Task::StoreStream { name, .. } => with(&["backup", "--stdin", "--stdin-filename", name]),
        Task::Restore { into, .. } => with_path(with(&["restore", "latest", "--target"]), into),
        Task::Print { file, .. } => with_path(with(&["dump", "latest"]), file),
        Task::Mount { file, at } => with_path(with_path(with(&["mount", "--path"]), file), at),
        Task::Verify => with(&["check", "--read-data"]),
        Task::List => with(&["snapshots"]),
    };
    command.into()
}

fn rustic(tool: &Installed, place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&tool.program);
    command
        .env("RUSTIC_REPOSITORY", place.repository())
        .env("RUSTIC_KEY_FILE", place.file("key"))
        .env("RUSTIC_CACHE_DIR", place.home().join("cache"))
        .env("RUSTIC_NO_PROGRESS", "true")
        .args(arguments);
    command
}

fn rustic_job(tool: &Installed, place: &Place, task: &Task<'_>) -> Option<Job> {
    let with = |arguments: &[&str]| rustic(tool, place, arguments);
    let in_latest = |file: &Path| format!("latest:{}", file.display());
    let command = match task {
        Task::Store { file, .. } => with_path(with(&["backup"]), file),
        // Without --force a second stream of this name is not even read.
        Task::StoreStream { name, .. } => {
            with(&["backup", "--force", "--stdin-filename", name, "-"])
        }
        Task::Restore { file, into, .. } => {
            let mut command = with(&["restore"]);
            command.arg(in_latest(file)).arg(into);
            command
        }
        Task::Print { file, .. } => with(&["dump", &in_latest(file)]),
        // It can be built with one.
        Task::Mount { .. } => return None,
        Task::Verify => with(&["check", "--read-data"]),
        Task::List => with(&["snapshots"]),
    };
    Some(command.into())
}

fn borg(tool: &Installed, place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&tool.program);
    command
        .env("BORG_REPO", place.repository())
        .env("BORG_PASSPHRASE", PASSWORD)
        .env("BORG_BASE_DIR", place.home())
        .args(arguments);
    command
}

fn borg_job(tool: &Installed, place: &Place, task: &Task<'_>) -> Job {
    let with = |arguments: &[&str]| borg(tool, place, arguments);
    let archive = |label: &str| format!("::{label}");
    let command = match task {
        Task::Store { file, label } => with_path(
            with(&["create", "--compression=zstd,3", &archive(label)]),
            file,
        ),
        Task::StoreStream { name, label } => {
            let mut command = with(&["create", "--compression=zstd,3", "--stdin-name", name]);
            command.arg(archive(label)).arg("-");
            command
        }
        Task::Restore { label, into, .. } => {
            let mut command = with(&["extract", &archive(label)]);
            command.current_dir(into);
            command
        }
        Task::Print { label, .. } => with(&["extract", "--stdout", &archive(label)]),
        Task::Mount { at, .. } => with_path(with(&["mount", "--foreground", "::"]), at),
        Task::Verify => with(&["check", "--verify-data"]),
        Task::List => with(&["list"]),
    };
    command.into()
}

fn bupstash(tool: &Installed, place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(&tool.program);
    command
        .env("BUPSTASH_REPOSITORY", place.repository())
        .env("BUPSTASH_KEY", place.file("key"))
        .args(arguments);
    command
}

fn bupstash_job(tool: &Installed, place: &Place, task: &Task<'_>) -> Option<Job> {
    const PUT: [&str; 4] = ["put", "--quiet", "--compression", "zstd:3"];
    let with = |arguments: &[&str]| bupstash(tool, place, arguments);
    let named = |label: &str| format!("name={label}");
    let command = match task {
        Task::Store { file, label } => {
            let mut command = with(&PUT);
            command.arg(named(label)).arg(file);
            command
        }
        Task::StoreStream { label, .. } => {
            let mut command = with(&PUT);
            command.arg(named(label)).arg("-");
            command
        }
        Task::Restore { file, label, into } => {
            return Some(Job {
                command: with(&["get", "--quiet", &named(label)]),
                into_file: Some(into.join(file.file_name()?)),
            });
        }
        Task::Print { label, .. } => with(&["get", "--quiet", &named(label)]),
        // It has no command that checks what is stored, and none that mounts.
        Task::Verify | Task::Mount { .. } => return None,
        Task::List => with(&["list"]),
    };
    Some(command.into())
}

fn with_path(mut command: Command, path: &Path) -> Command {
    command.arg(path);
    command
}
