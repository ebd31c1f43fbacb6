//! A PostgreSQL server for as long as a dump is made: a cluster below the
//! temporary directory, reached through a socket in it and over no network.
//!
//! PostgreSQL refuses to run as root, so root runs it as `nobody`. Nothing that
//! it holds matters, so it waits for no disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use super::daemon::{Daemon, feed, print_to, succeed};
use crate::programs::said_version;

/// `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;

/// The superuser of the cluster.
const USER: &str = "bench";

/// Settings for one client that fills tables. Without autovacuum, what the dump
/// holds follows from the statements alone.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=4GB",
    "autovacuum=off",
];

/// A running server. Dropping it stops it.
pub(super) struct Server {
    // Stopped before its directory goes.
    _daemon: Daemon,
    dir: TempDir,
    programs: PathBuf,
}

impl Server {
    /// Makes a cluster and starts it.
    pub(super) fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let dir = TempDir::with_prefix("pg-").context("cannot make a temporary directory")?;
        if geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY))?;
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let cluster = dir.path().join("cluster");
        let mut initdb = unprivileged(&programs.join("initdb"), dir.path());
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8"]);
        initdb.args(["--locale=C", "--username", USER, "--pgdata"]);
        succeed(initdb.arg(&cluster).stdout(Stdio::null()))?;
        let mut server = unprivileged(&programs.join("postgres"), dir.path());
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        server.arg("-k").arg(dir.path()).arg("-D").arg(&cluster);
        // Fast shutdown: open sessions are ended.
        let daemon = Daemon::start(server, "ready to accept connections", Signal::INT)?;
        Ok(Self {
            _daemon: daemon,
            dir,
            programs,
        })
    }

    /// A program of PostgreSQL's that finds the server by its environment.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .env("PGHOST", self.dir.path())
            .env("PGUSER", USER)
            .env("PGDATABASE", "postgres")
            .stdin(Stdio::null());
        command
    }

    /// Gives psql what a writer writes.
    pub(super) fn load(
        &self,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--output=/dev/null", "--file=-"]);
        feed(psql, write)
    }

    /// Runs pgbench, which fills tables or changes them.
    pub(super) fn pgbench(&self, arguments: &[&str]) -> anyhow::Result<()> {
        succeed(self.client("pgbench").args(arguments).stdout(Stdio::null()))
    }

    /// Writes a plain dump to a file. Dumps of the same data are the same bytes.
    pub(super) fn dump(&self, out: &Path) -> anyhow::Result<()> {
        let mut dump = self.client("pg_dump");
        dump.args(["--format=plain", "--no-owner"]);
        let help = self.client("pg_dump").arg("--help").output()?.stdout;
        // Newer releases write a random key into each dump unless they get one.
        if String::from_utf8_lossy(&help).contains("--restrict-key") {
            dump.arg("--restrict-key=indelible");
        }
        print_to(&mut dump, out)
    }
}

/// What `pg_dump` says of itself.
pub(super) fn version() -> anyhow::Result<String> {
    said_version(&programs()?.join("pg_dump"), "--version")
}

/// Where all of PostgreSQL's programs are: in a directory of `PATH`, or where
/// Debian keeps those that are not for users, of the newest release.
fn programs() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let releases = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut of_releases: Vec<(u32, PathBuf)> = releases
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let release = entry.file_name().to_str()?.parse().ok()?;
            Some((release, entry.path().join("bin")))
        })
        .collect();
    of_releases.sort();
    let of_releases = of_releases.into_iter().rev().map(|(_, dir)| dir);
    let mut dirs = in_path.into_iter().chain(of_releases);
    let needed = ["initdb", "postgres", "psql", "pg_dump", "pgbench"];
    dirs.find(|dir| needed.iter().all(|name| dir.join(name).is_file()))
        .context("PostgreSQL is missing: apt-get install postgresql, or give --data")
}

/// A command in a directory, as a user that PostgreSQL accepts.
fn unprivileged(program: &Path, dir: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(dir).env("LC_ALL", "C");
    command
}
