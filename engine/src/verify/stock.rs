//! Which chunks can be had from the packs that are there.
//!
//! Packs are visited once each, on all cores. At the level data every chunk is
//! decoded; at the level tree its presence in an authentic directory counts. A
//! chunk that is damaged in one pack and intact in another is in stock.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_format::coding::Class;
use indelible_format::commit::NewPack;
use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::places::Place;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use super::{Problem, ProblemKind, Report};
use crate::pack::{PackError, SealedDirectory};
use crate::progress::{Phase, Progress};
use crate::read::{ChunkFault, DomainReader, ReadError, ReadPack};
use crate::repository::{ListedPack, Listings, Repository};
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
struct Visit {
    listed: ListedPack,
    problem: Option<Problem>,
    /// Chunks that can be had, with class and plaintext length.
    good: Vec<(ChunkId, Class, u32, u16)>,
    /// Chunks that can't, each with a problem of its own.
    bad: Vec<(ChunkId, u16, Problem)>,
}

/// A chunk that can be had.
#[derive(Debug, Clone, Copy)]
pub(super) struct InStock {
    pub(super) class: Class,
    pub(super) len: u32,
}

/// Chunks and problems by domain and id.
pub(super) struct Stock<'a> {
    sizes: &'a BTreeMap<PackId, u64>,
    good: HashMap<(DomainId, ChunkId), Vec<(Place, InStock)>>,
    /// Problems by what they make unreadable.
    bad_chunks: HashMap<(DomainId, ChunkId), usize>,
    /// Packs that list a chunk and don't give it.
    bad_places: HashMap<(DomainId, ChunkId), Vec<PackId>>,
    bad_packs: HashMap<PackId, usize>,
    problems: Vec<Problem>,
    bytes: AtomicU64,
    chunks: u64,
}

impl<'a> Stock<'a> {
    pub(super) fn new(sizes: &'a BTreeMap<PackId, u64>) -> Self {
        Self {
            sizes,
            good: HashMap::new(),
            bad_chunks: HashMap::new(),
            bad_places: HashMap::new(),
            bad_packs: HashMap::new(),
            problems: Vec::new(),
            bytes: AtomicU64::new(0),
            chunks: 0,
        }
    }

    /// Checks every listed pack's bytes against its listing, and gives the
    /// listings that are not met.
    pub(super) fn check_bytes<S: ReadStore + ?Sized>(
        &self,
        store: &S,
        listings: &Listings,
        progress: &dyn Progress,
    ) -> Vec<(ListedPack, Problem)> {
        let listed = sorted(listings);
        progress.begin(
            Phase::CheckingPacks,
            Some(listed.iter().map(|listed| u64::from(listed.pack.len)).sum()),
        );
        let problems = listed
            .into_par_iter()
            .filter_map(|listed| {
                let checked = self.check_presence(&listed.pack);
                let read = self.read_pack(store, &listed.pack);
                progress.advance(Phase::CheckingPacks, listed.pack.len.into());
                let checked = checked.and_then(|()| check_name(&listed.pack, &read?));
                checked.err().map(|problem| (listed, problem))
            })
            .collect();
        progress.end(Phase::CheckingPacks);
        problems
    }

    /// Visits every listed pack with keys.
    pub(super) fn open_packs<S: ReadStore + ?Sized>(
        &mut self,
        repository: &Repository<'_, S>,
        listings: &Listings,
        data: bool,
        progress: &dyn Progress,
    ) -> Result<(), ReadError> {
        let listed = sorted(listings);
        let mut readers = HashMap::new();
        for listed in &listed {
            if let std::collections::hash_map::Entry::Vacant(e) = readers.entry(listed.domain) {
                e.insert(DomainReader::new(repository, listed.domain)?);
            }
        }
        let phase = if data {
            Phase::CheckingData
        } else {
            Phase::CheckingPacks
        };
        progress.begin(
            phase,
            Some(listed.iter().map(|listed| u64::from(listed.pack.len)).sum()),
        );
        let visits: Vec<Visit> = listed
            .into_par_iter()
            .map(|listed| {
                let reader = &readers[&listed.domain];
                let store = repository.store();
                let visit = if data {
                    self.visit_data(store, listed, reader)
                } else {
                    self.visit(store, listed, reader)
                };
                progress.advance(phase, listed.pack.len.into());
                visit
            })
            .collect();
        progress.end(phase);
        for visit in visits {
            self.add(visit, data);
        }
        Ok(())
    }

