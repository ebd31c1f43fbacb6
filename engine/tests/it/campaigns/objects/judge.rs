//! What must be said of a store that differs from what it was.

use std::collections::BTreeSet;

use indelible_engine::store::{MemoryStore, ObjectKey};
use indelible_engine::verify::{ProblemKind, Report};
use indelible_format::ids::PackId;
use indelible_format::limits::LOG_GAP_END;

use super::super::Finding;
use super::super::oracle::{Notes, Oracle, Restored, check_harm, surely, tell};
use super::damage::{Diff, Effect, JUNK};

/// A problem of one object.
type Said = (ProblemKind, ObjectKey);

/// One problem for each object of a range.
fn said(report: &Report) -> Vec<Said> {
    let mut all = Vec::new();
    for problem in &report.problems {
        let (first, last) = match problem.object.split_once(" to ") {
            Some(ends) => ends,
            None => (&problem.object[..], &problem.object[..]),
        };
        let key = |path| ObjectKey::from_path(path).expect("a report names objects");
        match (key(first), key(last)) {
            (ObjectKey::Log(first), ObjectKey::Log(last)) => {
                all.extend((first..=last).map(|number| (problem.kind, ObjectKey::Log(number))));
            }
            (key, _) => all.push((problem.kind, key)),
        }
    }
    all.sort_unstable();
    all
}

/// What somebody without a key is told who saw the whole log before: exactly
/// what was done.
pub(super) fn judge_packs(
    oracle: &Oracle,
    diff: &Diff,
    store: &MemoryStore,
    report: &Report,
    notes: &mut Notes,
) {
    notes.verifications += 1;
    let mut expected = expected_of_log(oracle, diff, store);
    for (key, effect) in &diff.0 {
        let kind = match (key, effect) {
            (ObjectKey::Repository, Effect::Altered { .. }) => ProblemKind::GenesisCopy,
            (ObjectKey::Record(_), Effect::Gone | Effect::Altered { .. })
                if record_is_named(oracle, diff, key) =>
            {
                ProblemKind::CommitRecord
            }
            (ObjectKey::Pack(pack), Effect::Gone) if is_listed(oracle, diff, pack) => {
                ProblemKind::PackMissing
            }
            (ObjectKey::Pack(pack), Effect::Altered { .. } | Effect::Longer)
                if is_listed(oracle, diff, pack) =>
            {
                ProblemKind::PackAltered
            }
            _ => continue,
        };
        expected.push((kind, *key));
    }
    expected.sort_unstable();
    notes.expect(said(report) == expected, Finding::Unnoticed, || {
        format!(
            "{diff:?}: packs says {}, and not {expected:?}",
            tell(report)
        )
    });
    let costs = diff.costs(oracle);
    for problem in &report.problems {
        let harmed = surely(&problem.harm);
        notes.expect(harmed.is_subset(&costs), Finding::Unnoticed, || {
            format!("{diff:?}: packs says {}", tell(report))
        });
    }
    judge_leftovers(oracle, diff, report, notes);
}

fn is_listed(oracle: &Oracle, diff: &Diff, pack: &PackId) -> bool {
    !diff.is_unlisted(oracle, oracle.listed_by[pack])
}

fn record_is_named(oracle: &Oracle, diff: &Diff, key: &ObjectKey) -> bool {
    let lost = diff.lost_entries(oracle);
    let named = |record| matches!(key, ObjectKey::Record(id) if record == Some(*id));
    oracle
        .originals
        .iter()
        .any(|(number, original)| named(original.record) && !lost.contains(number))
}

/// With a memory of every leaf, each object of the log is judged by itself.
fn expected_of_log(oracle: &Oracle, diff: &Diff, store: &MemoryStore) -> Vec<Said> {
    let numbers = store.keys().into_iter().filter_map(|key| match key {
        ObjectKey::Log(number) => Some(number),
        _ => None,
    });
    let mut expected = Vec::new();
    let mut shown = 0;
    for number in numbers {
        if number - shown >= LOG_GAP_END {
            expected.push((ProblemKind::BeyondEnd, ObjectKey::Log(number)));
            break;
        }
        shown = number + 1;
    }
    let lost_entries = diff.lost_entries(oracle);
    for number in 0..shown.max(oracle.head() + 1) {
        let key = ObjectKey::Log(number);
        let kind = match diff.0.get(&key) {
            Some(Effect::Gone) if number < shown => ProblemKind::RemovedEntry,
            Some(Effect::Altered { .. }) => ProblemKind::DamagedEntry,
            Some(Effect::Added) => ProblemKind::VoidEntry,
            None if lost_entries.contains(&number) => ProblemKind::VoidEntry,
            _ => continue,
        };
        expected.push((kind, key));
    }
    if shown <= oracle.head() {
        expected.push((ProblemKind::RolledBack, ObjectKey::Log(shown)));
    }
    expected
}

