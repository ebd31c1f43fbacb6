//! A target with surroundings that must stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Everything beside the targets, as it was at the beginning.
pub(super) struct Canary {
    outer: TempDir,
    before: BTreeMap<PathBuf, Stat>,
    targets: u64,
}

/// All that a stranger can change of a name, but for times that reading sets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    content: Vec<u8>,
}

impl Canary {
    pub(super) fn new() -> Self {
        let outer = tempfile::tempdir().expect("a temporary directory");
        let at = |below: &str| outer.path().join(below);
        fs::create_dir_all(at("outside/deep/deeper")).expect("it is ours");
        for file in ["kept", "deep/kept", "deep/deeper/kept"] {
            fs::write(at("outside").join(file), file).expect("it is ours");
        }
        symlink("kept", at("outside/link")).expect("it is ours");
        let before = seen(outer.path());
        Self {
            outer,
            before,
            targets: 0,
        }
    }

    /// What must stay as it is, beside the targets.
    pub(super) fn outside(&self) -> PathBuf {
        self.outer.path().join("outside")
    }

    /// Where a target may be, which is not there yet. An earlier one is gone.
    pub(super) fn target(&mut self) -> PathBuf {
        self.clear();
        self.targets += 1;
        self.outer.path().join(format!("target-{}", self.targets))
    }

    /// Removes targets, and what was moved out of them. Not by the standard
    /// library, which opens a file for each of thousands of levels.
    fn clear(&self) {
        let names = fs::read_dir(self.outer.path()).expect("it is ours");
        let paths = names.map(|entry| entry.expect("an entry").path());
        let ours: Vec<PathBuf> = paths.filter(|path| is_target(path)).collect();
        let removed = Command::new("rm").arg("-rf").arg("--").args(ours).status();
        assert!(removed.expect("there is an rm").success());
    }

    /// What was changed, created or removed outside the targets.
    pub(super) fn changes(&self) -> Vec<PathBuf> {
        let now = seen(self.outer.path());
        let names = self.before.keys().chain(now.keys());
        let mut changed: Vec<PathBuf> = names
            .filter(|name| self.before.get(*name) != now.get(*name))
            .cloned()
            .collect();
        changed.dedup();
        changed
    }

    /// Puts everything back, so that one escape is not told for ever.
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether it is a target, or was taken out of one on purpose.
fn is_target(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("target-") || name.starts_with("aside-")
}

/// Everything below a directory, but for targets and its own times.
fn seen(root: &Path) -> BTreeMap<PathBuf, Stat> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path).expect("it is there");
        let content = if stat.is_symlink() {
            let to = fs::read_link(&path).expect("it is a link");
            to.as_os_str().as_bytes().to_vec()
        } else if stat.is_dir() {
            let entries = fs::read_dir(&path).expect("it is a directory");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            left.extend(paths.filter(|path| !is_target(path)));
            Vec::new()
        } else {
            fs::read(&path).expect("it is a file")
        };
        if path == root {
            continue;
        }
        let stat = Stat {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            modified: (stat.mtime(), stat.mtime_nsec()),
            content,
        };
        all.insert(path, stat);
    }
    all
}
