//! Walks the tree of every snapshot, each page and node once.
//!
//! What is found below a node is remembered with it: the packs that it needs,
//! and the problems. So a subtree that a thousand snapshots share is walked
//! once, and each of them still gets exactly its own problems.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use indelible_format::attest::Level;
use indelible_format::coding::Class;
use indelible_format::entry::Entry;
use indelible_format::ids::{ChunkId, DomainId, PackId};
use indelible_format::node::{Item, Node, PlacedRoot};
use indelible_format::page::{Content, Page};
use indelible_format::places::Place;
use indelible_format::rights::Kind;

use super::log::record_problem;
use super::stock::{InStock, Stock};
use super::{Problem, ProblemKind, Report, Verdict};
use crate::progress::{Phase, Progress};
use crate::read::{ReadError, Reader};
use crate::repository::{BrokenSnapshot, Listings, Repository, Snapshot, SnapshotError};
use crate::store::{ObjectKey, ReadStore};

/// What lies below a page or node.
#[derive(Debug, Default)]
struct Below {
    /// Packs that each chunk needs, readable or not: the one that lists it, and those
    /// of what it leans on. A chunk that stands in several places needs only what
    /// one of them does in reach, so sets of alternatives.
    packs: BTreeSet<Vec<Rc<[PackId]>>>,
    /// What makes something unreadable.
    problems: BTreeSet<usize>,
    /// What may, and it takes the restore right to tell.
    suspects: BTreeSet<usize>,
}

impl Below {
    fn add(&mut self, other: &Self) {
        self.packs.extend(other.packs.iter().cloned());
        self.problems.extend(&other.problems);
        self.suspects.extend(&other.suspects);
    }
}

/// A snapshot, if it can be shown, and the problems that harm or may harm it.
#[derive(Default)]
struct Found {
    snapshot: Option<Snapshot>,
    problems: BTreeSet<usize>,
    suspects: BTreeSet<usize>,
}

impl Found {
    /// Completes a verdict. Problems are placed behind the `before` ones that the
    /// report had.
    fn tell(self, verdict: &mut Verdict, before: usize) -> Option<Snapshot> {
        let placed = |at: &usize| before + at;
        verdict.problems.extend(self.problems.iter().map(placed));
        verdict.suspects.extend(self.suspects.iter().map(placed));
        if let Some(snapshot) = self.snapshot {
            verdict.name = Some(snapshot.manifest.name.to_string());
            verdict.refused.clone_from(&snapshot.refused);
            return Some(snapshot);
        }
        None
    }
}

/// Walks every snapshot that can be shown, gives each its verdict, and gives them back.
pub(super) fn walk_all<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
    stock: &mut Stock<'_>,
    report: &mut Report,
    progress: &dyn Progress,
) -> Vec<Snapshot> {
    let before = report.problems.len();
    let mut walkers: BTreeMap<DomainId, Walker<'_, '_, S>> = BTreeMap::new();
    let mut found: BTreeMap<u64, Found> = BTreeMap::new();
    for snapshot in repository.snapshots() {
        let (number, snapshot) = match snapshot {
            Ok(snapshot) => (snapshot.number, snapshot),
            Err(broken) => {
                let number = broken.number;
                let entry = &repository.history().entries[&number];
                if let Some(problem) = unshown(entry, broken, report) {
                    let problem = stock.add_problem(problem);
                    let problems = BTreeSet::from([problem]);
                    found.insert(
                        number,
                        Found {
                            problems,
                            ..Found::default()
                        },
                    );
                }
                continue;
            }
        };
        let domain = snapshot.binding.domain;
        let Ok(reader) = Reader::new(repository, listings, domain) else {
            continue;
        };
        let walker = walkers
            .entry(domain)
            .or_insert_with(|| Walker::new(reader, domain, report.level, progress));
        let below = walker.snapshot(repository, listings, &snapshot, stock);
        found.insert(
            number,
            Found {
                snapshot: Some(snapshot),
                problems: below.problems,
                suspects: below.suspects,
            },
        );
    }
    report.nodes = walkers.values().map(|walker| walker.nodes).sum();
    let verdicts = report.snapshots.iter_mut();
    let told = verdicts.filter_map(|verdict| {
        let found = found.remove(&verdict.number)?;
        found.tell(verdict, before)
    });
    told.collect()
}

