//! Which packs a run has finished, so that the next run can go on from there if
//! this one dies.
//!
//! A journal is a text file of one line for each pack, appended after the pack
//! became durable. While a run lives it holds a lock on its journal, which the
//! system drops with the process: an unlocked journal is a dead run's. A line
//! that was cut by a crash is ignored. The journal is only a hint at where to
//! look: who adopts a pack hashes it first.
//!
//! It holds no key of a pack, though a host that may only write could then lean on what
//! it adopts: a dead run's packs are in no snapshot, and of such a host keeps no keys
//! (SPEC 13).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use indelible_format::ids::{CommitId, DomainId, PackId};

use super::{RepositoryState, StateError, create_locked, failed, make_dir};

/// A pack that a run finished and did not commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalledPack {
    /// Its id.
    pub id: PackId,
    /// Its length, bytes.
    pub len: u32,
}

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Notes a pack that is durable in the store.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn add(&mut self, pack: &JournalledPack) -> Result<(), StateError> {
        let line = format!("{} {}\n", pack.id, pack.len);
        self.file
            .write_all(line.as_bytes())
            .map_err(failed("write", &self.path))
    }

    /// Forgets the run: its packs are committed, or adopted by another run.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn close(self) -> Result<(), StateError> {
        fs::remove_file(&self.path).map_err(failed("remove", &self.path))
    }
}

impl RepositoryState {
    /// Begins the journal of a run.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn begin_journal(
        &self,
        commit: &CommitId,
        domain: &DomainId,
    ) -> Result<Journal, StateError> {
        let dir = self.root.join("journal");
        make_dir(&dir)?;
        let path = dir.join(format!("{domain}-{commit}"));
        let file = create_locked(&path)?;
        Ok(Journal { path, file })
    }

    /// Takes over the journals of a domain's runs that died, with the packs that
    /// they name.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`] where the journals can't be listed.
    pub fn dead_journals(
        &self,
        domain: &DomainId,
    ) -> Result<Vec<(Journal, Vec<JournalledPack>)>, StateError> {
        let dir = self.root.join("journal");
        let prefix = format!("{domain}-");
        let mut dead = Vec::new();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // No run began one yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(dead),
            Err(error) => return Err(failed("list", &dir)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed("list", &dir))?;
            let ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(&prefix));
            let taken = if ours { take_over(entry.path()) } else { None };
            dead.extend(taken);
        }
        Ok(dead)
    }
}

/// The journal, unless its run lives or it can't be read: then it is no help.
fn take_over(path: PathBuf) -> Option<(Journal, Vec<JournalledPack>)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .open(&path)
        .ok()?;
    file.try_lock().ok()?;
    let mut text = String::new();
    read_lossily(&mut file, &mut text).ok()?;
    let packs = text.split_inclusive('\n').filter_map(parse_line).collect();
    Some((Journal { path, file }, packs))
}

fn read_lossily(file: &mut File, text: &mut String) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    text.push_str(&String::from_utf8_lossy(&bytes));
    Ok(())
}

fn parse_line(line: &str) -> Option<JournalledPack> {
    let (id, len) = line.strip_suffix('\n')?.split_once(' ')?;
    Some(JournalledPack {
        id: PackId::from_hex(id)?,
        len: len.parse().ok()?,
    })
}
