//! Builds packs, and reads their headers and directories.
//!
//! A [`PackBuilder`] draws the keys of one pack, encrypts each chunk under its
//! number, and is consumed by [`finish`](PackBuilder::finish): so one pair of
//! keys encrypts one sequence of chunks, and the finished bytes are written as
//! they are, however often that takes. On the way back, nothing of a pack is
//! believed before its directory opened under the domain's index key, bound to
//! the header in front of it.
//!
//! This module knows a pack, and neither snapshots nor the log.

mod epochs;
mod kept;

use std::collections::HashMap;

use indelible_format::coding::{Class, Coding};
use indelible_format::commit::NewPack;
use indelible_format::directory::{Base, Directory, DirectoryError, Record};
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::limits::{
    DELTA_BASES_MAX, DIRECTORY_PACKS_MAX, PACK_BYTES_MAX, PACK_CHUNKS_MAX,
};
use indelible_format::pack::{
    HEADER_BYTES, HeaderError, PackHeader, PackKeys, PackRandomness, PackRecipients, TRAILER_BYTES,
    encode_trailer, parse_trailer,
};
use indelible_format::places::Place;
use indelible_format::seal::{SEAL_OVERHEAD, TAG_BYTES, UnusableKey};
use indelible_format::secret::SecretKey;
use indelible_format::wire::LayoutError;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::env::Env;
use crate::store::{ObjectKey, ReadStore, StoreError};
pub use epochs::IndexKeys;

/// How much of a pack's end is read at first, bytes: most directories fit.
const TAIL_BYTES: u64 = 64 << 10;

/// The longest sealed directory that can open, bytes: with every other pack,
/// every chunk and every base. A trailer may state more (SPEC 6.5), and what it
/// then states the length of need not be read.
const DIRECTORY_LEN_MAX: usize =
    2 + 32 * DIRECTORY_PACKS_MAX + 4 + (44 + 4 * DELTA_BASES_MAX) * PACK_CHUNKS_MAX + SEAL_OVERHEAD;

/// A chunk, coded and ready to be encrypted.
#[derive(Debug, Clone)]
pub struct CodedChunk {
    /// Its id.
    pub id: ChunkId,
    /// Its class.
    pub class: Class,
    /// How it is coded.
    pub coding: Coding,
    /// Length of its plaintext, bytes.
    pub plain_len: usize,
    /// The coded bytes.
    pub coded: Vec<u8>,
    /// What it is a delta of.
    pub basis: Basis,
}

/// What a delta leans on; the default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Basis {
    /// How many deltas decode behind one another.
    pub depth: u8,
    /// Where its bases lie, in the order in which they are its prefix.
    pub bases: Vec<Place>,
}

/// Codes a plaintext: zstd at this level, or raw where that is no shorter.
///
/// # Panics
///
/// If zstd fails on memory that it was given enough of.
pub fn code(compressor: &mut zstd::bulk::Compressor<'_>, plain: &[u8]) -> (Coding, Vec<u8>) {
    let coded = compressor
        .compress(plain)
        .expect("zstd is given a buffer of its own bound");
    if coded.len() < plain.len() {
        (Coding::Zstd, coded)
    } else {
        (Coding::Raw, plain.to_vec())
    }
}

/// A pack while chunks are added to it.
pub struct PackBuilder {
    provisional: PackId,
    header: PackHeader,
    keys: PackKeys,
    index_key: SecretKey,
    data_key: SecretKey,
    bytes: Vec<u8>,
    directory: Directory,
    /// Slots of the directory's table of other packs.
    slots: HashMap<PackId, u16>,
    /// Bases of all chunks together.
    bases: usize,
}

/// A finished pack, not yet stored.
#[derive(Debug)]
pub struct FinishedPack {
    /// Its id.
    pub id: PackId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of them.
    pub sha256: [u8; 32],
    /// Where its sealed directory begins, bytes.
    pub directory_at: usize,
    /// Under which its contents are encrypted.
    pub data_key: SecretKey,
    /// Binds a copy of the directory to the pack.
    copy_tag: kept::Tag,
}

impl FinishedPack {
    /// As the commit record of its entry lists it.
    pub fn listed(&self) -> NewPack {
        NewPack {
            id: self.id,
            len: u32::try_from(self.bytes.len()).expect("a pack is at most 32 MiB"),
            sha256: self.sha256,
        }
    }
}

impl PackBuilder {
    /// Begins a pack.
    ///
    /// # Errors
    ///
    /// [`UnusableKey`] if the bundle's public keys can't be sealed to.
    pub fn new(
        to: &PackRecipients<'_>,
        index_key: &SecretKey,
        env: &Env,
    ) -> Result<Self, UnusableKey> {
        let random = PackRandomness {
            data_key: SecretKey::new(env.random()),
            node_key: SecretKey::new(env.random()),
            wrap: [env.random(), env.random()],
            salt: env.random(),
        };
        let (header, keys) = PackHeader::create(to, &random)?;
        let bytes = header.encode().to_vec();
        Ok(Self {
            provisional: PackId(env.random()),
            header,
            keys,
            index_key: index_key.clone(),
            data_key: random.data_key,
            bytes,
            directory: Directory::default(),
            slots: HashMap::new(),
            bases: 0,
        })
    }

