//! Each edit changes the rows it says and nothing else.

use crate::parsed::{Parsed, Table, dump, id};
use indelible_benches::{Edit, ParseEditError};
use std::collections::HashSet;

const SCATTERED: Edit = Edit::Scattered { permille: 10 };
const CLUSTERED: Edit = Edit::Clustered { permille: 10 };
const MOVED: Edit = Edit::MovedToEnd { permille: 10 };
const APPENDED: Edit = Edit::Appended { permille: 10 };

/// Each table at one night and at the next, once the lines around them are
/// known to be the same.
fn table_pairs(edit: Edit, night: u32) -> Vec<(Table, Table)> {
    let (before, after) = (Parsed::of(edit, night), Parsed::of(edit, night + 1));
    assert_eq!(before.frame, after.frame);
    assert_eq!(before.tables.len(), 3);
    before.tables.into_iter().zip(after.tables).collect()
}

/// The rows that differ, where all rows kept their places.
fn changed_in_place(before: &Table, after: &Table) -> Vec<u64> {
    assert_eq!(before.ids(), after.ids());
    let pairs = before.rows.iter().zip(&after.rows);
    let changed = pairs.filter(|(before, after)| before != after);
    changed
        .map(|(before, after)| {
            assert_is_update(before, after);
            id(after)
        })
        .collect()
}

/// The last field, `updated_at`, moved on, and at most one other changed.
fn assert_is_update(before: &str, after: &str) {
    let (before, after): (Vec<_>, Vec<_>) =
        (before.split('\t').collect(), after.split('\t').collect());
    assert_eq!(before.len(), after.len());
    assert!(before.last() < after.last());
    let differing = before.iter().zip(&after).filter(|(b, a)| b != a).count();
    assert!(differing <= 2, "{before:?} became {after:?}");
}

/// Chance may miss the share by half of it; the smallest table has about 3,000
/// rows.
fn assert_about(count: usize, permille: usize, rows: usize) {
    let expected = rows * permille / 1000;
    let bounds = expected / 2..=expected + expected / 2;
    assert!(
        bounds.contains(&count),
        "{count} of {rows} rows, not {permille} in 1000"
    );
}

/// Nights without changes cost nothing.
///
/// Method: the bytes of a later night, and of night 0 under every edit.
#[test]
fn nothing_changes_nothing() {
    let first = dump(Edit::Nothing, 0);
    assert!(first == dump(Edit::Nothing, 5));
    for edit in [SCATTERED, CLUSTERED, MOVED, APPENDED] {
        assert!(first == dump(edit, 0), "{edit}");
    }
}

/// Scattered rows are as many as asked, all over the table, and others each
/// night.
///
/// Method: compare consecutive nights row by row, for both usual shares.
#[test]
fn scattered_rows_change_in_place() {
    for permille in [10, 100] {
        let edit = Edit::Scattered { permille };
        let nights = [table_pairs(edit, 0), table_pairs(edit, 1)];
        let [first, second] = nights.map(|tables| {
            let changed = tables.iter().map(|(before, after)| {
                let changed = changed_in_place(before, after);
                assert_about(changed.len(), usize::from(permille), before.rows.len());
                let half = before.rows.len() as u64 / 2;
                let in_first_half = changed.iter().filter(|&&id| id <= half).count();
                assert_about(in_first_half, usize::from(permille), before.rows.len() / 2);
                changed
            });
            changed.collect::<Vec<_>>()
        });
        assert_ne!(first, second);
    }
}

/// A cluster is one run of neighbours of exactly the share, elsewhere each night.
///
/// Method: compare consecutive nights row by row.
#[test]
fn clustered_rows_are_neighbours() {
    let nights = [table_pairs(CLUSTERED, 0), table_pairs(CLUSTERED, 1)];
    let [first, second] = nights.map(|tables| {
        let changed = tables.iter().map(|(before, after)| {
            let changed = changed_in_place(before, after);
            assert_eq!(changed.len(), before.rows.len() / 100);
            assert!(changed.is_sorted_by(|a, b| a + 1 == *b));
            changed[0]
        });
        changed.collect::<Vec<_>>()
    });
    assert_ne!(first, second);
}

