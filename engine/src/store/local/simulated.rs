//! A filesystem in memory that forgets what a power cut may make a real one
//! forget, for tests of [`LocalStore`](super::LocalStore).
//!
//! It implements [`Files`], logs every call that changes or syncs something, and
//! gives, for a power cut behind any of them, the disks that may be found
//! afterwards ([`SimulatedFiles::power_cut`], [`PowerCut::image`]). [`FaultyFiles`]
//! stands in front of it and lets calls fail.
//!
//! The model. Nothing is durable by itself, and there is no order between things
//! that are not synced:
//!
//! 1. A file's bytes are durable once they were written and the file was synced
//!    with success, whatever its names do before or afterwards. Of bytes that
//!    are not, any may survive: all; none; a beginning of any length; or single
//!    pages, of 4,096 or of 512 bytes, in whatever order they were written, the
//!    others being zeros, or what a block held before, or absent behind the end.
//!    A file may have its new length and none of its new bytes.
//! 2. A name is durable once its directory was synced with success; to sync the
//!    file that it leads to makes no name durable. Each name is by itself, and
//!    leads afterwards to anything that it led to since it was last durable: a
//!    link survives without the bytes of its file, an unlinked name comes back,
//!    and of two names that were made one after the other the second survives
//!    alone.
//! 3. A directory is a name in the one above. While that name is not durable all
//!    in it may be gone, synced or not.
//! 4. A sync that fails makes nothing durable. What it concerned may survive or
//!    not, as before, but is forsaken: whoever reads still sees it, a later sync
//!    succeeds, and it is no more durable than it was. Only what is written, or
//!    what name is changed, after the failure is made durable by a later sync.
//!
//! Why it is at least as bad as ext4 and xfs: both write files and directories
//! through one journal, in an order that rules most of these states out. Pillai
//! et al. ("All File Systems Are Not Created Equal", OSDI 2014) list what
//! applications wrongly take for granted: that appends reach the disk in order
//! and with their length (1 denies it, like ext4 with `data=writeback` and worse
//! than `data=ordered`), that operations on directories are ordered, with each
//! other and with the files' contents (2 denies it; a journal grants it), and
//! that syncing a new file persists its name (2 denies it; ext4 grants it). Rebello
//! et al. ("Can Applications Recover from fsync Failures?", USENIX ATC 2020) found
//! that ext4 and xfs mark pages clean that they failed to write, so that a second
//! fsync reports success: 4, for files. A directory's failed sync ends both
//! filesystems, which then refuse all writes until they are mounted again; 4 goes
//! on and lies.
//!
//! What it does not model, because no program that syncs can defend against it:
//! a disk that loses what it said was durable, and rot. Nor what [`Files`] does
//! not offer: renaming, truncating, writing anywhere but at the end.

mod disk;
mod faulty;
mod power_cut;

use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

pub use self::disk::Operation;
use self::disk::{Disk, Extent, Name, Node, ROOT};
pub use self::faulty::{FaultyFiles, FileCall, FileCallKind, FileFate};
pub use self::power_cut::{PowerCut, Survival};
use super::files::{EachName, FileStat, Files, Kind};

/// A filesystem in memory that can lose power.
///
/// A clone is a copy of the files, visible and durable, with an empty log. To
/// share one filesystem, share a reference: that is what implements [`Files`].
#[derive(Debug)]
pub struct SimulatedFiles {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How the disk was when the log began.
    base: Disk,
    disk: Disk,
    log: Vec<Operation>,
}

/// An open file.
#[derive(Debug)]
pub struct SimulatedFile {
    node: usize,
    path: String,
    writable: bool,
}

impl SimulatedFile {
    /// The name that it was opened under.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl Default for SimulatedFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for SimulatedFiles {
    fn clone(&self) -> Self {
        Self::of(self.state().disk.clone())
    }
}

impl SimulatedFiles {
    /// An empty root directory.
    pub fn new() -> Self {
        Self::of(Disk::new())
    }

    fn of(disk: Disk) -> Self {
        Self {
            state: Mutex::new(State {
                base: disk.clone(),
                disk,
                log: Vec::new(),
            }),
        }
    }

    /// How many operations changed or synced something.
    pub fn operations(&self) -> usize {
        self.state().log.len()
    }

    /// One of those operations.
    ///
    /// # Panics
    ///
    /// When there were not so many.
    pub fn operation(&self, at: usize) -> Operation {
        self.state().log[at].clone()
    }

    /// The power is cut after the first `operations` of them, and while the next
    /// is under way: its effect, if any, is among those that may be lost.
    ///
    /// # Panics
    ///
    /// When there were not so many.
    pub fn power_cut(&self, operations: usize) -> PowerCut {
        let state = self.state();
        let mut disk = state.base.clone();
        for operation in &state.log[..operations] {
            disk.apply(operation)
                .expect("it was possible the first time");
        }
        PowerCut { disk }
    }