    /// Opens a pack's directory; its chunks are taken to be what it says.
    fn visit<S: ReadStore + ?Sized>(
        &self,
        store: &S,
        listed: ListedPack,
        reader: &DomainReader<'_>,
    ) -> Visit {
        let mut visit = Visit {
            listed,
            problem: None,
            good: Vec::new(),
            bad: Vec::new(),
        };
        visit.problem = self.check_presence(&listed.pack).err();
        // What stands behind a pack's end keeps nobody from reading it.
        let shorter = self
            .sizes
            .get(&listed.pack.id)
            .is_none_or(|&found| found < u64::from(listed.pack.len));
        if shorter {
            return visit;
        }
        let sealed = SealedDirectory::fetch(store, &listed.pack.id, listed.pack.len);
        if let Ok(sealed) = &sealed {
            self.bytes
                .fetch_add(sealed.copy().len() as u64, Ordering::Relaxed);
        }
        match sealed.and_then(|sealed| reader.open(sealed)) {
            Ok(pack) => {
                for (record, number) in pack.pack.directory.records.iter().zip(0..) {
                    let class = record.known_class();
                    visit
                        .good
                        .extend(class.map(|class| (record.id, class, record.plain_len, number)));
                }
            }
            Err(error) => visit.problem = Some(directory_problem(&listed.pack, error)),
        }
        visit
    }

    /// Reads a pack whole and decodes every chunk.
    fn visit_data<S: ReadStore + ?Sized>(
        &self,
        store: &S,
        listed: ListedPack,
        reader: &DomainReader<'_>,
    ) -> Visit {
        let mut visit = Visit {
            listed,
            problem: None,
            good: Vec::new(),
            bad: Vec::new(),
        };
        visit.problem = self.check_presence(&listed.pack).err();
        let bytes = match self.read_pack(store, &listed.pack) {
            Ok(bytes) => bytes,
            Err(problem) => {
                visit.problem.get_or_insert(problem);
                return visit;
            }
        };
        let named = check_name(&listed.pack, &bytes);
        visit.problem = visit.problem.or(named.err());
        match SealedDirectory::of_bytes(&bytes).and_then(|sealed| reader.open(sealed)) {
            Ok(pack) => visit_chunks(&mut visit, &pack, &bytes, reader),
            Err(error) => visit.problem = Some(directory_problem(&listed.pack, error)),
        }
        visit
    }

    fn check_presence(&self, pack: &NewPack) -> Result<(), Problem> {
        let object = ObjectKey::Pack(pack.id).path();
        match self.sizes.get(&pack.id) {
            None => Err(Problem::new(ProblemKind::PackMissing, object, None)),
            Some(&found) if found != u64::from(pack.len) => {
                let cause = BytesError::Length {
                    found,
                    listed: pack.len,
                };
                Err(Problem::new(
                    ProblemKind::PackAltered,
                    object,
                    Some(Box::new(cause)),
                ))
            }
            Some(_) => Ok(()),
        }
    }

