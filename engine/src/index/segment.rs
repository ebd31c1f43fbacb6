//! One sorted file of the index, and how it is searched.
//!
//! | part | bytes |
//! |---|---|
//! | blocks | 4,096 each: 292 records of 14 bytes, zeros where there are fewer, and a checksum of 8 |
//! | packs | 32 each: the ids of the packs that it covers |
//! | fan-out | 8 for each block: the key of its first record |
//! | end | 100: magic, repository, domain, number of packs, number of records, checksum |
//!
//! A record is the first 8 bytes of a chunk's id as a number (its key, by which
//! records are sorted), the pack's place in the table, and the chunk's number in
//! the pack. Among 40 million chunks an id that is in none has the key of one with
//! a probability of 4e7 / 2^64, about 2e-12: ten terabytes of new chunks meet one
//! false hit in ten thousand runs. It costs opening a directory. So 24 more bytes
//! of each id would buy nothing. Ids are keyed hashes: who has not the domain's
//! keys can't aim at a key either.
//!
//! What is read at the start (packs, fan-out, end) is covered by the checksum of
//! the end, and a block by its own, which is checked each time it is read. They
//! find rot and what a crash tore, and not lies: anyone can compute them. Whatever
//! a segment says is a hint at which directory to look into.

use std::sync::atomic::{AtomicU8, Ordering};

use indelible_format::ids::{ChunkId, PackId};

use crate::state::{SegmentDraft, SegmentFile, Segments, StateError};

const MAGIC: &[u8; 8] = b"INDLIDX1";
const RECORD_BYTES: usize = 14;
pub(super) const BLOCK_BYTES: usize = 4_096;
const CHECKSUM_BYTES: usize = 8;
const BLOCK_RECORDS: usize = (BLOCK_BYTES - CHECKSUM_BYTES) / RECORD_BYTES;
const END_BYTES: usize = 8 + 32 + 16 + 4 + 8 + 32;
/// Blocks that are read or written at once.
const SPAN_BLOCKS: usize = 16;

/// The most records that a segment has, and the most packs: what is kept of it in
/// memory stays bounded, whatever its file says.
pub(super) const RECORDS_MAX: u64 = 1 << 30;
const PACKS_MAX: u32 = 1 << 24;
/// So many blocks are read for a key: more than a thousand records. Honest writers
/// store a chunk once, or as often as they began at once.
const KEY_BLOCKS_MAX: usize = 5;

/// A hint at where a chunk is. Sorts by its key first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) key: u64,
    pub(super) pack: u32,
    pub(super) number: u16,
}

impl Record {
    const ZERO: Self = Self {
        key: 0,
        pack: 0,
        number: 0,
    };

    fn encode(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.key.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.pack.to_le_bytes());
        bytes[12..].copy_from_slice(&self.number.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Self {
        let [k0, k1, k2, k3, k4, k5, k6, k7, p0, p1, p2, p3, n0, n1] = *bytes;
        Self {
            key: u64::from_le_bytes([k0, k1, k2, k3, k4, k5, k6, k7]),
            pack: u32::from_le_bytes([p0, p1, p2, p3]),
            number: u16::from_le_bytes([n0, n1]),
        }
    }
}

/// The key of an id.
pub(super) fn key_of(id: &ChunkId) -> u64 {
    let (key, _) = id.0.split_first_chunk().expect("an id has 32 bytes");
    u64::from_be_bytes(*key)
}

/// A file is no segment, or a block of it is not as it was written.
#[derive(Debug)]
pub(super) struct Damaged;

/// A block that was right is so no more.
#[derive(Debug)]
pub(super) struct Lost;

const UNREAD: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// A segment that can be searched.
#[derive(Debug)]
pub(super) struct Segment {
    file: SegmentFile,
    records: u64,
    /// The first key of each block.
    fan_out: Vec<u64>,
    /// What was found of each block: an answer must not change while a run lives.
    found: Vec<AtomicU8>,
    /// All blocks, if it is small enough to be held.
    held: Option<Vec<u8>>,
}

impl Segment {
    /// Opens a segment of these, and tells the packs that it covers, in the order
    /// of their numbers. Nothing that was told counts if it turns out damaged; its
    /// file goes then.
    pub(super) fn open(
        file: SegmentFile,
        of: &Segments,
        each: impl FnMut(PackId),
    ) -> Result<Self, Damaged> {
        match Self::read(&file, of, each) {
            Ok((records, fan_out)) => Ok(Self::new(file, records, fan_out)),
            Err(damaged) => {
                file.remove();
                Err(damaged)
            }
        }
    }

