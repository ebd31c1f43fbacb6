//! A server program that runs for as long as it is needed, and clients of it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A running server. Dropping it stops it, and no other.
pub(super) struct Daemon {
    child: Child,
    stop: Signal,
    log: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Starts a server, which a signal will stop, and waits until its log says that it
    /// is ready.
    pub(super) fn start(mut command: Command, ready: &str, stop: Signal) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let stderr = child.stderr.take().expect("it was piped");
        // From here on it is stopped, whatever fails.
        let mut daemon = Self {
            child,
            stop,
            log: None,
        };
        daemon.log = Some(await_readiness(stderr, ready)?);
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), self.stop);
        let _ = self.child.wait();
        if let Some(log) = self.log.take() {
            let _ = log.join();
        }
    }
}

/// Reads the server's log until it accepts connections, and lets a thread read
/// the rest, so that the server never waits for a reader.
fn await_readiness(stderr: ChildStderr, ready: &str) -> anyhow::Result<JoinHandle<()>> {
    let mut log = BufReader::new(stderr);
    let mut seen = String::new();
    while !seen.contains(ready) {
        ensure!(log.read_line(&mut seen)? > 0, "no server starts:\n{seen}");
    }
    Ok(thread::spawn(move || {
        let mut rest = Vec::new();
        let _ = log.read_to_end(&mut rest);
    }))
}

/// Runs a command that must succeed.
pub(super) fn succeed(command: &mut Command) -> anyhow::Result<()> {
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

/// Gives a command what a writer writes.
pub(super) fn feed(
    mut command: Command,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let mut stdin = child.stdin.take().expect("it was piped");
    let written = write(&mut stdin);
    drop(stdin);
    let status = child.wait()?;
    ensure!(status.success(), "{command:?}: {status}");
    written
}

/// Makes what a command prints a file.
pub(super) fn print_to(command: &mut Command, out: &Path) -> anyhow::Result<()> {
    let file = File::create(out).with_context(|| format!("cannot create {}", out.display()))?;
    succeed(command.stdout(file))
}
