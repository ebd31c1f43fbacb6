//! Reads a file of chunk lists.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use indelible_format::ids::{ChunkId, PackId};
use indelible_format::seal::{CHUNK_LIST, SEAL_OVERHEAD, open};
use indelible_format::secret::{SecretKey, chunk_list_key};
use indelible_format::wire::{Builder, Cursor, LayoutError};
use zeroize::Zeroizing;

use super::{
    HEADER_BYTES, KEY_BYTES, ListedChunk, MAGIC, PART_BYTES_MAX, PART_CHUNKS, RECORD_BYTES,
    TABLE_BYTES_MAX,
};
use crate::past::{PastChunk, PastChunks};

const FIELD: &str = "table of chunk lists";

/// What stands at the end of a file.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) generation: u32,
    pub(super) streams: Vec<ListedStream>,
    /// Offsets of the parts that hold keys.
    pub(super) keys: Vec<u64>,
}

/// A stream that a file lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedStream {
    /// Hash of its path.
    path: [u8; 32],
    /// Hash of its path without digits.
    kin: [u8; 32],
    chunks: u64,
    /// Offsets of its parts.
    parts: Vec<u64>,
}

impl ListedStream {
    pub(super) fn new(path: &[u8], chunks: u64, parts: Vec<u64>) -> Self {
        Self {
            path: hash(path),
            kin: hash(&without_digits(path)),
            chunks,
            parts,
        }
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// A path with one 0 for each run of digits: dumps are often named after their date.
fn without_digits(path: &[u8]) -> Vec<u8> {
    let mut kin = Vec::with_capacity(path.len());
    for &byte in path {
        let byte = if byte.is_ascii_digit() { b'0' } else { byte };
        if byte != b'0' || kin.last() != Some(&b'0') {
            kin.push(byte);
        }
    }
    kin
}

impl Table {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        let offsets = |out: &mut Builder, parts: &[u64]| {
            out.count32(parts.len());
            for at in parts {
                out.u64(*at);
            }
        };
        out.u32(self.generation).count32(self.streams.len());
        for stream in &self.streams {
            out.bytes(&stream.path).bytes(&stream.kin);
            out.u64(stream.chunks);
            offsets(&mut out, &stream.parts);
        }
        offsets(&mut out, &self.keys);
        out.finish()
    }

    fn decode(plain: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(plain);
        let generation = cursor.u32(FIELD)?;
        let count = cursor.u32(FIELD)?;
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(ListedStream {
                path: cursor.array(FIELD)?,
                kin: cursor.array(FIELD)?,
                chunks: cursor.u64(FIELD)?,
                parts: offsets(&mut cursor)?,
            });
        }
        let keys = offsets(&mut cursor)?;
        cursor.finish(FIELD)?;
        let whole = |stream: &ListedStream| {
            stream.parts.len() as u64 == stream.chunks.div_ceil(PART_CHUNKS as u64)
        };
        if streams.iter().all(whole) {
            Ok(Self {
                generation,
                streams,
                keys,
            })
        } else {
            Err(LayoutError::NotCanonical { field: FIELD })
        }
    }
}

fn offsets(cursor: &mut Cursor<'_>) -> Result<Vec<u64>, LayoutError> {
    let count = cursor.u32(FIELD)?;
    (0..count).map(|_| cursor.u64(FIELD)).collect()
}

/// The lists of one snapshot.
#[derive(Debug, Clone)]
pub struct ListFile {
    parts: Arc<Parts>,
    table: Arc<Table>,
    /// Streams by the hash of their path; of two with one path, the last counts.
    by_path: Arc<HashMap<[u8; 32], usize>>,
}

/// A file whose parts can be opened.
#[derive(Debug)]
struct Parts {
    file: File,
    gear: SecretKey,
    salt: [u8; 32],
}

/// A part of a stream's list, which can be read any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPart {
    at: u64,
    /// How many chunks it has.
    pub chunks: u64,
}

impl ListFile {
    pub(super) fn open(path: &Path, gear: &SecretKey) -> io::Result<Self> {
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
        let table = Table::decode(&table).map_err(|_| io::ErrorKind::InvalidData)?;
        let streams = table.streams.iter().zip(0..);
        let by_path = streams.map(|(stream, at)| (stream.path, at)).collect();
        Ok(Self {
            parts: Arc::new(parts),
            table: Arc::new(table),
            by_path: Arc::new(by_path),
        })
    }

