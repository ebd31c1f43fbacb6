//! Whether the store locks what snapshots need for as long as is promised (SPEC 17).
//!
//! The store is asked for each lock, once. Its word is all that there is: whether it
//! would keep it, only an attempt shows, and a verification attempts nothing.

use super::{Problem, ProblemKind, Report};
use crate::progress::Progress;
use crate::repository::{Listings, Repository, Snapshot};
use crate::retention::{DAY_MS, Locks, Needed};
use crate::store::ReadStore;

/// How a promise is not kept.
#[derive(Debug, thiserror::Error)]
enum Shortfall {
    /// Nothing holds it.
    #[error(
        "{short} of {all} objects that the snapshot needs are locked too briefly; this one is not locked, and should be for {days} more days"
    )]
    Free {
        /// Objects that are locked too briefly.
        short: usize,
        /// Objects that the snapshot needs.
        all: usize,
        /// How many days the promise has to run, rounded up.
        days: u64,
    },
    /// Its lock ends too early.
    #[error(
        "{short} of {all} objects that the snapshot needs are locked too briefly; the lock of this one ends {early} days early"
    )]
    Early {
        /// Objects that are locked too briefly.
        short: usize,
        /// Objects that the snapshot needs.
        all: usize,
        /// By how many days, rounded up.
        early: u64,
    },
}

/// Reports each snapshot something of which is locked shorter than promised. What is
/// absent is reported by others.
pub(super) fn check<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    snapshots: &[Snapshot],
    listings: &Listings,
    report: &mut Report,
    progress: &dyn Progress,
) {
    let Some(policy) = repository.policy() else {
        return;
    };
    let now_ms = repository.env().clock.now_unix_ms();
    let promised = snapshots.iter().filter_map(|snapshot| {
        let until_ms = policy.promised_until_ms(snapshot, now_ms)?;
        (until_ms > now_ms).then_some((snapshot, until_ms))
    });
    let promised: Vec<(&Snapshot, u64)> = promised.collect();
    let locks = Locks::ask(
        repository,
        promised.iter().map(|(snapshot, _)| *snapshot),
        listings,
        progress,
    );
    report.locks = locks.count();
    for (snapshot, until_ms) in promised {
        // What it needs is unknown where its reach is damaged, which the tree tells.
        let needed = Needed::of(repository, snapshot, listings);
        let problem = needed.map(|needed| judge(&needed, until_ms, &locks, now_ms));
        let Ok(Some(problem)) = problem else {
            continue;
        };
        let at = report.problems.len();
        report.problems.push(problem);
        let verdicts = report.snapshots.iter_mut();
        for verdict in verdicts.filter(|verdict| verdict.number == snapshot.number) {
            verdict.problems.insert(at);
        }
    }
}

/// The problem of a snapshot, at the object whose lock ends first.
fn judge(needed: &Needed, until_ms: u64, locks: &Locks, now_ms: u64) -> Option<Problem> {
    let days = |ms: u64| ms.div_ceil(DAY_MS);
    let mut short = Vec::new();
    let mut unknown = None;
    for key in needed.keys() {
        match locks.of(&key).expect("each was asked for") {
            Ok(end_ms) if end_ms.is_some_and(|end_ms| end_ms >= until_ms) => {}
            Ok(end_ms) => short.push((*end_ms, key)),
            Err(error) if error.is_not_found() => {}
            Err(error) => drop(unknown.get_or_insert((key, error.to_string()))),
        }
    }
    let all = needed.keys().count();
    let Some((end_ms, key)) = short.iter().min().copied() else {
        let (key, cause) = unknown?;
        return Some(Problem::new(
            ProblemKind::ShortLock,
            key.path(),
            Some(cause.into()),
        ));
    };
    let short = short.len();
    let cause = match end_ms.filter(|end_ms| *end_ms > now_ms) {
        None => Shortfall::Free {
            short,
            all,
            days: days(until_ms - now_ms),
        },
        Some(end_ms) => Shortfall::Early {
            short,
            all,
            early: days(until_ms - end_ms),
        },
    };
    let cause = Some(Box::new(cause) as super::Cause);
    Some(Problem::new(ProblemKind::ShortLock, key.path(), cause))
}
