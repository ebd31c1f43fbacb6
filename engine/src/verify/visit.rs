//! One visit to one listed pack: is it there, are its bytes those of its name,
//! and which of its chunks can be had.
//!
//! Every level visits packs alike. What a level adds is a key: with the index key
//! the directory opens, with the node key pages and nodes decode, with the data
//! key contents do. So what a lower level finds, a higher one finds too.
//!
//! A pack that is not to be read whole is visited all the same: its presence and
//! length are checked, and its directory is fetched and opened.
//!
//! Reading and looking are apart, so that the next pack is read while all cores
//! look at this one. At most two packs are in memory.

use std::collections::BTreeMap;
use std::ops::Range;

use indelible_format::coding::{Class, Coding};
use indelible_format::commit::NewPack;
use indelible_format::directory::Record;
use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::limits::PACK_BYTES_MAX;
use indelible_format::planted::{Bug, planted};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::extent::Deadline;
use super::leaning::Table;
use super::{Problem, ProblemKind};
use crate::pack::{PackError, SealedDirectory};
use crate::read::{Buffers, ChunkFault, Coded, DomainReader, ReadPack, at_least, stored};
use crate::repository::ListedPack;
use crate::store::{ObjectKey, ReadStore, StoreError};

/// A pack's bytes are not what its listing says.
#[derive(Debug, thiserror::Error)]
enum BytesError {
    #[error("it has {found} bytes, and its entry lists {listed}")]
    Length { found: u64, listed: u32 },
    #[error("its bytes have another hash than its name")]
    Name,
    #[error("its SHA-256 is not the one that its entry lists")]
    Sha256,
}

/// What one visit to a pack gave.
pub(super) struct Visit {
    pub(super) listed: ListedPack,
    /// What is wrong with the pack as a whole.
    pub(super) problem: Option<Problem>,
    /// Bytes that were read of it.
    pub(super) bytes: u64,
    /// It could have been read whole and was not.
    pub(super) left_out: bool,
    /// It was not read because the store says that it is as its entry lists it.
    pub(super) is_vouched: bool,
    /// It was read whole, and its bytes are those that its entry lists.
    pub(super) is_intact: bool,
    /// Its bytes are not those of its name.
    altered: bool,
    /// What its directory says, if it opened.
    pub(super) table: Option<Table>,
    /// Deltas whose bytes are what their writer sealed, and that are to be decoded
    /// when all packs were visited.
    pub(super) later: Vec<u16>,
    /// Chunks that were decoded.
    pub(super) decoded: u64,
    /// Chunks that can be had.
    pub(super) good: Vec<Good>,
    /// Chunks that can't, each with a problem of its own.
    pub(super) bad: Vec<(ChunkId, u16, Problem)>,
}

/// A chunk that can be had, as far as was looked.
pub(super) struct Good {
    pub(super) id: ChunkId,
    pub(super) class: Class,
    /// Length of its plaintext, bytes.
    pub(super) len: u32,
    pub(super) number: u16,
    /// It was not decoded, and its pack's bytes were altered, here or elsewhere.
    pub(super) suspect: bool,
}

/// The keys that a visit is made with.
#[derive(Clone, Copy)]
pub(super) struct Keys<'k> {
    pub(super) reader: &'k DomainReader<'k>,
    /// Whether contents are decoded too.
    pub(super) data: bool,
}

/// Visits packs.
pub(super) struct Visitor<'a, S: ReadStore + ?Sized> {
    pub(super) store: &'a S,
    /// What the store lists.
    pub(super) sizes: &'a BTreeMap<PackId, u64>,
    pub(super) deadline: &'a Deadline,
    pub(super) buffers: Buffers,
}

/// Packs that were read, and not yet looked at.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    filled: usize,
    /// Each with where its bytes are, if they could be read.
    visits: Vec<(Visit, Option<Range<usize>>)>,
}

