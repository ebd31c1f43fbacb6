//! The system calls of a local store, as a trait and for real.
//!
//! [`super::LocalStore`] reaches the disk only through [`Files`]. So a test can
//! record the order of the calls, let one fail, or put a simulated filesystem
//! beneath that forgets, at a power cut, everything that a legal one may forget.
//!
//! Why it is safe: a path is walked one component at a time from the root's
//! handle, and no component may be a symbolic link. Whoever can write to the
//! repository thus cannot lead a reader or a writer out of it. The handle also
//! keeps meaning the directory that was opened, whatever is renamed or mounted
//! over it later.
//!
//! Nothing here tries again: whether a call that failed may be repeated is for
//! the store to know. There is no rename and no truncation,
//! but of canaries.

mod attack;
mod retention;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use self::attack::Attack;
pub use self::retention::Retention;

/// What the umask may narrow further: an object is never written again, and
/// who may read it is the umask's choice.
const OBJECT_MODE: Mode =
    Mode::from_bits_truncate(Mode::RUSR.bits() | Mode::RGRP.bits() | Mode::ROTH.bits());

/// Likewise for directories.
const DIRECTORY_MODE: Mode =
    Mode::from_bits_truncate(Mode::RWXU.bits() | Mode::RWXG.bits() | Mode::RWXO.bits());

/// How a path that must be a directory is opened.
const OPEN_DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// How the system itself walks a path: below the root, through no link.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, a pipe or a socket.
    Other,
}

/// What is known of a name without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// What stands there.
    pub kind: Kind,
    /// The length of a regular file in bytes.
    pub size_bytes: u64,
}

/// The calls that a local store makes.
///
/// Paths are relative to the store's root, their components separated by `/`;
/// the empty path is the root. Each method is one attempt: it may be
/// interrupted, and [`Files::write`] and [`Files::read_at`] may do a part. Errors
/// are what the system answers, by their kinds.
#[allow(
    clippy::missing_errors_doc,
    reason = "the trait says it of every method"
)]
pub trait Files: Send + Sync {
    /// An open file.
    type File: Send;

    /// Creates a file for writing, readable as the umask allows and writable
    /// for nobody. Fails with `AlreadyExists` where the name is taken.
    fn create_new(&self, path: &str) -> io::Result<Self::File>;

