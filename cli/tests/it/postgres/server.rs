//! A PostgreSQL server of a test's own: a fresh cluster below `/tmp`, reached
//! through a socket in its directory and over no network.
//!
//! PostgreSQL refuses to run as root, so root runs it as `nobody`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// `nobody` and `nogroup` on Debian.
const NOBODY: u32 = 65_534;
const USER: &str = "tester";

/// A running server. Dropping it stops it.
pub(super) struct Server {
    dir: TempDir,
    programs: PathBuf,
    child: Child,
    log: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes a cluster and starts it, if this machine has PostgreSQL.
    pub(super) fn start() -> Option<Self> {
        let programs = programs()?;
        // A socket's path is at most 107 bytes long, and `nobody` must get there.
        let dir = TempDir::new_in("/tmp").expect("a temporary directory can be made");
        if geteuid().is_root() {
            chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let traversable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), traversable).expect("the directory is ours");
        let cluster = dir.path().join("cluster");
        unprivileged(&programs.join("initdb"), dir.path())
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8"])
            .args(["--locale=C", "--username", USER, "--pgdata"])
            .arg(&cluster)
            .stdout(Stdio::null())
            .succeeds();
        let mut child = unprivileged(&programs.join("postgres"), dir.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(dir.path())
            .arg("-D")
            .arg(&cluster)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let stderr = child.stderr.take().expect("it was piped");
        let log = Some(await_readiness(stderr));
        Some(Self {
            dir,
            programs,
            child,
            log,
        })
    }

    /// A command of anybody's, that reaches the server by its environment.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("PGHOST", self.dir.path())
            .env("PGUSER", USER)
            .stdin(Stdio::null());
        command
    }

    /// One of PostgreSQL's own programs.
    pub(super) fn client(&self, program: &str) -> Command {
        self.command(self.programs.join(program))
    }

    /// What a query answers, one row a line.
    pub(super) fn query(&self, database: &str, query: &str) -> String {
        let output = self
            .client("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set", "ON_ERROR_STOP=1", "--dbname", database])
            .args(["--command", query])
            .stderr(Stdio::inherit())
            .output()
            .expect("psql can be started");
        assert!(output.status.success(), "{query}");
        String::from_utf8(output.stdout).expect("the database is UTF-8")
    }

    /// A plain dump of a database, as a command line that needs no environment.
    /// Two dumps of the same data are the same bytes.
    pub(super) fn dump_command(&self, database: &str) -> Vec<OsString> {
        let program = self.programs.join("pg_dump");
        let help = Command::new(&program).arg("--help").output();
        let help = help.expect("pg_dump can be started").stdout;
        let mut line = vec![program.into_os_string()];
        // Newer releases write a random key into each dump unless they get one.
        if String::from_utf8_lossy(&help).contains("--restrict-key") {
            line.push("--restrict-key=indelible".into());
        }
        line.push("--format=plain".into());
        line.push("--username".into());
        line.push(USER.into());
        line.push("--host".into());
        line.push(self.dir.path().into());
        line.push(database.into());
        line
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

/// Runs a command that must succeed.
pub(super) trait Succeeds {
    /// Waits for its end.
    fn succeeds(&mut self);
}

impl Succeeds for Command {
    #[track_caller]
    fn succeeds(&mut self) {
        let output = self.output().expect("the program can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{self:?}: {}\n{said}",
            output.status
        );
    }
}

/// Where PostgreSQL's programs are: in `PATH`, or where Debian keeps those that
/// are not for users, of the newest release.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut of_releases: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let release = entry.file_name().to_str()?.parse().ok()?;
            Some((release, entry.path().join("bin")))
        })
        .collect();
    of_releases.sort();
    let of_releases = of_releases.into_iter().rev().map(|(_, dir)| dir);
    let complete = |dir: &PathBuf| {
        ["initdb", "postgres", "pgbench", "pg_dump"]
            .iter()
            .all(|program| dir.join(program).is_file())
    };
    in_path.into_iter().chain(of_releases).find(complete)
}

/// A command in a directory, as a user that PostgreSQL accepts.
fn unprivileged(program: &Path, dir: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command
            .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(dir).env("LC_ALL", "C");
    command
}

/// Reads the server's log until it accepts connections, and lets a thread read
/// the rest, so that the server never waits for a reader.
fn await_readiness(stderr: ChildStderr) -> JoinHandle<()> {
    let mut log = BufReader::new(stderr);
    let mut seen = String::new();
    while !seen.contains("ready to accept connections") {
        let read = log.read_line(&mut seen).expect("the log can be read");
        assert!(read > 0, "the server did not start:\n{seen}");
    }
    thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    })
}
