//! The chunks of each stream as the last snapshot of a NAME had them, so that the next
//! one can guess where it will be cut, and what it can lean on.
//!
//! A list is sealed part by part under keys that only a holder of the domain's
//! gear key can derive, and opens only as that part of that file. So whatever
//! happens to the state, a list that opens is one that a writer of this domain
//! made; it may be an old one, which costs time or room and nothing else. No chunk
//! counts as present because a list has it.
//!
//! With the lists are kept the keys of the packs that the snapshot reaches, for keys
//! that can't open those otherwise: whoever has the state and the key file can read
//! that snapshot, which a writer has seen in clear anyway.
//!
//! A file is written while a snapshot runs, under a lock that the system drops with
//! the process, and gets its name once the snapshot is committed.
//!
//! ```text
//! magic, salt (32)
//! parts: length u32, sealed records of a stream: id (32), length u32, anchor u64
//!     or of the keys: pack id (32), key (32)
//! the last part: generation u32
//!     number of streams u32, and of each: hash of its path (32), hash of its path
//!         without digits (32), chunks u64, number of parts u32, offset of each u64
//!     number of parts of the keys u32, offset of each u64
//! offset of the last part u64, magic
//! ```

mod file;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use indelible_format::ids::{ChunkId, CommitId, DomainId, PackId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::name::Name;
use indelible_format::seal::{CHUNK_LIST, SEAL_OVERHEAD, seal};
use indelible_format::secret::{SecretKey, chunk_list_key};

use super::{RepositoryState, StateError, create_locked, failed, make_dir};
pub use file::{ListFile, ListPart};
use file::{ListedStream, Table};

const MAGIC: &[u8; 8] = b"INDLCUT2";
/// Chunks of a part.
const PART_CHUNKS: usize = 1_024;
const RECORD_BYTES: usize = 44;
/// Keys of a part.
const PART_KEYS: usize = 704;
const KEY_BYTES: usize = 64;
/// Plaintext of a part, bytes.
const PART_BYTES_MAX: usize = PART_CHUNKS * RECORD_BYTES;
const HEADER_BYTES: usize = 8 + 32;
/// The sealed table, bytes. A snapshot with more streams has no list.
const TABLE_BYTES_MAX: usize = PACK_BYTES_MAX;

/// A chunk of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedChunk {
    /// Its id.
    pub id: ChunkId,
    /// Its length, bytes.
    pub len: u32,
    /// What it begins with, see [`anchor`].
    pub anchor: u64,
}

/// How many bytes at a chunk's front its anchor is made of.
pub const ANCHOR_BYTES: usize = 128;

/// A short hash of a chunk's front. Two versions of a chunk mostly begin alike, since
/// both begin behind a cut that content decided; so it tells which old chunk a new
/// one is a version of, wherever that stood. A guess, like all of a list.
pub fn anchor(chunk: &[u8]) -> u64 {
    let front = blake3::hash(&chunk[..chunk.len().min(ANCHOR_BYTES)]);
    let (first, _) = front.as_bytes().as_chunks::<8>();
    u64::from_le_bytes(first[0])
}

/// The lists of one NAME in one domain.
#[derive(Debug, Clone)]
pub struct ChunkLists {
    dir: PathBuf,
    gear: SecretKey,
}

impl RepositoryState {
    /// The lists of a NAME that the domain with this gear key has.
    pub fn chunk_lists(&self, domain: &DomainId, name: &Name, gear: &SecretKey) -> ChunkLists {
        let series = blake3::hash(name.as_str().as_bytes()).to_hex();
        ChunkLists {
            dir: self
                .root
                .join("chunks")
                .join(format!("{domain}-{}", &series[..32])),
            gear: gear.clone(),
        }
    }
}

/// The chunks of a stream that are not written yet.
#[derive(Debug, Default)]
pub struct StreamList {
    records: Vec<u8>,
    chunks: u64,
    parts: Vec<u64>,
}

/// A file of lists while it is written.
#[derive(Debug)]
pub struct ListWriter {
    lists: ChunkLists,
    path: PathBuf,
    file: BufWriter<File>,
    salt: [u8; 32],
    /// Bytes written.
    at: u64,
    table: Table,
}