    /// Appends some of the bytes and answers how many.
    fn write(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<usize>;

    /// Makes the file's bytes and length durable.
    fn fsync(&self, file: &Self::File) -> io::Result<()>;

    /// Opens for reading what is no symbolic link, without waiting for anyone.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Reads some bytes from `offset` and answers how many; none at the end.
    fn read_at(&self, file: &Self::File, out: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Inspects an open file.
    fn stat_open(&self, file: &Self::File) -> io::Result<FileStat>;

    /// Inspects a name, and not what a symbolic link there leads to.
    fn stat(&self, path: &str) -> io::Result<FileStat>;

    /// Enters the file `from` under the name `to` as well. Fails with
    /// `AlreadyExists` where that is taken, and never replaces.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name that is no directory's.
    fn unlink(&self, path: &str) -> io::Result<()>;

    /// Makes a directory. Fails with `AlreadyExists` where the name is taken.
    fn mkdir(&self, path: &str) -> io::Result<()>;

    /// Makes the entries of a directory durable.
    fn fsync_dir(&self, path: &str) -> io::Result<()>;

    /// Sets or clears the flag that keeps a file from being written, renamed, linked or
    /// removed, durably. `Unsupported` where there is no such flag.
    fn set_immutable(&self, _path: &str, _on: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether a file has that flag.
    fn is_immutable(&self, _path: &str) -> io::Result<bool> {
        Ok(false)
    }

    /// Creates a file as [`Files::create_new`] does, but writable for its owner until it is
    /// committed: a write-once filesystem commits what stops being writable, and nothing
    /// that never was.
    fn create_writable(&self, _path: &str) -> io::Result<Self::File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sets a file's access time, in seconds since 1970, and then takes its write bits, where
    /// it has some; durably. So a write-once filesystem is told to keep it until then.
    fn commit(&self, _path: &str, _until_s: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What [`Files::commit`] left of a file.
    fn retention(&self, _path: &str) -> io::Result<Retention> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Does to a canary what nobody should do to an object.
    fn attack(&self, _attack: Attack, _path: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a directory of canaries with what can be removed.
    fn clear_canaries(&self, _directory: &str) {}

    /// Removes a directory if nothing is in it.
    fn remove_empty(&self, _directory: &str) {}

    /// Calls `each` for every name in a directory but `.` and `..`, with the way
    /// to inspect it as [`Files::stat`] does.
    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()>;
}

/// What is called for a name in a directory that is listed.
pub type EachName<'a> = dyn FnMut(&OsStr, &dyn Fn() -> io::Result<FileStat>) + 'a;

/// The files below a directory of this machine.
#[derive(Debug)]
pub struct RealFiles {
    root: OwnedFd,
}

impl RealFiles {
    /// Takes an existing directory as the root. The path itself may lead
    /// through symbolic links: it is the user's, not the repository's.
    ///
    /// # Errors
    ///
    /// `NotFound` and `NotADirectory` among what the system answers.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::openat(CWD, root, flags, Mode::empty())?,
        })
    }

    /// Makes the directory, and those above it that are missing, durably; then
    /// takes it as the root. One that exists is taken as it is.
    ///
    /// # Errors
    ///
    /// As for [`RealFiles::open`].
    pub fn create(root: &Path) -> io::Result<Self> {
        let mut missing = vec![root];
        for ancestor in root.ancestors().skip(1) {
            if ancestor.as_os_str().is_empty() || ancestor.try_exists()? {
                break;
            }
            missing.push(ancestor);
        }
        for directory in missing.into_iter().rev() {
            let made = rustix::fs::mkdirat(CWD, directory, DIRECTORY_MODE);
            // Whoever made one that exists may not have lived to sync it.
            let synced = sync_path(&parent_of(directory));
            match made {
                // The parent is not ours to read, so the root was made for us.
                Err(Errno::EXIST) if is_forbidden(&synced) => {}
                Ok(()) | Err(Errno::EXIST) => synced?,
                Err(error) => return Err(error.into()),
            }
        }
        Self::open(root)
    }

    /// Opens the directory that holds `path`, and answers the name in it.
    fn enter<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.directory(directory)?, name))
    }

    /// Creates a file that must not exist yet.
    fn create_file(&self, path: &str, mode: Mode) -> io::Result<OwnedFd> {
        let (directory, name) = self.enter(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(directory, name, flags, mode)?)
    }

    /// Opens a directory, one component after the other.
    fn directory(&self, path: &str) -> io::Result<OwnedFd> {
        let mut components = path.split('/').filter(|component| !component.is_empty());
        let first = components.next().unwrap_or(".");
        let mut at = rustix::fs::openat(&self.root, first, OPEN_DIRECTORY, Mode::empty())?;
        for component in components {
            at = rustix::fs::openat(&at, component, OPEN_DIRECTORY, Mode::empty())?;
        }
        Ok(at)
    }
}

/// The directory that holds `path`.
fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether the system forbids it to this user.
fn is_forbidden(answer: &io::Result<()>) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// Makes the entries of a directory outside the root durable.
fn sync_path(directory: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
    Ok(rustix::fs::fsync(directory)?)
}

