//! What deltas lean on, and what of that can't be had.
//!
//! When all packs were visited, every delta is settled in the order of its depth, so
//! that what it leans on was settled before: it is harmed by what harms those, and the
//! packs that it needs are its own and theirs. A delta whose base is damaged is not
//! called damaged itself: the base is. At the level data the deltas of packs that were
//! read are decoded first, each behind what it leans on, and one that decodes is
//! harmed by nothing. Those for which there is no time are counted, and harmed by what
//! is known.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::places::Place;
use indelible_format::planted::{Bug, planted};

use super::extent::Turns;
use super::stock::{Round, Stock};
use super::{Problem, ProblemKind};
use crate::progress::Phase;
use crate::read::{ChunkFault, ReadPack, Reader, Shape, bases_of, check_basis};
use crate::store::{ObjectKey, ReadStore};

/// What a pack's directory says, as far as deltas are concerned.
pub(super) struct Table {
    shapes: Vec<Shape>,
    deltas: BTreeMap<u16, Delta>,
}

struct Delta {
    id: ChunkId,
    bases: Box<[Place]>,
}

impl Table {
    pub(super) fn of(id: &PackId, open: &ReadPack) -> Self {
        let records = &open.pack.directory.records;
        let deltas = records.iter().zip(0..);
        let deltas = deltas.filter(|(record, _)| !record.bases.is_empty());
        Self {
            shapes: records.iter().map(Shape::of).collect(),
            deltas: deltas
                .map(|(record, number)| {
                    let delta = Delta {
                        id: record.id,
                        bases: bases_of(id, open, record).collect(),
                    };
                    (number, delta)
                })
                .collect(),
        }
    }
}

/// All that is known of deltas.
#[derive(Default)]
pub(super) struct Leaning {
    /// Those of open packs, with their domain.
    tables: HashMap<PackId, (DomainId, Table)>,
    /// Deltas that are to be decoded, with their domain.
    later: Vec<(DomainId, Place)>,
    /// Those that were, and are right.
    right: HashSet<Place>,
    /// Why others could not be decoded, with nothing wrong below them.
    faults: HashMap<Place, ChunkFault>,
    /// What makes a chunk unreadable, by where it lies.
    bad: HashMap<Place, BTreeSet<usize>>,
    /// What may.
    suspects: HashMap<Place, BTreeSet<usize>>,
    /// What may make unreadable whatever lies in a pack.
    suspect_packs: HashMap<PackId, usize>,
    /// The packs that deltas need.
    needs: HashMap<Place, Rc<[PackId]>>,
    sets: HashSet<Rc<[PackId]>>,
}

impl Leaning {
    /// Takes in what a visit found.
    pub(super) fn add(&mut self, domain: DomainId, pack: PackId, table: Table, later: Vec<u16>) {
        self.tables.insert(pack, (domain, table));
        let places = later.into_iter().map(|number| Place { pack, number });
        self.later.extend(places.map(|place| (domain, place)));
    }

    /// Notes what makes a chunk unreadable.
    pub(super) fn add_bad(&mut self, place: Place, problem: usize) {
        self.bad.entry(place).or_default().insert(problem);
    }

    /// Notes what may make all contents of a pack unreadable.
    pub(super) fn suspect_pack(&mut self, pack: PackId, problem: usize) {
        self.suspect_packs.insert(pack, problem);
    }

    /// What may make a chunk unreadable because it leans on it.
    pub(super) fn suspects(&self, place: &Place) -> Option<&BTreeSet<usize>> {
        self.suspects.get(place)
    }

    /// The packs that a chunk needs, ascending.
    pub(super) fn needs(&self, place: &Place) -> Rc<[PackId]> {
        let known = self.needs.get(place).cloned();
        known.unwrap_or_else(|| Rc::from([place.pack]))
    }

    fn delta(&self, place: &Place) -> Option<&Delta> {
        self.tables.get(&place.pack)?.1.deltas.get(&place.number)
    }

    fn shape(&self, place: &Place) -> Option<Shape> {
        let shapes = &self.tables.get(&place.pack)?.1.shapes;
        shapes.get(usize::from(place.number)).copied()
    }

    /// Whether anything in a domain leans on anything.
    pub(super) fn leans(&self, domain: &DomainId) -> bool {
        let mut tables = self.tables.values();
        tables.any(|(of, table)| of == domain && !table.deltas.is_empty())
    }

    /// Whether something is known to make a chunk unreadable.
    pub(super) fn is_bad(&self, place: &Place) -> bool {
        self.bad.contains_key(place)
    }

    /// The open packs of a domain, ascending.
    fn packs_of(&self, domain: &DomainId) -> Vec<PackId> {
        let tables = self.tables.iter().filter(|(_, (of, _))| of == domain);
        let mut packs: Vec<PackId> = tables.map(|(pack, _)| *pack).collect();
        packs.sort_unstable();
        packs
    }

