//! Lets calls of a simulated filesystem fail.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use super::{SimulatedFile, SimulatedFiles};
use crate::store::local::files::{EachName, FileStat, Files};

/// A method of [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileCallKind {
    /// [`Files::create_new`].
    Create,
    /// [`Files::write`].
    Write,
    /// [`Files::fsync`].
    Sync,
    /// [`Files::open`].
    Open,
    /// [`Files::read_at`].
    Read,
    /// [`Files::stat_open`].
    StatOpen,
    /// [`Files::stat`].
    Stat,
    /// [`Files::link`].
    Link,
    /// [`Files::unlink`].
    Unlink,
    /// [`Files::mkdir`].
    MakeDirectory,
    /// [`Files::fsync_dir`].
    SyncDirectory,
    /// [`Files::list`].
    List,
}

impl FileCallKind {
    /// Whether it changes or syncs something.
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::Read | Self::StatOpen | Self::Stat | Self::List
        )
    }
}

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCall<'c> {
    /// How many calls were made before it.
    pub number: u64,
    /// Which method it is.
    pub kind: FileCallKind,
    /// On which name; of a link, the new one.
    pub path: &'c str,
}

/// In a few words, for a test that fails.
impl fmt::Display for FileCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call {}, {:?} '{}'", self.number, self.kind, self.path)
    }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFate {
    /// It is done.
    Done,
    /// It fails and has done nothing. A sync that fails forsakes what it was to
    /// make durable.
    Fails(Errno),
    /// It is done, and fails all the same: over a network the first answer was
    /// lost.
    AnswerLost(Errno),
    /// Of a write or a read, only the first half is done, a byte at least.
    /// Others are done.
    Short,
}

/// A simulated filesystem whose calls a test decides.
pub struct FaultyFiles<'a> {
    files: &'a SimulatedFiles,
    decide: Box<dyn Fn(&FileCall<'_>) -> FileFate + Send + Sync + 'a>,
    calls: AtomicU64,
}

impl<'a> FaultyFiles<'a> {
    /// Stands in front of a filesystem. `decide` is asked before each call, and
    /// may itself use the filesystem behind: so it is another process that comes
    /// first.
    pub fn new(
        files: &'a SimulatedFiles,
        decide: impl Fn(&FileCall<'_>) -> FileFate + Send + Sync + 'a,
    ) -> Self {
        Self {
            files,
            decide: Box::new(decide),
            calls: AtomicU64::new(0),
        }
    }

    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn fate(&self, kind: FileCallKind, path: &str) -> FileFate {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        (self.decide)(&FileCall { number, kind, path })
    }

    /// Makes a call as it is decided.
    fn call<T>(
        &self,
        kind: FileCallKind,
        path: &str,
        run: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self.fate(kind, path) {
            FileFate::Done | FileFate::Short => run(),
            FileFate::Fails(errno) => Err(errno.into()),
            FileFate::AnswerLost(errno) => run().and(Err(errno.into())),
        }
    }

    /// Makes a call that moves bytes, as it is decided.
    fn transfer(
        &self,
        kind: FileCallKind,
        path: &str,
        len: usize,
        run: impl FnOnce(usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match self.fate(kind, path) {
            FileFate::Done => run(len),
            FileFate::Short => run(len.div_ceil(2)),
            FileFate::Fails(errno) => Err(errno.into()),
            FileFate::AnswerLost(errno) => run(len).and(Err(errno.into())),
        }
    }

    /// Syncs as it is decided. `run` is told whether with success.
    fn sync(
        &self,
        kind: FileCallKind,
        path: &str,
        run: impl FnOnce(bool) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.fate(kind, path) {
            FileFate::Done | FileFate::Short => run(true),
            FileFate::Fails(errno) => run(false).and(Err(errno.into())),
            FileFate::AnswerLost(errno) => run(true).and(Err(errno.into())),
        }
    }
}

impl Files for &FaultyFiles<'_> {
    type File = SimulatedFile;

    fn create_new(&self, path: &str) -> io::Result<SimulatedFile> {
        self.call(FileCallKind::Create, path, || self.files.create_new(path))
    }

    fn write(&self, file: &mut SimulatedFile, bytes: &[u8]) -> io::Result<usize> {
        let path = file.path().to_owned();
        self.transfer(FileCallKind::Write, &path, bytes.len(), |len| {
            self.files.write(file, &bytes[..len])
        })
    }

    fn fsync(&self, file: &SimulatedFile) -> io::Result<()> {
        self.sync(FileCallKind::Sync, file.path(), |succeeds| {
            self.files.sync(file, succeeds)
        })
    }

    fn open(&self, path: &str) -> io::Result<SimulatedFile> {
        self.call(FileCallKind::Open, path, || self.files.open(path))
    }

    fn read_at(&self, file: &SimulatedFile, out: &mut [u8], offset: u64) -> io::Result<usize> {
        self.transfer(FileCallKind::Read, file.path(), out.len(), |len| {
            self.files.read_at(file, &mut out[..len], offset)
        })
    }

    fn stat_open(&self, file: &SimulatedFile) -> io::Result<FileStat> {
        self.call(FileCallKind::StatOpen, file.path(), || {
            self.files.stat_open(file)
        })
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        self.call(FileCallKind::Stat, path, || self.files.stat(path))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(FileCallKind::Link, to, || self.files.link(from, to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.call(FileCallKind::Unlink, path, || self.files.unlink(path))
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        self.call(FileCallKind::MakeDirectory, path, || self.files.mkdir(path))
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        self.sync(FileCallKind::SyncDirectory, path, |succeeds| {
            self.files.sync_directory(path, succeeds)
        })
    }

    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()> {
        let mut each = |name: &OsStr, stat: &dyn Fn() -> io::Result<FileStat>| {
            let path = format!("{path}/{}", name.to_string_lossy());
            each(name, &|| self.call(FileCallKind::Stat, &path, stat));
        };
        self.call(FileCallKind::List, path, || {
            self.files.list(path, &mut each)
        })
    }
}
