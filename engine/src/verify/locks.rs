//! Whether the store locks what snapshots need for as long as is promised (SPEC 17).
//!
//! The store is asked for each lock, once. Its word is all that there is: whether it
//! would keep it, only an attempt shows, and a verification attempts nothing.

use super::{Problem, ProblemKind, Report};
use crate::progress::Progress;
use crate::repository::{Listings, Repository};
use crate::retention::{Locks, Needed};
use crate::store::{ObjectKey, ReadStore};

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

/// A snapshot with a promise that has not ended.
struct Promised {
    number: u64,
    until_ms: u64,
    needed: Needed,
}

/// Reports each snapshot something of which is locked shorter than promised. What is
/// absent is reported by others.
pub(super) fn check<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
    report: &mut Report,
    progress: &dyn Progress,
) {
    let now_ms = repository.env().clock.now_unix_ms();
    let promised = promised(repository, listings, now_ms);
    let mut keys: Vec<ObjectKey> = promised.iter().flat_map(|one| one.needed.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return;
    }
    report.locks = keys.len() as u64;
    let locks = Locks::ask(repository.store(), &keys, progress);
    for one in &promised {
        let Some(problem) = judge(one, &locks, now_ms) else {
            continue;
        };
        let at = report.problems.len();
        report.problems.push(problem);
        let verdicts = report.snapshots.iter_mut();
        for verdict in verdicts.filter(|verdict| verdict.number == one.number) {
            verdict.problems.insert(at);
        }
    }
}

fn promised<S: ReadStore + ?Sized>(
    repository: &Repository<'_, S>,
    listings: &Listings,
    now_ms: u64,
) -> Vec<Promised> {
    let Some(policy) = repository.policy() else {
        return Vec::new();
    };
    let snapshots = repository.snapshots().into_iter().flatten();
    let each = snapshots.filter_map(|snapshot| {
        let until_ms = policy.promised_until_ms(&snapshot, now_ms)?;
        // What it needs is unknown where its reach is damaged, which the tree tells.
        let needed = Needed::of(repository, &snapshot, listings).ok()?;
        Some(Promised {
            number: snapshot.number,
            until_ms,
            needed,
        })
    });
    each.filter(|one| one.until_ms > now_ms).collect()
}

/// The problem of a snapshot, at the object whose lock ends first.
fn judge(one: &Promised, locks: &Locks, now_ms: u64) -> Option<Problem> {
    let days = |ms: u64| ms.div_ceil(86_400_000);
    let mut short = Vec::new();
    let mut unknown = None;
    for key in one.needed.keys() {
        match locks.of(&key).expect("each was asked for") {
            Ok(end_ms) if end_ms.is_some_and(|end_ms| end_ms >= one.until_ms) => {}
            Ok(end_ms) => short.push((*end_ms, key)),
            Err(error) if error.is_not_found() => {}
            Err(error) => drop(unknown.get_or_insert((key, error.to_string()))),
        }
    }
    let all = one.needed.keys().count();
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
            days: days(one.until_ms - now_ms),
        },
        Some(end_ms) => Shortfall::Early {
            short,
            all,
            early: days(one.until_ms - end_ms),
        },
    };
    let cause = Some(Box::new(cause) as super::Cause);
    Some(Problem::new(ProblemKind::ShortLock, key.path(), cause))
}
