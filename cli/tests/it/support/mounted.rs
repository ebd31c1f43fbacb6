//! A mounted repository.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Ran, Run, World, end_of};

/// How long anything may take that takes moments.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether file systems can be mounted here. Where they can't, the test says that it
/// was skipped.
pub(crate) fn can_mount() -> bool {
    let can = Path::new("/dev/fuse").exists() && rustix::process::geteuid().is_root();
    if !can {
        eprintln!("SKIPPED: mounting takes /dev/fuse and root");
    }
    can
}

/// Waits until something is so that nobody is told of when it comes to be.
#[track_caller]
#[allow(
    clippy::disallowed_methods,
    reason = "the kernel tells nobody that a mount shows something new, or that a process has gone which is no child"
)]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it never came to be: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a file system of its own is mounted at a directory.
pub(crate) fn is_mounted(dir: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    let above = dir.parent().expect("it is below something");
    device(dir) != device(above)
}

/// A repository that is mounted as long as this lives.
pub(crate) struct Mounted {
    dir: PathBuf,
    process: Option<Child>,
}

impl Mounted {
    /// Mounts the repository of a world.
    pub(crate) fn new(world: &World, options: &[&str]) -> Self {
        Self::of(world, world.indelible(["--json", "mount"]).args(options))
    }

    /// Mounts what a run of `--json mount` says that lacks the directory.
    pub(crate) fn of(world: &World, run: Run) -> Self {
        let dir = world.path("mnt");
        fs::create_dir_all(&dir).expect("the directory can be made");
        let mut process = run.arg(&dir).start();
        // It says so when it is there.
        let mut said = String::new();
        let stdout = process.stdout.take().expect("it was piped");
        let read = BufReader::new(stdout).read_line(&mut said);
        read.expect("it can be read");
        if !said.contains("\"mounted\"") {
            let ran = end_of(process);
            panic!("it did not mount: {ran:?}");
        }
        assert!(is_mounted(&dir));
        Self {
            dir,
            process: Some(process),
        }
    }

    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.dir.join(below)
    }

    /// Ends the process by a signal, and gives what it came to.
    pub(crate) fn end(mut self, signal: Signal) -> Ran {
        let process = self.process.take().expect("it runs");
        kill_process(Pid::from_child(&process), signal).expect("it runs");
        end_of(process)
    }

    /// Unmounts, and gives what the process came to.
    pub(crate) fn unmount(mut self) -> Ran {
        let unmounted = Command::new("umount").arg(&self.dir).status();
        assert!(unmounted.expect("umount can be started").success());
        end_of(self.process.take().expect("it runs"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process(Pid::from_child(&process), Signal::TERM);
            let _ = process.wait();
        }
        if is_mounted(&self.dir) {
            let mut lazily = Command::new("umount");
            let _ = lazily
                .arg("--lazy")
                .arg(&self.dir)
                .stderr(Stdio::null())
                .status();
        }
    }
}