    /// Deltas that are to be decoded, each behind what it leans on first, and with
    /// whether another of them leans on it: walked from each root down, so that what
    /// has been decoded is of use to what comes next. Roots come pack by pack, in an
    /// order that is drawn if the time may not suffice for all.
    fn order(&self, domain: &DomainId, turns: Option<&Turns>) -> Vec<(Place, bool)> {
        let ours = self.later.iter().filter(|(of, _)| of == domain);
        let ours: BTreeSet<Place> = ours.map(|(_, place)| *place).collect();
        let mut above: HashMap<Place, Vec<Place>> = HashMap::new();
        let mut leaned: HashSet<Place> = HashSet::new();
        let mut roots: BTreeSet<Place> = BTreeSet::new();
        for &place in ours.iter().rev() {
            let bases = self.delta(&place).map(|delta| &*delta.bases);
            let bases = bases.unwrap_or_default();
            leaned.extend(bases);
            if let Some(first) = bases.first() {
                above.entry(*first).or_default().push(place);
                if !ours.contains(first) {
                    roots.insert(*first);
                }
            }
        }
        let mut next: Vec<Place> = roots.into_iter().rev().collect();
        if let Some(turns) = turns {
            next.sort_by_cached_key(|root| (turns.of(&root.pack), Reverse(root.number)));
        }
        let mut order = Vec::with_capacity(ours.len());
        while let Some(place) = next.pop() {
            if ours.contains(&place) {
                order.push((place, leaned.contains(&place)));
            }
            // Taken out, so that a circle of hostile records ends.
            next.extend(above.remove(&place).into_iter().flatten());
        }
        let left = above.into_values().flatten();
        let left: BTreeSet<Place> = left.filter(|place| ours.contains(place)).collect();
        order.extend(left.into_iter().map(|place| (place, false)));
        order
    }
}