/// What the system's answer says of a name.
fn file_stat(stat: &rustix::fs::Stat) -> FileStat {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    FileStat {
        kind,
        size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

fn flags_of(file: &OwnedFd) -> io::Result<IFlags> {
    rustix::fs::ioctl_getflags(file).map_err(flag_error)
}

/// Filesystems without flags answer in several ways.
fn flag_error(error: Errno) -> io::Error {
    match error {
        Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS => {
            io::ErrorKind::Unsupported.into()
        }
        error => error.into(),
    }
}

impl Files for RealFiles {
    type File = OwnedFd;

    fn create_new(&self, path: &str) -> io::Result<OwnedFd> {
        self.create_file(path, OBJECT_MODE)
    }

    fn create_writable(&self, path: &str) -> io::Result<OwnedFd> {
        self.create_file(path, OBJECT_MODE | Mode::WUSR)
    }

    fn write(&self, file: &mut OwnedFd, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(file, bytes)?)
    }

    fn fsync(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fsync(file)?)
    }

    fn open(&self, path: &str) -> io::Result<OwnedFd> {
        // A pipe planted under an object's name would block an open that waits.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // One call walks the path under the same rules. Where the system has no
        // such call, or it fails, the steps tell.
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), BENEATH) {
            Err(Errno::NOENT) => return Err(Errno::NOENT.into()),
            Err(_) => {}
            Ok(file) => return Ok(file),
        }
        let (directory, name) = self.enter(path)?;
        Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
    }

    fn read_at(&self, file: &OwnedFd, out: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pread(file, out, offset)?)
    }

    fn stat_open(&self, file: &OwnedFd) -> io::Result<FileStat> {
        Ok(file_stat(&rustix::fs::fstat(file)?))
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        let (directory, name) = self.enter(path)?;
        Ok(file_stat(&rustix::fs::statat(
            directory,
            name,
            AtFlags::SYMLINK_NOFOLLOW,
        )?))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_directory, from_name) = self.enter(from)?;
        let (to_directory, to_name) = self.enter(to)?;
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(
            from_directory,
            from_name,
            to_directory,
            to_name,
            flags,
        )?)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let (directory, name) = self.enter(path)?;
        Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        let (directory, name) = self.enter(path)?;
        Ok(rustix::fs::mkdirat(directory, name, DIRECTORY_MODE)?)
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.directory(path)?)?)
    }

    fn set_immutable(&self, path: &str, on: bool) -> io::Result<()> {
        let file = self.open(path)?;
        let mut flags = flags_of(&file)?;
        if flags.contains(IFlags::IMMUTABLE) == on {
            return Ok(());
        }
        flags.set(IFlags::IMMUTABLE, on);
        rustix::fs::ioctl_setflags(&file, flags).map_err(flag_error)?;
        Ok(rustix::fs::fsync(&file)?)
    }

    fn commit(&self, path: &str, until_s: u64) -> io::Result<()> {
        retention::commit(&self.open(path)?, until_s)
    }

    fn retention(&self, path: &str) -> io::Result<Retention> {
        retention::of(&self.open(path)?)
    }

    fn is_immutable(&self, path: &str) -> io::Result<bool> {
        match flags_of(&self.open(path)?) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(false),
            flags => Ok(flags?.contains(IFlags::IMMUTABLE)),
        }
    }

    fn attack(&self, attack: Attack, path: &str) -> io::Result<()> {
        self.carry_out(attack, path)
    }

    fn clear_canaries(&self, directory: &str) {
        let mut names = Vec::new();
        let _ = self.list(directory, &mut |name, _| {
            names.extend(name.to_str().map(|name| format!("{directory}/{name}")));
        });
        for path in names {
            let _ = self.set_immutable(&path, false);
            let _ = self.unlink(&path);
        }
        self.remove_empty(directory);
    }

    fn remove_empty(&self, directory: &str) {
        if let Ok((above, name)) = self.enter(directory) {
            let _ = rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR);
        }
    }

    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()> {
        let directory = self.directory(path)?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = || {
                let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(file_stat(&stat))
            };
            each(OsStr::from_bytes(name.to_bytes()), &stat);
        }
        Ok(())
    }
}
