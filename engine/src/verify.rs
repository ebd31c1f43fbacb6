//! Proves what can be proven of a repository with the rights at hand, and
//! reports every problem with the snapshots that it harms.
//!
//! Three levels, each including the one before:
//!
//! | level | needs | checks |
//! |---|---|---|
//! | packs | no key | the log; commit records; every listed pack's length, name and SHA-256 against its bytes |
//! | tree | verify | every snapshot's manifest, reach and nodes; that each chunk they name stands in an authentic directory of a pack in reach |
//! | data | restore | every stored chunk, decoded, against its id, each once |
//!
//! At the level tree, packs are not read whole: their presence and length are
//! checked, and their directories. The report says what was read, so that "no
//! problem" never covers what was not looked at.
//!
//! A problem is attributed by what snapshots need, not by what they mention: a
//! damaged chunk that has an intact copy harms nobody.
//!
//! This module never repairs and never writes.

mod problem;
mod stock;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use indelible_format::attest::Level;
use indelible_format::entry::Body;
use indelible_format::history::{Continuity, History, LogProblem};
use indelible_format::ids::{LogHash, PackId, RecordId};
use indelible_format::rights::Kind;

use crate::progress::{Phase, Progress};
use crate::read::ReadError;
use crate::repository::{
    BrokenSnapshot, Listings, RecordError, Refusal, Repository, read_commit_body,
};
use crate::store::{Area, Listed, ObjectKey, ReadStore, StoreError};
pub use problem::{Cause, Harm, Problem, ProblemKind};
use stock::Stock;

/// Why a verification could not be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store can't be listed, so nothing can be said of what is missing.
    #[error("the repository could not be listed")]
    List(#[source] StoreError),
    /// The key has not the right that the level takes.
    #[error(transparent)]
    NotAllowed(#[from] ReadError),
}

/// What was found of one snapshot.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its number.
    pub number: u64,
    /// Its NAME, where the key may know.
    pub name: Option<String>,
    /// Places in [`Report::problems`] of what harms it.
    pub problems: BTreeSet<usize>,
    /// Whether readers refuse it.
    pub refused: Option<Refusal>,
}

/// What a verification found.
#[derive(Debug)]
pub struct Report {
    /// How deep it went.
    pub level: Level,
    /// Size of the log.
    pub size: u64,
    /// Root over it.
    pub root: LogHash,
    /// How the log compares with what is remembered.
    pub continuity: Continuity,
    /// Packs that the log lists.
    pub packs: u64,
    /// Bytes read from packs.
    pub bytes: u64,
    /// Chunks decoded and checked against their ids.
    pub chunks: u64,
    /// Pages and nodes walked.
    pub nodes: u64,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Every snapshot.
    pub snapshots: Vec<Verdict>,
    /// Packs that no entry lists: what crashed runs left. Not errors.
    pub unreferenced: Vec<PackId>,
    /// Commit records that no entry names. Not errors.
    pub unreferenced_records: Vec<RecordId>,
    /// Names in the store that no object has.
    pub foreign: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong with what was checked.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// What the store lists.
#[derive(Default)]
struct Inventory {
    packs: BTreeMap<PackId, u64>,
    records: BTreeSet<RecordId>,
    foreign: Vec<String>,
}

fn take_inventory<S: ReadStore + ?Sized>(store: &S) -> Result<Inventory, VerifyError> {
    let mut inventory = Inventory::default();
    for area in Area::ALL {
        let each = &mut |listed| match listed {
            Listed::Object {
                key: ObjectKey::Pack(id),
                size_bytes,
            } => {
                inventory.packs.insert(id, size_bytes);
            }
            Listed::Object {
                key: ObjectKey::Record(id),
                ..
            } => {
                inventory.records.insert(id);
            }
            Listed::Object { .. } => {}
            Listed::Foreign { path } => inventory.foreign.push(path),
        };
        store.list(area, each).map_err(VerifyError::List)?;
    }
    Ok(inventory)
}

/// Verifies at the level packs, with no key.
///
/// # Errors
///
/// [`VerifyError::List`].
pub fn packs<S: ReadStore + ?Sized>(
    store: &S,
    history: &History,
    progress: &dyn Progress,
) -> Result<Report, VerifyError> {
    let inventory = take_inventory(store)?;
    let (mut report, listings) =
        begin(store, history, history.continuity, Level::Packs, &inventory);
    let stock = Stock::new(&inventory.packs);
    // Without keys reaches are sealed: only the listing entry is known to be
    // harmed.
    for (listed, problem) in stock.check_bytes(store, &listings, progress) {
        let at = report.problems.len();
        report.problems.push(problem);
        let harmed = report
            .snapshots
            .iter_mut()
            .filter(|verdict| verdict.number == listed.entry);
        for verdict in harmed {
            verdict.problems.insert(at);
        }
    }
    report.bytes = stock.bytes_read();
    finish(&mut report, false);
    Ok(report)
}

/// Verifies at the level tree or data.
///
/// # Errors
///
/// [`VerifyError`].
///
/// # Panics
///
/// If asked for a level that this function does not serve.
pub fn with_key<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    level: Level,
    progress: &dyn Progress,
) -> Result<Report, VerifyError> {
    assert!(
        matches!(level, Level::Tree | Level::Data),
        "packs need no key, and drills are not verifications"
    );
    let key = repository.key();
    if key.verify.is_none() {
        return Err(ReadError::NotAllowed { needed: "verify" }.into());
    }
    if level == Level::Data && key.restore.is_none() {
        return Err(ReadError::NotAllowed { needed: "restore" }.into());
    }
    let store = repository.store();
    let inventory = take_inventory(store)?;
    let (mut report, listings) = begin(
        store,
        repository.history(),
        repository.continuity(),
        level,
        &inventory,
    );
    let mut stock = Stock::new(&inventory.packs);
    stock.open_packs(repository, &listings, level == Level::Data, progress)?;
    progress.begin(Phase::WalkingTree, None);
    tree::walk_all(repository, &listings, &mut stock, &mut report, progress);
    progress.end(Phase::WalkingTree);
    report.bytes = stock.bytes_read();
    report.chunks = stock.chunks_checked();
    stock.report_into(&mut report);
    finish(&mut report, true);
    Ok(report)
}

