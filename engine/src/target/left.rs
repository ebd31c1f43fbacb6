//! Files that an earlier run of a restore left: unfinished ones, which the next
//! run goes on with, and finished ones, which it need not write again.
//!
//! Nothing of them is trusted. Their bytes are compared with the snapshot by
//! whoever takes them up; what is made sure of here is that nobody else can
//! change a file once it was compared, and that no file is changed which is not
//! this restore's:
//!
//! - It is opened without following a link, and must be a regular file with one
//!   name, which therefore is not also the name of something elsewhere.
//! - It belongs to us, or to whom the snapshot gives it anyway; and nobody may
//!   write it who may not according to the snapshot.
//! - An unfinished one is locked while a run writes to it, so that two runs
//!   can't take up the same one. The lock ends with the process that holds it.
//!
//! What fails this stays as it is, and the file gets another name.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::metadata::{self, NotApplied};
use super::staged::{ATTEMPTS_MAX, Staged};
use super::{Place, Shared, Step, TargetError};

/// Permissions to write that are not the owner's.
const OTHERS_WRITE: u32 = 0o022;

/// What an earlier run left of a file. Threads may look at it while others write
/// to the file: each range is looked at before it is written.
#[derive(Clone, Debug)]
pub struct Left {
    pub(super) file: Arc<File>,
    /// How long it was, bytes.
    pub(super) len: u64,
}

impl Left {
    /// Whether the `len` bytes at an offset stand there, as far as `is` can tell.
    /// What can't be read does not.
    pub fn holds(&self, offset_bytes: u64, len: usize, is: &dyn Fn(&[u8]) -> bool) -> bool {
        let end = offset_bytes.checked_add(len as u64);
        if end.is_none_or(|end| end > self.len) {
            return false;
        }
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset_bytes).is_ok() && is(&bytes)
    }
}

/// A finished file that stands under its own name.
#[derive(Debug)]
pub struct StandingFile {
    shared: Arc<Shared>,
    place: Place,
    left: Left,
}

impl StandingFile {
    /// The file at `place`, if it has this length and can be this restore's.
    pub(super) fn open(
        shared: Arc<Shared>,
        place: Place,
        size_bytes: u64,
        metadata: &Metadata,
    ) -> Option<Self> {
        let (file, len) = open_ours(&place, place.name(), OFlags::RDONLY, metadata)?;
        let file = Arc::new(file);
        (len == size_bytes).then_some(Self {
            shared,
            place,
            left: Left { file, len },
        })
    }

    /// All its bytes, to be compared.
    pub fn left(&self) -> Left {
        self.left.clone()
    }

    /// Its path.
    pub fn path(&self) -> &EntryPath {
        &self.place.path
    }

    /// Gives it its metadata and makes it durable, its bytes being right.
    ///
    /// # Errors
    ///
    /// [`TargetError::BadTime`], [`TargetError::Io`]. The file stays.
    pub fn finish(self, metadata: &Metadata) -> Result<Vec<NotApplied>, TargetError> {
        let path = &self.place.path;
        let fd = self.left.file.as_fd();
        let not_applied = metadata::apply(fd, path, metadata)?;
        rustix::fs::fsync(fd).map_err(|errno| TargetError::io(Step::Sync, path, errno))?;
        self.shared.note_entry(&self.place);
        Ok(not_applied)
    }
}

/// An unfinished file, locked: a new one, or one that an earlier run left.
pub(super) struct Unfinished {
    pub(super) staged: Staged,
    pub(super) file: File,
    /// Length of what the earlier run left, bytes.
    pub(super) len: u64,
}

impl Unfinished {
    /// Takes up what an earlier run left of the file at `place`, holes or not, or
    /// begins a new one.
    pub(super) fn resume(
        shared: Arc<Shared>,
        place: Place,
        metadata: &Metadata,
    ) -> Result<Self, TargetError> {
        let unfinished = (0..ATTEMPTS_MAX).map(|attempt| place.unfinished(attempt));
        let salvaged = place.salvaged().ok();
        let salvaged = salvaged.map(|salvaged| salvaged.name().to_vec());
        for name in unfinished.chain(salvaged) {
            if let Some((file, len)) = adopt(&shared, &place, &name, metadata) {
                let staged = Staged::new(shared, place, name);
                return Ok(Self { staged, file, len });
            }
        }
        Self::begin(shared, place)
    }

