//! A write-once volume: a directory, mounted with the rules of SnapLock.
//!
//! A regular file is committed when its last write bit goes. From then on nobody writes
//! to it, gives it a write bit, an owner or another name, or has it kept for a shorter
//! time; until its access time nobody removes it. A file that was never writable is not
//! committed. A directory that is not empty keeps its name.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};
use indelible_engine::env::{Clock as _, SystemClock};
use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, UTIME_OMIT};

/// Nothing is remembered by the kernel.
const TTL: Duration = Duration::ZERO;

/// A volume that is mounted as long as this lives.
pub(crate) struct WormVolume {
    session: Option<BackgroundSession>,
}

impl WormVolume {
    /// Mounts a directory at another; both must be there.
    pub(crate) fn mount(behind: &Path, at: &Path) -> Self {
        let root = open_node(behind).expect("it is there");
        let volume = Volume {
            nodes: Mutex::new(HashMap::from([(INodeNo::ROOT.0, root)])),
            ..Volume::default()
        };
        let session = fuser::spawn_mount(volume, at, &Config::default());
        Self {
            session: Some(session.expect("root may mount")),
        }
    }
}

impl Drop for WormVolume {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

#[derive(Default)]
struct Volume {
    /// What the kernel knows, open without a way to read or write.
    nodes: Mutex<HashMap<u64, File>>,
    /// What was opened.
    open: Mutex<HashMap<u64, File>>,
    committed: Mutex<HashSet<u64>>,
}

fn open_node(path: &Path) -> io::Result<File> {
    let flags = (OFlags::PATH | OFlags::NOFOLLOW).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attr_of(number: u64, metadata: &Metadata) -> FileAttr {
    let at = |seconds: i64, nanoseconds: i64| {
        let seconds = Duration::from_secs(seconds.try_into().unwrap_or(0));
        UNIX_EPOCH + seconds + Duration::from_nanos(nanoseconds.try_into().unwrap_or(0))
    };
    FileAttr {
        ino: INodeNo(number),
        size: metadata.size(),
        blocks: metadata.blocks(),
        atime: at(metadata.atime(), metadata.atime_nsec()),
        mtime: at(metadata.mtime(), metadata.mtime_nsec()),
        ctime: at(metadata.ctime(), metadata.ctime_nsec()),
        crtime: UNIX_EPOCH,
        kind: type_of(metadata),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: 1,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4_096,
        flags: 0,
    }
}

fn type_of(metadata: &Metadata) -> FileType {
    if metadata.is_dir() {
        FileType::Directory
    } else if metadata.is_file() {
        FileType::RegularFile
    } else {
        FileType::Symlink
    }
}

impl Volume {
    /// A path that leads to what the kernel knows under a number.
    fn path(&self, number: INodeNo) -> io::Result<PathBuf> {
        let nodes = lock(&self.nodes);
        let node = nodes.get(&number.0).ok_or(rustix::io::Errno::STALE)?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", node.as_raw_fd())))
    }

    fn metadata(&self, number: INodeNo) -> io::Result<Metadata> {
        fs::metadata(self.path(number)?)
    }

    /// Has the kernel know what a path leads to.
    fn learn(&self, path: &Path) -> io::Result<FileAttr> {
        let node = open_node(path)?;
        let metadata = node.metadata()?;
        let attr = attr_of(metadata.ino(), &metadata);
        lock(&self.nodes).entry(metadata.ino()).or_insert(node);
        Ok(attr)
    }

    fn is_committed(&self, metadata: &Metadata) -> bool {
        lock(&self.committed).contains(&metadata.ino())
    }

    /// Refuses to change what is committed.
    fn check_changed(&self, metadata: &Metadata) -> io::Result<()> {
        if self.is_committed(metadata) {
            return Err(rustix::io::Errno::ROFS.into());
        }
        Ok(())
    }

    /// Refuses to take a name from what is committed before its date.
    fn check_removed(&self, path: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let until_s = u64::try_from(metadata.atime()).unwrap_or(0);
        if self.is_committed(&metadata) && until_s * 1_000 > SystemClock::new().now_unix_ms() {
            return Err(rustix::io::Errno::ROFS.into());
        }
        Ok(())
    }

    fn keep_open(&self, file: File) -> FileHandle {
        let number = u64::try_from(file.as_raw_fd()).expect("it is open");
        lock(&self.open).insert(number, file);
        FileHandle(number)
    }

    fn with_open<T>(
        &self,
        handle: FileHandle,
        call: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        let open = lock(&self.open);
        call(open.get(&handle.0).ok_or(rustix::io::Errno::BADF)?)
    }

    fn change(&self, number: INodeNo, change: &Change) -> io::Result<FileAttr> {
        let (path, before) = (self.path(number)?, self.metadata(number)?);
        if self.is_committed(&before) {
            let adds = |mode: u32| mode & 0o222 != 0;
            let is_earlier = change.atime.is_some_and(|atime| atime < before.atime());
            if change.owner || change.mtime || change.mode.is_some_and(adds) || is_earlier {
                return Err(rustix::io::Errno::ACCESS.into());
            }
        }
        if let Some(size) = change.size {
            self.check_changed(&before)?;
            OpenOptions::new().write(true).open(&path)?.set_len(size)?;
        }
        if let Some(seconds) = change.atime {
            let omit = Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            };
            let times = Timestamps {
                last_access: Timespec {
                    tv_sec: seconds,
                    tv_nsec: 0,
                },
                last_modification: omit,
            };
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty())?;
        }
        if let Some(mode) = change.mode {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
            if before.is_file() && before.mode() & 0o222 != 0 && mode & 0o222 == 0 {
                lock(&self.committed).insert(before.ino());
            }
        }
        Ok(attr_of(number.0, &self.metadata(number)?))
    }

