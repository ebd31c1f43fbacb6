//! A PostgreSQL server for as long as a dump is made: a cluster below the
//! temporary directory, reached through a socket in it and over no network.
//!
//! PostgreSQL refuses to run as root, so root runs it as `nobody`. Nothing that
//! it holds matters, so it waits for no disk.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::tool::said_version;

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
pub(crate) struct Server {
    dir: TempDir,
    programs: PathBuf,
    child: Child,
    log: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes a cluster and starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
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
        let mut child = server
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {server:?}"))?;
        let stderr = child.stderr.take().expect("it was piped");
        let mut server = Self {
            dir,
            programs,
            child,
            log: None,
        };
        server.log = Some(await_readiness(stderr)?);
        Ok(server)
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
    pub(crate) fn load(
        &self,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut psql = self.client("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--output=/dev/null", "--file=-"]);
        let mut child = psql
            .stdin(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {psql:?}"))?;
        let mut stdin = child.stdin.take().expect("it was piped");
        let written = write(&mut stdin);
        drop(stdin);
        let status = child.wait()?;
        ensure!(status.success(), "psql: {status}");
        written
    }

    /// Writes a plain dump to a file. Dumps of the same data are the same bytes.
    pub(crate) fn dump(&self, out: &Path) -> anyhow::Result<()> {
        let mut dump = self.client("pg_dump");
        dump.args(["--format=plain", "--no-owner"]);
        let help = self.client("pg_dump").arg("--help").output()?.stdout;
        // Newer releases write a random key into each dump unless they get one.
        if String::from_utf8_lossy(&help).contains("--restrict-key") {
            dump.arg("--restrict-key=indelible");
        }
        let file = File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
        succeed(dump.stdout(file))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fast shutdown: open sessions are ended.
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

/// What `pg_dump` says of itself.
pub(crate) fn version() -> anyhow::Result<String> {
    said_version(&programs()?.join("pg_dump"), "--version")
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stderr(Stdio::piped())
        .spawn()
        .and_then(Child::wait_with_output)
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}\n{said}", output.status);
    }
    Ok(())
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
    let needed = ["initdb", "postgres", "psql", "pg_dump"];
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

/// Reads the server's log until it accepts connections, and lets a thread read
/// the rest, so that the server never waits for a reader.
fn await_readiness(stderr: ChildStderr) -> anyhow::Result<JoinHandle<()>> {
    let mut log = BufReader::new(stderr);
    let mut seen = String::new();
    while !seen.contains("ready to accept connections") {
        ensure!(log.read_line(&mut seen)? > 0, "no server starts:\n{seen}");
    }
    Ok(thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    }))
}
