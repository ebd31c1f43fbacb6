//! A pack's table of chunks (SPEC 6.4).
//!
//! The directory is sealed under a key that only holders of the domain's index
//! key can derive, and bound to the pack's header. So a chunk that an opened
//! directory lists was put there by a writer of the domain. What lies at its
//! place is authenticated when it is decrypted, and verified by its id.

use crate::coding::{Class, Coding};
use crate::ids::{ChunkId, PackId};
use crate::limits::{
    CHUNK_BYTES_MAX, DELTA_BASES_MAX, DELTA_DEPTH_MAX, DIRECTORY_PACKS_MAX, NODE_CHUNK_BYTES_MAX,
    PACK_BYTES_MAX, PACK_CHUNKS_MAX,
};
use crate::pack::{HEADER_BYTES, PackHeader, TRAILER_BYTES};
use crate::seal::{self, DIRECTORY, OpenError, SEAL_OVERHEAD, TAG_BYTES};
use crate::secret::{SecretKey, directory_key};
use crate::wire::{Builder, Cursor, LayoutError, within};

const FIELD: &str = "pack directory";
const RECORD_BYTES_MIN: usize = 44;
const BASE_BYTES: usize = 4;
const PACK_ID_BYTES: usize = 32;

/// Where a base of a delta chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// Slot of the directory's pack table; 0 is this pack.
    pub slot: u16,
    /// Chunk number in that pack.
    pub number: u16,
}

/// One chunk of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: ChunkId,
    /// Its class, as a byte: a later version may define more.
    pub class: u8,
    /// How it is coded.
    pub coding: Coding,
    /// Length in the pack, tag included, bytes.
    pub stored_len: u32,
    /// Length of its plaintext, bytes.
    pub plain_len: u32,
    /// How many deltas decode behind one another; 0 without bases.
    pub depth: u8,
    /// What it is a delta of.
    pub bases: Vec<Base>,
}

impl Record {
    /// Its class, if this version knows it.
    pub fn known_class(&self) -> Option<Class> {
        Class::from_byte(self.class).ok()
    }
}

/// Why a directory can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It does not open.
    #[error("the pack's directory does not open")]
    Open(#[from] OpenError),
    /// It opens and is malformed.
    #[error("the pack's directory is malformed")]
    Layout(#[from] LayoutError),
}

/// A pack's table of chunks, in the order in which they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Packs that bases lie in: slot 1 and on.
    pub packs: Vec<PackId>,
    /// The chunks.
    pub records: Vec<Record>,
}

/// The longest sealed directory that a pack has room for, bytes.
pub const DIRECTORY_BYTES_MAX: usize = PACK_BYTES_MAX - HEADER_BYTES - TRAILER_BYTES;

impl Directory {
    /// Seals the directory of the pack with this header.
    pub fn seal(&self, header: &PackHeader, index_key: &SecretKey) -> Vec<u8> {
        let key = directory_key(index_key, &header.salt);
        seal::seal(
            &key,
            DIRECTORY,
            blake3::hash(&header.encode()).as_bytes(),
            &self.encode(),
        )
    }

    /// Opens a directory. `chunks_len` is how many bytes lie between header and
    /// directory, which the records must fill exactly.
    pub fn open(
        header: &PackHeader,
        index_key: &SecretKey,
        sealed: &[u8],
        chunks_len: u64,
    ) -> Result<Self, DirectoryError> {
        let key = directory_key(index_key, &header.salt);
        let plain = seal::open(
            &key,
            DIRECTORY,
            blake3::hash(&header.encode()).as_bytes(),
            sealed,
        )?;
        let directory = Self::decode(&plain)?;
        let stored: u64 = directory
            .records
            .iter()
            .map(|record| u64::from(record.stored_len))
            .sum();
        if stored != chunks_len {
            return Err(LayoutError::NotCanonical {
                field: "sum of the stored lengths",
            }
            .into());
        }
        Ok(directory)
    }