impl ChunkLists {
    /// Begins the lists of a snapshot of this generation, and removes those of runs
    /// that died. `salt` is drawn for them.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn begin(
        &self,
        commit: &CommitId,
        generation: u32,
        salt: [u8; 32],
    ) -> Result<ListWriter, StateError> {
        make_dir(&self.dir)?;
        self.remove_dead();
        let path = self.dir.join(format!("{commit}.tmp"));
        let file = create_locked(&path)?;
        let mut writer = ListWriter {
            lists: self.clone(),
            path,
            file: BufWriter::with_capacity(1 << 16, file),
            salt,
            at: 0,
            table: Table {
                generation,
                ..Table::default()
            },
        };
        writer.write(MAGIC)?;
        writer.write(&salt)?;
        Ok(writer)
    }

    /// Removes files that nobody writes any more.
    fn remove_dead(&self) {
        for (path, number) in self.files() {
            let dead = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if number.is_none() && dead() {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// The files there are, each with its snapshot's number if that is committed.
    fn files(&self) -> Vec<(PathBuf, Option<u64>)> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let files = entries.map(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            (entry.path(), number)
        });
        files.collect()
    }

    /// The newest lists that open, as an earlier snapshot left them.
    pub fn latest(&self) -> Option<ListFile> {
        let mut files: Vec<(u64, PathBuf)> = self
            .files()
            .into_iter()
            .filter_map(|(path, number)| Some((number?, path)))
            .collect();
        files.sort();
        let newest_first = files.into_iter().rev();
        newest_first
            .map(|(_, path)| ListFile::open(&path, &self.gear))
            .find_map(Result::ok)
    }
}

impl ListWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        self.at += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(failed("write", &self.path))
    }

    /// Adds a chunk to a stream's list.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn push(&mut self, list: &mut StreamList, chunk: &ListedChunk) -> Result<(), StateError> {
        list.records.extend_from_slice(&chunk.id.0);
        list.records.extend_from_slice(&chunk.len.to_le_bytes());
        list.records.extend_from_slice(&chunk.anchor.to_le_bytes());
        list.chunks += 1;
        if list.records.len() == PART_BYTES_MAX {
            let records = std::mem::take(&mut list.records);
            list.parts.push(self.sealed(&records)?);
        }
        Ok(())
    }

    /// Writes a part, and gives its place in the file, which makes its key.
    fn sealed(&mut self, plain: &[u8]) -> Result<u64, StateError> {
        let at = self.at;
        let key = chunk_list_key(&self.lists.gear, &self.salt, at);
        let sealed = seal(&key, CHUNK_LIST, &[], plain);
        let len = u32::try_from(sealed.len()).expect("parts and tables are bounded");
        self.write(&len.to_le_bytes())?;
        self.write(&sealed)?;
        Ok(at)
    }

    /// Ends a stream's list. The path says which stream; of two with one path, the
    /// last counts.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn end(&mut self, path: &[u8], mut list: StreamList) -> Result<(), StateError> {
        if !list.records.is_empty() {
            list.parts.push(self.sealed(&list.records)?);
        }
        let parts = list.parts;
        let chunks = list.chunks;
        self.table
            .streams
            .push(ListedStream::new(path, chunks, parts));
        Ok(())
    }

    /// Remembers the keys of packs that chunks of the lists lie in.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn keep_keys<'k>(
        &mut self,
        keys: impl Iterator<Item = (&'k PackId, &'k SecretKey)>,
    ) -> Result<(), StateError> {
        let mut plain = zeroize::Zeroizing::new(Vec::new());
        for (pack, key) in keys {
            plain.extend_from_slice(&pack.0);
            plain.extend_from_slice(key.expose());
            if plain.len() == PART_KEYS * KEY_BYTES {
                let at = self.sealed(&plain)?;
                self.table.keys.push(at);
                plain.clear();
            }
        }
        if !plain.is_empty() {
            let at = self.sealed(&plain)?;
            self.table.keys.push(at);
        }
        Ok(())
    }

    /// Gives the file its name: these are the lists of snapshot `number`. Older
    /// ones go.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn commit(mut self, number: u64) -> Result<(), StateError> {
        let table = self.table.encode();
        if table.len() > TABLE_BYTES_MAX - SEAL_OVERHEAD {
            return self.discard();
        }
        let at = self.sealed(&table)?;
        self.write(&at.to_le_bytes())?;
        self.write(MAGIC)?;
        self.file.flush().map_err(failed("write", &self.path))?;
        let name = self.lists.dir.join(number.to_string());
        fs::rename(&self.path, &name).map_err(failed("rename into place", &self.path))?;
        for (path, other) in self.lists.files() {
            if other.is_some_and(|other| other < number) {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Removes what was written: there is no snapshot.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn discard(self) -> Result<(), StateError> {
        fs::remove_file(&self.path).map_err(failed("remove", &self.path))
    }
}
