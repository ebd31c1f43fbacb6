//! Locks in a store that bounds how long they may be.

use std::sync::Arc;

use indelible_engine::repository::Repository;
use indelible_engine::serve::{Guard, LockLimit, ServeTerms};
use indelible_format::attest::Level;

use super::{DAY_MS, Vault};
use crate::support::{START_UNIX_MS, rows, snapshot_at, take_stream, verify_with};

/// A store that lets nothing be locked for longer than is promised locks that long; one
/// that allows less makes the promise short, and says so.
///
/// Method: a promise of 35 days; two nights behind a server that allows 35 days, and one
/// behind one that allows 34.
#[test]
fn a_bound_as_long_as_the_promise_is_enough() {
    let vault = Vault::new(809, &[("*", 35)]);
    let night = |span_days: u64, first: u64| {
        let clock = Arc::clone(&vault.clock);
        let locks = Some(LockLimit {
            span_ms: span_days * DAY_MS,
            clock,
        });
        let guard = Guard::new(&vault.store, ServeTerms { quota: None, locks });
        let opened = Repository::open(&guard, None, &vault.recovery, vault.env.clone());
        let mut repository = opened.expect("it opens");
        let taken = take_stream(&mut repository, "shop", &rows(first..first + 200));
        let taken = taken.expect("it is committed");
        (taken.number, taken.locked.short)
    };
    for day in 0..2 {
        vault.clock.set_unix_ms(START_UNIX_MS + day * DAY_MS);
        let (number, short) = night(35, 50 * day);
        assert!(short.is_none(), "{short:?}");
        let promised = snapshot_at(&vault.open(), number).claimed_ms + 35 * DAY_MS;
        assert!(vault.locked_until_ms(number) >= Some(promised));
    }
    assert!(vault.short().is_empty());
    let (number, short) = night(34, 100);
    assert!(
        short
            .expect("it is too short")
            .to_string()
            .contains("could not lock")
    );
    let report = verify_with(&vault.open(), Level::Tree);
    let harmed = report.snapshots.iter().filter(|it| !it.problems.is_empty());
    let harmed: Vec<u64> = harmed.map(|it| it.number).collect();
    assert_eq!(harmed, [number]);
}