impl Stock<'_> {
    /// Decodes the deltas of packs that were read, as far as there is time, and settles
    /// all.
    pub(super) fn settle<S: ReadStore + ?Sized>(
        &mut self,
        domain: DomainId,
        reader: &Reader<'_, S>,
        round: &Round<'_>,
    ) {
        let progress = round.progress;
        let turns = round.extent.turns(round.env);
        let order = self.leaning.order(&domain, turns.as_ref());
        if !order.is_empty() {
            progress.begin(Phase::CheckingDeltas, Some(order.len() as u64));
        }
        let done = || progress.advance(Phase::CheckingDeltas, 1);
        let time = || round.deadline.has_time();
        let checked = reader.check_deltas(&order, &time, &done);
        self.undecoded += (order.len() - checked.len()) as u64;
        if !order.is_empty() {
            progress.end(Phase::CheckingDeltas);
        }
        for ((place, _), checked) in order.iter().zip(checked) {
            match checked {
                Ok(()) => {
                    self.chunks += 1;
                    self.leaning.right.insert(*place);
                }
                Err(ChunkFault::Base { place, fault }) => {
                    self.add_bad_base(domain, *place, *fault, reader);
                }
                Err(fault) => {
                    self.leaning.faults.insert(*place, fault);
                }
            }
        }
        let packs = self.leaning.packs_of(&domain);
        self.settle_packs(domain, packs, reader);
    }

    /// A chunk that others lean on, and that can't be had. If nothing was known to be
    /// wrong with it, that is a problem of its own.
    fn add_bad_base<S: ReadStore + ?Sized>(
        &mut self,
        domain: DomainId,
        place: Place,
        fault: ChunkFault,
        reader: &Reader<'_, S>,
    ) {
        if self.leaning.is_bad(&place) || self.bad_packs.contains_key(&place.pack) {
            return;
        }
        if self.leaning.delta(&place).is_some() {
            // What it leans on itself may explain it.
            self.leaning.faults.entry(place).or_insert(fault);
            return;
        }
        let id = reader.id_at(place);
        let problem = self.add_problem(chunk_problem(place, fault));
        self.leaning.add_bad(place, problem);
        if let Some(id) = id {
            self.lose(domain, id, place, &BTreeSet::from([problem]));
        }
    }

    /// Settles the deltas of packs, and of those that no readable entry lists and that
    /// they lean on.
    fn settle_packs<S: ReadStore + ?Sized>(
        &mut self,
        domain: DomainId,
        mut packs: Vec<PackId>,
        reader: &Reader<'_, S>,
    ) {
        let mut by_depth: BTreeMap<u8, Vec<(Place, ChunkId)>> = BTreeMap::new();
        let mut unlisted = BTreeSet::new();
        while let Some(pack) = packs.pop() {
            let Some((_, table)) = self.leaning.tables.get(&pack) else {
                continue;
            };
            let mut outside = BTreeSet::new();
            for (&number, delta) in &table.deltas {
                let depth = table.shapes[usize::from(number)].depth;
                let place = Place { pack, number };
                by_depth.entry(depth).or_default().push((place, delta.id));
                outside.extend(delta.bases.iter().map(|base| base.pack));
            }
            for pack in outside {
                if !self.leaning.tables.contains_key(&pack)
                    && !self.bad_packs.contains_key(&pack)
                    && unlisted.insert(pack)
                    && let Ok(open) = reader.open_unlisted(&pack)
                {
                    self.leaning
                        .add(domain, pack, Table::of(&pack, &open), Vec::new());
                    packs.push(pack);
                    self.suspect_unlisted(pack, reader);
                }
            }
        }
        for (place, id) in by_depth.into_values().flatten() {
            self.settle_one(domain, place, id);
        }
    }

    /// Takes in a pack that no entry lists and a snapshot names.
    pub(super) fn adopt<S: ReadStore + ?Sized>(
        &mut self,
        domain: DomainId,
        pack: PackId,
        reader: &Reader<'_, S>,
    ) {
        if !self.leaning.tables.contains_key(&pack)
            && let Ok(open) = reader.open_unlisted(&pack)
        {
            self.leaning
                .add(domain, pack, Table::of(&pack, &open), Vec::new());
            self.suspect_unlisted(pack, reader);
            self.settle_packs(domain, vec![pack], reader);
        }
    }

    /// Notes whether the bytes of a pack that no entry lists have its name, where its
    /// contents are not decoded.
    fn suspect_unlisted<S: ReadStore + ?Sized>(&mut self, pack: PackId, reader: &Reader<'_, S>) {
        if !self.decodes_data
            && let Some(problem) = self.unlisted_problem(pack, || reader.has_its_name(&pack))
        {
            self.leaning.suspect_pack(pack, problem);
        }
    }

    /// Finds what harms a delta and what it needs. All that it leans on was settled.
    fn settle_one(&mut self, domain: DomainId, place: Place, id: ChunkId) {
        let Some(delta) = self.leaning.delta(&place) else {
            return;
        };
        let bases = delta.bases.clone();
        let own_depth = self.leaning.shape(&place).map_or(0, |shape| shape.depth);
        let mut needs = BTreeSet::from([place.pack]);
        let (mut harmed, mut suspects) = (BTreeSet::new(), BTreeSet::new());
        let mut unreadable = Vec::new();
        for base in &bases {
            needs.extend(self.leaning.needs(base).iter().copied());
            suspects.extend(self.leaning.suspect_packs.get(&base.pack));
            suspects.extend(self.leaning.suspects(base).into_iter().flatten());
            if !self.leaning.tables.contains_key(&base.pack) {
                unreadable.push(*base);
            }
        }
        let needs = self.leaning.intern(needs);
        self.leaning.needs.insert(place, needs);
        if self.leaning.right.contains(&place) {
            return;
        }
        let broken = unreadable
            .is_empty()
            .then(|| {
                let shapes = bases.iter().map(|base| (*base, self.leaning.shape(base)));
                check_basis(own_depth, shapes).err()
            })
            .flatten();
        if let Some(error) = broken {
            let object = ObjectKey::Pack(place.pack).path();
            let problem = Problem::new(ProblemKind::Basis, object, Some(Box::new(error)));
            harmed.insert(self.add_problem(problem.of_chunk(place.number.into())));
        } else {
            for base in &bases {
                harmed.extend(self.leaning.bad.get(base).into_iter().flatten());
            }
            for base in unreadable {
                harmed.insert(self.lost_pack(base));
            }
            if harmed.is_empty()
                && !self.leaning.is_bad(&place)
                && let Some(fault) = self.leaning.faults.remove(&place)
            {
                harmed.insert(self.add_problem(chunk_problem(place, fault)));
            }
        }
        if planted(Bug::BaseHarmForgotten) {
            harmed.clear();
        }
        if !harmed.is_empty() {
            let all = self.leaning.bad.entry(place).or_default();
            all.extend(&harmed);
            let all = all.clone();
            self.lose(domain, id, place, &all);
        } else if !suspects.is_empty() {
            self.leaning.suspects.insert(place, suspects);
        }
    }

    /// The problem of a pack that can't be opened and that something leans on.
    fn lost_pack(&mut self, base: Place) -> usize {
        if let Some(known) = self.bad_packs.get(&base.pack) {
            return *known;
        }
        let object = ObjectKey::Pack(base.pack).path();
        let cause = Box::new(ChunkFault::NotHere);
        let problem = Problem::new(ProblemKind::ChunkMissing, object, Some(cause));
        let problem = self.add_problem(problem.of_chunk(base.number.into()));
        self.bad_packs.insert(base.pack, problem);
        problem
    }
}

impl Leaning {
    /// One copy of each set.
    fn intern(&mut self, packs: BTreeSet<PackId>) -> Rc<[PackId]> {
        let packs: Rc<[PackId]> = packs.into_iter().collect();
        if let Some(known) = self.sets.get(&packs) {
            return Rc::clone(known);
        }
        self.sets.insert(Rc::clone(&packs));
        packs
    }
}

/// A chunk that could not be decoded.
fn chunk_problem(place: Place, fault: ChunkFault) -> Problem {
    let kind = match &fault {
        fault if fault.is_missing() => ProblemKind::PackMissing,
        ChunkFault::Store(_) | ChunkFault::Pack(_) => ProblemKind::PackUnread,
        ChunkFault::Basis(_) => ProblemKind::Basis,
        _ => ProblemKind::Chunk,
    };
    let object = ObjectKey::Pack(place.pack).path();
    Problem::new(kind, object, Some(Box::new(fault))).of_chunk(place.number.into())
}
