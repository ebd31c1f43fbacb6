//! Answers the kernel: what is known of a node, which file is open, and what is in it.
//! Numbers come from `spots`, names and contents from `nodes` and the engine's view.
//!
//! Snapshots never change, so the kernel may keep what it read of them; what shows
//! new snapshots it asks for again after a second.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenAccMode, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, Request,
};
use indelible_engine::read::ReadError;
use indelible_engine::view::File;
use rustix::process::{getegid, geteuid};

use super::Current;
use super::nodes::{Facts, Kind, Listing, Node, Shown};
use super::reports::Reports;
use super::spots::{Spot, Spots, path_of};

use crate::place::Store;

/// How long the kernel may believe what does not change.
const LASTING: Duration = Duration::from_hours(24);
/// And what may.
const CHANGING: Duration = Duration::from_secs(1);
/// What a program is told to read at once, bytes.
const BLOCK_BYTES: u32 = 1 << 20;

/// A name in a directory; `.` and `..` have no node.
struct Named {
    name: Vec<u8>,
    node: Option<Node>,
}

/// Takes a directory's path, the offset of what comes behind a name, and the name.
/// Says whether it has no room for that.
type Take<'t> = dyn FnMut(&[u8], u64, &Named) -> bool + 't;

/// A directory that is being read.
struct OpenDirectory {
    spot: Arc<Spot>,
    listing: Listing,
    /// How many names were given, `.` and `..` counted.
    given: u64,
    /// The next, which did not fit.
    pending: Option<Named>,
}

/// What the kernel has open.
enum Handle {
    File(Arc<File<Store>>, Arc<Spot>),
    Directory(Arc<Mutex<OpenDirectory>>),
}

pub(super) struct Files {
    current: Current,
    spots: Mutex<Spots>,
    open: Mutex<HashMap<u64, Handle>>,
    next_handle: AtomicU64,
    /// Who mounts: the owner of what has none.
    owner: (u32, u32),
    reports: Reports,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn type_of(kind: Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
        Kind::Link => FileType::Symlink,
    }
}

fn ttl_of(facts: &Facts) -> Duration {
    if facts.changes { CHANGING } else { LASTING }
}

impl Files {
    pub(super) fn new(current: Current, reports: Reports) -> Self {
        Self {
            current,
            spots: Mutex::new(Spots::new()),
            open: Mutex::default(),
            next_handle: AtomicU64::new(1),
            owner: (geteuid().as_raw(), getegid().as_raw()),
            reports,
        }
    }

    fn shown(&self) -> Arc<Shown> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn spot(&self, number: INodeNo) -> Result<Arc<Spot>, Errno> {
        locked(&self.spots).get(number.0)
    }

    fn attr(&self, number: u64, facts: &Facts) -> FileAttr {
        let (uid, gid) = facts.owner.unwrap_or(self.owner);
        FileAttr {
            ino: INodeNo(number),
            size: facts.size,
            blocks: facts.size.div_ceil(512),
            atime: facts.modified,
            mtime: facts.modified,
            ctime: facts.modified,
            crtime: facts.modified,
            kind: type_of(facts.kind),
            perm: facts.mode,
            nlink: if facts.kind == Kind::Directory { 2 } else { 1 },
            uid,
            gid,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        }
    }

    /// Why something of a snapshot can't be shown, for the kernel; it is reported.
    fn failed(&self, spot: &Spot, error: &ReadError) -> Errno {
        if matches!(error, ReadError::NotAllowed { .. }) {
            return Errno::EACCES;
        }
        if let Some((tree, path)) = spot.node.place() {
            self.reports.tell(tree.snapshot(), &path, 0, error);
        }
        Errno::EIO
    }

    fn find(&self, parent: INodeNo, name: &[u8]) -> Result<(FileAttr, Duration), Errno> {
        let (above, shown) = (self.spot(parent)?, self.shown());
        let child = above.node.child(&shown, name);
        let node = child.map_err(|error| self.failed(&above, &error))?;
        let node = node.ok_or(Errno::ENOENT)?;
        let facts = node.facts(&shown);
        let path = path_of(&above.path, name, &node, &shown);
        let (number, _) = locked(&self.spots).learn(Spot { node, path });
        Ok((self.attr(number, &facts), ttl_of(&facts)))
    }

    fn hold(&self, handle: Handle) -> FileHandle {
        let number = self.next_handle.fetch_add(1, Ordering::Relaxed);
        locked(&self.open).insert(number, handle);
        FileHandle(number)
    }

    fn open_file(&self, number: INodeNo) -> Result<FileHandle, Errno> {
        let spot = self.spot(number)?;
        let file = spot.node.open();
        let file = file.map_err(|error| self.failed(&spot, &error))?;
        let file = Arc::new(file.ok_or(Errno::EISDIR)?);
        Ok(self.hold(Handle::File(file, spot)))
    }

    fn read_file(&self, handle: FileHandle, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let (file, spot) = match locked(&self.open).get(&handle.0) {
            Some(Handle::File(file, spot)) => (Arc::clone(file), Arc::clone(spot)),
            Some(Handle::Directory(_)) => return Err(Errno::EISDIR),
            None => return Err(Errno::EBADF),
        };
        file.read_at(offset, size.into()).map_err(|fault| {
            if let Some((tree, path)) = spot.node.place() {
                self.reports.fault(tree.snapshot(), &path, &fault);
            }
            Errno::EIO
        })
    }

