//! What the log and the commit records show, without a key.

use std::collections::BTreeSet;

use indelible_format::attest::Level;
use indelible_format::commit::SnapshotBody;
use indelible_format::entry::{Body, Entry};
use indelible_format::history::{Continuity, History, LogProblem};
use indelible_format::ids::{PackId, RepositoryId};
use indelible_format::limits::{LEAF_BYTES_MAX, LOG_BUNDLE_BYTES_MAX};
use indelible_format::log_bundle::LogBundle;
use indelible_format::merkle::leaf_hash;
use indelible_format::rights::Kind;

use super::{Amount, Cause, Inventory, Junk, Problem, ProblemKind, Report, Terms, Verdict};
use crate::repository::{Freshness, Listings, RecordError, SeenLog, read_commit_body};
use crate::store::{ObjectKey, ReadStore};

/// Begins a report at the level packs, with what the log alone shows.
pub(super) fn begin<S: ReadStore + ?Sized>(
    store: &S,
    seen: &SeenLog,
    terms: &Terms<'_>,
    freshness: Freshness,
    inventory: &Inventory,
) -> (Report, Listings) {
    let history = &seen.history;
    let mut report = Report {
        repository: seen.repository(),
        level: Level::Packs,
        extent: terms.extent,
        size: history.size(),
        root: history.root(),
        freshness,
        packs: 0,
        packs_read: 0,
        bytes: 0,
        unread: Amount::default(),
        vouched: Amount::default(),
        chunks: 0,
        undecoded: 0,
        decodes: 0,
        nodes: 0,
        locks: 0,
        problems: Vec::new(),
        accepted: Vec::new(),
        snapshots: Vec::new(),
        unreferenced: Vec::new(),
        unreferenced_records: Vec::new(),
        foreign: inventory.foreign.clone(),
    };
    judge_log(&mut report, seen, terms);
    report
        .problems
        .extend(continuity_problem(freshness.worst()));
    report
        .problems
        .extend(copy_problem(store, report.repository));
    let covered = inventory.covered.iter().cloned();
    report.problems.extend(covered.map(|covered| {
        let object = covered.key.path();
        Problem::new(ProblemKind::Covered, object, Some(Box::new(covered)))
    }));
    let bundles = inventory.bundles.iter();
    let wrong = bundles.filter_map(|number| bundle_problem(store, history, *number));
    report.problems.extend(wrong);
    let listings = read_records(&mut report, store, seen, inventory);
    let listed: BTreeSet<PackId> = listings.packs().map(|listed| listed.pack.id).collect();
    report.packs = listed.len() as u64;
    let unlisted = inventory.packs.keys().filter(|id| !listed.contains(id));
    report.unreferenced = unlisted.copied().collect();
    (report, listings)
}

/// Parts what is wrong with the log from junk that somebody looked at.
fn judge_log(report: &mut Report, seen: &SeenLog, terms: &Terms<'_>) {
    let mut accepted = seen.accepted.clone();
    accepted.add(&terms.accepted);
    if let Some(pin) = terms.pin {
        accepted.add(&pin.accepted);
    }
    for problem in &seen.history.problems {
        match problem {
            LogProblem::Void {
                number,
                leaf,
                reason,
            } if accepted.covers(problem) => report.accepted.push(Junk {
                number: *number,
                leaf: *leaf,
                reason: reason.clone(),
            }),
            problem => report.problems.push(log_problem(problem)),
        }
    }
}

/// Reads the commit body of every snapshot, and begins its verdict.
fn read_records<S: ReadStore + ?Sized>(
    report: &mut Report,
    store: &S,
    seen: &SeenLog,
    inventory: &Inventory,
) -> Listings {
    let mut listings = Listings::default();
    let mut unnamed = inventory.records.clone();
    let entries = seen.history.entries.values();
    for entry in entries.filter(|entry| entry.header().kind == Kind::Snapshot) {
        let header = entry.header();
        if let Body::Snapshot(SnapshotBody::Record { id, .. }) = entry.body() {
            unnamed.remove(id);
        }
        let mut verdict = Verdict {
            number: header.number,
            name: None,
            problems: BTreeSet::new(),
            suspects: BTreeSet::new(),
            refused: None,
        };
        match read_commit_body(store, entry) {
            Ok(Some(body)) => listings.add(header.number, header.domain, &body),
            Ok(None) => {}
            Err(error) => {
                verdict.problems.insert(report.problems.len());
                report.problems.push(record_problem(entry, error));
            }
        }
        report.snapshots.push(verdict);
    }
    report.unreferenced_records = unnamed.into_iter().collect();
    listings
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

/// How the log contradicts what says where it stood.
#[derive(Debug, thiserror::Error)]
enum Contradiction {
    #[error("the store shows {shown} entries, and there were {remembered}")]
    Behind { shown: u64, remembered: u64 },
    #[error("it differs at entry {at} or before")]
    Forked { at: u64 },
}

fn continuity_problem(continuity: Continuity) -> Option<Problem> {
    let (kind, number, cause) = match continuity {
        Continuity::Unpinned | Continuity::Extends => return None,
        Continuity::Behind { shown, remembered } => {
            let cause = Contradiction::Behind { shown, remembered };
            (ProblemKind::RolledBack, shown, cause)
        }
        Continuity::Forked { at } => (ProblemKind::Forked, at, Contradiction::Forked { at }),
    };
    let object = ObjectKey::Log(number).path();
    Some(Problem::new(kind, object, Some(Box::new(cause))))
}

/// The copy of genesis that is none, or can't be read. One that is absent is not missed, since
/// nothing depends on it; a wrong one would mislead whoever lost genesis itself.
fn copy_problem<S: ReadStore + ?Sized>(store: &S, repository: RepositoryId) -> Option<Problem> {
    let key = ObjectKey::Repository;
    let cause: Option<Cause> = match store.read_prefix(&key, LEAF_BYTES_MAX as u64) {
        Ok(copy) if leaf_hash(&copy).0 == repository.0 => return None,
        Err(error) if error.is_not_found() => return None,
        Ok(_) => None,
        Err(error) => Some(Box::new(error)),
    };
    Some(Problem::new(ProblemKind::GenesisCopy, key.path(), cause))
}

/// A bundle that holds something else than the log.
fn bundle_problem<S: ReadStore + ?Sized>(
    store: &S,
    history: &History,
    number: u64,
) -> Option<Problem> {
    let key = ObjectKey::Bundle(number);
    let cause: Option<Cause> = match store.read_oldest(&key, LOG_BUNDLE_BYTES_MAX as u64 + 1) {
        Ok(bytes) if LogBundle::is_right(&bytes, number, history) => return None,
        Ok(_) => None,
        Err(error) => Some(Box::new(error)),
    };
    Some(Problem::new(ProblemKind::LogBundle, key.path(), cause))
}

/// Only a commit body that stands in a record can fail to be read.
pub(super) fn record_problem(entry: &Entry, error: RecordError) -> Problem {
    let key = match entry.body() {
        Body::Snapshot(SnapshotBody::Record { id, .. }) => ObjectKey::Record(*id),
        _ => ObjectKey::Log(entry.header().number),
    };
    Problem::new(ProblemKind::CommitRecord, key.path(), Some(Box::new(error)))
}
