//! The shop's database in MariaDB, whose rows stay where their keys put them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::daemon::{Daemon, feed, print_to, succeed};
use super::{Database, inserts};
use crate::dump::Dump;
use crate::programs::{in_path, said_version};

/// The superuser of the server.
const USER: &str = "--user=root";

/// Settings for one client that fills tables and needs nothing to last.
const SETTINGS: [&str; 5] = [
    "--skip-networking",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=256M",
];

/// Statements mean the same as elsewhere.
const MODE: &str = "SET sql_mode = 'PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES';\n";

pub(super) struct Mariadb {
    // Stopped before its directory goes.
    _daemon: Daemon,
    dir: TempDir,
    night: u32,
}

impl Mariadb {
    pub(super) fn new(shop: &Dump) -> anyhow::Result<Self> {
        let dir = TempDir::with_prefix("mariadb-").context("cannot make a temporary directory")?;
        let data = format!("--datadir={}", dir.path().join("data").display());
        let mut install = Command::new(program("mariadb-install-db")?);
        install.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
        install
            .args([&data, "--skip-test-db"])
            .stdout(Stdio::null());
        let mut server = Command::new(program("mariadbd")?);
        server.args(["--no-defaults", &data]).args(SETTINGS);
        server.arg(socket(dir.path()));
        if geteuid().is_root() {
            install.arg(USER);
            server.arg(USER);
        }
        succeed(&mut install)?;
        let database = Self {
            _daemon: Daemon::start(server, "ready for connections", Signal::TERM)?,
            dir,
            night: 0,
        };
        database.tell(
            "mysql",
            |out| Ok(out.write_all(b"CREATE DATABASE shop;\n")?),
        )?;
        database.tell("shop", |out| {
            out.write_all(inserts::TABLES.as_bytes())?;
            Ok(inserts::write_rows(shop, out)?)
        })?;
        Ok(database)
    }

    fn client(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program(name)?);
        command.args(["--no-defaults", USER]);
        command.arg(socket(self.dir.path())).stdin(Stdio::null());
        Ok(command)
    }

    /// Gives the server statements.
    fn tell(
        &self,
        database: &str,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut client = self.client("mariadb")?;
        client.args(["--batch", database]);
        feed(client, |out| {
            out.write_all(MODE.as_bytes())?;
            write(out)
        })
    }
}

impl Database for Mariadb {
    fn dump(&mut self, out: &Path) -> anyhow::Result<()> {
        let mut dump = self.client("mariadb-dump")?;
        dump.args(["--order-by-primary", "--skip-extended-insert"]);
        dump.args(["--skip-dump-date", "shop"]);
        print_to(&mut dump, out)
    }

    fn live(&mut self) -> anyhow::Result<()> {
        self.night += 1;
        let statements = inserts::update(self.night);
        self.tell("shop", |out| Ok(out.write_all(statements.as_bytes())?))
    }
}

fn socket(dir: &Path) -> String {
    format!("--socket={}", dir.join("socket").display())
}

/// What `mariadb-dump` says of itself.
pub(super) fn version() -> anyhow::Result<String> {
    said_version(&program("mariadb-dump")?, "--version")
}

/// In `PATH`, or where Debian keeps what is not for users.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let apart = PathBuf::from("/usr/sbin").join(name);
    in_path(name)
        .or_else(|| {
            fs::exists(&apart)
                .is_ok_and(|is_there| is_there)
                .then_some(apart)
        })
        .context("MariaDB is missing: apt-get install mariadb-server")
}
