//! A directory beneath a local store, whose system calls are recorded and can
//! be made to fail.

use std::cell::Cell;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use indelible_engine::env::OsEntropy;
use indelible_engine::store::local::files::{EachName, FileStat, Files, RealFiles};
use indelible_engine::store::{AppendStore as _, LocalStore};

/// What a fault does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call fails and has done nothing.
    Refused(io::ErrorKind),
    /// The call is done and its answer is lost.
    AnswerLost(io::ErrorKind),
}

/// Real files that keep a record of calls, and let some of them fail.
pub(super) struct Scripted {
    files: RealFiles,
    calls: Mutex<Vec<String>>,
    /// The call's beginning, its fault, and how often it still strikes.
    faults: Mutex<Vec<(&'static str, Fault, u32)>>,
}

impl Scripted {
    /// Records a call and runs it, unless a fault says otherwise.
    fn call<T>(&self, call: String, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut faults = self.faults.lock().expect("no panic before");
        let fault = faults
            .iter_mut()
            .find(|(begin, _, left)| *left > 0 && call.starts_with(begin))
            .map(|(_, fault, left)| {
                *left -= 1;
                *fault
            });
        drop(faults);
        self.calls.lock().expect("no panic before").push(call);
        match fault {
            Some(Fault::Refused(kind)) => Err(kind.into()),
            Some(Fault::AnswerLost(kind)) => run().and(Err(kind.into())),
            None => run(),
        }
    }

    /// The calls since it was last asked.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("no panic before"))
    }

    /// Lets the next calls that begin so fail.
    pub(super) fn fail(&self, begin: &'static str, fault: Fault, times: u32) {
        self.faults
            .lock()
            .expect("no panic before")
            .push((begin, fault, times));
    }
}

/// `tmp/<32 digits>` as `tmp/*`.
fn shown(path: &str) -> &str {
    if path.starts_with("tmp/") {
        "tmp/*"
    } else {
        path
    }
}

/// A file whose first call is interrupted, and whose calls do little at once.
pub(super) struct ScriptedFile {
    file: <RealFiles as Files>::File,
    path: String,
    interrupted: Cell<bool>,
}

impl ScriptedFile {
    fn new(path: &str, file: <RealFiles as Files>::File) -> Self {
        Self {
            file,
            path: path.to_owned(),
            interrupted: Cell::new(false),
        }
    }

    /// Every first call is interrupted.
    fn interrupt(&self) -> io::Result<()> {
        if self.interrupted.replace(true) {
            Ok(())
        } else {
            Err(io::ErrorKind::Interrupted.into())
        }
    }
}

impl Files for &Scripted {
    type File = ScriptedFile;

    fn create_new(&self, path: &str) -> io::Result<ScriptedFile> {
        let file = self.call(format!("create {}", shown(path)), || {
            self.files.create_new(path)
        })?;
        Ok(ScriptedFile::new(path, file))
    }

    // At most three bytes at once.
    fn write(&self, file: &mut ScriptedFile, bytes: &[u8]) -> io::Result<usize> {
        file.interrupt()?;
        let written = &bytes[..bytes.len().min(3)];
        self.call(format!("write {}", shown(&file.path)), || {
            self.files.write(&mut file.file, written)
        })
    }

    fn fsync(&self, file: &ScriptedFile) -> io::Result<()> {
        self.call(format!("fsync {}", shown(&file.path)), || {
            self.files.fsync(&file.file)
        })
    }

    fn open(&self, path: &str) -> io::Result<ScriptedFile> {
        Ok(ScriptedFile::new(
            path,
            self.call(format!("open {path}"), || self.files.open(path))?,
        ))
    }

    // At most two bytes at once.
    fn read_at(&self, file: &ScriptedFile, out: &mut [u8], offset: u64) -> io::Result<usize> {
        file.interrupt()?;
        let len = out.len().min(2);
        self.files.read_at(&file.file, &mut out[..len], offset)
    }

    fn stat_open(&self, file: &ScriptedFile) -> io::Result<FileStat> {
        self.files.stat_open(&file.file)
    }

    fn stat(&self, path: &str) -> io::Result<FileStat> {
        self.files.stat(path)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.call(format!("link {} {to}", shown(from)), || {
            self.files.link(from, to)
        })
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.call(format!("unlink {}", shown(path)), || {
            self.files.unlink(path)
        })
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        self.call(format!("mkdir {path}"), || self.files.mkdir(path))
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        self.call(format!("fsync_dir {path}"), || self.files.fsync_dir(path))
    }

    fn list(&self, path: &str, each: &mut EachName<'_>) -> io::Result<()> {
        self.call(format!("list {path}"), || self.files.list(path, each))
    }
}

/// A directory whose calls are scripted, and what opens stores in it.
pub(super) struct Stage {
    pub(super) scripted: Scripted,
    root: tempfile::TempDir,
}

impl Stage {
    /// An empty store, prepared, whose record is empty too.
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let files = RealFiles::open(root.path()).expect("it exists");
        let scripted = Scripted {
            files,
            calls: Mutex::default(),
            faults: Mutex::default(),
        };
        let stage = Self { scripted, root };
        stage.open().prepare().expect("it is writable");
        stage.scripted.taken();
        stage
    }

    /// A store as a new process would open it.
    pub(super) fn open(&self) -> LocalStore<&Scripted> {
        LocalStore::with_files(&self.scripted, "a test".to_owned(), Arc::new(OsEntropy))
    }

    /// How many files lie in the staging directory.
    pub(super) fn staged(&self) -> usize {
        let staged = fs::read_dir(self.root.path().join("tmp")).expect("it is there");
        staged.count()
    }

    /// Whether something stands under a path of the store.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.path().join(path).exists()
    }
}
