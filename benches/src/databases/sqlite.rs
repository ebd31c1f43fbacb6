//! The shop's database in SQLite, dumped as statements by its own shell.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use tempfile::TempDir;

use super::daemon::{feed, print_to};
use super::{Database, inserts};
use crate::dump::Dump;
use crate::programs::{in_path, said_version};

/// The file need not outlive a power cut.
const SETTINGS: &str = "PRAGMA journal_mode = OFF;\nPRAGMA synchronous = OFF;\n";

pub(super) struct Sqlite {
    dir: TempDir,
    night: u32,
}

impl Sqlite {
    pub(super) fn new(shop: &Dump) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("sqlite-").context("cannot make a temporary directory")?;
        let database = Self { dir, night: 0 };
        feed(database.shell()?, |out| {
            out.write_all(SETTINGS.as_bytes())?;
            out.write_all(inserts::TABLES.as_bytes())?;
            Ok(inserts::write_rows(shop, out)?)
        })?;
        Ok(database)
    }

    fn shell(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command.args(["-batch", "-bail"]);
        command.arg(self.dir.path().join("shop.db"));
        command.stdout(std::process::Stdio::null());
        Ok(command)
    }
}

impl Database for Sqlite {
    fn dump(&mut self, out: &Path) -> anyhow::Result<()> {
        print_to(self.shell()?.arg(".dump"), out)
    }

    fn live(&mut self) -> anyhow::Result<()> {
        self.night += 1;
        let statements = inserts::update(self.night);
        feed(self.shell()?, |out| {
            out.write_all(SETTINGS.as_bytes())?;
            Ok(out.write_all(statements.as_bytes())?)
        })
    }
}

/// What the shell says of itself.
pub(super) fn version() -> anyhow::Result<String> {
    let version = said_version(&program()?, "--version")?;
    let number = version.split(' ').next().unwrap_or_default();
    Ok(format!("SQLite {number}"))
}

fn program() -> anyhow::Result<PathBuf> {
    in_path("sqlite3").context("SQLite is missing: apt-get install sqlite3")
}
