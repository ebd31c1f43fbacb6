//! Which chunks can be had from the packs that are there.
//!
//! Packs are visited once each: one thread reads, all cores look at what it read. At
//! the level data every chunk that was read is decoded; at the level tree its presence
//! in an authentic directory
//! counts, unless its pack was altered: then a chunk of the tree is decoded, and
//! one of contents is *suspect*. A chunk that is damaged in one pack and intact
//! in another is in stock. What deltas lean on is settled when all packs were visited.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::thread;

use indelible_format::coding::Class;
use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::places::Place;
use rayon::prelude::*;

use super::extent::{Amount, Deadline, Extent};
use super::leaning::Leaning;
use super::metered::Metered;
use super::visit::{Batch, Keys, Visit, Visitor, can_be_read, misnamed_pack, unread_pack};
use super::{Problem, ProblemKind, Report, Terms, word};
use crate::env::Env;
use crate::progress::{Note, Phase, Progress};
use crate::read::{Buffers, ChunkFault, DomainReader, ReadError, Reader};
use crate::repository::{ListedPack, Listings, Repository};
use crate::store::{ObjectKey, ReadStore, StoreError};

/// A chunk that can be had.
#[derive(Debug, Clone, Copy)]
pub(super) struct InStock {
    pub(super) class: Class,
    pub(super) len: u32,
    /// The problem of its pack, if the chunk may be damaged with it.
    pub(super) suspect: Option<usize>,
}

/// A pack that is not as an entry lists it.
pub(super) struct NotAsListed {
    pub(super) problem: Problem,
    /// The entry that lists it, if its bytes are known not to be had.
    pub(super) harmed: Option<u64>,
}

/// How packs are visited.
pub(super) struct Round<'a> {
    pub(super) extent: Extent,
    pub(super) env: &'a Env,
    pub(super) deadline: Deadline,
    pub(super) progress: &'a dyn Progress,
    /// Whether packs are left out that the store vouches for.
    pub(super) takes_word: bool,
}

impl<'a> Round<'a> {
    /// The clock runs from here. No word is taken for a pack.
    pub(super) fn begin(terms: &Terms<'_>, env: &'a Env, progress: &'a dyn Progress) -> Self {
        Self {
            extent: terms.extent,
            env,
            deadline: terms.extent.deadline(env, env.clock.monotonic_ms()),
            progress,
            takes_word: false,
        }
    }
}

/// Chunks and problems by domain and id.
pub(super) struct Stock<'a> {
    sizes: &'a BTreeMap<PackId, u64>,
    good: HashMap<(DomainId, ChunkId), Vec<(Place, InStock)>>,
    /// Problems by what they make unreadable.
    bad_chunks: HashMap<(DomainId, ChunkId), BTreeSet<usize>>,
    /// Places that list a chunk and don't give it.
    bad_places: HashMap<(DomainId, ChunkId), Vec<Place>>,
    /// Packs that don't open, by their problems.
    pub(super) bad_packs: HashMap<PackId, usize>,
    /// What is known of deltas.
    pub(super) leaning: Leaning,
    /// Whether contents are decoded.
    pub(super) decodes_data: bool,
    /// Packs that are not as they are listed: those that don't open, and those
    /// whose directory may be another pack's.
    altered: BTreeSet<PackId>,
    /// Packs that no entry lists, with the problem of those that were altered.
    unlisted: BTreeMap<PackId, Option<usize>>,
    problems: Vec<Problem>,
    bytes: u64,
    pub(super) chunks: u64,
    /// Deltas that were to be decoded, and for which there was no time.
    pub(super) undecoded: u64,
    decodes: u64,
    packs_read: u64,
    unread: Amount,
    vouched: Amount,
}

impl<'a> Stock<'a> {
    pub(super) fn new(sizes: &'a BTreeMap<PackId, u64>) -> Self {
        Self {
            sizes,
            good: HashMap::new(),
            bad_chunks: HashMap::new(),
            bad_places: HashMap::new(),
            bad_packs: HashMap::new(),
            leaning: Leaning::default(),
            decodes_data: false,
            altered: BTreeSet::new(),
            unlisted: BTreeMap::new(),
            problems: Vec::new(),
            bytes: 0,
            chunks: 0,
            undecoded: 0,
            decodes: 0,
            packs_read: 0,
            unread: Amount::default(),
            vouched: Amount::default(),
        }
    }

    /// Visits every listed pack without a key, and gives what is wrong.
    pub(super) fn check_bytes<S: ReadStore + ?Sized>(
        &mut self,
        store: &S,
        listings: &Listings,
        round: &Round<'_>,
    ) -> Vec<NotAsListed> {
        let visits = self.visit_all(store, listings, round, Phase::CheckingPacks, |_| None);
        self.count(&visits);
        let wrong = visits.into_iter().filter_map(|visit| {
            Some(NotAsListed {
                problem: visit.problem?,
                harmed: (!visit.is_intact && !visit.left_out).then_some(visit.listed.entry),
            })
        });
        wrong.collect()
    }

