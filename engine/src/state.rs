//! What a client keeps to itself: which repository stood where, the log that it
//! saw, which of its entries were rightly signed, what was sealed in them, packs
//! of runs that died, and copies of pack directories and, if they are wanted, of packs.
//!
//! Losing all of it loses no data: a client then can't tell a rollback that
//! happened before, and reads and computes more once. What it holds is trusted
//! as far as the machine is, and no further than it must be: directory copies are
//! opened and checked like those in the store, journalled packs are hashed before
//! they are adopted, and what was sealed stays so under the reader's own key.
//!
//! Every file is written under another name, synced, and renamed into place, so
//! a crash leaves the old or the new one. Writers of one state take turns by a
//! lock on the repository's directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_format::ids::{LogHash, PackId, RepositoryId};

use crate::pin::{Accepted, PIN_BYTES_MAX};

mod chunk_lists;
mod journal;
mod locks;
mod log_objects;
mod opened;
mod pack_copies;
mod segments;
mod signed;

pub use chunk_lists::{
    ANCHOR_BYTES, ChunkLists, ListFile, ListPart, ListWriter, ListedChunk, StreamList, anchor,
};
pub use journal::{Journal, JournalledPack};
pub use opened::OPENED_BYTES_MAX;
pub use pack_copies::{PackCopies, Room};
pub use segments::{SegmentDraft, SegmentFile, SegmentName, Segments, Turn};

pub(crate) use log_objects::LogCopies;

const LOG_MAGIC: &[u8] = b"INDLPIN1";

/// Why the state can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A file of the state is not what this program wrote.
    #[error("{} is damaged; if you remove it, this machine forgets what it knew of the repository", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StateError + use<'a> {
    move |source| StateError::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}

/// The directory in which a client keeps what it knows.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Uses the directory, and makes it if it is absent.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] where it can't be made or written to.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StateError> {
        let root = root.into();
        make_dir(&root.join("locations"))?;
        Ok(Self { root })
    }

    /// The repository that was seen at a location before, if one was.
    ///
    /// # Errors
    ///
    /// [`StateError`] where that is not to be found out.
    pub fn repository_at(&self, location: &str) -> Result<Option<RepositoryId>, StateError> {
        let path = self.location_file(location);
        let Some(bytes) = read_file(&path, 256)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.strip_suffix('\n'));
        match text.and_then(RepositoryId::from_hex) {
            Some(id) => Ok(Some(id)),
            None => Err(StateError::Damaged { path }),
        }
    }

    /// Remembers which repository stands at a location.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn remember_location(
        &self,
        location: &str,
        repository: &RepositoryId,
    ) -> Result<(), StateError> {
        if self.repository_at(location)?.as_ref() == Some(repository) {
            return Ok(());
        }
        write_file(
            &self.location_file(location),
            format!("{repository}\n").as_bytes(),
        )
    }

    fn location_file(&self, location: &str) -> PathBuf {
        self.root
            .join("locations")
            .join(blake3::hash(location.as_bytes()).to_hex().as_str())
    }

    /// The part of the state that is about one repository. Its directory is made
    /// when something is first kept in it, so that what is remembered can be read
    /// where nothing can be written.
    pub fn repository(&self, id: &RepositoryId) -> RepositoryState {
        RepositoryState {
            root: self.root.join(id.to_string()),
            id: *id,
        }
    }
}

/// What a client keeps of one repository.
#[derive(Debug, Clone)]
pub struct RepositoryState {
    root: PathBuf,
    id: RepositoryId,
}

impl RepositoryState {
    /// The leaves of the log as it was last seen; empty if it never was.
    ///
    /// # Errors
    ///
    /// [`StateError`] where they can't be read.
    pub fn leaves(&self) -> Result<Vec<LogHash>, StateError> {
        let path = self.root.join("log");
        let Some(bytes) = read_file(&path, u64::MAX)? else {
            return Ok(Vec::new());
        };
        let damaged = || StateError::Damaged { path: path.clone() };
        let (content, hash) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
        let leaves = content
            .strip_prefix(LOG_MAGIC)
            .and_then(|rest| rest.strip_prefix(&self.id.0[..]));
        let (leaves, rest) = leaves.ok_or_else(damaged)?.as_chunks::<32>();
        if blake3::hash(content) != *hash || !rest.is_empty() {
            return Err(damaged());
        }
        Ok(leaves.iter().map(|leaf| LogHash(*leaf)).collect())
    }