/// A snapshot that can't be shown, as a problem of its own. None if it was
/// reported with the log that its record can't be read; one that could be read
/// then and can't be now is none of those: what was not walked must not pass for
/// sound.
fn unshown(entry: &Entry, broken: BrokenSnapshot, report: &Report) -> Option<Problem> {
    let BrokenSnapshot { number, error } = broken;
    match error {
        SnapshotError::Record(error) => {
            let mut verdicts = report.snapshots.iter();
            let reported =
                verdicts.any(|verdict| verdict.number == number && !verdict.problems.is_empty());
            (!reported).then(|| record_problem(entry, error))
        }
        error => Some(broken_snapshot(BrokenSnapshot { number, error })),
    }
}

struct Walker<'a, 'r, S: ReadStore + ?Sized> {
    reader: Reader<'r, S>,
    domain: DomainId,
    level: Level,
    progress: &'a dyn Progress,
    seen: HashMap<Seen, Rc<Below>>,
    nodes: u64,
}

/// A page or node as the one above states it. Who states it otherwise is not
/// answered by what was found for another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Seen {
    id: ChunkId,
    len: u64,
    /// A page has none.
    level: Option<u8>,
    leaves: Leaves,
}

/// Whether a stream's chunks are data or pages.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Leaves {
    Data,
    Pages,
}