    /// How long the sealed directory of this many chunks is that have this many bases
    /// together, in this many other packs, bytes.
    pub fn sealed_len(chunks: usize, bases: usize, packs: usize) -> usize {
        6 + packs * PACK_ID_BYTES + chunks * RECORD_BYTES_MIN + bases * BASE_BYTES + SEAL_OVERHEAD
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Builder::new();
        out.count16(self.packs.len());
        for pack in &self.packs {
            out.bytes(&pack.0);
        }
        out.count32(self.records.len());
        for record in &self.records {
            out.bytes(&record.id.0)
                .u8(record.class)
                .u8(record.coding.to_byte());
            out.u32(record.stored_len)
                .u32(record.plain_len)
                .u8(record.depth);
            out.u8(u8::try_from(record.bases.len()).expect("bases were bounded by their limit"));
            for base in &record.bases {
                out.u16(base.slot).u16(base.number);
            }
        }
        out.finish()
    }

    fn decode(plain: &[u8]) -> Result<Self, LayoutError> {
        let mut cursor = Cursor::new(plain);
        let pack_count = cursor.count16(0, DIRECTORY_PACKS_MAX, "packs of the directory")?;
        let mut packs = Vec::new();
        for _ in 0..pack_count {
            packs.push(PackId(cursor.array(FIELD)?));
        }
        let count = cursor.count32(0, PACK_CHUNKS_MAX, "chunks of the directory")?;
        let mut records = Vec::with_capacity(count.min(cursor.remaining() / RECORD_BYTES_MIN));
        for _ in 0..count {
            records.push(decode_record(&mut cursor, pack_count, count)?);
        }
        cursor.finish(FIELD)?;
        let based = records.iter().any(|record| !record.bases.is_empty());
        if pack_count > 0 && !based {
            return Err(LayoutError::NotCanonical {
                field: "packs of the directory",
            });
        }
        Ok(Self { packs, records })
    }
}

fn decode_record(
    cursor: &mut Cursor<'_>,
    pack_count: usize,
    chunk_count: usize,
) -> Result<Record, LayoutError> {
    let id = ChunkId(cursor.array(FIELD)?);
    let class = cursor.u8(FIELD)?;
    let coding = Coding::from_byte(cursor.u8(FIELD)?);
    let (stored_len, plain_len) = (cursor.u32(FIELD)?, cursor.u32(FIELD)?);
    within(
        stored_len.into(),
        TAG_BYTES as u64,
        PACK_BYTES_MAX as u64,
        "stored length of the chunk",
    )?;
    let longest = if class == 0 {
        CHUNK_BYTES_MAX
    } else {
        NODE_CHUNK_BYTES_MAX
    };
    within(
        plain_len.into(),
        1,
        longest as u64,
        "plaintext length of the chunk",
    )?;
    let (depth, base_count) = (cursor.u8(FIELD)?, cursor.u8(FIELD)?);
    if coding == Coding::Delta && class != Class::Data.to_byte() {
        return Err(LayoutError::NotCanonical {
            field: "class of a delta chunk",
        });
    }
    let (depths, counts): ((u8, u8), (usize, usize)) = match coding {
        Coding::Delta => ((1, DELTA_DEPTH_MAX), (1, DELTA_BASES_MAX)),
        Coding::Raw | Coding::Zstd | Coding::Unsupported(_) => ((0, 0), (0, 0)),
    };
    within(
        depth.into(),
        depths.0.into(),
        depths.1.into(),
        "depth of the chunk",
    )?;
    within(
        base_count.into(),
        counts.0 as u64,
        counts.1 as u64,
        "bases of the chunk",
    )?;
    let mut bases = Vec::with_capacity(base_count.into());
    for _ in 0..base_count {
        let base = Base {
            slot: cursor.u16(FIELD)?,
            number: cursor.u16(FIELD)?,
        };
        within(base.slot.into(), 0, pack_count as u64, "slot of a base")?;
        // How many chunks other packs have is not known here.
        let chunks = if base.slot == 0 {
            chunk_count
        } else {
            PACK_CHUNKS_MAX
        };
        within(
            base.number.into(),
            0,
            chunks as u64 - 1,
            "chunk number of a base",
        )?;
        bases.push(base);
    }
    Ok(Record {
        id,
        class,
        coding,
        stored_len,
        plain_len,
        depth,
        bases,
    })
}