    fn read(
        file: &SegmentFile,
        of: &Segments,
        mut each: impl FnMut(PackId),
    ) -> Result<(u64, Vec<u64>), Damaged> {
        let len = file.size_bytes().map_err(|_| Damaged)?;
        let end_at = len.checked_sub(END_BYTES as u64).ok_or(Damaged)?;
        let mut end = [0; END_BYTES];
        file.read_at(&mut end, end_at).map_err(|_| Damaged)?;
        let (content, checksum) = end.split_last_chunk::<32>().ok_or(Damaged)?;
        let (packs, records) = parse_end(content, of).ok_or(Damaged)?;
        let blocks = records.div_ceil(BLOCK_RECORDS as u64);
        let packs_at = blocks * BLOCK_BYTES as u64;
        let fan_out_at = packs_at + u64::from(packs) * 32;
        if end_at != fan_out_at + blocks * 8 {
            return Err(Damaged);
        }
        let mut hasher = blake3::Hasher::new();
        read_span(file, packs_at, fan_out_at, |bytes| {
            hasher.update(bytes);
            for id in bytes.as_chunks().0 {
                each(PackId(*id));
            }
        })?;
        let blocks = usize::try_from(blocks).map_err(|_| Damaged)?;
        let mut fan_out = Vec::with_capacity(blocks);
        read_span(file, fan_out_at, end_at, |bytes| {
            hasher.update(bytes);
            fan_out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|key| u64::from_le_bytes(*key)),
            );
        })?;
        hasher.update(content);
        if hasher.finalize() != *checksum {
            return Err(Damaged);
        }
        Ok((records, fan_out))
    }

    fn new(file: SegmentFile, records: u64, fan_out: Vec<u64>) -> Self {
        let found = fan_out.iter().map(|_| AtomicU8::new(UNREAD)).collect();
        Self {
            file,
            records,
            fan_out,
            found,
            held: None,
        }
    }

    /// How long its blocks are together, bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        (self.fan_out.len() * BLOCK_BYTES) as u64
    }

    /// Reads all blocks, and holds them from now on.
    pub(super) fn hold(&mut self) {
        let mut blocks = Vec::new();
        for block in 0..self.fan_out.len() {
            let mut bytes = [0; BLOCK_BYTES];
            // One that is damaged, or was right before, is known to be so.
            let _ = self.read_block(block, &mut bytes);
            blocks.extend_from_slice(&bytes);
        }
        self.held = Some(blocks);
    }

    /// How many records it has.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Its file.
    pub(super) fn file(&self) -> &SegmentFile {
        &self.file
    }

    /// Calls `each` for the records with this key: few, and mostly none. A block
    /// that was found damaged has none, and the file goes, so that the next run
    /// makes it anew.
    pub(super) fn find(&self, key: u64, mut each: impl FnMut(Record)) -> Result<(), Lost> {
        let after = self.fan_out.partition_point(|first| *first < key);
        let start = after.saturating_sub(1);
        let blocks = (start..self.fan_out.len()).take(KEY_BLOCKS_MAX);
        let mut buffer = [0; BLOCK_BYTES];
        for block in blocks.take_while(|block| self.fan_out[*block] <= key) {
            let Some(bytes) = self.block(block, &mut buffer)? else {
                continue;
            };
            let records = &bytes.as_chunks::<RECORD_BYTES>().0[..self.records_of(block)];
            let from = records.partition_point(|record| Record::decode(record).key < key);
            for record in &records[from..] {
                let record = Record::decode(record);
                if record.key != key {
                    return Ok(());
                }
                each(record);
            }
        }
        Ok(())
    }

    /// A block, unless it is damaged.
    fn block<'b>(
        &'b self,
        block: usize,
        buffer: &'b mut [u8; BLOCK_BYTES],
    ) -> Result<Option<&'b [u8]>, Lost> {
        let Some(held) = &self.held else {
            return Ok(self.read_block(block, buffer)?.then_some(&buffer[..]));
        };
        let right = self.found[block].load(Ordering::Acquire) == RIGHT;
        let start = block * BLOCK_BYTES;
        Ok(right.then(|| &held[start..start + BLOCK_BYTES]))
    }

    /// Reads a block. False: it is damaged, and was so from the start.
    fn read_block(&self, block: usize, bytes: &mut [u8; BLOCK_BYTES]) -> Result<bool, Lost> {
        let found = &self.found[block];
        if found.load(Ordering::Acquire) == WRONG {
            return Ok(false);
        }
        let offset = (block * BLOCK_BYTES) as u64;
        let right = self.file.read_at(bytes, offset).is_ok() && is_right(block, bytes);
        let now = if right { RIGHT } else { WRONG };
        match found.compare_exchange(UNREAD, now, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) if !right => {
                self.file.remove();
                Ok(false)
            }
            Err(RIGHT) if !right => Err(Lost),
            // Another thread that read it at the same time decides.
            Err(WRONG) => Ok(false),
            _ => Ok(true),
        }
    }

    fn records_of(&self, block: usize) -> usize {
        let before = (block * BLOCK_RECORDS) as u64;
        let left = self.records.saturating_sub(before);
        usize::try_from(left).map_or(BLOCK_RECORDS, |left| left.min(BLOCK_RECORDS))
    }

    /// Every record, in order.
    pub(super) fn all(&self) -> Records<'_> {
        Records {
            segment: self,
            next: 0,
            span: Vec::new(),
        }
    }
}