    fn open_file(&self, number: INodeNo, flags: OpenFlags) -> io::Result<FileHandle> {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        if writes {
            self.check_changed(&self.metadata(number)?)?;
        }
        // What reads the directory behind must not move the date.
        let quiet = OFlags::NOATIME.bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).write(writes).custom_flags(quiet);
        Ok(self.keep_open(options.open(self.path(number)?)?))
    }

    fn rename_file(&self, from: &Path, to: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        self.check_changed(&metadata)?;
        if metadata.is_dir() && fs::read_dir(from)?.next().is_some() {
            return Err(rustix::io::Errno::ACCESS.into());
        }
        match self.check_removed(to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            checked => checked?,
        }
        fs::rename(from, to)
    }

    fn names(&self, number: INodeNo) -> io::Result<Vec<(u64, FileType, PathBuf)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(number)?)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = PathBuf::from(entry.file_name());
            names.push((metadata.ino(), type_of(&metadata), name));
        }
        names.sort_by(|one, other| one.2.cmp(&other.2));
        Ok(names)
    }
}

/// What is to be changed of a file's metadata. Times are in seconds.
struct Change {
    mode: Option<u32>,
    owner: bool,
    size: Option<u64>,
    atime: Option<i64>,
    mtime: bool,
}

fn seconds_of(time: TimeOrNow) -> i64 {
    let seconds = match time {
        TimeOrNow::SpecificTime(time) => time.duration_since(UNIX_EPOCH).unwrap_or_default(),
        TimeOrNow::Now => Duration::from_millis(SystemClock::new().now_unix_ms()),
    };
    i64::try_from(seconds.as_secs()).expect("a time of ours")
}

/// Answers, with what was done or why it was not.
macro_rules! answer {
    ($reply:ident, $done:expr, $with:expr) => {
        match $done {
            Ok(done) => $with($reply, done),
            Err(error) => $reply.error(Errno::from(io::Error::from(error))),
        }
    };
}

fn entry(reply: ReplyEntry, attr: FileAttr) {
    reply.entry(&TTL, &attr, Generation(0));
}

fn ok(reply: ReplyEmpty, (): ()) {
    reply.ok();
}

impl Filesystem for Volume {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.path(parent).and_then(|at| self.learn(&at.join(name)));
        answer!(reply, found, entry);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.metadata(number), |reply: ReplyAttr, found| {
            reply.attr(&TTL, &attr_of(number.0, &found));
        });
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            mode,
            owner: uid.is_some() || gid.is_some(),
            size,
            atime: atime.map(seconds_of),
            mtime: mtime.is_some(),
        };
        let changed = self.change(number, &change);
        answer!(reply, changed, |reply: ReplyAttr, attr| reply
            .attr(&TTL, &attr));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let learnt = self.path(parent).and_then(|at| {
            fs::DirBuilder::new().mode(mode).create(at.join(name))?;
            self.learn(&at.join(name))
        });
        answer!(reply, learnt, entry);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.path(parent).and_then(|at| {
            self.check_removed(&at.join(name))?;
            fs::remove_file(at.join(name))
        });
        answer!(reply, removed, ok);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let at = self.path(parent);
        answer!(reply, at.and_then(|at| fs::remove_dir(at.join(name))), ok);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self.path(parent).and_then(|at| {
            let to = self.path(new_parent)?;
            self.rename_file(&at.join(name), &to.join(new_name))
        });
        answer!(reply, renamed, ok);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.metadata(number).and_then(|metadata| {
            self.check_changed(&metadata)?;
            let (from, to) = (self.path(number)?, self.path(parent)?.join(name));
            rustix::fs::linkat(CWD, from, CWD, &to, AtFlags::SYMLINK_FOLLOW)?;
            self.learn(&to)
        });
        answer!(reply, linked, entry);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.open_file(number, flags);
        answer!(reply, opened, |reply: ReplyOpen, handle| reply
            .opened(handle, FopenFlags::empty()));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let created = self.path(parent).and_then(|at| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(mode);
            let file = options.open(at.join(name))?;
            Ok((self.learn(&at.join(name))?, self.keep_open(file)))
        });
        answer!(reply, created, |reply: ReplyCreate, (attr, handle)| {
            reply.created(&TTL, &attr, Generation(0), handle, FopenFlags::empty());
        });
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
        let mut bytes = vec![0; size as usize];
        let read = self.with_open(handle, |file| {
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    more => filled += more,
                }
            }
            Ok(filled)
        });
        answer!(reply, read, |reply: ReplyData, read: usize| reply
            .data(&bytes[..read]));
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.metadata(number).and_then(|metadata| {
            // Also through a handle from before it was committed.
            self.check_changed(&metadata)?;
            self.with_open(handle, |file| file.write_all_at(bytes, offset))
        });
        answer!(reply, written, |reply: ReplyWrite, ()| {
            reply.written(u32::try_from(bytes.len()).expect("the kernel writes less"));
        });
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
        lock(&self.open).remove(&handle.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.names(number) {
            Ok(names) => {
                let first = usize::try_from(offset).expect("one that was given");
                for (at, (number, kind, name)) in names.iter().enumerate().skip(first) {
                    if reply.add(INodeNo(*number), at as u64 + 1, *kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(Errno::from(error)),
        }
    }
}
