//! The chunks of each stream as the last snapshot of a NAME had them, so that the
//! next one can guess where it will be cut.
//!
//! A list is sealed part by part under keys that only a holder of the domain's
//! gear key can derive, and opens only as that part of that file. So whatever
//! happens to the state, a list that opens is one that a writer of this domain
//! made; it may be an old one, which costs time and nothing else. No chunk counts
//! as present because a list has it.
//!
//! A file is written while a snapshot runs, under a lock that the system drops with
//! the process, and gets its name once the snapshot is committed.
//!
//! ```text
//! magic, salt (32)
//! parts: length u32, sealed records of a stream: id (32), length u32
//! the last part: for each stream, hash of its path (32), number of parts u32,
//!                and of each part its offset u64
//! offset of the last part u64, magic
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indelible_format::ids::{ChunkId, CommitId, DomainId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::name::Name;
use indelible_format::seal::{CHUNK_LIST, SEAL_OVERHEAD, open, seal};
use indelible_format::secret::{SecretKey, chunk_list_key};

use super::{RepositoryState, StateError, create_locked, failed, make_dir};
use crate::past::{PastChunk, PastChunks};

const MAGIC: &[u8; 8] = b"INDLCUT1";
/// Chunks of a part.
const PART_CHUNKS: usize = 1_024;
const RECORD_BYTES: usize = 36;
const HEADER_BYTES: usize = 8 + 32;
/// The sealed table of streams, bytes. A snapshot with more has no list.
const TABLE_BYTES_MAX: usize = PACK_BYTES_MAX;

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
    table: Vec<u8>,
}

impl ChunkLists {
    /// Begins the lists of a snapshot, and removes those of runs that died. `salt`
    /// is drawn for them.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn begin(&self, commit: &CommitId, salt: [u8; 32]) -> Result<ListWriter, StateError> {
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
            table: Vec::new(),
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
    pub fn push(&mut self, list: &mut StreamList, chunk: &PastChunk) -> Result<(), StateError> {
        list.records.extend_from_slice(&chunk.id.0);
        list.records.extend_from_slice(&chunk.len.to_le_bytes());
        if list.records.len() == PART_CHUNKS * RECORD_BYTES {
            self.part(list)
        } else {
            Ok(())
        }
    }

    fn part(&mut self, list: &mut StreamList) -> Result<(), StateError> {
        list.parts.push(self.at);
        let records = std::mem::take(&mut list.records);
        self.sealed(&records)
    }

    /// Writes a part. Its place in the file makes its key.
    fn sealed(&mut self, plain: &[u8]) -> Result<(), StateError> {
        let key = chunk_list_key(&self.lists.gear, &self.salt, self.at);
        let sealed = seal(&key, CHUNK_LIST, &[], plain);
        let len = u32::try_from(sealed.len()).expect("parts and tables are bounded");
        self.write(&len.to_le_bytes())?;
        self.write(&sealed)
    }

    /// Ends a stream's list. The path says which stream; of two with one path, the
    /// last counts.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn end(&mut self, path: &[u8], mut list: StreamList) -> Result<(), StateError> {
        if !list.records.is_empty() {
            self.part(&mut list)?;
        }
        self.table.extend_from_slice(&path_hash(path));
        let parts = u32::try_from(list.parts.len()).expect("a stream has fewer parts than 2^32");
        self.table.extend_from_slice(&parts.to_le_bytes());
        for part in &list.parts {
            self.table.extend_from_slice(&part.to_le_bytes());
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
        let at = self.at;
        let table = std::mem::take(&mut self.table);
        if table.len() > TABLE_BYTES_MAX - SEAL_OVERHEAD {
            return self.discard();
        }
        self.sealed(&table)?;
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

/// The lists of one snapshot.
#[derive(Debug)]
pub struct ListFile {
    parts: Arc<Parts>,
    /// Offsets of the parts of each stream.
    streams: HashMap<[u8; 32], Vec<u64>>,
}

/// A file whose parts can be opened.
#[derive(Debug)]
struct Parts {
    file: File,
    gear: SecretKey,
    salt: [u8; 32],
}

impl ListFile {
    fn open(path: &Path, gear: &SecretKey) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let mut end = [0; 16];
        file.read_exact_at(&mut end, len.saturating_sub(16))?;
        let (magic, salt) = header.split_at(8);
        let (at, end_magic) = end.split_at(8);
        if magic != MAGIC || end_magic != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let parts = Parts {
            file,
            gear: gear.clone(),
            salt: salt.try_into().expect("32 bytes were read"),
        };
        let at = u64::from_le_bytes(at.try_into().expect("8 bytes were read"));
        let table = parts.read(at, TABLE_BYTES_MAX)?;
        Ok(Self {
            parts: Arc::new(parts),
            streams: parse_table(&table).ok_or(io::ErrorKind::InvalidData)?,
        })
    }

    /// The chunks of the stream at a path, as far as they can be read.
    pub fn stream(&self, path: &[u8]) -> Option<PastChunks<'static>> {
        let offsets = self.streams.get(&path_hash(path))?.clone();
        let parts = Arc::clone(&self.parts);
        let read = offsets.into_iter().map_while(move |at| {
            let bytes = parts.read(at, PART_CHUNKS * RECORD_BYTES + SEAL_OVERHEAD);
            bytes.ok()
        });
        let chunks = read.flat_map(|bytes| {
            let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
            records.iter().map(parse_record).collect::<Vec<_>>()
        });
        Some(Box::new(chunks))
    }
}

impl Parts {
    fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.file.read_exact_at(&mut len, at)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > most {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut sealed = vec![0; len];
        self.file.read_exact_at(&mut sealed, at + 4)?;
        let key = chunk_list_key(&self.gear, &self.salt, at);
        let plain = open(&key, CHUNK_LIST, &[], &sealed);
        plain
            .map(|plain| plain.to_vec())
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn path_hash(path: &[u8]) -> [u8; 32] {
    *blake3::hash(path).as_bytes()
}

fn parse_record(record: &[u8; RECORD_BYTES]) -> PastChunk {
    let (id, len) = record.split_at(32);
    PastChunk {
        id: ChunkId(id.try_into().expect("the record was split there")),
        len: u32::from_le_bytes(len.try_into().expect("the record was split there")),
    }
}

fn parse_table(mut table: &[u8]) -> Option<HashMap<[u8; 32], Vec<u64>>> {
    let mut streams = HashMap::new();
    while let Some((hash, rest)) = table.split_first_chunk::<32>() {
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (offsets, rest) = rest.split_at_checked(count.checked_mul(8)?)?;
        let (offsets, _) = offsets.as_chunks::<8>();
        let offsets = offsets.iter().map(|at| u64::from_le_bytes(*at)).collect();
        streams.insert(*hash, offsets);
        table = rest;
    }
    table.is_empty().then_some(streams)
}