    fn open_directory(&self, number: INodeNo) -> Result<FileHandle, Errno> {
        let spot = self.spot(number)?;
        let listing = spot.node.listing(&self.shown()).ok_or(Errno::ENOTDIR)?;
        let directory = OpenDirectory {
            spot,
            listing,
            given: 0,
            pending: None,
        };
        let directory = Arc::new(Mutex::new(directory));
        Ok(self.hold(Handle::Directory(directory)))
    }

    /// Gives the names of a directory from the `offset`-th on, until there is no room
    /// for more.
    fn list(
        &self,
        handle: FileHandle,
        offset: u64,
        shown: &Shown,
        take: &mut Take<'_>,
    ) -> Result<(), Errno> {
        let directory = match locked(&self.open).get(&handle.0) {
            Some(Handle::Directory(directory)) => Arc::clone(directory),
            Some(Handle::File(..)) => return Err(Errno::ENOTDIR),
            None => return Err(Errno::EBADF),
        };
        let mut directory = locked(&directory);
        let spot = Arc::clone(&directory.spot);
        directory.seek(offset, shown)?;
        loop {
            let next = directory.next();
            let next = next.map_err(|error| self.failed(&spot, &error))?;
            let Some(named) = next else {
                return Ok(());
            };
            if take(&spot.path, directory.given, &named) {
                directory.give_back(named);
                return Ok(());
            }
        }
    }
}

impl Named {
    /// Where it stands, if it stands in this directory.
    fn path(&self, directory: &[u8], shown: &Shown) -> Vec<u8> {
        match &self.node {
            Some(node) => path_of(directory, &self.name, node, shown),
            None if self.name == b"." => directory.to_vec(),
            None => {
                let end = directory.iter().rposition(|&byte| byte == b'/');
                directory[..end.unwrap_or(0)].to_vec()
            }
        }
    }

    fn facts(&self, shown: &Shown) -> Facts {
        self.node.as_ref().unwrap_or(&Node::Root).facts(shown)
    }
}

impl OpenDirectory {
    /// Goes to the `offset`-th name.
    fn seek(&mut self, offset: u64, shown: &Shown) -> Result<(), Errno> {
        if offset < self.given {
            self.listing = self.spot.node.listing(shown).ok_or(Errno::ENOTDIR)?;
            (self.given, self.pending) = (0, None);
        }
        while self.given < offset {
            match self.next() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Err(Errno::EIO),
            }
        }
        Ok(())
    }

    /// The next name.
    fn next(&mut self) -> Result<Option<Named>, ReadError> {
        let dots = |name: &[u8]| {
            Some(Named {
                name: name.to_vec(),
                node: None,
            })
        };
        let next = match self.given {
            0 => dots(b"."),
            1 => dots(b".."),
            _ if self.pending.is_some() => self.pending.take(),
            _ => {
                let next = self.listing.next().transpose()?;
                next.map(|(name, node)| Named {
                    name,
                    node: Some(node),
                })
            }
        };
        self.given += u64::from(next.is_some());
        Ok(next)
    }

    /// Takes back the name that was given last.
    fn give_back(&mut self, named: Named) {
        self.given -= 1;
        self.pending = Some(named).filter(|named| named.node.is_some());
    }
}

impl Filesystem for Files {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // What is known of entries goes with their names: who lists a large directory
        // and then asks after each costs no call for each. A kernel that can't do it
        // does without.
        let _ = config.add_capabilities(InitFlags::FUSE_DO_READDIRPLUS);
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        // Each look at a path through `latest` asks where it points otherwise.
        let _ = config.add_capabilities(InitFlags::FUSE_CACHE_SYMLINKS);
        // The most that this kernel offers.
        if let Err(most) = config.set_max_readahead(u32::MAX) {
            let _ = config.set_max_readahead(most);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name.as_bytes()) {
            Ok((attr, ttl)) => reply.entry(&ttl, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        locked(&self.spots).forget(number.0, times);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.spot(number) {
            Ok(spot) => {
                let facts = spot.node.facts(&self.shown());
                reply.attr(&ttl_of(&facts), &self.attr(number.0, &facts));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let target = self.spot(number).and_then(|spot| {
            let target = spot.node.target(&self.shown());
            target.ok_or(Errno::EINVAL)
        });
        match target {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY {
            return reply.error(Errno::EROFS);
        }
        match self.open_file(number) {
            Ok(handle) => reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_file(handle, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        locked(&self.open).remove(&handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.open_directory(number) {
            Ok(handle) => reply.opened(handle, FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let shown = self.shown();
        let listed = self.list(handle, offset, &shown, &mut |directory, next, named| {
            let number = locked(&self.spots).number(&named.path(directory, &shown));
            let kind = type_of(named.facts(&shown).kind);
            let name = OsStr::from_bytes(&named.name);
            reply.add(INodeNo(number), next, kind, name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (shown, mut learnt) = (self.shown(), Vec::new());
        let listed = self.list(handle, offset, &shown, &mut |directory, next, named| {
            let (path, facts) = (named.path(directory, &shown), named.facts(&shown));
            let number = locked(&self.spots).number(&path);
            let (attr, ttl) = (self.attr(number, &facts), ttl_of(&facts));
            let name = OsStr::from_bytes(&named.name);
            let full = reply.add(INodeNo(number), next, name, &ttl, &attr, Generation(0));
            if let (Some(node), false) = (&named.node, full) {
                let node = node.clone();
                learnt.push(Spot { node, path });
            }
            full
        });
        match listed {
            Ok(()) => {
                // The kernel knows them once it has the answer, and may forget them.
                let mut spots = locked(&self.spots);
                for spot in learnt {
                    spots.learn(spot);
                }
                drop(spots);
                reply.ok();
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        locked(&self.open).remove(&handle.0);
        reply.ok();
    }
}
