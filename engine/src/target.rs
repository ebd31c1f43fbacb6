//! Where a restore writes.
//!
//! The names come from a snapshot and may be hostile, and somebody else may be
//! changing the target at the same time. Why nothing outside of it is written:
//!
//! - No path is checked here, because one that would have to be refused can't be
//!   made: an [`EntryPath`] isn't absolute and holds neither `..` nor NUL.
//! - Every directory is opened from the target's descriptor without following
//!   any link and without leaving it (`beneath`), which is the second line of
//!   defence behind the path's type. Everything else is done to *one name* in a
//!   directory that is open, by calls that don't follow a link either. Renaming
//!   directories or planting links in the middle of a restore makes it fail; it
//!   can't lead it elsewhere.
//! - Owner, mode and time are set through the descriptor of what was created,
//!   never through its name.
//!
//! Why no truncated file stands under its final name: a file is written under a
//! temporary name, `.indelible-…`, mode 0600, and gets its own name by a rename
//! after all its bytes and its metadata are durable. The temporary name follows
//! from the file's, so that a run which died or stopped half-way can be taken up
//! (`left`); a run that does not take it up writes over it. A file with holes
//! never gets its own name, but the same with `.salvaged` behind.
//!
//! This module never follows a link below the target, never removes a
//! directory, and replaces a file or a link only when the policy says so, by a
//! rename, so that at every moment either the old or the new one is there.

mod beneath;
mod error;
mod file;
mod left;
mod metadata;
mod place;
mod room;
mod staged;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indelible_format::page::Metadata;
use indelible_format::path::EntryPath;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use self::beneath::Resolver;
pub use self::error::{Step, TargetError};
pub use self::file::{Flusher, TargetFile};
pub use self::left::{Left, StandingFile};
pub use self::metadata::NotApplied;
use self::place::{Place, UNFINISHED, is_like_ours};
pub use self::room::Room;
use self::staged::Staged;

/// The longest target of a link that Linux takes, in bytes.
const LINK_TARGET_BYTES_MAX: usize = 4095;

/// What a restore may do to what stands in the target already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Replace files and links, and give directories that were there the
    /// snapshot's metadata. Otherwise nothing that was there is changed, except
    /// that directories gain entries.
    pub overwrite: bool,
}

/// What stands at a path of the target, and how much an earlier run left there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is.
    pub kind: StandingKind,
    /// Space that the file takes which a run could take up, bytes.
    pub left_bytes: u64,
}

/// What stands at a path of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingKind {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// A file or a link, which overwriting replaces.
    Replaceable,
    /// Something else, or the way there leads through something else.
    InTheWay,
}

/// Whether [`TargetDir::make_directory`] had to make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new, and accessible to nobody else until it is finished.
    Created,
    /// A directory stood there and is used.
    Reused,
}

/// A directory that a restore fills. All paths are below it.
///
/// It may be shared by threads. Entries are created in the order that their
/// directories need: a directory first, then what is in it, and at the end
/// [`TargetDir::finish_directory`], the deepest first.
#[derive(Debug)]
pub struct TargetDir {
    shared: Arc<Shared>,
}

/// What the directory and its open files have in common.
#[derive(Debug)]
struct Shared {
    root: OwnedFd,
    resolver: Resolver,
    policy: Policy,
    /// Whether this is a restore that goes on with what an earlier one left.
    resumes: bool,
    name_seed: [u8; 32],
    names_drawn: AtomicU64,
    /// Directories with names that are not known to be durable; `None` is the
    /// target itself.
    unsynced: Mutex<BTreeSet<Option<EntryPath>>>,
    /// Directories that this restore made.
    made: Mutex<BTreeSet<EntryPath>>,
    /// Finished entries whose names look like those of unfinished ones, or of
    /// files with holes. None of them may be taken for one.
    given: Mutex<BTreeSet<EntryPath>>,
}