impl<S: ReadStore + ?Sized> Visitor<'_, S> {
    /// Reads packs whole, one after the other, and hands them to `each`, small ones
    /// together: never more than the longest pack has. Gives those that it did not
    /// come to, because the time was up or `each` wants no more.
    pub(super) fn read_all(
        &self,
        packs: Vec<ListedPack>,
        mut each: impl FnMut(Batch) -> bool,
    ) -> Vec<ListedPack> {
        let mut packs = packs.into_iter();
        let mut batch = self.begin();
        while let Some(next) = packs.as_slice().first()
            && self.deadline.has_time()
        {
            let end = batch.filled + next.pack.len as usize;
            if end > PACK_BYTES_MAX && batch.filled > 0 {
                if !each(batch) {
                    return packs.collect();
                }
                batch = self.begin();
            }
            if let Some(listed) = packs.next() {
                self.read(listed, &mut batch);
            }
        }
        each(batch);
        packs.collect()
    }

    fn begin(&self) -> Batch {
        Batch {
            bytes: self.buffers.take(),
            ..Batch::default()
        }
    }

    /// Reads a pack as long as it is listed: that much a reader reads.
    fn read(&self, listed: ListedPack, batch: &mut Batch) {
        let mut visit = Visit::new(listed, self.sizes);
        let mut read = None;
        if can_be_read(self.sizes, &listed.pack) {
            let range = batch.filled..batch.filled + listed.pack.len as usize;
            let into = &mut at_least(&mut batch.bytes, range.end)[range.clone()];
            let key = ObjectKey::Pack(listed.pack.id);
            match self.store.read_into(&key, 0, into) {
                Ok(()) => {
                    batch.filled = range.end;
                    read = Some(range);
                }
                Err(error) => visit.problem = Some(unread_pack(&listed.pack.id, error)),
            }
        }
        batch.visits.push((visit, read));
    }

    /// Looks at what was read, on all cores.
    pub(super) fn check_all<'k>(
        &self,
        batch: Batch,
        keys: &(impl Fn(&DomainId) -> Option<Keys<'k>> + Sync),
        done: &(impl Fn(&Visit) + Sync),
    ) -> Vec<Visit> {
        let Batch { bytes, visits, .. } = batch;
        let visits = visits.into_par_iter().map(|(mut visit, read)| {
            if let Some(read) = read {
                let keys = keys(&visit.listed.domain);
                visit = Self::check(visit, &bytes[read], keys);
            }
            done(&visit);
            visit
        });
        let visits = visits.collect();
        self.buffers.give(bytes);
        visits
    }

    fn check(mut visit: Visit, bytes: &[u8], keys: Option<Keys<'_>>) -> Visit {
        visit.bytes = bytes.len() as u64;
        let pack = visit.listed.pack;
        let Some(keys) = keys else {
            visit.note_name(named(&pack, bytes).err());
            return visit;
        };
        let open =
            SealedDirectory::of_bytes(bytes).and_then(|sealed| keys.reader.open(&pack.id, sealed));
        let name = || named(&pack, bytes).err();
        match open {
            Ok(open) if keys.data => {
                // A class that is not known never verifies.
                let decode = || decode_where(&open, bytes, keys, |_| true);
                let (cause, outcomes) = rayon::join(name, decode);
                visit.note_name(cause);
                visit.add_chunks(&open, outcomes);
            }
            // Pages and nodes of a pack that has the bytes of its name are left to
            // the walk, which decodes what it meets.
            Ok(open) => {
                visit.note_name(name());
                let altered = visit.altered;
                let of_tree =
                    |class: Option<Class>| class.is_some_and(|class| class != Class::Data);
                let outcomes = decode_where(&open, bytes, keys, |class| altered && of_tree(class));
                visit.add_chunks(&open, outcomes);
            }
            Err(error) => {
                visit.note_name(name());
                visit.problem = Some(directory_problem(&pack, error));
            }
        }
        visit
    }

    /// Visits a pack that is not read whole, though it could be: only its directory
    /// is, and its chunks are taken to be what that says.
    pub(super) fn pass(&self, listed: ListedPack, keys: Option<Keys<'_>>) -> Visit {
        let mut visit = Visit::new(listed, self.sizes);
        if !can_be_read(self.sizes, &listed.pack) {
            return visit;
        }
        visit.left_out = true;
        let Some(keys) = keys else { return visit };
        let sealed = SealedDirectory::fetch(self.store, &listed.pack.id, listed.pack.len);
        if let Ok(sealed) = &sealed {
            visit.bytes = sealed.size_bytes() as u64;
        }
        match sealed.and_then(|sealed| keys.reader.open(&listed.pack.id, sealed)) {
            Ok(open) => visit.list_chunks(&open),
            Err(error) => visit.problem = Some(directory_problem(&listed.pack, error)),
        }
        visit
    }
}

