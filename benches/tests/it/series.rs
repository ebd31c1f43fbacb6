//! A series of nights does to its rows what it says.

use std::collections::HashSet;

use crate::parsed::{Parsed, SIZE_BYTES, Table, dump, id};
use indelible_benches::{Edit, Order, Series};

fn tonight(series: &Series) -> Vec<u8> {
    let mut bytes = Vec::new();
    let summary = series.write_to(&mut bytes).expect("a vector takes all");
    assert_eq!(summary.bytes, bytes.len() as u64);
    bytes
}

/// The tables of the first nights.
fn nights(order: Order, count: usize) -> Vec<Vec<Table>> {
    let mut series = Series::new(7, SIZE_BYTES, order);
    let nights = (0..count).map(|night| {
        if night > 0 {
            series.advance();
        }
        Parsed::read(tonight(&series)).tables
    });
    nights.collect()
}

/// The share may be missed by half of it.
fn assert_about_one_percent(count: usize, of: usize) {
    assert!((of / 200..=of / 66).contains(&count), "{count} of {of}");
}

/// A series begins with the dump of its seed, and is the same each time.
///
/// Method: the first night against that dump, and the fourth of two series.
#[test]
fn nights_follow_from_the_seed() {
    for order in [Order::Heap, Order::InPlace] {
        let fourth = || {
            let mut series = Series::new(7, SIZE_BYTES, order);
            assert!(tonight(&series) == dump(Edit::Nothing, 0));
            (0..3).for_each(|_| series.advance());
            assert_eq!(series.night(), 3);
            blake3::hash(&tonight(&series))
        };
        assert_eq!(fourth(), fourth());
    }
}

/// In place, one row of a hundred changes in small fields, and no row moves.
///
/// Method: compare following nights row by row; every change is short.
#[test]
fn rows_change_in_place() {
    for night in nights(Order::InPlace, 4).windows(2) {
        for (before, after) in night[0].iter().zip(&night[1]) {
            assert_eq!(before.ids(), after.ids());
            let pairs = before.rows.iter().zip(&after.rows);
            let changed: Vec<_> = pairs.filter(|(before, after)| before != after).collect();
            assert_about_one_percent(changed.len(), before.rows.len());
            for (before, after) in changed {
                let fields = before.split('\t').zip(after.split('\t'));
                let longest = fields.filter(|(was, is)| was != is).map(|(_, is)| is.len());
                assert!(longest.max() <= Some(30), "{before:?} became {after:?}");
            }
        }
    }
}

/// In a heap, what was written stands at the end, until there is a dead row
/// for every five live ones. From then on it stands where those were.
///
/// Method: the rows of each night that were not there the night before, and the
/// numbers of those in front of the first of them.
#[test]
fn rows_move_in_a_heap() {
    let mut reused = 0;
    for night in nights(Order::Heap, 20).windows(2) {
        for (before, after) in night[0].iter().zip(&night[1]) {
            let known: HashSet<&String> = before.rows.iter().collect();
            let is_new: Vec<bool> = after.rows.iter().map(|row| !known.contains(row)).collect();
            let new = is_new.iter().filter(|is_new| **is_new).count();
            // Updated and inserted ones.
            assert_about_one_percent(new / 2, before.rows.len());
            let ids: HashSet<u64> = after.rows.iter().map(|row| id(row)).collect();
            assert_eq!(ids.len(), after.rows.len(), "numbers are unique");
            let old = &is_new[..is_new.len() - new];
            if old.iter().any(|is_new| *is_new) {
                reused += 1;
            }
        }
    }
    // Each of three tables was vacuumed after 14 to 16 of 19 days.
    assert!((9..=15).contains(&reused), "{reused}");
}