    /// Begins a new file, where an earlier run left one from its beginning.
    pub(super) fn begin(shared: Arc<Shared>, place: Place) -> Result<Self, TargetError> {
        for attempt in 0..ATTEMPTS_MAX {
            let name = place.unfinished(attempt);
            if let Some(file) = begin_as(&shared, &place, &name)? {
                let staged = Staged::new(shared, place, name);
                let len = 0;
                return Ok(Self { staged, file, len });
            }
        }
        Err(TargetError::io(Step::Create, &place.path, Errno::EXIST))
    }
}

/// An empty, locked file under a temporary name, unless the name is taken.
fn begin_as(shared: &Shared, place: &Place, name: &[u8]) -> Result<Option<File>, TargetError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::openat(&place.parent, name, flags, mode) {
        Ok(fd) => {
            let file = File::from(fd);
            // Without locks a run has the file to itself for as long as no other
            // one takes up what it finds, which it does under a lock only.
            let free = locks(&file).unwrap_or(true) && stands_as(&file, place, name);
            Ok(free.then_some(file))
        }
        Err(Errno::EXIST) => {
            let Some((file, _)) = adopt(shared, place, name, &our_metadata()) else {
                return Ok(None);
            };
            let emptied = file.set_len(0);
            emptied.map_err(|source| TargetError::io(Step::Write, &place.path, source))?;
            Ok(Some(file))
        }
        Err(errno) => Err(TargetError::io(Step::Create, &place.path, errno)),
    }
}

/// Metadata that gives a file to nobody but us.
fn our_metadata() -> Metadata {
    Metadata {
        mode: 0o600,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime_s: 0,
        mtime_ns: 0,
    }
}

/// Opens and locks an unfinished file that an earlier run left, and closes it to
/// others.
fn adopt(shared: &Shared, place: &Place, name: &[u8], metadata: &Metadata) -> Option<(File, u64)> {
    // An entry of this very snapshot may have such a name.
    if shared.gave(place, name) {
        return None;
    }
    let (file, len) = open_ours(place, name, OFlags::RDWR, metadata)?;
    let free = locks(&file) == Some(true) && stands_as(&file, place, name);
    let closed = free && rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR).is_ok();
    closed.then_some((file, len))
}

/// Locks a file, unless another run has; nothing is known where the file system
/// has no locks.
fn locks(file: &File) -> Option<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Some(true),
        Err(Errno::WOULDBLOCK) => Some(false),
        Err(_) => None,
    }
}

/// Whether a file still has this name: another run may have finished it before
/// it was locked.
fn stands_as(file: &File, place: &Place, name: &[u8]) -> bool {
    let opened = rustix::fs::fstat(file);
    let named = rustix::fs::statat(&place.parent, name, AtFlags::SYMLINK_NOFOLLOW);
    opened.is_ok_and(|opened| {
        named.is_ok_and(|named| (opened.st_dev, opened.st_ino) == (named.st_dev, named.st_ino))
    })
}

/// Opens a regular file with its length, if it can be this restore's.
fn open_ours(
    place: &Place,
    name: &[u8],
    access: OFlags,
    metadata: &Metadata,
) -> Option<(File, u64)> {
    // Opening a pipe that somebody put there must not wait for its other end.
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&place.parent, name, flags, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let ours = regular && may_be_ours(&stat, metadata, OTHERS_WRITE & !metadata.mode);
    let len = u64::try_from(stat.st_size).ok()?;
    ours.then(|| (File::from(fd), len))
}

/// Whether something can be this restore's: it has one name, belongs to us or to
/// whom the snapshot gives it, and has none of the modes that are refused.
pub(super) fn may_be_ours(stat: &Stat, metadata: &Metadata, refused: u32) -> bool {
    let us = rustix::process::geteuid().as_raw();
    let owned = stat.st_uid == us || stat.st_uid == metadata.uid;
    owned && stat.st_nlink == 1 && stat.st_mode & refused == 0
}