    /// How many snapshots there were before, each of which knew the list of the one
    /// before it (see [`generations`](crate::generations)).
    pub fn generation(&self) -> u32 {
        self.table.generation
    }

    /// The chunks of the stream at a path, as far as they can be read.
    pub fn stream(&self, path: &[u8]) -> Option<PastChunks<'static>> {
        let at = *self.by_path.get(&hash(path))?;
        let (parts, table) = (Arc::clone(&self.parts), Arc::clone(&self.table));
        let count = table.streams[at].parts.len();
        let read = (0..count).map_while(move |part| {
            let part = parts.records(table.streams[at].parts[part]);
            part.ok()
        });
        let chunks = read.flatten();
        Some(Box::new(chunks.map(|chunk| PastChunk {
            id: chunk.id,
            len: chunk.len,
        })))
    }

    /// The parts of all streams, one behind the other.
    pub fn all_parts(&self) -> Vec<ListPart> {
        let mut all = Vec::new();
        for stream in &self.table.streams {
            let mut left = stream.chunks;
            for &at in &stream.parts {
                let chunks = left.min(PART_CHUNKS as u64);
                left -= chunks;
                all.push(ListPart { at, chunks });
            }
        }
        all
    }

    /// Where in [`all_parts`](Self::all_parts) the list begins of the stream that one
    /// at this path most likely continues: the one of that path, or one whose path
    /// differs in digits only.
    pub fn forerunner(&self, path: &[u8]) -> Option<usize> {
        let streams = &self.table.streams;
        let kin = || {
            let kin = hash(&without_digits(path));
            streams.iter().rposition(|stream| stream.kin == kin)
        };
        let at = self.by_path.get(&hash(path)).copied().or_else(kin)?;
        Some(self.part_of(at))
    }

    /// The same for the stream that stands at this place in the list.
    pub fn forerunner_at(&self, place: usize) -> Option<usize> {
        (place < self.table.streams.len()).then(|| self.part_of(place))
    }

    fn part_of(&self, stream: usize) -> usize {
        let before = self.table.streams[..stream].iter();
        before.map(|stream| stream.parts.len()).sum()
    }

    /// The chunks of a part, if it can be read.
    pub fn part(&self, part: ListPart) -> Option<Vec<ListedChunk>> {
        let chunks = self.parts.records(part.at).ok()?;
        (chunks.len() as u64 == part.chunks).then_some(chunks)
    }

    /// The keys of packs that are remembered with the lists.
    pub fn keys(&self) -> HashMap<PackId, SecretKey> {
        let mut keys = HashMap::new();
        for at in &self.table.keys {
            let Ok(plain) = self.parts.read(*at, PART_BYTES_MAX + SEAL_OVERHEAD) else {
                continue;
            };
            let (records, _) = plain.as_chunks::<KEY_BYTES>();
            keys.extend(records.iter().map(|record| {
                let (pack, key) = record.split_at(32);
                let pack = pack.try_into().expect("the record was split there");
                let key = key.try_into().expect("the record was split there");
                (PackId(pack), SecretKey::new(key))
            }));
        }
        keys
    }
}

impl Parts {
    fn read(&self, at: u64, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
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
        plain.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    fn records(&self, at: u64) -> io::Result<Vec<ListedChunk>> {
        let plain = self.read(at, PART_BYTES_MAX + SEAL_OVERHEAD)?;
        let (records, _) = plain.as_chunks::<RECORD_BYTES>();
        Ok(records.iter().map(parse_record).collect())
    }
}

fn parse_record(record: &[u8; RECORD_BYTES]) -> ListedChunk {
    let mut cursor = Cursor::new(record);
    let mut parse = || -> Result<ListedChunk, LayoutError> {
        Ok(ListedChunk {
            id: ChunkId(cursor.array(FIELD)?),
            len: cursor.u32(FIELD)?,
            anchor: cursor.u64(FIELD)?,
        })
    };
    parse().expect("a record has these bytes")
}