/// After a night, untouched rows keep their order, and behind them stand the
/// updated and then the inserted ones; so too when rows moved before.
///
/// Method: split each later table where the first row stands that the earlier
/// one did not hold in these very bytes.
#[test]
fn moved_rows_stand_at_the_end() {
    for night in [0, 1, 4] {
        for (before, after) in table_pairs(MOVED, night) {
            let old = before.by_id();
            let untouched = |row: &&String| old.get(&id(row)) == Some(&row.as_str());
            let kept = after.rows.iter().take_while(untouched).count();
            let (kept, tail) = after.rows.split_at(kept);
            let updated = tail
                .iter()
                .take_while(|row| old.contains_key(&id(row)))
                .count();
            let (updated, inserted) = tail.split_at(updated);

            let kept_ids: HashSet<u64> = kept.iter().map(|row| id(row)).collect();
            let in_old_order = before.rows.iter().filter(|row| kept_ids.contains(&id(row)));
            assert!(in_old_order.eq(kept));
            for row in updated {
                assert_is_update(old[&id(row)], row);
            }
            assert!(inserted.iter().all(|row| !old.contains_key(&id(row))));
            assert_about(updated.len(), 10, before.rows.len());
            assert_about(inserted.len(), 10, before.rows.len());
            let deleted = before.rows.len() - kept.len() - updated.len();
            assert_about(deleted, 5, before.rows.len());
        }
    }
}

/// Rows that were moved before can move again, and inserted ones move too.
///
/// Method: look for both among the rows of a tenth of which moves each night.
#[test]
fn moved_rows_move_again() {
    let edit = Edit::MovedToEnd { permille: 100 };
    let first = Parsed::of(edit, 0);
    for (before, after) in table_pairs(edit, 1) {
        let base = first.table(&before.name).rows.len() as u64;
        let originals = first.table(&before.name).by_id();
        let last_night = before.by_id();
        let tail = after.rows.iter().filter(|row| {
            let earlier = last_night.get(&id(row));
            earlier.is_some_and(|earlier| *earlier != row.as_str())
        });
        let (inserted, original): (Vec<_>, Vec<_>) = tail.partition(|row| id(row) > base);
        assert!(!inserted.is_empty());
        assert!(original.iter().any(|row| {
            let id = id(row);
            last_night[&id] != originals[&id]
        }));
    }
}

/// Added rows stand behind all others, as many each night.
///
/// Method: the earlier table is the beginning of the later.
#[test]
fn appended_rows_follow_all_others() {
    for night in [0, 3] {
        let share = Parsed::of(APPENDED, 0);
        for (before, after) in table_pairs(APPENDED, night) {
            let (kept, added) = after.rows.split_at(before.rows.len());
            assert!(before.rows == kept);
            assert_eq!(added.len(), share.table(&before.name).rows.len() / 100);
        }
    }
}

/// A dump of any night satisfies its foreign keys.
///
/// Method: look up each reference after nights in which many rows were deleted.
#[test]
fn references_outlive_deletions() {
    let parsed = Parsed::of(Edit::MovedToEnd { permille: 200 }, 6);
    for (from, to) in [("orders", "customers"), ("events", "orders")] {
        let targets: HashSet<u64> = parsed.table(to).ids().into_iter().collect();
        for row in &parsed.table(from).rows {
            let reference = row.split('\t').nth(1).expect("a second field");
            let reference: u64 = reference.parse().expect("a number");
            assert!(targets.contains(&reference), "{from} {row}");
        }
    }
}

/// Edits are read as they are printed, and nothing else is.
///
/// Method: a round trip for each kind, and a text for each way to be wrong.
#[test]
fn edits_are_read_as_printed() {
    let tenth = Edit::Scattered { permille: 1 };
    for edit in [Edit::Nothing, SCATTERED, CLUSTERED, MOVED, APPENDED, tenth] {
        assert_eq!(edit.to_string().parse(), Ok(edit));
    }
    assert_eq!("moved1".parse(), Ok(MOVED));
    assert_eq!(
        "scattered12.5".parse(),
        Ok(Edit::Scattered { permille: 125 })
    );
    let out_of_range = |permille_max| ParseEditError::OutOfRange { permille_max };
    let wrong = [
        ("", ParseEditError::UnknownKind),
        ("shuffled1", ParseEditError::UnknownKind),
        ("nothing1", ParseEditError::UnknownKind),
        ("scattered", ParseEditError::BadPercentage),
        ("scattered-1", ParseEditError::BadPercentage),
        ("scattered1.25", ParseEditError::BadPercentage),
        ("scattered0", out_of_range(1000)),
        ("clustered100.1", out_of_range(1000)),
        ("moved51", out_of_range(500)),
        ("appended99999999", out_of_range(1000)),
    ];
    for (text, error) in wrong {
        assert_eq!(text.parse::<Edit>(), Err(error), "{text}");
    }
}