/// What the log alone shows.
fn begin<S: ReadStore + ?Sized>(
    store: &S,
    history: &History,
    continuity: Continuity,
    level: Level,
    inventory: &Inventory,
) -> (Report, Listings) {
    let mut problems: Vec<Problem> = history.problems.iter().map(log_problem).collect();
    problems.extend(continuity_problem(continuity));
    let mut listings = Listings::default();
    let mut snapshots = Vec::new();
    let mut records = inventory.records.clone();
    for entry in history
        .entries
        .values()
        .filter(|entry| entry.header().kind == Kind::Snapshot)
    {
        let header = entry.header();
        if let Body::Snapshot(indelible_format::commit::SnapshotBody::Record { id, .. }) =
            entry.body()
        {
            records.remove(id);
        }
        let mut verdict = Verdict {
            number: header.number,
            name: None,
            problems: BTreeSet::new(),
            refused: None,
        };
        match read_commit_body(store, entry) {
            Ok(Some(body)) => listings.add(header.number, header.domain, &body),
            Ok(None) => {}
            Err(error) => {
                verdict.problems.insert(problems.len());
                problems.push(record_problem(header.number, error));
            }
        }
        snapshots.push(verdict);
    }
    let listed: BTreeSet<PackId> = listings.packs().map(|listed| listed.pack.id).collect();
    let report = Report {
        level,
        size: history.size(),
        root: history.root(),
        continuity,
        packs: listed.len() as u64,
        bytes: 0,
        chunks: 0,
        nodes: 0,
        problems,
        snapshots,
        unreferenced: inventory
            .packs
            .keys()
            .filter(|id| !listed.contains(id))
            .copied()
            .collect(),
        unreferenced_records: records.into_iter().collect(),
        foreign: inventory.foreign.clone(),
    };
    (report, listings)
}

/// Says of each problem which snapshots it harms.
fn finish(report: &mut Report, harm_is_known: bool) {
    let mut harms = vec![BTreeSet::new(); report.problems.len()];
    for verdict in &report.snapshots {
        for problem in &verdict.problems {
            harms[*problem].insert(verdict.number);
        }
    }
    for (problem, snapshots) in report.problems.iter_mut().zip(harms) {
        problem.harm = if harm_is_known || problem.kind.is_of_the_log() {
            Harm::Snapshots(snapshots)
        } else {
            Harm::AtLeast(snapshots)
        };
    }
}

fn log_problem(problem: &LogProblem) -> Problem {
    let object = |number: &u64| ObjectKey::Log(*number).path();
    let range = |first: &u64, last: &u64| {
        if first == last {
            object(first)
        } else {
            format!("{} to {}", object(first), object(last))
        }
    };
    match problem {
        LogProblem::Void { number, reason, .. } => Problem::new(
            ProblemKind::VoidEntry,
            object(number),
            Some(Box::new(reason.clone())),
        ),
        LogProblem::Damaged { number, reason } => Problem::new(
            ProblemKind::DamagedEntry,
            object(number),
            Some(Box::new(reason.clone())),
        ),
        LogProblem::Removed { first, last } => {
            Problem::new(ProblemKind::RemovedEntry, range(first, last), None)
        }
        LogProblem::OtherHistory { first, last } => {
            Problem::new(ProblemKind::OtherHistory, range(first, last), None)
        }
        LogProblem::Beyond { first, .. } => {
            Problem::new(ProblemKind::BeyondEnd, object(first), None)
        }
        other => Problem::new(ProblemKind::OtherHistory, object(&other.first()), None),
    }
}

fn continuity_problem(continuity: Continuity) -> Option<Problem> {
    match continuity {
        Continuity::Unpinned | Continuity::Extends => None,
        Continuity::Behind { shown, .. } => Some(Problem::new(
            ProblemKind::RolledBack,
            ObjectKey::Log(shown).path(),
            None,
        )),
        Continuity::Forked { at } => Some(Problem::new(
            ProblemKind::Forked,
            ObjectKey::Log(at).path(),
            None,
        )),
    }
}

fn record_problem(number: u64, error: RecordError) -> Problem {
    let object = match &error {
        RecordError::Altered { id } => ObjectKey::Record(*id).path(),
        RecordError::Store(StoreError::NotFound { key }) => key.path(),
        _ => ObjectKey::Log(number).path(),
    };
    Problem::new(ProblemKind::CommitRecord, object, Some(Box::new(error)))
}

/// A snapshot that can't be shown, as a problem of its entry.
fn broken_snapshot(broken: BrokenSnapshot) -> Problem {
    Problem::new(
        ProblemKind::Snapshot,
        ObjectKey::Log(broken.number).path(),
        Some(Box::new(broken.error)),
    )
}
