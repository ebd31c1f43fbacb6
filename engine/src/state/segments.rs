//! The files of a writer's index: where they lie, and how they come and go.
//!
//! Each is called a segment, is written once, and is never changed. It gets its
//! name, which its content decides, when it is whole and synced, so a crash
//! leaves it whole or not at all. There is no list of them: those that are there
//! are the index. So a run that dies between adding a segment and removing the
//! ones that it replaces leaves more than is needed, and never less.
//!
//! Nobody waits here. A run that would tidy up tries for the turn and goes without
//! if another has it; one that holds a segment open can read it after it was
//! removed. An unfinished file is locked while its writer lives: one that is not
//! was left by a run that died, and whoever has the turn removes it.
//!
//! Nothing here is believed or checked: what a segment says is the index's affair.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use indelible_format::ids::{DomainId, RepositoryId};

use super::{RepositoryState, StateError, create_locked, failed, make_dir, staged, try_lock};

/// How often the files are listed anew because one went in between.
const LISTINGS_MAX: u32 = 5;

/// The segments of a domain.
#[derive(Debug, Clone)]
pub struct Segments {
    dir: PathBuf,
    repository: RepositoryId,
    domain: DomainId,
}

/// Names a segment: a hash of what it holds.
pub type SegmentName = [u8; 32];

/// A segment, open to be read.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    file: File,
}

/// A segment while it is written.
#[derive(Debug)]
pub struct SegmentDraft {
    path: PathBuf,
    file: File,
}

/// The right to replace and remove segments, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl RepositoryState {
    /// The segments of a domain. Their directory is made with the first of them.
    pub fn segments(&self, domain: &DomainId) -> Segments {
        Segments {
            dir: self.root.join("index").join(domain.to_string()),
            repository: self.id,
            domain: *domain,
        }
    }
}

impl Segments {
    /// The repository that they are about.
    pub fn repository(&self) -> &RepositoryId {
        &self.repository
    }

    /// The domain that they are about.
    pub fn domain(&self) -> &DomainId {
        &self.domain
    }

    /// Every segment that can be opened. One that goes while they are listed was
    /// replaced by another, so they are listed anew.
    pub fn open_all(&self) -> Vec<SegmentFile> {
        let mut opened = Vec::new();
        for _ in 0..LISTINGS_MAX {
            opened.clear();
            let mut gone = false;
            for path in self.paths(is_segment) {
                match File::open(&path) {
                    Ok(file) => opened.push(SegmentFile { path, file }),
                    Err(error) => gone |= error.kind() == io::ErrorKind::NotFound,
                }
            }
            if !gone {
                break;
            }
        }
        opened
    }

    /// The turn, unless another run has it. What dead runs left unfinished is
    /// removed.
    pub fn try_turn(&self) -> Option<Turn> {
        let lock = try_lock(&self.dir.join("lock"))?;
        for path in self.paths(|path| path.extension().is_some_and(|end| end == "tmp")) {
            let dead = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if dead {
                let _ = fs::remove_file(&path);
            }
        }
        Some(Turn { _lock: lock })
    }

    /// Begins a segment.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn begin(&self) -> Result<SegmentDraft, StateError> {
        make_dir(&self.dir)?;
        let path = staged(&self.dir.join("segment"));
        let file = create_locked(&path)?;
        Ok(SegmentDraft { path, file })
    }

    fn paths(&self, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| wanted(path)).collect()
    }
}

fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl SegmentDraft {
    /// Writes more of it.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        self.file
            .write_all(bytes)
            .map_err(failed("write", &self.path))
    }

    /// Syncs it and gives it its name.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn keep(self, name: &SegmentName) -> Result<SegmentFile, StateError> {
        self.file.sync_data().map_err(failed("sync", &self.path))?;
        let hex = blake3::Hash::from_bytes(*name).to_hex();
        let path = self.path.with_file_name(hex.as_str());
        fs::rename(&self.path, &path).map_err(failed("rename into place", &path))?;
        Ok(SegmentFile {
            path,
            file: self.file,
        })
    }
}

impl SegmentFile {
    /// Its length, bytes.
    ///
    /// # Errors
    ///
    /// What the system answered.
    pub fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Fills the buffer from this offset on.
    ///
    /// # Errors
    ///
    /// What the system answered, or that the file ends earlier.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Whether both are one file.
    pub fn is(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// Removes its name: a later run finds it no more. Whoever has it open reads
    /// on.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
