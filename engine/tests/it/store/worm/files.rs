//! A directory that keeps the rules of a write-once filesystem for whoever reaches it through
//! these calls, on a clock of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use indelible_engine::env::{Clock as _, ManualClock};
use indelible_engine::store::local::files::{
    Attack, EachName, FileStat, Files, RealFiles, Retention,
};

/// Ways in which such filesystems differ, and how one fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways {
    /// What is not kept for longer, seconds since 1970.
    pub(super) latest_s: u64,
    /// What is kept at least so long.
    pub(super) earliest_s: u64,
    /// What is let through.
    pub(super) lets: Option<Attack>,
    /// Whether that is answered with an error.
    pub(super) lies: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            latest_s: u64::MAX,
            earliest_s: 0,
            lets: None,
            lies: false,
        }
    }
}

pub(super) struct WormFiles {
    inner: RealFiles,
    clock: Arc<ManualClock>,
    ways: Ways,
    /// Files that were writable and are not any more.
    committed: Mutex<BTreeSet<String>>,
}

impl WormFiles {
    pub(super) fn new(root: &Path, clock: Arc<ManualClock>, ways: Ways) -> Self {
        Self {
            inner: RealFiles::open(root).expect("it is there"),
            clock,
            ways,
            committed: Mutex::default(),
        }
    }

    /// Refuses to touch what is committed before its date.
    fn check(&self, path: &str) -> io::Result<()> {
        let is_committed = self.committed.lock().expect("whole").contains(path);
        if is_committed && self.inner.retention(path)?.until_ms > self.clock.now_unix_ms() {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }
}

impl Files for WormFiles {
    type File = <RealFiles as Files>::File;

    fn create_new(&self, path: &str) -> io::Result<Self::File> {
        self.inner.create_new(path)
    }

    fn create_writable(&self, path: &str) -> io::Result<Self::File> {
        self.inner.create_writable(path)
    }

    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(file, bytes)
    }

    fn fsync(&self, file: &Self::File) -> io::Result<()> {
        self.inner.fsync(file)
    }

    fn open(&self, path: &str) -> io::Result<Self::File> {
        self.inner.open(path)
    }

    fn read_at(&self, file: &Self::File, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(file, out, offset)
    }

    fn stat_open(&self, file: &Self::File) -> io::Result<FileStat> {
        self.inner.stat_open(file)
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        self.inner.stat(path)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.check(from)?;
        self.inner.link(from, to)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.check(path)?;
        self.inner.unlink(path)
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        self.inner.mkdir(path)
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        self.inner.fsync_dir(path)
    }

    fn commit(&self, path: &str, until_s: u64) -> io::Result<()> {
        let until_s = until_s.clamp(self.ways.earliest_s, self.ways.latest_s);
        let before = self.inner.retention(path)?;
        let mut committed = self.committed.lock().expect("whole");
        if committed.contains(path) && until_s * 1_000 < before.until_ms {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.inner.commit(path, until_s)?;
        if !before.is_committed {
            committed.insert(path.to_owned());
        }
        Ok(())
    }

    fn retention(&self, path: &str) -> io::Result<Retention> {
        self.inner.retention(path)
    }

    fn attack(&self, attack: Attack, path: &str) -> io::Result<()> {
        if self.ways.lets == Some(attack) {
            self.inner.attack(attack, path)?;
            return if self.ways.lies {
                Err(io::ErrorKind::PermissionDenied.into())
            } else {
                Ok(())
            };
        }
        if attack == Attack::RenameParent {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.check(path)?;
        self.inner.attack(attack, path)
    }

    fn clear_canaries(&self, directory: &str) {
        let mut paths = Vec::new();
        let listed = self.list(directory, &mut |name, _| {
            paths.extend(name.to_str().map(|name| format!("{directory}/{name}")));
        });
        listed.expect("it can be listed");
        for path in paths {
            let _ = self.unlink(&path);
        }
        self.inner.remove_empty(directory);
    }

    fn remove_empty(&self, directory: &str) {
        self.inner.remove_empty(directory);
    }

    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()> {
        self.inner
            .list(path, &mut |name: &OsStr, stat| each(name, stat))
    }
}