impl TargetDir {
    /// Opens the directory at `path`, which the user named: links in it are
    /// followed. With `create`, it and its parents are made, mode 0700.
    ///
    /// `name_seed` is fresh randomness, from which temporary names of links are
    /// made.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoTarget`] when it doesn't exist and isn't to be made;
    /// [`TargetError::Unusable`] when it can't be made or opened.
    pub fn open(
        path: &Path,
        policy: Policy,
        create: bool,
        name_seed: [u8; 32],
    ) -> Result<Self, TargetError> {
        if create {
            make_durably(path).map_err(|source| TargetError::Unusable {
                path: path.to_path_buf(),
                source,
            })?;
        }
        Self::open_to(path, policy, false, name_seed)
    }

    /// Opens the directory of a restore that ended early, to go on with it: what
    /// is there already counts as its own if it is what the snapshot has.
    /// Directories get their metadata as if they were new.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] with `create`.
    pub fn resume(path: &Path, policy: Policy, name_seed: [u8; 32]) -> Result<Self, TargetError> {
        make_durably(path).map_err(|source| TargetError::Unusable {
            path: path.to_path_buf(),
            source,
        })?;
        Self::open_to(path, policy, true, name_seed)
    }

    fn open_to(
        path: &Path,
        policy: Policy,
        resumes: bool,
        name_seed: [u8; 32],
    ) -> Result<Self, TargetError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOENT) => {
                return Err(TargetError::NoTarget {
                    path: path.to_path_buf(),
                });
            }
            Err(errno) => {
                return Err(TargetError::Unusable {
                    path: path.to_path_buf(),
                    source: errno.into(),
                });
            }
        };
        let shared = Shared {
            resolver: Resolver::probe(&root),
            root,
            policy,
            resumes,
            name_seed,
            names_drawn: AtomicU64::new(0),
            unsynced: Mutex::default(),
            made: Mutex::default(),
            given: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Makes the directory `path`, or uses the one that is there.
    ///
    /// A new one is writable until [`Self::finish_directory`] gives it its mode,
    /// so that one of mode 0555 can be filled. With `overwrite` one that is
    /// ours and was read-only is made writable for the same reason.
    ///
    /// # Errors
    ///
    /// [`TargetError::InTheWay`] when something else stands there, even with
    /// `overwrite`; [`TargetError::NoDirectory`] or [`TargetError::NotADirectory`]
    /// when its parent is missing or none; [`TargetError::Io`].
    pub fn make_directory(&self, path: &EntryPath) -> Result<Made, TargetError> {
        let place = self.shared.place(path)?;
        match rustix::fs::mkdirat(&place.parent, place.name(), Mode::RWXU) {
            Ok(()) => {
                self.shared.note_entry(&place);
                lock(&self.shared.made).insert(path.clone());
                Ok(Made::Created)
            }
            Err(Errno::EXIST) => {
                self.reuse_directory(&place)?;
                Ok(Made::Reused)
            }
            Err(errno) => Err(TargetError::io(Step::Create, path, errno)),
        }
    }

    fn reuse_directory(&self, place: &Place) -> Result<(), TargetError> {
        let stat = place.stat()?;
        if stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) != Some(FileType::Directory) {
            return Err(TargetError::InTheWay {
                path: place.path.clone(),
            });
        }
        let closed = |stat: &Stat| stat.st_mode & 0o700 != 0o700;
        let ours = |stat: &Stat| stat.st_uid == rustix::process::geteuid().as_raw();
        let ready = self.shared.policy.overwrite || self.shared.resumes;
        if ready && stat.is_some_and(|stat| closed(&stat) && ours(&stat)) {
            let fd = self.shared.open_directory(&place.path)?;
            let opened = |errno| TargetError::io(Step::SetMode, &place.path, errno);
            let stat = rustix::fs::fstat(&fd).map_err(opened)?;
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777) | Mode::RWXU;
            rustix::fs::fchmod(&fd, mode).map_err(opened)?;
        }
        Ok(())
    }

    /// Begins the file `path` under a temporary name in its directory.
    ///
    /// # Errors
    ///
    /// [`TargetError::Exists`] or [`TargetError::InTheWay`] as the policy
    /// decides, [`TargetError::NoDirectory`] or [`TargetError::NotADirectory`]
    /// when its directory is missing or none; [`TargetError::Io`].
    pub fn create_file(&self, path: &EntryPath) -> Result<TargetFile, TargetError> {
        let place = self.shared.place(path)?;
        // Said now rather than after a terabyte; decided by the rename.
        self.shared.may_take(&place)?;
        TargetFile::begin(Arc::clone(&self.shared), place)
    }

    /// Goes on with the file `path` where an earlier run left it, or begins it.
    /// What is there is neither trusted nor cut off: [`TargetFile::left`] tells
    /// whether it is right, and [`TargetFile::set_len`] cuts it.
    ///
    /// # Errors
    ///
    /// As [`Self::create_file`].
    pub fn resume_file(
        &self,
        path: &EntryPath,
        metadata: &Metadata,
    ) -> Result<TargetFile, TargetError> {
        let place = self.shared.place(path)?;
        self.shared.may_take(&place)?;
        TargetFile::resume(Arc::clone(&self.shared), place, metadata)
    }

    /// The file that stands at `path` already, if it has this size and can be
    /// one that an earlier run finished.
    ///
    /// # Errors
    ///
    /// [`TargetError::NoDirectory`] or [`TargetError::NotADirectory`] when its
    /// directory is missing or none; [`TargetError::Io`].
    pub fn standing_file(
        &self,
        path: &EntryPath,
        size_bytes: u64,
        metadata: &Metadata,
    ) -> Result<Option<StandingFile>, TargetError> {
        let place = self.shared.place(path)?;
        let shared = Arc::clone(&self.shared);
        Ok(StandingFile::open(shared, place, size_bytes, metadata))
    }

    /// What stands at `path`. Nothing is changed.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`].
    pub fn standing(&self, path: &EntryPath) -> Result<Standing, TargetError> {
        let alone = |kind| {
            Ok(Standing {
                kind,
                left_bytes: 0,
            })
        };
        match self.shared.place(path) {
            Ok(place) => place.standing(),
            Err(TargetError::NoDirectory { .. }) => alone(StandingKind::Nothing),
            Err(TargetError::NotADirectory { .. }) => alone(StandingKind::InTheWay),
            Err(error) => Err(error),
        }
    }

    /// Makes the link `path`. What `target` points to is neither looked at nor
    /// judged, because nothing here follows a link.
    ///
    /// # Errors
    ///
    /// As [`Self::create_file`]; [`TargetError::BadLinkTarget`] when no link can
    /// have that target.
    pub fn make_symlink(
        &self,
        path: &EntryPath,
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<Vec<NotApplied>, TargetError> {
        if target.is_empty() || target.len() > LINK_TARGET_BYTES_MAX || target.contains(&0) {
            return Err(TargetError::BadLinkTarget { path: path.clone() });
        }
        let place = self.shared.place(path)?;
        if self.shared.resumes
            && let Some(not_applied) = place.standing_symlink(target, metadata)?
        {
            self.shared.note_entry(&place);
            return Ok(not_applied);
        }
        self.shared.may_take(&place)?;
        let staged = Staged::create_symlink(Arc::clone(&self.shared), place, target)?;
        let not_applied = staged.apply_to_symlink(metadata)?;
        staged.take_name()?;
        Ok(not_applied)
    }

    /// Gives a directory its metadata, after everything in it was finished, and
    /// makes it and its entries durable.
    ///
    /// Without `overwrite`, a directory that this restore didn't make keeps
    /// what it had, which is reported.
    ///
    /// # Errors
    ///
    /// [`TargetError::NotADirectory`] or [`TargetError::NoDirectory`] when it is
    /// not there any more; [`TargetError::BadTime`]; [`TargetError::Io`].
    pub fn finish_directory(
        &self,
        path: &EntryPath,
        metadata: &Metadata,
    ) -> Result<Vec<NotApplied>, TargetError> {
        let fd = self.shared.open_directory(path)?;
        let made = lock(&self.shared.made).contains(path);
        let not_applied = if made || self.shared.policy.overwrite || self.shared.resumes {
            metadata::apply(fd.as_fd(), path, metadata)?
        } else {
            vec![NotApplied::DirectoryKept { path: path.clone() }]
        };
        rustix::fs::fsync(&fd).map_err(|errno| TargetError::io(Step::Sync, path, errno))?;
        lock(&self.shared.unsynced).remove(&Some(path.clone()));
        Ok(not_applied)
    }

    /// Makes the names in every directory durable that was not finished.
    ///
    /// It ends the restore, since a failure can't be made up for: the kernel may
    /// have dropped what it could not write, and a second try would succeed.
    ///
    /// # Errors
    ///
    /// [`TargetError::Io`] or [`TargetError::Root`], or an error about a directory
    /// that is gone. The restore then is not known to survive a crash.
    pub fn sync(self) -> Result<(), TargetError> {
        let directories = std::mem::take(&mut *lock(&self.shared.unsynced));
        for directory in directories {
            match directory {
                None => rustix::fs::fsync(&self.shared.root)
                    .map_err(|errno| TargetError::root(Step::Sync, errno))?,
                Some(path) => rustix::fs::fsync(self.shared.open_directory(&path)?)
                    .map_err(|errno| TargetError::io(Step::Sync, &path, errno))?,
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Opens the directory that `path` stands in.
    fn place(&self, path: &EntryPath) -> Result<Place, TargetError> {
        let directory = path.parent();
        let below = directory.as_ref().map_or(&b""[..], EntryPath::as_bytes);
        let parent = self
            .resolver
            .open_directory(&self.root, below, OFlags::PATH)
            .map_err(|errno| match &directory {
                None => TargetError::root(Step::Open, errno),
                Some(directory) => TargetError::from_resolving(directory, errno),
            })?;
        Ok(Place {
            path: path.clone(),
            directory,
            parent,
        })
    }

    /// Opens the directory `path` so that it can be changed and synced.
    fn open_directory(&self, path: &EntryPath) -> Result<OwnedFd, TargetError> {
        self.resolver
            .open_directory(&self.root, path.as_bytes(), OFlags::RDONLY)
            .map_err(|errno| TargetError::from_resolving(path, errno))
    }

    /// Whether the policy lets a file or a link take this place.
    fn may_take(&self, place: &Place) -> Result<(), TargetError> {
        let Some(stat) = place.stat()? else {
            return Ok(());
        };
        let path = place.path.clone();
        if self.gave(place, place.name()) {
            return Err(TargetError::Exists { path });
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink if self.policy.overwrite => Ok(()),
            FileType::RegularFile | FileType::Symlink => Err(TargetError::Exists { path }),
            _ => Err(TargetError::InTheWay { path }),
        }
    }

    /// An entry stands under its name.
    fn note_entry(&self, place: &Place) {
        if is_like_ours(place.name()) {
            lock(&self.given).insert(place.path.clone());
        }
        let mut unsynced = lock(&self.unsynced);
        if !unsynced.contains(&place.directory) {
            unsynced.insert(place.directory.clone());
        }
    }

    /// Whether this restore finished an entry with this name beside `place`.
    fn gave(&self, place: &Place, name: &[u8]) -> bool {
        is_like_ours(name)
            && place
                .sibling(name)
                .is_ok_and(|path| lock(&self.given).contains(&path))
    }

    /// A name that nobody can have foreseen, so that nobody can have taken it.
    fn unforeseen_name(&self) -> String {
        let number = self.names_drawn.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.name_seed, &number.to_le_bytes());
        format!("{UNFINISHED}{}", &hash.to_hex()[..32])
    }
}

/// Makes `path` and its missing parents, each durable in its own parent.
fn make_durably(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    make_durably(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Somebody else made it, or it is no directory, which opening will say.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::File::open(parent)?.sync_all(),
    }
}

fn lock<T>(set: &Mutex<BTreeSet<T>>) -> MutexGuard<'_, BTreeSet<T>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
