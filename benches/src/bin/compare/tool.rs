//! What is compared: a tool, how it is installed, and what it is asked to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The password of every repository; what it protects is made up.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A tool that stores files and gives them back.
pub(crate) trait Tool {
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
}

/// What a tool is asked to do. Labels name what is stored, for tools that need
/// each archive called otherwise.
pub(crate) enum Task<'a> {
    /// Store a file.
    Store { file: &'a Path, label: &'a str },
    /// Store standard input as a file of this name.
    StoreStream { name: &'a str, label: &'a str },
    /// Write the newest version of a file below a directory.
    Restore {
        file: &'a Path,
        label: &'a str,
        into: &'a Path,
    },
    /// Print the newest version of a file.
    Print { file: &'a Path, label: &'a str },
    /// Read and check all that is stored.
    Verify,
    /// List what was stored.
    List,
}

/// A command, and where what it prints goes if it prints what it restores.
pub(crate) struct Job {
    pub(crate) command: Command,
    pub(crate) into_file: Option<PathBuf>,
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
pub(crate) struct Place {
    dir: PathBuf,
}

impl Place {
    /// # Errors
    ///
    /// If the directory can't be made.
    pub(crate) fn new(dir: PathBuf) -> anyhow::Result<Self> {
        let home = dir.join("home");
        std::fs::create_dir_all(&home)
            .with_context(|| format!("cannot make {}", home.display()))?;
        Ok(Self { dir })
    }

    /// The repository. All bytes below it count.
    pub(crate) fn repository(&self) -> PathBuf {
        self.dir.join("repository")
    }

    /// Where the tool keeps caches and the like.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// A file beside the repository.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What the last command said.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// A command that sees no configuration of the machine's or its user's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
