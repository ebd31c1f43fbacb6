//! One visit to one listed pack: is it there, are its bytes those of its name,
//! and which of its chunks can be had.
//!
//! Every level visits packs alike. What a level adds is a key: with the index key
//! the directory opens, with the node key pages and nodes decode, with the data
//! key contents do. So what a lower level finds, a higher one finds too.
//!
//! A pack that is not to be read whole is visited all the same: its presence and
//! length are checked, and its directory is fetched and opened.

use std::collections::BTreeMap;

use indelible_format::coding::Class;
use indelible_format::commit::NewPack;
use indelible_format::directory::Record;
use indelible_format::ids::{ChunkId, PackId};
use indelible_format::planted::{Bug, planted};
use sha2::{Digest as _, Sha256};

use super::extent::Draw;
use super::{Problem, ProblemKind};
use crate::pack::{PackError, SealedDirectory};
use crate::read::{DomainReader, ReadPack};
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
    /// It was read whole, and its bytes are those that its entry lists.
    pub(super) is_intact: bool,
    /// Its directory opened, so it is known what it lists.
    pub(super) is_open: bool,
    /// Chunks that were decoded.
    pub(super) decoded: u64,
    /// Chunks that can be had.
    pub(super) good: Vec<Good>,
    /// Chunks that can't, each with a problem of its own.
    pub(super) bad: Vec<(ChunkId, Problem)>,
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
    pub(super) draw: &'a Draw,
}

impl<S: ReadStore + ?Sized> Visitor<'_, S> {
    /// Visits a pack, and reads it whole if it was `chosen` and there is time.
    pub(super) fn visit(&self, listed: ListedPack, chosen: bool, keys: Option<Keys<'_>>) -> Visit {
        let mut visit = Visit::new(listed, self.sizes);
        if !can_be_read(self.sizes, &listed.pack) {
            return visit;
        }
        if chosen && self.draw.has_time() {
            self.read_whole(&mut visit, keys);
        } else {
            visit.left_out = true;
            if let Some(keys) = keys {
                self.read_directory(&mut visit, keys);
            }
        }
        visit
    }

    fn read_whole(&self, visit: &mut Visit, keys: Option<Keys<'_>>) {
        let pack = visit.listed.pack;
        let bytes = match self.read_pack(&pack) {
            Ok(bytes) => bytes,
            Err(problem) => {
                visit.problem = Some(problem);
                return;
            }
        };
        visit.bytes = bytes.len() as u64;
        let cause = named(&pack, &bytes).err();
        let altered = matches!(cause, Some(BytesError::Name));
        visit.is_intact = cause.is_none();
        if let Some(cause) = cause {
            visit.problem = Some(altered_pack(&pack, cause));
        }
        let Some(keys) = keys else { return };
        match SealedDirectory::of_bytes(&bytes).and_then(|sealed| keys.reader.open(sealed)) {
            Ok(open) => visit.check_chunks(&open, &bytes, keys, altered),
            Err(error) => visit.problem = Some(directory_problem(&pack, error)),
        }
    }

    /// Opens a pack's directory; its chunks are taken to be what it says.
    fn read_directory(&self, visit: &mut Visit, keys: Keys<'_>) {
        let pack = visit.listed.pack;
        let sealed = SealedDirectory::fetch(self.store, &pack.id, pack.len);
        if let Ok(sealed) = &sealed {
            visit.bytes = sealed.size_bytes() as u64;
        }
        match sealed.and_then(|sealed| keys.reader.open(sealed)) {
            Ok(open) => visit.list_chunks(&open),
            Err(error) => visit.problem = Some(directory_problem(&pack, error)),
        }
    }

    /// The pack as long as it is listed: that much a reader reads.
    fn read_pack(&self, pack: &NewPack) -> Result<Vec<u8>, Problem> {
        let key = ObjectKey::Pack(pack.id);
        let read = self.store.read_range(&key, 0, pack.len.into());
        read.map_err(|error| unread_pack(&pack.id, error))
    }
}

impl Visit {
    /// A pack as the store lists it.
    fn new(listed: ListedPack, sizes: &BTreeMap<PackId, u64>) -> Self {
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
            is_intact: false,
            is_open: false,
            decoded: 0,
            good: Vec::new(),
            bad: Vec::new(),
        }
    }

    /// Takes every chunk to be what the directory says.
    fn list_chunks(&mut self, open: &ReadPack) {
        self.is_open = true;
        for (record, number) in open.pack.directory.records.iter().zip(0..) {
            self.good.extend(Good::of(record, number));
        }
    }

    /// Decodes the chunks that the keys open. Pages and nodes of a pack that has
    /// the bytes of its name are left to the walk, which decodes what it meets.
    fn check_chunks(&mut self, open: &ReadPack, bytes: &[u8], keys: Keys<'_>, altered: bool) {
        self.is_open = true;
        let chunks = open.pack.directory.records.iter().zip(&open.pack.spans);
        for ((record, span), number) in chunks.zip(0_u16..) {
            let good = Good::of(record, number);
            let of_tree = good.as_ref().is_some_and(|good| good.class != Class::Data);
            let decodes = keys.data || (of_tree && altered);
            if !decodes {
                self.good.extend(good.map(|good| Good {
                    suspect: altered,
                    ..good
                }));
                continue;
            }
            let start = usize::try_from(span.offset).expect("a pack is at most 32 MiB");
            let len = usize::try_from(span.len).expect("a pack is at most 32 MiB");
            let stored = bytes[start..start + len].to_vec();
            match keys.reader.verify(open, number.into(), stored) {
                // A class that is not known never verifies.
                Ok(_) => {
                    self.decoded += 1;
                    self.good.extend(good);
                }
                Err(fault) => {
                    let object = ObjectKey::Pack(self.listed.pack.id).path();
                    let problem = Problem::new(ProblemKind::Chunk, object, Some(Box::new(fault)));
                    self.bad.push((record.id, problem.of_chunk(number.into())));
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
    if planted(Bug::PackNameUnchecked) {
        Ok(())
    } else if PackId::of(bytes) != pack.id {
        Err(BytesError::Name)
    } else if Sha256::digest(bytes)[..] != pack.sha256 {
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
