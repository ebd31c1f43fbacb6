//! A mount that runs for as long as it is held.
//!
//! Nothing stays behind: who drops it on the way out of a failure takes the mount
//! away and ends the process, and no other.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use indelible_benches::measure::now;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{UnmountFlags, unmount};
use wait4::Wait4 as _;

/// The kernel's list of mounts, which tells who polls it of changes.
const MOUNTS: &str = "/proc/self/mountinfo";

/// How often a process that does not mount is asked whether it still runs.
const ASKED_AFTER: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// A process that mounts, and its mount.
pub(crate) struct Mounted {
    /// None once it was waited for: its number may be another process's then.
    child: Option<Child>,
    at: PathBuf,
    /// From its start until the top of the mount was listed, seconds.
    pub(crate) ready: f64,
}

/// What a mount took until it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// The largest resident set of its process, bytes.
    pub(crate) peak: u64,
    /// Its user and system time, seconds.
    pub(crate) cpu: f64,
}

impl Mounted {
    /// Runs a command that mounts on an empty directory of this canonical path, and
    /// waits until it has.
    ///
    /// # Errors
    ///
    /// If it can't be run, or ends without having mounted; the log has why.
    pub(crate) fn start(mut command: Command, at: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut mounts = File::open(MOUNTS).with_context(|| format!("cannot open {MOUNTS}"))?;
        let said = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let began = now();
        let child = command
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        // From here on it is ended, whatever fails.
        let mut mounted = Self {
            child: Some(child),
            at: at.to_owned(),
            ready: 0.0,
        };
        while !is_listed(&mut mounts, at)? {
            let ended = mounted.child.as_mut().map(Child::try_wait).transpose()?;
            if let Some(status) = ended.flatten() {
                let said = fs::read_to_string(log).unwrap_or_default();
                bail!("{command:?}: {status} instead of a mount\n{said}");
            }
            let changed = PollFd::from_borrowed_fd(mounts.as_fd(), PollFlags::PRI);
            poll(&mut [changed], Some(&ASKED_AFTER))?;
        }
        for entry in fs::read_dir(at)? {
            entry.with_context(|| format!("cannot list {}", at.display()))?;
        }
        mounted.ready = began.elapsed().as_secs_f64();
        Ok(mounted)
    }

    /// Unmounts, waits for the process, and says what it took.
    ///
    /// # Errors
    ///
    /// If something is still open there, or only root may do that.
    pub(crate) fn end(mut self) -> anyhow::Result<Ended> {
        let child = self.child.as_ref().expect("it was not waited for");
        let peak = peak_bytes(child)?;
        unmount(&self.at, UnmountFlags::empty())
            .with_context(|| format!("cannot unmount {}", self.at.display()))?;
        let child = self.child.take().expect("it is there still");
        let used = child.wait4()?.rusage;
        Ok(Ended {
            peak,
            cpu: (used.utime + used.stime).as_secs_f64(),
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            let _ = unmount(&self.at, UnmountFlags::DETACH);
        }
    }
}

/// Whether something is mounted on a directory.
fn is_listed(mounts: &mut File, at: &Path) -> anyhow::Result<bool> {
    let mut list = String::new();
    mounts.rewind()?;
    mounts.read_to_string(&mut list)?;
    let mut points = list.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.any(|point| Path::new(point) == at))
}

/// The largest resident set that a process had. `wait4` would count that of the one
/// that started it.
fn peak_bytes(child: &Child) -> anyhow::Result<u64> {
    let path = format!("/proc/{}/status", child.id());
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} does not say the peak"))? << 10)
}