    /// Remembers the leaves if they extend what is remembered. A fork is thus
    /// told every time, until somebody removes the state; and whoever looked
    /// longer ago forgets nothing that another run saw since.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub fn remember(&self, leaves: &[LogHash]) -> Result<(), StateError> {
        let _turn = self.lock()?;
        let known = self.leaves()?;
        if leaves.len() == known.len() || !leaves.starts_with(&known) {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(72 + leaves.len() * 32);
        bytes.extend_from_slice(LOG_MAGIC);
        bytes.extend_from_slice(&self.id.0);
        for leaf in leaves {
            bytes.extend_from_slice(&leaf.0);
        }
        bytes.extend_from_slice(blake3::hash(&bytes).as_bytes());
        write_file(&self.root.join("log"), &bytes)
    }

    /// The junk in its log that somebody looked at. What can't be read counts as
    /// none: such junk is reported again, which is the safe side.
    pub fn accepted(&self) -> Accepted {
        let bytes = read_file(&self.accepted_file(), PIN_BYTES_MAX as u64);
        let text = bytes.ok().flatten().map(String::from_utf8);
        text.and_then(Result::ok)
            .and_then(|text| Accepted::parse(&text).ok())
            .unwrap_or_default()
    }

    /// Keeps what somebody looked at, beside what was before.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn accept(&self, junk: &Accepted) -> Result<(), StateError> {
        let _turn = self.lock()?;
        let mut accepted = self.accepted();
        accepted.add(junk);
        write_file(&self.accepted_file(), accepted.to_text().as_bytes())
    }

    fn accepted_file(&self) -> PathBuf {
        self.root.join("accepted")
    }

    fn lock(&self) -> Result<File, StateError> {
        make_dir(&self.root)?;
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = file.map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(file)
    }

    /// A copy of a pack's header and sealed directory, as
    /// [`keep_directory`](Self::keep_directory) got it. Unchecked.
    pub fn directory(&self, pack: &PackId) -> Option<Vec<u8>> {
        read_file(
            &self.directory_file(pack),
            indelible_format::limits::PACK_BYTES_MAX as u64,
        )
        .ok()
        .flatten()
    }

    /// Keeps a copy of a pack's header and sealed directory. A copy that can't
    /// be kept is not missed.
    pub fn keep_directory(&self, pack: &PackId, bytes: &[u8]) {
        let path = self.directory_file(pack);
        let made = path.parent().map(make_dir);
        if matches!(made, Some(Ok(()))) {
            let _ = write_unsynced(&path, bytes);
        }
    }

    fn directory_file(&self, pack: &PackId) -> PathBuf {
        let name = pack.to_string();
        self.root.join("directories").join(&name[..2]).join(name)
    }
}

fn make_dir(path: &Path) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed("make the directory", path))
}

/// Creates a file that is locked for as long as it is open, so that others can tell
/// whether who writes it lives.
///
/// It fails where another has locked it since it was created, taking it for what a
/// dead run left; waiting for that would be waiting for a whole snapshot.
fn create_locked(path: &Path) -> Result<File, StateError> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.try_lock()
        .map_err(|error| failed("lock", path)(error.into()))?;
    Ok(file)
}

/// A lock on a file that is made for it, unless another has it.
fn try_lock(path: &Path) -> Option<File> {
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .ok()?;
    lock.try_lock().ok()?;
    Some(lock)
}

/// The file's bytes, or `None` if there is no file. A longer one is damaged.
fn read_file(path: &Path, most: u64) -> Result<Option<Vec<u8>>, StateError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(failed("read", path))?;
    Ok(Some(bytes))
}

fn staged(path: &Path) -> PathBuf {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let number = GIVEN.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{}-{number}.tmp", std::process::id()))
}

/// Writes a file under another name, which is then renamed into place.
fn stage(path: &Path, bytes: &[u8]) -> Result<(PathBuf, File), StateError> {
    let staged = staged(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&staged)
        .map_err(failed("create", &staged))?;
    file.write_all(bytes).map_err(failed("write", &staged))?;
    Ok((staged, file))
}

/// Replaces a file that is not missed if a crash loses it.
fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let (staged, _) = stage(path, bytes)?;
    fs::rename(&staged, path).map_err(failed("rename into place", path))
}

/// Replaces a file, durably.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let (staged, file) = stage(path, bytes)?;
    file.sync_all().map_err(failed("sync", &staged))?;
    fs::rename(&staged, path).map_err(failed("rename into place", path))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed("sync", dir))
}