    /// The pack as long as it is listed: that much a reader reads.
    fn read_pack<S: ReadStore + ?Sized>(
        &self,
        store: &S,
        pack: &NewPack,
    ) -> Result<Vec<u8>, Problem> {
        let key = ObjectKey::Pack(pack.id);
        let read = store.read_range(&key, 0, pack.len.into());
        let bytes = read.map_err(|error| {
            let kind = match &error {
                StoreError::NotFound { .. } => ProblemKind::PackMissing,
                StoreError::ShortRead { .. } | StoreError::NotRegular { .. } => {
                    ProblemKind::PackAltered
                }
                _ => ProblemKind::PackUnread,
            };
            Problem::new(kind, key.path(), Some(Box::new(error)))
        })?;
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    fn add(&mut self, visit: Visit, decoded: bool) {
        let domain = visit.listed.domain;
        let pack = visit.listed.pack.id;
        for (id, class, len, number) in visit.good {
            let place = Place { pack, number };
            self.good
                .entry((domain, id))
                .or_default()
                .push((place, InStock { class, len }));
            self.chunks += u64::from(decoded);
        }
        let chunk_problems = !visit.bad.is_empty();
        for (id, _, problem) in visit.bad {
            self.bad_chunks.insert((domain, id), self.problems.len());
            self.bad_places.entry((domain, id)).or_default().push(pack);
            self.problems.push(problem);
        }
        // A pack whose damage is pinned down to chunks is reported by them.
        if !chunk_problems {
            self.add_pack_problem(pack, visit.problem);
        }
    }

    fn add_pack_problem(&mut self, pack: PackId, problem: Option<Problem>) {
        if let Some(problem) = problem {
            self.bad_packs.insert(pack, self.problems.len());
            self.problems.push(problem);
        }
    }

    /// The places where a chunk can be had.
    pub(super) fn places(&self, domain: &DomainId, id: &ChunkId) -> &[(Place, InStock)] {
        self.good
            .get(&(*domain, *id))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The packs that are known to list a chunk, whether or not they give it.
    pub(super) fn packs_of(&self, domain: &DomainId, id: &ChunkId) -> Vec<PackId> {
        let good = self.places(domain, id).iter().map(|(place, _)| place.pack);
        let bad = self.bad_places.get(&(*domain, *id));
        good.chain(bad.into_iter().flatten().copied()).collect()
    }

    /// Whether it is unknown what a pack lists.
    pub(super) fn is_unread(&self, pack: &PackId) -> bool {
        self.bad_packs.contains_key(pack)
    }

    /// Notes a chunk that was found in a pack which no readable entry lists.
    pub(super) fn add_unlisted(
        &mut self,
        domain: DomainId,
        id: ChunkId,
        place: Place,
        chunk: InStock,
    ) {
        self.good
            .entry((domain, id))
            .or_default()
            .push((place, chunk));
    }

    /// The problem that keeps a chunk from being had, which is made if nothing
    /// known explains it. Its place in this stock's list.
    pub(super) fn blame(&mut self, domain: &DomainId, id: &ChunkId, hint: Place) -> usize {
        if let Some(known) = self.bad_chunks.get(&(*domain, *id)) {
            return *known;
        }
        if let Some(known) = self.bad_packs.get(&hint.pack) {
            return *known;
        }
        let object = ObjectKey::Pack(hint.pack).path();
        let problem = Problem::new(
            ProblemKind::ChunkMissing,
            object,
            Some(Box::new(ChunkFault::NotHere)),
        );
        self.bad_chunks.insert((*domain, *id), self.problems.len());
        self.add_problem(problem.of_chunk(hint.number.into()))
    }

    /// Adds a problem that the walk found, and gives its place.
    pub(super) fn add_problem(&mut self, problem: Problem) -> usize {
        self.problems.push(problem);
        self.problems.len() - 1
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn chunks_checked(&self) -> u64 {
        self.chunks
    }

    /// Moves the problems behind those of the report. Verdicts name them by their
    /// place in this stock, plus what the report had before: see
    /// [`tree::walk_all`](super::tree::walk_all).
    pub(super) fn report_into(self, report: &mut Report) {
        report.problems.extend(self.problems);
    }
}

/// Every listed pack once, in the order of the log.
fn sorted(listings: &Listings) -> Vec<ListedPack> {
    let mut listed: Vec<ListedPack> = listings.packs().copied().collect();
    listed.sort_by_key(|listed| (listed.entry, listed.place));
    listed
}

fn check_name(pack: &NewPack, bytes: &[u8]) -> Result<(), Problem> {
    let cause = if PackId::of(bytes) != pack.id {
        BytesError::Name
    } else if Sha256::digest(bytes)[..] != pack.sha256 {
        BytesError::Sha256
    } else {
        return Ok(());
    };
    let object = ObjectKey::Pack(pack.id).path();
    Err(Problem::new(
        ProblemKind::PackAltered,
        object,
        Some(Box::new(cause)),
    ))
}

fn directory_problem(pack: &NewPack, error: PackError) -> Problem {
    let kind = match &error {
        PackError::Store(error) if error.is_not_found() => ProblemKind::PackMissing,
        PackError::Store(_) => ProblemKind::PackUnread,
        _ => ProblemKind::Directory,
    };
    Problem::new(kind, ObjectKey::Pack(pack.id).path(), Some(Box::new(error)))
}

fn visit_chunks(visit: &mut Visit, pack: &ReadPack, bytes: &[u8], reader: &DomainReader<'_>) {
    for ((record, span), number) in pack
        .pack
        .directory
        .records
        .iter()
        .zip(&pack.pack.spans)
        .zip(0_u16..)
    {
        let start = usize::try_from(span.offset).expect("a pack is at most 32 MiB");
        let len = usize::try_from(span.len).expect("a pack is at most 32 MiB");
        let stored = bytes[start..start + len].to_vec();
        let checked = reader.verify(pack, number.into(), stored);
        match (checked, record.known_class()) {
            (Ok(_), Some(class)) => visit
                .good
                .push((record.id, class, record.plain_len, number)),
            // A class that is not known never verifies.
            (Ok(_), None) => {}
            (Err(fault), _) => {
                let object = ObjectKey::Pack(visit.listed.pack.id).path();
                let problem = Problem::new(ProblemKind::Chunk, object, Some(Box::new(fault)));
                visit
                    .bad
                    .push((record.id, number, problem.of_chunk(number.into())));
            }
        }
    }
}
