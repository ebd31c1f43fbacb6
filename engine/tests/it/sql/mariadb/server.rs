//! A MariaDB server of a test's own, reached through a socket in its directory and
//! over no network.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// The superuser of the server.
const USER: &str = "--user=root";

/// A running server. Dropping it stops it.
pub(super) struct Server {
    dir: TempDir,
    child: Child,
    log: Option<JoinHandle<()>>,
}

impl Server {
    /// Makes a server and starts it, if this machine has MariaDB.
    pub(super) fn start() -> Option<Self> {
        let (install, daemon) = (program("mariadb-install-db")?, program("mariadbd")?);
        let dir = TempDir::with_prefix("mariadb-").expect("a temporary directory can be made");
        let data = format!("--datadir={}", dir.path().join("data").display());
        let mut install = Command::new(install);
        install
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args([&data, "--skip-test-db"]);
        let mut daemon = Command::new(daemon);
        daemon
            .args([
                "--no-defaults",
                &data,
                "--skip-networking",
                "--skip-log-bin",
            ])
            .args([
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=0",
            ])
            .arg(socket(dir.path()));
        if geteuid().is_root() {
            install.arg(USER);
            daemon.arg(USER);
        }
        succeed(&mut install);
        let mut child = daemon
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let stderr = child.stderr.take().expect("it was piped");
        let log = Some(await_readiness(stderr));
        Some(Self { dir, child, log })
    }

    /// One of MariaDB's clients.
    fn client(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(name);
        command
            .args(["--no-defaults", USER])
            .arg(socket(self.dir.path()))
            .stdin(Stdio::null());
        command
    }

    /// Has a database run a script, of any bytes, and gives what it prints.
    pub(super) fn run(&self, database: &str, script: &[u8]) -> Vec<u8> {
        let path = self.dir.path().join("script.sql");
        fs::write(&path, script).expect("the directory is ours");
        let script = File::open(&path).expect("it was written");
        let mut client = self.client("mariadb");
        client
            .args(["--batch", "--skip-column-names", "--binary-mode"])
            .args(["--default-character-set=utf8mb4", database])
            .stdin(Stdio::from(script));
        succeed(&mut client)
    }

    /// A dump.
    pub(super) fn dump(&self, arguments: &[&str]) -> Vec<u8> {
        succeed(self.client("mariadb-dump").args(arguments))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

#[track_caller]
fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("the program can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

fn socket(dir: &Path) -> String {
    format!("--socket={}", dir.join("socket").display())
}

/// In `PATH`, or where Debian keeps what is not for users.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Reads the server's log until it accepts connections, and lets a thread read the
/// rest, so that the server never waits for a reader.
fn await_readiness(stderr: ChildStderr) -> JoinHandle<()> {
    let mut log = BufReader::new(stderr);
    let mut seen = String::new();
    while !seen.contains("ready for connections") {
        let read = log.read_line(&mut seen).expect("the log can be read");
        assert!(read > 0, "the server did not start:\n{seen}");
    }
    thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    })
}
