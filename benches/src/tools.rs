//! What is compared: a tool, how it is installed, and what it is asked to do.

pub mod indelible;
pub mod peers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::machine;
use indelible::Indelible;

/// The password of every repository; what it protects is made up.
pub const PASSWORD: &str = "correct horse battery staple";

/// A tool that stores files and gives them back.
pub trait Tool {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// What it says of its version.
    fn version(&self) -> &str;

    /// Makes an encrypted repository and what opens it.
    ///
    /// # Errors
    ///
    /// Those of the tool, with what it said.
    fn create(&self, place: &Place) -> anyhow::Result<()>;

    /// The command for a task; none if the tool offers nothing for it.
    fn job(&self, place: &Place, task: &Task<'_>) -> Option<Job>;

    /// Where the newest version of what was stored stands below a mount point; none if
    /// the tool does not mount.
    fn mounted(&self, at: &Path, stored: &Path, label: &str) -> Option<PathBuf>;
}

/// Indelible and the peers that are installed, or those of them that are named.
///
/// # Errors
///
/// If none is there, a name is unknown, or one can't be run or built.
pub fn chosen(only: &[String], given: Option<&Path>) -> anyhow::Result<Vec<Box<dyn Tool>>> {
    let known = || peers::PEERS.iter().map(|peer| peer.name);
    for name in only {
        if name != indelible::NAME && !known().any(|known| known == name) {
            bail!("there is no tool {name}: say {} or {}", indelible::NAME, {
                known().collect::<Vec<_>>().join(", ")
            });
        }
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let mut tools: Vec<Box<dyn Tool>> = Vec::new();
    if wanted(indelible::NAME) {
        tools.push(Box::new(Indelible::new(program(given)?)?));
    }
    for peer in peers::PEERS.iter().filter(|peer| wanted(peer.name)) {
        match peer.find()? {
            Some(installed) => tools.push(Box::new(installed)),
            None => eprintln!("{} is not installed: {}", peer.name, peer.install),
        }
    }
    ensure!(!tools.is_empty(), "none of these tools is installed");
    Ok(tools)
}

/// The program to measure: the one that is given, or built from this workspace.
///
/// # Errors
///
/// If it is not there, or can't be built.
pub fn program(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    match given {
        Some(program) => fs::canonicalize(program)
            .with_context(|| format!("there is no program {}", program.display())),
        None => machine::build_indelible(),
    }
}

/// What a tool is asked to do. Labels name what is stored, for tools that need
/// each archive called otherwise.
pub enum Task<'a> {
    /// Store a file.
    Store {
        /// The file, or a directory.
        file: &'a Path,
        /// Names it.
        label: &'a str,
    },
    /// Store standard input as a file of this name.
    StoreStream {
        /// The file's name.
        name: &'a str,
        /// Names it.
        label: &'a str,
    },
    /// Write the newest version of a file below a directory.
    Restore {
        /// Where it was when it was stored.
        file: &'a Path,
        /// Names it.
        label: &'a str,
        /// The directory.
        into: &'a Path,
    },
    /// Print the newest version of a file.
    Print {
        /// Where it was when it was stored.
        file: &'a Path,
        /// Names it.
        label: &'a str,
    },
    /// Show snapshots as a file system, until it is unmounted.
    Mount {
        /// What will be looked for there, for tools that ask.
        file: &'a Path,
        /// An empty directory.
        at: &'a Path,
    },
    /// Read and check all that is stored.
    Verify,
    /// List what was stored.
    List,
}

/// A command, and where what it prints goes if it prints what it restores.
pub struct Job {
    /// The command.
    pub command: Command,
    /// What its standard output becomes.
    pub into_file: Option<PathBuf>,
}

impl From<Command> for Job {
    fn from(command: Command) -> Self {
        Self {
            command,
            into_file: None,
        }
    }
}

/// A directory of one tool's own: its repository, keys, caches and logs.
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// A place at this path, which is made.
    ///
    /// # Errors
    ///
    /// If the directory can't be made.
    pub fn new(dir: PathBuf) -> anyhow::Result<Self> {
        let home = dir.join("home");
        fs::create_dir_all(&home).with_context(|| format!("cannot make {}", home.display()))?;
        Ok(Self { dir })
    }

    /// The repository. All bytes below it count.
    pub fn repository(&self) -> PathBuf {
        self.dir.join("repository")
    }

    /// Where the tool keeps caches and the like.
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// A file beside the repository.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the last command said.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A command that sees no configuration of the machine's or its user's.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