/// The numbers of packs and records, if the rest is right.
fn parse_end(content: &[u8], of: &Segments) -> Option<(u32, u64)> {
    let rest = content.strip_prefix(MAGIC)?;
    let rest = rest.strip_prefix(&of.repository().0)?;
    let rest = rest.strip_prefix(&of.domain().0)?;
    let (packs, records) = rest.split_first_chunk()?;
    let packs = u32::from_le_bytes(*packs);
    let records = u64::from_le_bytes(*records.first_chunk()?);
    (packs <= PACKS_MAX && records <= RECORDS_MAX).then_some((packs, records))
}

/// Reads from one offset to another through a bounded buffer, which is a multiple
/// of what stands there.
fn read_span(
    file: &SegmentFile,
    mut from: u64,
    to: u64,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Damaged> {
    let mut buffer = vec![0; SPAN_BLOCKS * BLOCK_BYTES];
    while from < to {
        let len = usize::try_from(to - from).map_or(buffer.len(), |left| left.min(buffer.len()));
        let bytes = &mut buffer[..len];
        file.read_at(bytes, from).map_err(|_| Damaged)?;
        each(bytes);
        from += len as u64;
    }
    Ok(())
}

/// What a block's checksum must be. Its place counts, so that no block stands for
/// another.
fn checksum(block: usize, records: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(block as u64).to_le_bytes()).update(records);
    let hash = hasher.finalize();
    let (checksum, _) = hash
        .as_bytes()
        .split_first_chunk()
        .expect("a hash is longer");
    *checksum
}

fn is_right(block: usize, bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk()
        .is_some_and(|(records, stated)| checksum(block, records) == *stated)
}

/// The records of a segment, read span by span.
pub(super) struct Records<'s> {
    segment: &'s Segment,
    /// The next record's number.
    next: u64,
    /// Blocks from the one of the next record on, or from earlier.
    span: Vec<u8>,
}

impl Records<'_> {
    /// Reads the span that begins with this block.
    fn fill(&mut self, block: usize) -> Result<(), Damaged> {
        let blocks = (self.segment.fan_out.len() - block).min(SPAN_BLOCKS);
        self.span.resize(blocks * BLOCK_BYTES, 0);
        let offset = (block * BLOCK_BYTES) as u64;
        self.segment
            .file
            .read_at(&mut self.span, offset)
            .map_err(|_| Damaged)?;
        let mut each = self.span.as_chunks::<BLOCK_BYTES>().0.iter().zip(block..);
        if each.all(|(bytes, block)| is_right(block, bytes)) {
            Ok(())
        } else {
            Err(Damaged)
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.segment.records {
            return None;
        }
        let number = usize::try_from(self.next).expect("at most 2^30");
        let (block, at) = (number / BLOCK_RECORDS, number % BLOCK_RECORDS);
        if at == 0
            && block.is_multiple_of(SPAN_BLOCKS)
            && let Err(damaged) = self.fill(block)
        {
            return Some(Err(damaged));
        }
        let start = (block % SPAN_BLOCKS) * BLOCK_BYTES + at * RECORD_BYTES;
        let bytes = self.span[start..]
            .first_chunk()
            .expect("the span is filled");
        self.next += 1;
        Some(Ok(Record::decode(bytes)))
    }
}