    /// Visits every listed pack with keys.
    pub(super) fn open_packs<S: ReadStore + ?Sized>(
        &mut self,
        repository: &Repository<'_, S>,
        listings: &Listings,
        data: bool,
        round: &Round<'_>,
    ) -> Result<(), ReadError> {
        self.decodes_data = data;
        let mut readers = BTreeMap::new();
        for listed in listings.packs() {
            if let Entry::Vacant(vacant) = readers.entry(listed.domain) {
                vacant.insert(DomainReader::new(repository, listed.domain)?);
            }
        }
        let phase = if data {
            Phase::CheckingData
        } else {
            Phase::CheckingPacks
        };
        let keys = |domain: &DomainId| readers.get(domain).map(|reader| Keys { reader, data });
        let visits = self.visit_all(repository.store(), listings, round, phase, keys);
        self.count(&visits);
        for visit in visits {
            self.add(visit);
        }
        for (domain, keys) in readers {
            self.decodes += keys.decodes();
            if self.leaning.leans(&domain) {
                let store = Metered::new(repository.store());
                let reader = Reader::over(&store, repository, listings, domain)?;
                self.settle(domain, &reader, round);
                self.decodes += reader.decodes();
                self.bytes += store.bytes();
            }
        }
        Ok(())
    }

    /// Visits every listed pack, and gives the visits in the order of the log.
    fn visit_all<'k, S: ReadStore + ?Sized>(
        &self,
        store: &S,
        listings: &Listings,
        round: &Round<'_>,
        phase: Phase,
        keys: impl Fn(&DomainId) -> Option<Keys<'k>> + Sync,
    ) -> Vec<Visit> {
        let readable = listings
            .packs()
            .filter(|listed| can_be_read(self.sizes, &listed.pack));
        let draw = round.extent.draw(readable, round.env);
        let progress = round.progress;
        progress.begin(phase, Some(draw.chosen.bytes));
        let listed: Vec<ListedPack> = listings.packs().copied().collect();
        let visitor = Visitor {
            store,
            sizes: self.sizes,
            deadline: &round.deadline,
            buffers: Buffers::default(),
        };
        let (chosen, rest) = draw.arrange(&listed);
        let done = |visit: &Visit| progress.advance(phase, visit.listed.pack.len.into());
        let (mut visits, chosen) = if round.takes_word {
            word::ask(&visitor, chosen, &done)
        } else {
            (Vec::new(), chosen)
        };
        let to_read = Amount::of_listed(chosen.iter());
        progress.note(Note::PacksToRead {
            chosen: to_read.packs,
            chosen_bytes: to_read.bytes,
            all: draw.of.packs,
            all_bytes: draw.of.bytes,
        });
        let unread = thread::scope(|scope| {
            // The queue holds nothing: one batch is looked at, and one is read.
            let (queue, batches) = sync_channel(0);
            let each = move |batch: Batch| queue.send(batch).is_ok();
            let reader = scope.spawn(|| visitor.read_all(chosen, each));
            for batch in batches {
                visits.extend(visitor.check_all(batch, &keys, &done));
            }
            reader.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        let passed = unread.into_par_iter().chain(rest);
        visits.par_extend(passed.map(|listed| visitor.pass(listed, keys(&listed.domain))));
        progress.end(phase);
        visits.sort_by_key(|visit| (visit.listed.entry, visit.listed.place));
        visits
    }

    fn count(&mut self, visits: &[Visit]) {
        let of = |chosen: fn(&Visit) -> bool| {
            let chosen = visits.iter().filter(|visit| chosen(visit));
            Amount::of_listed(chosen.map(|visit| &visit.listed))
        };
        self.bytes += visits.iter().map(|visit| visit.bytes).sum::<u64>();
        self.packs_read = of(|visit| visit.bytes > 0 && !visit.left_out).packs;
        self.unread = of(|visit| visit.left_out);
        self.vouched = of(|visit| visit.is_vouched);
    }

    fn add(&mut self, visit: Visit) {
        let domain = visit.listed.domain;
        let pack = visit.listed.pack.id;
        self.chunks += visit.decoded;
        let is_suspect = visit.good.iter().any(|good| good.suspect);
        if visit.problem.is_some() {
            self.altered.insert(pack);
        }
        // A pack whose damage is pinned down to chunks is reported by them.
        let problem = visit
            .problem
            .filter(|_| visit.bad.is_empty() || is_suspect)
            .map(|problem| self.add_problem(problem));
        match (problem, visit.table) {
            (Some(problem), None) => {
                self.bad_packs.insert(pack, problem);
            }
            (_, Some(table)) => self.leaning.add(domain, pack, table, visit.later),
            (None, None) => {}
        }
        if let Some(problem) = problem.filter(|_| is_suspect) {
            self.leaning.suspect_pack(pack, problem);
        }
        for good in visit.good {
            let place = Place {
                pack,
                number: good.number,
            };
            let chunk = InStock {
                class: good.class,
                len: good.len,
                suspect: problem.filter(|_| good.suspect),
            };
            self.add_place(domain, good.id, place, chunk);
        }
        for (id, number, problem) in visit.bad {
            let place = Place { pack, number };
            let problem = self.add_problem(problem);
            self.leaning.add_bad(place, problem);
            self.lose(domain, id, place, &BTreeSet::from([problem]));
        }
    }

    /// Notes that a place does not give its chunk, because of these problems.
    pub(super) fn lose(
        &mut self,
        domain: DomainId,
        id: ChunkId,
        place: Place,
        problems: &BTreeSet<usize>,
    ) {
        if let Some(good) = self.good.get_mut(&(domain, id)) {
            good.retain(|(good, _)| *good != place);
        }
        self.bad_chunks.insert((domain, id), problems.clone());
        self.bad_places.entry((domain, id)).or_default().push(place);
    }

    /// Notes a place where a chunk can be had.
    pub(super) fn add_place(
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

    /// The places where a chunk can be had.
    pub(super) fn places(&self, domain: &DomainId, id: &ChunkId) -> &[(Place, InStock)] {
        self.good
            .get(&(*domain, *id))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The packs that each place needs that is known to list a chunk, whether or not
    /// it gives it.
    pub(super) fn needs_of(&self, domain: &DomainId, id: &ChunkId) -> Vec<Rc<[PackId]>> {
        let good = self.places(domain, id).iter().map(|(place, _)| place);
        let bad = self.bad_places.get(&(*domain, *id));
        let places = good.chain(bad.into_iter().flatten());
        places.map(|place| self.leaning.needs(place)).collect()
    }

    /// The problems of the packs that a chunk of contents was altered with, if it
    /// was: it stands in altered packs only, or leans on what does, and was not
    /// decoded.
    pub(super) fn suspects(&self, domain: &DomainId, id: &ChunkId) -> Option<BTreeSet<usize>> {
        let mut all = BTreeSet::new();
        for (place, chunk) in self.places(domain, id) {
            let inherited = self.leaning.suspects(place).into_iter().flatten();
            let mut here: BTreeSet<usize> = inherited.copied().collect();
            here.extend(chunk.suspect);
            if here.is_empty() {
                return None;
            }
            all.extend(here);
        }
        Some(all)
    }

    /// Whether it is unknown what a pack listed when it was written.
    pub(super) fn is_altered(&self, pack: &PackId) -> bool {
        self.altered.contains(pack)
    }

    /// The problem of a pack that no entry lists, if its bytes have another name or
    /// can't be read; looked at once.
    pub(super) fn unlisted_problem(
        &mut self,
        pack: PackId,
        has_its_name: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Option<usize> {
        if let Some(known) = self.unlisted.get(&pack) {
            return *known;
        }
        let problem = match has_its_name() {
            Ok(true) => None,
            Ok(false) => Some(misnamed_pack(&pack)),
            Err(error) => Some(unread_pack(&pack, error)),
        };
        let problem = problem.map(|problem| self.add_problem(problem));
        self.unlisted.insert(pack, problem);
        problem
    }

    /// The problems that keep a chunk from being had, one of which is made if nothing
    /// known explains it. Their places in this stock's list.
    pub(super) fn blame(
        &mut self,
        domain: &DomainId,
        id: &ChunkId,
        hint: Place,
    ) -> BTreeSet<usize> {
        if let Some(known) = self.bad_chunks.get(&(*domain, *id)) {
            return known.clone();
        }
        if let Some(known) = self.bad_packs.get(&hint.pack) {
            return BTreeSet::from([*known]);
        }
        let object = ObjectKey::Pack(hint.pack).path();
        let problem = Problem::new(
            ProblemKind::ChunkMissing,
            object,
            Some(Box::new(ChunkFault::NotHere)),
        );
        let problem = self.add_problem(problem.of_chunk(hint.number.into()));
        let problems = BTreeSet::from([problem]);
        self.bad_chunks.insert((*domain, *id), problems.clone());
        problems
    }

    /// Adds a problem that the walk found, and gives its place.
    pub(super) fn add_problem(&mut self, problem: Problem) -> usize {
        self.problems.push(problem);
        self.problems.len() - 1
    }

    /// Moves the problems behind those of the report, and the figures into it.
    /// Verdicts name problems by their place in this stock, plus what the report
    /// had before: see [`tree::walk_all`](super::tree::walk_all).
    pub(super) fn report_into(self, report: &mut Report) {
        report.packs_read = self.packs_read;
        report.bytes = self.bytes;
        report.unread = self.unread;
        report.vouched = self.vouched;
        report.chunks = self.chunks;
        report.undecoded = self.undecoded;
        report.decodes = self.decodes;
        report.problems.extend(self.problems);
    }
}