/// What is there and belongs to nothing is told at every level.
fn judge_leftovers(oracle: &Oracle, diff: &Diff, report: &Report, notes: &mut Notes) {
    let unreferenced = |key: &ObjectKey| match key {
        ObjectKey::Pack(pack) => report.unreferenced.contains(pack),
        ObjectKey::Record(id) => report.unreferenced_records.contains(id),
        ObjectKey::Log(_) | ObjectKey::Repository | ObjectKey::Bundle(_) => true,
    };
    let mut left: BTreeSet<ObjectKey> = diff
        .0
        .iter()
        .filter(|(_, effect)| **effect == Effect::Added)
        .map(|(key, _)| *key)
        .collect();
    for (pack, entry) in &oracle.listed_by {
        let key = ObjectKey::Pack(*pack);
        let there = diff.0.get(&key) != Some(&Effect::Gone);
        if there && diff.is_unlisted(oracle, *entry) {
            left.insert(key);
        }
    }
    let foreign: BTreeSet<&str> = report.foreign.iter().map(String::as_str).collect();
    notes.expect(foreign == BTreeSet::from(JUNK), Finding::Unnoticed, || {
        format!("{diff:?}: {:?} says {foreign:?} is foreign", report.level)
    });
    for key in left {
        notes.expect(unreferenced(&key), Finding::Unnoticed, || {
            format!("{diff:?}: {:?} does not report {key}", report.level)
        });
    }
}

/// What a key can tell: every lost object is named, with its kind, and no other
/// is accused; and whom it harms is what did not restore.
pub(super) fn judge_with_key(
    oracle: &Oracle,
    diff: &Diff,
    restored: &Restored,
    report: &Report,
    notes: &mut Notes,
) {
    notes.verifications += 1;
    let said = said(report);
    let lost_entries = diff.lost_entries(oracle);
    for (key, effect) in &diff.0 {
        let named = said
            .iter()
            .any(|(kind, of)| of == key && fits(*kind, *effect));
        let needless = may_go_unnamed(oracle, diff, report, key);
        notes.expect(named || needless, Finding::Unnoticed, || {
            format!(
                "{diff:?}: {:?} says {} and not {key}",
                report.level,
                tell(report)
            )
        });
    }
    // Without a memory of each leaf, what was signed or pinned over damage looks
    // like another history, and the end of the log can't be told from a gap.
    let of_history = [
        ProblemKind::OtherHistory,
        ProblemKind::Forked,
        ProblemKind::RolledBack,
    ];
    let accused = said.iter().find(|(kind, key)| {
        let log_lost = !lost_entries.is_empty() && of_history.contains(kind);
        let under = matches!(key, ObjectKey::Log(number) if lost_entries.contains(number));
        !log_lost && !under && !diff.0.contains_key(key)
    });
    notes.expect(accused.is_none(), Finding::Unnoticed, || {
        format!(
            "{diff:?}: {:?} accuses {accused:?}: {}",
            report.level,
            tell(report)
        )
    });
    judge_harm(oracle, diff, restored, report, notes);
    judge_leftovers(oracle, diff, report, notes);
}

/// Whether a kind of problem is one that such damage may be called.
fn fits(kind: ProblemKind, effect: Effect) -> bool {
    match kind {
        ProblemKind::PackMissing | ProblemKind::RemovedEntry | ProblemKind::RolledBack => {
            effect == Effect::Gone
        }
        ProblemKind::BeyondEnd => effect == Effect::Added,
        ProblemKind::PackAltered => matches!(effect, Effect::Altered { .. } | Effect::Longer),
        ProblemKind::DamagedEntry
        | ProblemKind::GenesisCopy
        | ProblemKind::Directory
        | ProblemKind::Chunk
        | ProblemKind::Tree => matches!(effect, Effect::Altered { .. }),
        ProblemKind::VoidEntry => matches!(effect, Effect::Altered { .. } | Effect::Added),
        // Of a pack that no readable entry lists, only that is known.
        ProblemKind::CommitRecord | ProblemKind::ChunkMissing => effect != Effect::Added,
        _ => false,
    }
}

/// Whether nothing needs to be said of an object, or no verification with this
/// level and without a memory can know of it.
fn may_go_unnamed(oracle: &Oracle, diff: &Diff, report: &Report, key: &ObjectKey) -> bool {
    let effect = diff.0[key];
    match key {
        // What is left of the copy decides nothing, and it need not be there.
        ObjectKey::Repository | ObjectKey::Bundle(_) => effect == Effect::Gone,
        // Removed from the end on: the pin says so, if it reaches so far.
        ObjectKey::Log(number) => effect == Effect::Gone && *number >= report.size,
        ObjectKey::Record(_) => effect == Effect::Added || !record_is_named(oracle, diff, key),
        // An unlisted pack is missed by those who need it, whom the harm shows.
        ObjectKey::Pack(pack) => effect == Effect::Added || !is_listed(oracle, diff, pack),
    }
}

fn judge_harm(
    oracle: &Oracle,
    diff: &Diff,
    restored: &Restored,
    report: &Report,
    notes: &mut Notes,
) {
    if let Err(how) = check_harm(oracle, restored, report) {
        let text = format!("{diff:?}: {:?}: {how}: {}", report.level, tell(report));
        notes.find(Finding::Unnoticed, text);
    }
}
