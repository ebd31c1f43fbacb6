//! Copies of packs, as they lie in the store, within a bound of bytes: so a store that
//! is slow, or takes money for reading, is asked once for a pack that new chunks lean on.
//!
//! A copy has the pack's own bytes, which are sealed, and nothing else. It counts only if
//! they have the hash that is the pack's name, which is looked at once a run; one that
//! has not is removed. So a copy that is gone, cut, spoilt or exchanged costs a read from
//! the store, and losing all of them loses nothing.
//!
//! Only a snapshot asks them, for what its chunks lean on, and only of packs that it
//! found in the store. A restore or a verification must not: what they say, they say of
//! the store, and a pack that is lost or damaged there would look whole.
//!
//! The copy that was used longest ago goes first; when that was, the time of its file's
//! last change says. A copy is written under another name and renamed. Who adds or
//! removes any holds a lock meanwhile and waits for nobody: without the lock a copy is
//! not kept. So what is unfinished when somebody has the lock, a dead run left.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use indelible_format::ids::PackId;
use indelible_format::limits::PACK_BYTES_MAX;

use super::{RepositoryState, make_dir, read_file, stage, try_lock};
use crate::env::Clock;

/// What may go to make room for a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Any other.
    OfAny,
    /// Those that nobody has used since this run began: so a run that needs more than
    /// there is room for does not replace one copy by the other and use none.
    OfUnused,
}

/// The copies of one repository's packs.
pub struct PackCopies {
    dir: PathBuf,
    bytes_max: u64,
    clock: Arc<dyn Clock>,
    began_ms: u64,
    /// Those that have the bytes of their names.
    right: Mutex<HashSet<PackId>>,
}

/// A file in the directory.
struct Copy {
    path: PathBuf,
    len: u64,
    used_ms: u64,
}

impl RepositoryState {
    /// The copies, which have at most so many bytes together from now on.
    pub fn pack_copies(&self, bytes_max: u64, clock: Arc<dyn Clock>) -> PackCopies {
        let copies = PackCopies {
            dir: self.root.join("packs"),
            bytes_max,
            began_ms: clock.now_unix_ms(),
            clock,
            right: Mutex::default(),
        };
        if let Some(_turn) = copies.try_turn() {
            copies.make_room(0, Room::OfAny);
        }
        copies
    }
}

impl PackCopies {
    /// Fills the buffer with the bytes of a pack from an offset on. False if there is no
    /// right copy that has them.
    pub fn read_into(&self, pack: &PackId, offset: u64, bytes: &mut [u8]) -> bool {
        let file = || File::open(self.path(pack));
        self.is_right(pack) && file().is_ok_and(|file| file.read_exact_at(bytes, offset).is_ok())
    }

    /// Whether a copy has the bytes of its name; if it has not, it goes.
    fn is_right(&self, pack: &PackId) -> bool {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.contains(pack) {
            return true;
        }
        let path = self.path(pack);
        // One more than a pack has, so that a longer file differs from all packs.
        let Ok(Some(bytes)) = read_file(&path, PACK_BYTES_MAX as u64 + 1) else {
            return false;
        };
        if PackId::of(&bytes) != *pack {
            let _ = fs::remove_file(path);
            return false;
        }
        // Where that can't be noted, it only goes sooner.
        let _ = File::open(path).and_then(|file| self.touch(&file));
        right.insert(*pack);
        true
    }

    /// Whether a pack of this length would be kept.
    pub fn has_room(&self, len: u64, room: Room) -> bool {
        self.leaving(len, room).is_some()
    }

    /// Keeps a copy of a pack. That it can't be kept is not missed.
    pub fn keep(&self, pack: &PackId, bytes: &[u8], room: Room) {
        if bytes.len() as u64 > self.bytes_max || make_dir(&self.dir).is_err() {
            return;
        }
        let Some(_turn) = self.try_turn() else { return };
        let path = self.path(pack);
        if path.exists() || !self.make_room(bytes.len() as u64, room) {
            return;
        }
        let kept = stage(&path, bytes).is_ok_and(|(staged, file)| {
            let renamed = self.touch(&file).and_then(|()| fs::rename(staged, &path));
            renamed.is_ok()
        });
        if !kept {
            self.remove_unfinished();
        }
    }

    fn touch(&self, file: &File) -> std::io::Result<()> {
        let now = Duration::from_millis(self.clock.now_unix_ms());
        file.set_modified(UNIX_EPOCH + now)
    }

    /// Removes copies until there is room for so many bytes more, if there can be; and
    /// what dead runs left unfinished. Only who has the turn may.
    fn make_room(&self, len: u64, room: Room) -> bool {
        self.remove_unfinished();
        let Some(leaving) = self.leaving(len, room) else {
            return false;
        };
        leaving.iter().all(|path| fs::remove_file(path).is_ok())
    }

    /// The copies that must go so that there is room for so many bytes more; `None` if
    /// there can't be.
    fn leaving(&self, len: u64, room: Room) -> Option<Vec<PathBuf>> {
        let left = self.bytes_max.checked_sub(len)?;
        let mut copies = self.copies();
        copies.sort_unstable_by(|one, other| {
            (one.used_ms, &one.path).cmp(&(other.used_ms, &other.path))
        });
        let mut bytes: u64 = copies.iter().map(|copy| copy.len).sum();
        let mut leaving = Vec::new();
        for copy in copies {
            if bytes <= left {
                break;
            }
            if room == Room::OfUnused && copy.used_ms >= self.began_ms {
                return None;
            }
            bytes -= copy.len;
            leaving.push(copy.path);
        }
        (bytes <= left).then_some(leaving)
    }

    fn copies(&self) -> Vec<Copy> {
        let now_ms = self.clock.now_unix_ms();
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let copies = entries.filter_map(|entry| {
            PackId::from_hex(entry.file_name().to_str()?)?;
            let metadata = entry.metadata().ok()?;
            let used = metadata.modified().ok()?.duration_since(UNIX_EPOCH);
            let used_ms = used.map_or(0, |used| u64::try_from(used.as_millis()).unwrap_or(0));
            Some(Copy {
                path: entry.path(),
                len: metadata.len(),
                // What is said to be used later than now was used before the clock was
                // put back.
                used_ms: if used_ms > now_ms { 0 } else { used_ms },
            })
        });
        copies.collect()
    }

    fn remove_unfinished(&self) {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "tmp") {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn try_turn(&self) -> Option<File> {
        try_lock(&self.dir.join("lock"))
    }

    fn path(&self, pack: &PackId) -> PathBuf {
        self.dir.join(pack.to_string())
    }
}