/// Writes a segment, record by record.
pub(super) struct SegmentWriter {
    draft: SegmentDraft,
    /// Whole blocks, and the one that is being filled.
    span: Vec<u8>,
    fan_out: Vec<u64>,
    records: u64,
    last: Record,
}

impl SegmentWriter {
    pub(super) fn begin(of: &Segments) -> Result<Self, StateError> {
        Ok(Self {
            draft: of.begin()?,
            span: Vec::with_capacity(SPAN_BLOCKS * BLOCK_BYTES),
            fan_out: Vec::new(),
            records: 0,
            last: Record::ZERO,
        })
    }

    /// Adds a record. They come in order; one that stands twice is added once.
    pub(super) fn push(&mut self, record: Record) -> Result<(), StateError> {
        if self.records > 0 && record == self.last {
            return Ok(());
        }
        debug_assert!(record.key >= self.last.key, "records come in order");
        self.last = record;
        if self.records.is_multiple_of(BLOCK_RECORDS as u64) {
            self.close_block()?;
            self.fan_out.push(record.key);
        }
        self.span.extend_from_slice(&record.encode());
        self.records += 1;
        Ok(())
    }

    /// Puts the checksum behind the block that is being filled, if there is one.
    fn close_block(&mut self) -> Result<(), StateError> {
        let filled = self.span.len() % BLOCK_BYTES;
        if filled > 0 {
            let start = self.span.len() - filled;
            self.span.resize(start + BLOCK_BYTES - CHECKSUM_BYTES, 0);
            let sum = checksum(self.fan_out.len() - 1, &self.span[start..]);
            self.span.extend_from_slice(&sum);
        }
        if self.span.len() == SPAN_BLOCKS * BLOCK_BYTES {
            self.draft.write(&self.span)?;
            self.span.clear();
        }
        Ok(())
    }

    /// Ends it, with the packs that it covers in the order of their numbers.
    pub(super) fn finish(
        mut self,
        of: &Segments,
        packs: impl Iterator<Item = PackId>,
    ) -> Result<Segment, StateError> {
        self.close_block()?;
        self.draft.write(&self.span)?;
        self.span.clear();
        let mut hasher = blake3::Hasher::new();
        let mut count = 0_u32;
        for pack in packs {
            self.span.extend_from_slice(&pack.0);
            count += 1;
            self.spill(&mut hasher, SPAN_BLOCKS * BLOCK_BYTES)?;
        }
        for at in 0..self.fan_out.len() {
            self.span.extend_from_slice(&self.fan_out[at].to_le_bytes());
            self.spill(&mut hasher, SPAN_BLOCKS * BLOCK_BYTES)?;
        }
        self.span.extend_from_slice(MAGIC);
        self.span.extend_from_slice(&of.repository().0);
        self.span.extend_from_slice(&of.domain().0);
        self.span.extend_from_slice(&count.to_le_bytes());
        self.span.extend_from_slice(&self.records.to_le_bytes());
        self.spill(&mut hasher, 0)?;
        let name = *hasher.finalize().as_bytes();
        self.draft.write(&name)?;
        let file = self.draft.keep(&name)?;
        Ok(Segment::new(file, self.records, self.fan_out))
    }

    /// Writes what waits if it has this many bytes.
    fn spill(&mut self, hasher: &mut blake3::Hasher, at_least: usize) -> Result<(), StateError> {
        if self.span.len() >= at_least {
            hasher.update(&self.span);
            self.draft.write(&self.span)?;
            self.span.clear();
        }
        Ok(())
    }
}