    /// Whether something that is visible is not durable and can't be made so,
    /// because a sync of it failed.
    pub fn is_forsaken(&self) -> bool {
        self.state().disk.is_forsaken()
    }

    /// BLAKE3 of every name and its contents: of what is visible, and not of how
    /// much of it would survive.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hash_directory(&self.state().disk, ROOT, &mut hasher);
        *hasher.finalize().as_bytes()
    }

    /// A panic in a test can't leave the state half changed: a change is made
    /// and then logged.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something and logs it.
    fn run(&self, operation: Operation) -> io::Result<usize> {
        let mut state = self.state();
        let node = state.disk.apply(&operation)?;
        state.log.push(operation);
        Ok(node)
    }

    fn sync(&self, file: &SimulatedFile, succeeds: bool) -> io::Result<()> {
        let (path, node) = (file.path.clone(), file.node);
        self.run(Operation::Sync {
            path,
            node,
            succeeds,
        })
        .map(drop)
    }

    fn sync_directory(&self, path: &str, succeeds: bool) -> io::Result<()> {
        let path = path.to_owned();
        self.run(Operation::SyncDirectory { path, succeeds })
            .map(drop)
    }
}

fn hash_directory(disk: &Disk, node: usize, hasher: &mut blake3::Hasher) {
    let names = disk.names(node).expect("it is a directory");
    for (text, name) in names {
        let Some(node) = name.now() else { continue };
        hasher.update(text.as_bytes());
        match &disk.nodes[node] {
            Node::Directory(_) => {
                hasher.update(b"/");
                hash_directory(disk, node, hasher);
                hasher.update(b"//");
            }
            Node::File(extents) => {
                hasher.update(b"\0");
                hasher.update(&len_of(extents).to_le_bytes());
                for extent in extents {
                    hasher.update(&extent.bytes);
                }
            }
        }
    }
}

fn len_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.bytes.len() as u64).sum()
}

fn stat_of(node: &Node) -> FileStat {
    match node {
        Node::File(extents) => FileStat {
            kind: Kind::File,
            size_bytes: len_of(extents),
        },
        Node::Directory(_) => FileStat {
            kind: Kind::Directory,
            size_bytes: 0,
        },
    }
}

impl Files for &SimulatedFiles {
    type File = SimulatedFile;

    fn create_new(&self, path: &str) -> io::Result<SimulatedFile> {
        let path = path.to_owned();
        let node = self.run(Operation::Create { path: path.clone() })?;
        Ok(SimulatedFile {
            node,
            path,
            writable: true,
        })
    }

    fn write(&self, file: &mut SimulatedFile, bytes: &[u8]) -> io::Result<usize> {
        if !file.writable {
            return Err(Errno::BADF.into());
        }
        let (path, node) = (file.path.clone(), file.node);
        let written = bytes.len();
        let bytes: Arc<[u8]> = bytes.into();
        self.run(Operation::Write { path, node, bytes })?;
        Ok(written)
    }

    fn fsync(&self, file: &SimulatedFile) -> io::Result<()> {
        self.sync(file, true)
    }

    fn open(&self, path: &str) -> io::Result<SimulatedFile> {
        Ok(SimulatedFile {
            node: self.state().disk.find(path)?,
            path: path.to_owned(),
            writable: false,
        })
    }

    fn read_at(&self, file: &SimulatedFile, out: &mut [u8], offset: u64) -> io::Result<usize> {
        if file.writable {
            return Err(Errno::BADF.into());
        }
        let state = self.state();
        let mut skip = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut read = 0;
        for extent in state.disk.extents(file.node)? {
            let rest = extent.bytes.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(extent.bytes.len());
            let part = rest.len().min(out.len() - read);
            out[read..read + part].copy_from_slice(&rest[..part]);
            read += part;
        }
        Ok(read)
    }

    fn stat_open(&self, file: &SimulatedFile) -> io::Result<FileStat> {
        Ok(stat_of(&self.state().disk.nodes[file.node]))
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let state = self.state();
        let node = state.disk.find(path)?;
        Ok(stat_of(&state.disk.nodes[node]))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run(Operation::Link { from, to }).map(drop)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let path = path.to_owned();
        self.run(Operation::Unlink { path }).map(drop)
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        let path = path.to_owned();
        self.run(Operation::MakeDirectory { path }).map(drop)
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        self.sync_directory(path, true)
    }

    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()> {
        // The lock is not held while `each` runs: it may well inspect a name.
        let names: Vec<String> = {
            let state = self.state();
            let names = state.disk.names(state.disk.find(path)?)?.iter();
            let visible = names.filter(|(_, name)| Name::now(name).is_some());
            visible.map(|(text, _)| text.clone()).collect()
        };
        for name in names {
            each(OsStr::new(&name), &|| self.stat(&format!("{path}/{name}")));
        }
        Ok(())
    }
}