impl<'a, 'r, S: ReadStore + ?Sized> Walker<'a, 'r, S> {
    fn new(
        reader: Reader<'r, S>,
        domain: DomainId,
        level: Level,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            reader,
            domain,
            level,
            progress,
            seen: HashMap::new(),
            nodes: 0,
        }
    }

    /// What lies below a snapshot.
    fn snapshot(
        &mut self,
        repository: &Repository<'_, S>,
        listings: &Listings,
        snapshot: &Snapshot,
        stock: &mut Stock<'_>,
    ) -> Below {
        let mut below = Below::default();
        for (root, leaves) in [
            (Some(&snapshot.manifest.list), Leaves::Pages),
            (snapshot.manifest.small.as_ref(), Leaves::Data),
            (snapshot.manifest.contents.as_ref(), Leaves::Data),
        ] {
            if let Some(root) = root {
                below.add(&self.stream(root, leaves, stock));
            }
        }
        let whole = below.problems.is_empty();
        let wrong = self.check_list(snapshot, whole, stock);
        below.problems.extend(wrong);
        match repository.reached_packs(snapshot, listings) {
            Ok(reach) => {
                let reach: BTreeSet<PackId> = reach.into_iter().collect();
                // A pack in reach that was altered may be the one that listed what
                // others hold: nothing is claimed then.
                let altered = reach.iter().any(|pack| stock.is_altered(pack));
                let outside = |needs: &Rc<[PackId]>| {
                    let mut packs = needs.iter().copied();
                    packs.find(|pack| !reach.contains(pack))
                };
                let unreached = below.packs.iter().find_map(|places| {
                    let outside: Option<Vec<_>> = places.iter().map(outside).collect();
                    outside?.first().copied()
                });
                if let Some(pack) = unreached.filter(|_| !altered) {
                    let object = ObjectKey::Pack(pack).path();
                    let problem = Problem::new(ProblemKind::OutsideReach, object, None);
                    below.problems.insert(stock.add_problem(problem));
                }
            }
            // What the lost entry listed is still found by the nodes' hints, and
            // its loss was reported.
            Err(SnapshotError::Unlisted { entry }) if is_lost(repository, listings, entry) => {}
            Err(error) => {
                let broken = BrokenSnapshot {
                    number: snapshot.number,
                    error,
                };
                let problem = stock.add_problem(broken_snapshot(broken));
                below.problems.insert(problem);
            }
        }
        below
    }

    fn stream(&mut self, root: &PlacedRoot, leaves: Leaves, stock: &mut Stock<'_>) -> Rc<Below> {
        let item = Item {
            id: root.root.id,
            len: root.root.len,
        };
        self.node(item, root.place, root.root.level, leaves, stock)
    }

    fn node(
        &mut self,
        item: Item,
        hint: Place,
        level: u8,
        leaves: Leaves,
        stock: &mut Stock<'_>,
    ) -> Rc<Below> {
        let seen = Seen {
            id: item.id,
            len: item.len,
            level: Some(level),
            leaves,
        };
        if let Some(known) = self.seen.get(&seen) {
            return Rc::clone(known);
        }
        let mut below = Below::default();
        if let Some(place) = self.find(&item.id, hint, stock, &mut below) {
            match self.reader.node(&item.id, place, level, item.len) {
                Ok(node) => self.items(node, leaves, stock, &mut below),
                Err(error) => {
                    below.problems.insert(broken(place, error, stock));
                }
            }
        }
        self.remember(seen, below)
    }

    fn items(&mut self, node: Node, leaves: Leaves, stock: &mut Stock<'_>, below: &mut Below) {
        for (item, place) in node.items.into_iter().zip(node.places) {
            match (node.level, leaves) {
                (0, Leaves::Data) => self.data(item, place, stock, below),
                (0, Leaves::Pages) => below.add(&self.page(item, place, stock)),
                (level, leaves) => below.add(&self.node(item, place, level - 1, leaves, stock)),
            }
        }
    }

    fn data(&self, item: Item, hint: Place, stock: &mut Stock<'_>, below: &mut Below) {
        if self.find(&item.id, hint, stock, below).is_none() {
            return;
        }
        let fits = stock
            .places(&self.domain, &item.id)
            .iter()
            .any(|(_, chunk)| chunk.class == Class::Data && u64::from(chunk.len) == item.len);
        if !fits {
            let error = ReadError::Shape { id: item.id };
            below.problems.insert(broken(hint, error, stock));
        }
        let suspects = stock.suspects(&self.domain, &item.id);
        below.suspects.extend(suspects.into_iter().flatten());
    }

    fn page(&mut self, item: Item, hint: Place, stock: &mut Stock<'_>) -> Rc<Below> {
        let seen = Seen {
            id: item.id,
            len: item.len,
            level: None,
            leaves: Leaves::Pages,
        };
        if let Some(known) = self.seen.get(&seen) {
            return Rc::clone(known);
        }
        let mut below = Below::default();
        if let Some(place) = self.find(&item.id, hint, stock, &mut below) {
            match self.reader.page(&item.id, place, item.len) {
                Ok(page) => self.entries(&page, stock, &mut below),
                Err(error) => {
                    below.problems.insert(broken(place, error, stock));
                }
            }
        }
        self.remember(seen, below)
    }

    fn entries(&mut self, page: &Page, stock: &mut Stock<'_>, below: &mut Below) {
        for (entry, place) in page.placed() {
            if let (Some(root), Some(place)) = (entry.own_root(), place) {
                below.add(&self.stream(&PlacedRoot { root, place }, Leaves::Data, stock));
            }
        }
    }

    /// Checks what pages can't show alone: that entries are in order from page to
    /// page, that slices lie within the small-file stream, and the totals. Where
    /// the list is not whole, what can't be read was reported where it is.
    fn check_list(&self, snapshot: &Snapshot, whole: bool, stock: &mut Stock<'_>) -> Option<usize> {
        let manifest = &snapshot.manifest;
        let room = manifest.small.map_or(0, |small| small.root.len);
        let shape = || ReadError::Shape {
            id: manifest.list.root.id,
        };
        let mut error = None;
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        for entry in self.reader.entries(&manifest.list).ok()? {
            let entry = match entry {
                Ok((entry, _)) => entry,
                Err(unordered) if whole => {
                    error = Some(unordered);
                    break;
                }
                Err(_) => return None,
            };
            if let Some(Content::Small { offset, len }) = entry.content()
                && offset.saturating_add(*len) > room
            {
                error = Some(shape());
                break;
            }
            entries += 1;
            bytes = bytes.saturating_add(entry.content().map_or(0, Content::len));
        }
        if error.is_none() && (entries, bytes) != (manifest.entries, manifest.content_bytes) {
            error = Some(shape());
        }
        let object = ObjectKey::Log(snapshot.number).path();
        let problem = Problem::new(ProblemKind::Tree, object, Some(Box::new(error?)));
        Some(stock.add_problem(problem))
    }

    /// Where a chunk can be had: at its hint, or elsewhere. If nowhere, the
    /// problem is noted.
    fn find(
        &self,
        id: &ChunkId,
        hint: Place,
        stock: &mut Stock<'_>,
        below: &mut Below,
    ) -> Option<Place> {
        let places = stock.places(&self.domain, id);
        let place = places
            .iter()
            .map(|(place, _)| *place)
            .find(|place| *place == hint);
        let place = place.or_else(|| places.first().map(|(place, _)| *place));
        let place = place.or_else(|| self.find_unlisted(id, hint, stock));
        if place.is_none() {
            below.problems.extend(stock.blame(&self.domain, id, hint));
            return None;
        }
        let mut needs = stock.needs_of(&self.domain, id);
        needs.sort_unstable();
        needs.dedup();
        below.packs.insert(needs);
        place
    }

    /// The hint itself, if it holds the chunk and the entry that listed its pack
    /// is lost: then nothing that is listed has it, and a reader still will. Such a
    /// pack is held to what listed ones are.
    fn find_unlisted(&self, id: &ChunkId, hint: Place, stock: &mut Stock<'_>) -> Option<Place> {
        let decodes = self.level == Level::Data;
        let found = self.reader.unlisted(id, hint, false)?;
        stock.adopt(self.domain, hint.pack, &self.reader);
        let (class, len) = match decodes {
            true => self.reader.unlisted(id, hint, true)?,
            false if stock.leaning.is_bad(&hint) => return None,
            false => found,
        };
        let mut suspect = None;
        if !decodes {
            suspect = stock.unlisted_problem(hint.pack, || self.reader.has_its_name(&hint.pack));
        }
        if suspect.is_some() && class != Class::Data {
            self.reader.unlisted(id, hint, true)?;
        }
        let chunk = InStock {
            class,
            len,
            suspect: suspect.filter(|_| class == Class::Data),
        };
        stock.add_place(self.domain, *id, hint, chunk);
        Some(hint)
    }

    fn remember(&mut self, seen: Seen, below: Below) -> Rc<Below> {
        self.nodes += 1;
        self.progress.advance(Phase::WalkingTree, 1);
        let below = Rc::new(below);
        self.seen.insert(seen, Rc::clone(&below));
        below
    }
}

/// Whether an entry that once listed packs can't be read any more.
fn is_lost<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
    number: u64,
) -> bool {
    let entry = repository.history().entries.get(&number);
    entry.is_none_or(|entry| entry.header().kind == Kind::Snapshot) && !listings.has_entry(number)
}

fn broken(place: Place, error: ReadError, stock: &mut Stock<'_>) -> usize {
    let object = ObjectKey::Pack(place.pack).path();
    let problem = Problem::new(ProblemKind::Tree, object, Some(Box::new(error)));
    stock.add_problem(problem.of_chunk(place.number.into()))
}

/// A snapshot that can't be shown, as a problem of its entry.
fn broken_snapshot(broken: BrokenSnapshot) -> Problem {
    Problem::new(
        ProblemKind::Snapshot,
        ObjectKey::Log(broken.number).path(),
        Some(Box::new(broken.error)),
    )
}