/// What became of a chunk.
enum Outcome {
    /// It was not looked at.
    Passed,
    /// It is a delta, and its bytes are what its writer sealed.
    Later,
    /// It was decoded.
    Decoded,
    Bad(ChunkFault),
}

/// Decodes those chunks of a pack whose class is chosen, or not known and chosen;
/// of a delta it checks the bytes alone.
fn decode_where(
    open: &ReadPack,
    bytes: &[u8],
    keys: Keys<'_>,
    chosen: impl Fn(Option<Class>) -> bool + Sync,
) -> Vec<Outcome> {
    let chunks = open.pack.directory.records.par_iter().enumerate();
    let decode = |(number, record): (usize, &Record)| {
        let stored = stored(bytes, 0, open.pack.spans[number]);
        let (checked, good) = match record.coding {
            _ if !chosen(record.known_class()) => return Outcome::Passed,
            Coding::Delta => {
                let sealed = keys.reader.check_seal(open, number, stored);
                (sealed, Outcome::Later)
            }
            _ => {
                let coded = Coded { stored, bases: &[] };
                let checked = keys.reader.check(open, number, coded);
                (checked, Outcome::Decoded)
            }
        };
        checked.map_or_else(Outcome::Bad, |()| good)
    };
    chunks.with_max_len(1).map(decode).collect()
}

impl Visit {
    /// A pack as the store lists it.
    pub(super) fn new(listed: ListedPack, sizes: &BTreeMap<PackId, u64>) -> Self {
        let pack = &listed.pack;
        let problem = match sizes.get(&pack.id) {
            None if planted(Bug::MissingPassedOver) => None,
            None => {
                let object = ObjectKey::Pack(pack.id).path();
                Some(Problem::new(ProblemKind::PackMissing, object, None))
            }
            Some(&found) if found != u64::from(pack.len) => {
                let listed = pack.len;
                Some(altered_pack(pack, BytesError::Length { found, listed }))
            }
            Some(_) => None,
        };
        Self {
            listed,
            problem,
            bytes: 0,
            left_out: false,
            is_vouched: false,
            is_intact: false,
            altered: false,
            table: None,
            later: Vec::new(),
            decoded: 0,
            good: Vec::new(),
            bad: Vec::new(),
        }
    }

    /// A pack that is taken on the store's word.
    pub(super) fn vouched(listed: ListedPack, sizes: &BTreeMap<PackId, u64>) -> Self {
        Self {
            is_vouched: true,
            ..Self::new(listed, sizes)
        }
    }

    /// Takes every chunk to be what the directory says.
    fn list_chunks(&mut self, open: &ReadPack) {
        self.table = Some(Table::of(&self.listed.pack.id, open));
        for (record, number) in open.pack.directory.records.iter().zip(0..) {
            self.good.extend(Good::of(record, number));
        }
    }