    /// Stands for the pack's id until the pack is finished. Random, so it meets
    /// no other.
    pub fn provisional(&self) -> PackId {
        self.provisional
    }

    /// How many chunks it has.
    pub fn len(&self) -> usize {
        self.directory.records.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long it would be if it were finished now, bytes.
    pub fn size_bytes(&self) -> usize {
        self.size_with(0, 0, 0)
    }

    /// How long it would be with so many more chunks, each of whose bases lies in a
    /// pack of its own, bytes.
    fn size_with(&self, chunks: usize, coded_len: usize, bases: usize) -> usize {
        let (bases, packs) = (self.bases + bases, self.slots.len() + bases);
        self.bytes.len()
            + coded_len
            + chunks * TAG_BYTES
            + Directory::sealed_len(self.len() + chunks, bases, packs)
            + TRAILER_BYTES
    }

    /// Whether so many more chunks, of this coded length and with so many bases
    /// together, fit, wherever the bases lie.
    pub fn fits(&self, chunks: usize, coded_len: usize, bases: usize) -> bool {
        self.len() + chunks <= PACK_CHUNKS_MAX
            && self.slots.len() + bases <= DIRECTORY_PACKS_MAX
            && self.size_with(chunks, coded_len, bases) <= PACK_BYTES_MAX
    }

    /// Adds chunks that [`fits`](Self::fits) was asked about, encrypts them on all
    /// cores, and gives the number of the first. A base that lies in this pack has its
    /// provisional id for a place.
    ///
    /// # Panics
    ///
    /// If they do not fit.
    pub fn add(&mut self, chunks: Vec<CodedChunk>) -> u16 {
        let coded_len = chunks.iter().map(|chunk| chunk.coded.len()).sum();
        let bases = chunks.iter().map(|chunk| chunk.basis.bases.len()).sum();
        let within = self.fits(chunks.len(), coded_len, bases);
        assert!(within, "the caller asked whether they fit");
        let first = u16::try_from(self.len()).expect("a pack has at most 8,192 chunks");
        let keys = &self.keys;
        let stored: Vec<(Record, Vec<u8>, Vec<Place>)> = chunks
            .into_par_iter()
            .enumerate()
            .map(|(at, chunk)| encrypt(keys, usize::from(first) + at, chunk))
            .collect();
        for (mut record, bytes, bases) in stored {
            record.bases = bases.iter().map(|place| self.base(place)).collect();
            self.directory.records.push(record);
            self.bytes.extend_from_slice(&bytes);
        }
        self.bases += bases;
        first
    }

    /// A base as the directory names it.
    fn base(&mut self, place: &Place) -> Base {
        let number = place.number;
        if place.pack == self.provisional {
            return Base { slot: 0, number };
        }
        let packs = &mut self.directory.packs;
        let slot = *self.slots.entry(place.pack).or_insert_with(|| {
            packs.push(place.pack);
            u16::try_from(packs.len()).expect("a table has at most 4,096 packs")
        });
        Base { slot, number }
    }

    /// Seals the directory and names the pack.
    pub fn finish(self) -> FinishedPack {
        let directory = self.directory.seal(&self.header, &self.index_key);
        let mut bytes = self.bytes;
        let directory_at = bytes.len();
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(&encode_trailer(directory.len()));
        let sha256 = Sha256::digest(&bytes).into();
        let id = PackId::of(&bytes);
        let copy_tag = kept::tag(&self.index_key, &id, &bytes[..HEADER_BYTES], &directory);
        FinishedPack {
            id,
            bytes,
            sha256,
            directory_at,
            data_key: self.data_key,
            copy_tag,
        }
    }
}

/// A chunk's record but for its bases, its bytes, and where its bases lie.
fn encrypt(keys: &PackKeys, number: usize, chunk: CodedChunk) -> (Record, Vec<u8>, Vec<Place>) {
    let number = u32::try_from(number).expect("a pack has at most 8,192 chunks");
    let mut stored = chunk.coded;
    keys.of(chunk.class)
        .encrypt(chunk.class, number, &mut stored);
    let record = Record {
        id: chunk.id,
        class: chunk.class.to_byte(),
        coding: chunk.coding,
        stored_len: u32::try_from(stored.len()).expect("a chunk fits into a pack"),
        plain_len: u32::try_from(chunk.plain_len).expect("a chunk is at most 4 MiB"),
        depth: chunk.basis.depth,
        bases: Vec::new(),
    };
    (record, stored, chunk.basis.bases)
}

/// Why a pack's directory can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The store failed, or has no such pack.
    #[error("the pack could not be read")]
    Store(#[from] StoreError),
    /// Its header is malformed.
    #[error("the pack's header is no header")]
    Header(#[from] HeaderError),
    /// Its end is malformed.
    #[error("the pack's trailer is no trailer")]
    Trailer(#[source] LayoutError),
    /// Its directory does not open, or is malformed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// It states another repository or domain than it should.
    #[error("the pack belongs to another repository or domain")]
    Foreign,
    /// It states an epoch of which the key has no part.
    #[error("the pack is of epoch {epoch}, of which the key has no part")]
    Epoch {
        /// The epoch.
        epoch: u32,
    },
    /// A kept copy is damaged, or another pack's.
    #[error("the kept copy is not the one of this pack's directory")]
    Copy,
}

/// A pack's header and sealed directory, unchecked.
#[derive(Debug, Clone)]
pub struct SealedDirectory {
    header: PackHeader,
    sealed: Vec<u8>,
    chunks_len: u64,
}

/// A chunk's place within its pack.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// First byte in the pack.
    pub offset: u64,
    /// Length in the pack, tag included, bytes.
    pub len: u32,
}

/// A pack whose directory is authentic.
#[derive(Debug, Clone)]
pub struct OpenPack {
    /// Its header.
    pub header: PackHeader,
    /// Its directory.
    pub directory: Directory,
    /// Where each chunk stands.
    pub spans: Vec<Span>,
}

impl SealedDirectory {
    /// Reads header and directory of a pack of this length from the store.
    ///
    /// # Errors
    ///
    /// [`PackError`].
    pub fn fetch<S: ReadStore + ?Sized>(
        store: &S,
        pack: &PackId,
        len: u32,
    ) -> Result<Self, PackError> {
        let key = ObjectKey::Pack(*pack);
        let len = u64::from(len);
        let frame = (HEADER_BYTES + TRAILER_BYTES) as u64;
        if len < frame {
            return Err(PackError::Trailer(LayoutError::Truncated { field: "pack" }));
        }
        let header = store.read_range(&key, 0, HEADER_BYTES as u64)?;
        let tail_at = len.saturating_sub(TAIL_BYTES).max(HEADER_BYTES as u64);
        let tail = store.read_range(&key, tail_at, len - tail_at)?;
        let directory_len = directory_len(&tail, len)?;
        let directory_at = len - TRAILER_BYTES as u64 - directory_len;
        let sealed = if directory_at >= tail_at {
            let from = usize::try_from(directory_at - tail_at).expect("within the tail");
            tail[from..tail.len() - TRAILER_BYTES].to_vec()
        } else {
            store.read_range(&key, directory_at, directory_len)?
        };
        Self::from_parts(&header, sealed, len)
    }

    /// Takes a whole pack apart.
    ///
    /// # Errors
    ///
    /// [`PackError`].
    pub fn of_bytes(pack: &[u8]) -> Result<Self, PackError> {
        let len = pack.len() as u64;
        if pack.len() < HEADER_BYTES + TRAILER_BYTES {
            return Err(PackError::Trailer(LayoutError::Truncated { field: "pack" }));
        }
        let directory_len = usize::try_from(directory_len(pack, len)?).expect("bounded by a pack");
        let end = pack.len() - TRAILER_BYTES;
        Self::from_parts(
            &pack[..HEADER_BYTES],
            pack[end - directory_len..end].to_vec(),
            len,
        )
    }

    fn from_parts(header: &[u8], sealed: Vec<u8>, len: u64) -> Result<Self, PackError> {
        let header = header
            .first_chunk()
            .ok_or(PackError::Trailer(LayoutError::Truncated {
                field: "pack header",
            }))?;
        let frame = (HEADER_BYTES + TRAILER_BYTES + sealed.len()) as u64;
        let chunks_len = len
            .checked_sub(frame)
            .ok_or(PackError::Trailer(LayoutError::Truncated { field: "pack" }))?;
        Ok(Self {
            header: PackHeader::parse(header)?,
            sealed,
            chunks_len,
        })
    }

    /// Length of header and sealed directory, bytes.
    pub fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.sealed.len()
    }

    /// What the header says; nothing of it is checked.
    pub fn header(&self) -> &PackHeader {
        &self.header
    }

    /// Opens the directory.
    ///
    /// # Errors
    ///
    /// [`PackError::Directory`].
    pub fn open(self, index_key: &SecretKey) -> Result<OpenPack, PackError> {
        let directory = Directory::open(&self.header, index_key, &self.sealed, self.chunks_len)?;
        let mut offset = HEADER_BYTES as u64;
        let spans = directory.records.iter().map(|record| {
            let span = Span {
                offset,
                len: record.stored_len,
            };
            offset += u64::from(record.stored_len);
            span
        });
        let spans = spans.collect();
        Ok(OpenPack {
            header: self.header,
            directory,
            spans,
        })
    }
}

fn directory_len(tail: &[u8], pack_len: u64) -> Result<u64, PackError> {
    let trailer = tail
        .last_chunk()
        .ok_or(PackError::Trailer(LayoutError::Truncated {
            field: "pack trailer",
        }))?;
    let room = pack_len - (HEADER_BYTES + TRAILER_BYTES) as u64;
    let most = usize::try_from(room)
        .unwrap_or(usize::MAX)
        .min(DIRECTORY_LEN_MAX);
    Ok(parse_trailer(trailer, most).map_err(PackError::Trailer)? as u64)
}