    /// Notes whether the pack's bytes are those that its entry lists.
    fn note_name(&mut self, cause: Option<BytesError>) {
        self.altered = matches!(cause, Some(BytesError::Name));
        self.is_intact = cause.is_none();
        if let Some(cause) = cause {
            self.problem = Some(altered_pack(&self.listed.pack, cause));
        }
    }

    /// Notes what became of its chunks.
    fn add_chunks(&mut self, open: &ReadPack, outcomes: Vec<Outcome>) {
        self.table = Some(Table::of(&self.listed.pack.id, open));
        let chunks = open.pack.directory.records.iter().zip(outcomes);
        for ((record, outcome), number) in chunks.zip(0_u16..) {
            let good = Good::of(record, number);
            match outcome {
                Outcome::Passed => self.good.extend(good.map(|good| Good {
                    suspect: self.altered,
                    ..good
                })),
                Outcome::Later => {
                    self.later.push(number);
                    self.good.extend(good);
                }
                Outcome::Decoded => {
                    self.decoded += 1;
                    self.good.extend(good);
                }
                Outcome::Bad(fault) => {
                    let object = ObjectKey::Pack(self.listed.pack.id).path();
                    let problem = Problem::new(ProblemKind::Chunk, object, Some(Box::new(fault)));
                    let problem = problem.of_chunk(number.into());
                    self.bad.push((record.id, number, problem));
                }
            }
        }
    }
}

impl Good {
    /// A chunk as its record states it, if its class is known.
    fn of(record: &Record, number: u16) -> Option<Self> {
        record.known_class().map(|class| Self {
            id: record.id,
            class,
            len: record.plain_len,
            number,
            suspect: false,
        })
    }
}

/// Whether the store lists a pack, and as at least as long as its entry does.
/// What stands behind a pack's end keeps nobody from reading it.
pub(super) fn can_be_read(sizes: &BTreeMap<PackId, u64>, pack: &NewPack) -> bool {
    sizes
        .get(&pack.id)
        .is_some_and(|&found| found >= u64::from(pack.len))
}

fn named(pack: &NewPack, bytes: &[u8]) -> Result<(), BytesError> {
    let (id, sha256) = rayon::join(|| PackId::of(bytes), || Sha256::digest(bytes));
    if planted(Bug::PackNameUnchecked) {
        Ok(())
    } else if id != pack.id {
        Err(BytesError::Name)
    } else if sha256[..] != pack.sha256 {
        Err(BytesError::Sha256)
    } else {
        Ok(())
    }
}

/// A pack whose bytes could not be read.
pub(super) fn unread_pack(pack: &PackId, error: StoreError) -> Problem {
    let kind = match &error {
        StoreError::NotFound { .. } => ProblemKind::PackMissing,
        StoreError::ShortRead { .. } | StoreError::NotRegular { .. } => ProblemKind::PackAltered,
        _ => ProblemKind::PackUnread,
    };
    let object = ObjectKey::Pack(*pack).path();
    Problem::new(kind, object, Some(Box::new(error)))
}

/// A pack whose bytes have another name.
pub(super) fn misnamed_pack(pack: &PackId) -> Problem {
    let object = ObjectKey::Pack(*pack).path();
    Problem::new(
        ProblemKind::PackAltered,
        object,
        Some(Box::new(BytesError::Name)),
    )
}

fn altered_pack(pack: &NewPack, cause: BytesError) -> Problem {
    let object = ObjectKey::Pack(pack.id).path();
    Problem::new(ProblemKind::PackAltered, object, Some(Box::new(cause)))
}

fn directory_problem(pack: &NewPack, error: PackError) -> Problem {
    let kind = match &error {
        PackError::Store(error) if error.is_not_found() => ProblemKind::PackMissing,
        PackError::Store(_) => ProblemKind::PackUnread,
        _ => ProblemKind::Directory,
    };
    Problem::new(kind, ObjectKey::Pack(pack.id).path(), Some(Box::new(error)))
}
